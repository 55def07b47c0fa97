"""Objects drawn from chance: overlapping leaves of all sizes, oriented textures, tubes, bundles of fascicles and needles.

Leaves of power-law sizes that hide each other have the statistics of natural images (Lee, Mumford and Huang 2001,
doi:10.1023/A:1011109015675); tubes, bundles and needles are what this scan is about.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Float32 = NDArray[np.float32]
Points = list[tuple[float, float]]

FINE = 3  # raster points per pixel along an axis
N_TEXTURES = 3
SMALLEST_LEAF, LARGEST_LEAF = 1.0, 150.0  # radius, pixels
NEEDLE_SIGNAL = 0.0


class Drawing:
    """Regions painted over each other, each with a brightness and textures of its own."""

    def __init__(self, shape: tuple[int, int], random: np.random.Generator) -> None:
        self.shape, self.random = shape, random
        self._labels = Image.new("I", (shape[1] * FINE, shape[0] * FINE), 0)
        self._draw = ImageDraw.Draw(self._labels)
        self._brightness = [float(random.uniform(0, 1))]
        self._texture = [self._drawn_texture()]

    def region(self, brightness: float, *, textured: bool = True) -> int:
        """A new region's number."""
        self._brightness.append(brightness)
        self._texture.append(self._drawn_texture() if textured else (0, 0.0))
        return len(self._brightness) - 1

    def polygon(self, points: Points, region: int) -> None:
        """Paint an area; points (x, y) in pixels."""
        self._draw.polygon([(FINE * x, FINE * y) for x, y in points], fill=region)

    def line(self, points: Points, width: float, region: int) -> None:
        """Paint along a curve."""
        self._draw.line([(FINE * x, FINE * y) for x, y in points], fill=region, width=max(1, round(FINE * width)))

    def image(self) -> Float32:
        """The picture (y, x), not negative."""
        labels = np.asarray(self._labels)
        result = _reduced(np.asarray(self._brightness, np.float32)[labels])
        which = np.array([texture for texture, _ in self._texture])
        amount = np.array([strength for _, strength in self._texture], np.float32)
        for k in range(N_TEXTURES):
            strength = _reduced(np.where(which == k, amount, 0).astype(np.float32)[labels])
            result += strength * oriented_texture(self.shape, self.random)
        return np.maximum(result, 0)

    def _drawn_texture(self) -> tuple[int, float]:
        strength = float(self.random.exponential(0.06)) if self.random.random() < 0.6 else 0.0
        return int(self.random.integers(N_TEXTURES)), strength


def drawn_object(shape: tuple[int, int], random: np.random.Generator) -> Float32:
    """A picture (y, x) of everything."""
    drawing = Drawing(shape, random)
    _leaves(drawing, int(random.integers(200, 2000)), random.uniform(1.8, 3.2))
    for _ in range(int(random.integers(0, 40))):
        _tube(drawing)
    for _ in range(int(random.integers(0, 60))):
        _bundle_across(drawing)
    for _ in range(int(random.integers(0, 6))):
        _bundle_along(drawing)
    if random.random() < 0.2:
        _needle(drawing)
    return drawing.image()


def oriented_texture(shape: tuple[int, int], random: np.random.Generator) -> Float32:
    """Noise (y, x) of unit variance whose power falls with frequency, stretched along a direction."""
    angle, stretch, slope = random.uniform(0, math.pi), math.exp(random.uniform(0, 1.5)), random.uniform(0.5, 2.0)
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    along, across = math.cos(angle) * kx + math.sin(angle) * ky, math.cos(angle) * ky - math.sin(angle) * kx
    frequency = np.hypot(along * stretch, across / stretch)
    power = (frequency + random.uniform(0.005, 0.1)) ** -slope
    spectrum = np.fft.rfft2(random.standard_normal(shape)) * power
    texture = np.fft.irfft2(spectrum, s=shape)
    return np.asarray((texture - texture.mean()) / texture.std(), np.float32)


def _leaves(drawing: Drawing, n: int, power: float) -> None:
    """Paint n leaves, large ones not always first."""
    random = drawing.random
    low, high = SMALLEST_LEAF ** (1 - power), LARGEST_LEAF ** (1 - power)
    radii = (low + random.random(n) * (high - low)) ** (1 / (1 - power))
    # the largest of the power law's sample fill the background: most of what is small would be hidden otherwise
    radii = np.sort(radii * random.uniform(1, 4))[::-1] * np.exp(random.normal(0, 0.3, n))
    for radius in radii:
        place = random.random(2) * drawing.shape[::-1]
        drawing.polygon(_outline(random, place, float(radius)), drawing.region(_brightness(random)))


