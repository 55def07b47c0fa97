"""A simple knee: one axial section through the femoral condyles, drawn from ellipses, for the built-in demo.

A right knee in millimetres, x towards the patient's left (medial), y towards the back, origin at the condyles' centre.
Shapes are painted one over the other; the raster holds the area that each shape covers of each pixel, so that small
structures keep their true size. Signals are those of a T2-weighted turbo spin echo (TE 75 ms, TR 3 s, no fat suppression).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIGNAL = {
    "skin": 0.12,
    "fat": 0.556,
    "marrow": 0.50,
    "muscle": 0.070,
    "nerve": 0.136,
    "cartilage": 0.090,
    "fluid": 0.479,
    "vein": 0.32,
    "void": 0.004,  # cortical bone, tendons, ligaments, fast arterial blood
}
TEXTURE = 0.05  # standard deviation of the tissue's slow, multiplicative variation
TEXTURE_STEP_MM = 1.6


@dataclass(frozen=True)
class Ellipse:
    """One shape: centre and semi-axes in mm, turned by `turn_deg` from x towards y."""

    tissue: str
    x: float
    y: float
    a: float
    b: float
    turn_deg: float = 0.0


def knee_section(level_mm: float, seed: int = 0) -> list[Ellipse]:
    """Shapes of the section at a height above the joint's middle, in the order in which they are painted.

    Bones narrow and the neurovascular bundle drifts with the level, so that neighbouring slices differ.
    """
    bundle = (0.10 * level_mm, -0.06 * level_mm)
    shapes = [*_envelope(), *_bones(1 - 0.004 * level_mm), *_muscles(seed), *_ligaments()]
    shapes += [replace(shape, x=shape.x + bundle[0], y=shape.y + bundle[1]) for shape in _bundle()]
    return shapes + _genicular()


def _envelope() -> list[Ellipse]:
    return [
        Ellipse("skin", 0, 1, 63, 60),
        Ellipse("fat", 0, 1, 61.6, 58.6),
        Ellipse("void", 0, 0.5, 54.6, 53.4),  # deep fascia
        Ellipse("fat", 0, 0.5, 54.0, 52.8),
    ]


def _bones(scale: float) -> list[Ellipse]:
    """Femur and patella: cartilage, then cortex, then marrow, each the same outlines made smaller."""
    femur = [(20.0, 1.0, 20.5, 28.5, 8.0), (-20.0, 0.0, 20.0, 28.0, -8.0), (0.0, -8.0, 33.0, 18.5, 0.0)]
    patella = (0.0, -41.5, 22.0, 10.0, 0.0)

    def paint(tissue: str, outline: tuple[float, ...], margin: float, back: float = 0.0) -> Ellipse:
        x, y, a, b, turn = outline
        return Ellipse(tissue, x * scale, y * scale + back, a * scale + margin, b * scale + margin, turn)

    joint = [paint("fluid", outline, 0.0, back) for outline in femur for back in (-3.4, 2.9)]
    cartilage = [paint("cartilage", outline, 0.0, back) for outline in femur for back in (-2.6, 2.2)]
    patellar = [paint("fluid", patella, 0.0, 3.9), paint("cartilage", patella, 0.0, 3.2)]
    cortex = [paint("void", outline, 0.0) for outline in [*femur, patella]]
    marrow = [paint("marrow", outline, -1.3) for outline in [*femur, patella]]
    notch = [Ellipse("void", 0, 23, 10.2, 17), Ellipse("fat", 0, 24.3, 9, 17)]
    return [*joint, *cartilage, *patellar, *cortex, *marrow, *notch]


def _muscles(seed: int) -> list[Ellipse]:
    """Muscles, each in a thin fascia and streaked with a little fat."""
    muscles = [
        Ellipse("muscle", 40, -19, 6.5, 17, -32),  # vastus medialis
        Ellipse("muscle", -43, -17, 5, 15, 28),  # vastus lateralis
        Ellipse("muscle", 47.5, 14, 3.8, 12, 14),  # sartorius
        Ellipse("muscle", 29, 38, 12, 7.5, -32),  # semimembranosus
        Ellipse("muscle", -35, 35, 11, 7, 42),  # biceps femoris
        Ellipse("muscle", 12.5, 42.5, 6, 5, -10),  # gastrocnemius, medial head
        Ellipse("muscle", -15.5, 40.5, 5.2, 4.2, 10),  # gastrocnemius, lateral head
    ]
    generator = torch.Generator().manual_seed(seed)
    shapes: list[Ellipse] = []
    for muscle in muscles:
        shapes += [replace(muscle, tissue="void", a=muscle.a + 0.4, b=muscle.b + 0.4), muscle]
        for across, along, length in torch.rand(5, 3, generator=generator).tolist():
            turn = math.radians(muscle.turn_deg)
            u, v = (across - 0.5) * 1.3 * muscle.a, (along - 0.5) * 1.3 * muscle.b
            x, y = (
                muscle.x + u * math.cos(turn) - v * math.sin(turn),
                muscle.y + u * math.sin(turn) + v * math.cos(turn),
            )
            long_axis = muscle.turn_deg + (0 if muscle.a > muscle.b else 90)
            shapes.append(Ellipse("fat", x, y, 0.8 + 1.6 * length, 0.2, long_axis + 30 * (across - 0.5)))
    return shapes


def _ligaments() -> list[Ellipse]:
    return [
        Ellipse("void", 4.5, 14, 3.2, 5.5, -15),  # posterior cruciate
        Ellipse("void", -4.5, 16, 2.4, 4.5, 20),  # anterior cruciate
        Ellipse("void", 0, -51.6, 14, 1.4),  # patellar tendon
        Ellipse("void", 46.4, 5, 0.9, 8, -4),  # medial collateral
        Ellipse("void", -44.3, 11, 1.8, 1.8),  # lateral collateral
        Ellipse("void", -51.0, 4, 0.9, 8, 1),  # iliotibial band
        Ellipse("void", 41.5, 30.5, 1.9, 1.9),  # gracilis tendon
        Ellipse("void", 30.5, 49.0, 2.0, 1.5, -30),  # semitendinosus tendon
    ]


def _bundle() -> list[Ellipse]:
    """Popliteal vessels and the nerves beside them, the larger nerves as fascicles in their fat."""
    return [
        *_vessel("void", -1.5, 40.5, 3.0),  # popliteal artery
        *_vessel("vein", -4.5, 47.0, 3.6),
        *_nerve(-10.8, 48.0, 2.8, 2.3, 14),  # tibial
        *_nerve(-25.4, 44.9, 2.3, 1.5, 7),  # common peroneal
        Ellipse("nerve", 46.6, 27.5, 0.9, 0.9),  # saphenous
        *_vessel("vein", 45.5, 37.5, 1.7),  # great saphenous vein, under the skin
    ]


def _genicular() -> list[Ellipse]:
    """Genicular nerves with their vessels: the 1 mm structures that the whole package is about."""
    medial = [Ellipse("nerve", 42.3, 0.6, 0.5, 0.5), Ellipse("void", 43.9, 1.0, 0.6, 0.6)]
    lateral = [Ellipse("nerve", -42.2, 0.2, 0.5, 0.5), Ellipse("void", -43.8, 0.6, 0.6, 0.6)]
    return [*medial, *lateral, Ellipse("vein", 43.4, -0.8, 0.5, 0.5), Ellipse("vein", -43.2, -1.2, 0.5, 0.5)]


def _vessel(blood: str, x: float, y: float, radius: float) -> list[Ellipse]:
    return [Ellipse("void", x, y, radius + 0.5, radius + 0.5), Ellipse(blood, x, y, radius, radius)]


def _nerve(x: float, y: float, a: float, b: float, n_fascicles: int) -> list[Ellipse]:
    """Fascicles of 0.8 mm, spread over the nerve's cross section like the seeds of a sunflower."""
    golden = math.pi * (3 - math.sqrt(5))
    fascicles = []
    for i in range(n_fascicles):
        reach = math.sqrt((i + 0.5) / n_fascicles)
        fascicles.append(
            Ellipse("nerve", x + a * reach * math.cos(i * golden), y + b * reach * math.sin(i * golden), 0.42, 0.42)
        )
    return [Ellipse("fat", x, y, a + 0.6, b + 0.6), *fascicles]


def render(shapes: list[Ellipse], x_mm: Tensor, y_mm: Tensor, seed: int | None = None) -> Tensor:
    """Paint the shapes on the raster of pixel centres `x_mm (x,)`, `y_mm (y,)`: signal (y, x), float32.

    `seed` adds the tissue's texture; None paints flat signals.
    """
    image = torch.zeros(len(y_mm), len(x_mm))
    for shape in shapes:
        window, covered = _coverage(shape, x_mm, y_mm)
        image[window] = torch.lerp(image[window], torch.tensor(SIGNAL[shape.tissue]), covered)
    return image if seed is None else image * _texture(x_mm, y_mm, seed)


def _coverage(shape: Ellipse, x_mm: Tensor, y_mm: Tensor) -> tuple[tuple[slice, slice], Tensor]:
    """Fraction of each pixel inside the ellipse, within its bounding window.

    It follows from the distance of the pixel's centre to the outline, counted in pixels, which to first order is
    f / |∇f| with f = (u/a)² + (v/b)² - 1.
    """
    pixel_x, pixel_y = float(x_mm[1] - x_mm[0]), float(y_mm[1] - y_mm[0])
    cosine, sine = math.cos(math.radians(shape.turn_deg)), math.sin(math.radians(shape.turn_deg))
    reach_x = math.hypot(shape.a * cosine, shape.b * sine) + 2 * pixel_x
    reach_y = math.hypot(shape.a * sine, shape.b * cosine) + 2 * pixel_y
    columns, rows = _within(x_mm, shape.x, reach_x), _within(y_mm, shape.y, reach_y)
    x = (x_mm[columns] - shape.x).to(torch.float32)[None, :]
    y = (y_mm[rows] - shape.y).to(torch.float32)[:, None]
    u, v = (x * cosine + y * sine) / shape.a**2, (y * cosine - x * sine) / shape.b**2
    outside = (u * shape.a).square() + (v * shape.b).square() - 1
    slope_x, slope_y = 2 * (u * cosine - v * sine) * pixel_x, 2 * (u * sine + v * cosine) * pixel_y
    distance = outside / torch.hypot(slope_x, slope_y).clamp(min=1e-9)
    return (rows, columns), (0.5 - distance).clamp(0, 1)


def _within(axis_mm: Tensor, centre: float, reach: float) -> slice:
    first = int(torch.searchsorted(axis_mm, centre - reach))
    return slice(first, int(torch.searchsorted(axis_mm, centre + reach)))


def _texture(x_mm: Tensor, y_mm: Tensor, seed: int) -> Tensor:
    size = [max(2, round(float(axis[-1] - axis[0]) / TEXTURE_STEP_MM)) for axis in (y_mm, x_mm)]
    coarse = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(seed)).clamp(-2.5, 2.5)
    smooth = interpolate(coarse, (len(y_mm), len(x_mm)), mode="bicubic", align_corners=True)[0, 0]
    return 1 + TEXTURE * smooth