def _brightness(random: np.random.Generator) -> float:
    return float(random.choice([0.0, random.uniform(0, 0.4), random.uniform(0, 1)], p=[0.06, 0.44, 0.5]))


def _outline(random: np.random.Generator, place: NDArray[np.float64], radius: float) -> Points:
    """A closed curve around a place: an ellipse with a wavy or an angular edge."""
    n = int(random.integers(3, 7)) if random.random() < 0.2 else int(np.clip(radius * 3, 10, 90))
    angle = np.sort(random.random(n)) * 2 * np.pi if n < 8 else np.linspace(0, 2 * np.pi, n, endpoint=False)
    wave = sum(random.normal(0, 0.12) / k * np.cos(k * angle + random.uniform(0, 6.3)) for k in range(2, 6))
    stretch, turn = math.exp(random.normal(0, 0.4)), random.uniform(0, 2 * np.pi)
    x, y = radius * (1 + wave) * stretch * np.cos(angle), radius * (1 + wave) / stretch * np.sin(angle)
    x, y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
    return list(zip((place[0] + x).tolist(), (place[1] + y).tolist(), strict=True))


def _course(drawing: Drawing, length: float, bend: float) -> NDArray[np.float64]:
    """A smooth curve (point, 2) somewhere."""
    random = drawing.random
    n = max(8, int(length / 4))
    direction = random.uniform(0, 2 * np.pi) + np.cumsum(np.cumsum(random.normal(0, bend, n)) * 0.3)
    steps = length / n * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    return np.asarray(random.random(2) * drawing.shape[::-1] + np.cumsum(steps, axis=0))


def _points(course: NDArray[np.float64]) -> Points:
    return [(float(x), float(y)) for x, y in course]


def _tube(drawing: Drawing) -> None:
    """A vessel, nerve or septum along the plane, often with a wall."""
    random = drawing.random
    course = _points(_course(drawing, random.uniform(30, 500), 0.05))
    width = math.exp(random.uniform(math.log(0.4), math.log(8)))
    if random.random() < 0.4:
        drawing.line(course, width + random.uniform(0.6, 3), drawing.region(_brightness(random), textured=False))
    drawing.line(course, width, drawing.region(_brightness(random), textured=False))


def _bundle_along(drawing: Drawing) -> None:
    """Fascicles side by side."""
    random = drawing.random
    course = _course(drawing, random.uniform(60, 400), 0.03)
    sideways = np.gradient(course, axis=0)[:, ::-1] * (1, -1)
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
    pitch, n = random.uniform(1.2, 5), int(random.integers(2, 9))
    drawing.line(_points(course), pitch * (n + 1), drawing.region(_brightness(random)))
    fascicle = drawing.region(_brightness(random), textured=False)
    for k in range(n):
        shifted = course + sideways * pitch * (k - (n - 1) / 2)
        drawing.line(_points(shifted), pitch * random.uniform(0.3, 0.7), fascicle)


def _bundle_across(drawing: Drawing) -> None:
    """A nerve cut across: fascicles in a sheath, in fat."""
    random = drawing.random
    place, radius = random.random(2) * drawing.shape[::-1], math.exp(random.uniform(math.log(1.0), math.log(9)))
    if random.random() < 0.5:
        drawing.polygon(_outline(random, place, radius * random.uniform(1.3, 3)), drawing.region(_brightness(random)))
    drawing.polygon(_outline(random, place, radius), drawing.region(_brightness(random), textured=False))
    fascicle = drawing.region(_brightness(random), textured=False)
    for _ in range(int(random.integers(0, 9)) if radius > 2.5 else 0):
        where = place + random.normal(0, 0.4 * radius, 2)
        drawing.polygon(_outline(random, where, radius * random.uniform(0.12, 0.3)), fascicle)


def _needle(drawing: Drawing) -> None:
    """A void with bright rims."""
    random = drawing.random
    start = random.random(2) * drawing.shape[::-1]
    angle, length, width = random.uniform(0, 2 * np.pi), random.uniform(60, 400), random.uniform(3, 12)
    end = start + length * np.array([math.cos(angle), math.sin(angle)])
    rim = drawing.region(float(random.uniform(0.7, 1.6)), textured=False)
    void = drawing.region(NEEDLE_SIGNAL, textured=False)
    drawing.line(_points(np.stack([start, end])), width * random.uniform(1.2, 1.8), rim)
    drawing.line(_points(np.stack([start, end])), width, void)


def _reduced(fine: Float32) -> Float32:
    n_y, n_x = fine.shape[0] // FINE, fine.shape[1] // FINE
    return np.asarray(fine.reshape(n_y, FINE, n_x, FINE).mean((1, 3)), np.float32)
