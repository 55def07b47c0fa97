"""The digital knee: complete inside, empty outside, true in size at any resolution, the same from any side."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from knerve.datasets.knee import Knee, digital_knee
from knerve.datasets.scan_plane import ScanPlane
from knerve.sequences.tissues import knee_tissues


@pytest.fixture(scope="module")
def knee() -> Knee:
    return digital_knee()


def axis(fov_mm: float, pixel_mm: float) -> np.ndarray:
    n = round(fov_mm / pixel_mm)
    return (np.arange(n) + 0.5 - n / 2) * pixel_mm


def axial(knee: Knee, z_mm: float) -> ScanPlane:
    x, y, z = knee.position_mm
    return ScanPlane((x, y, z + z_mm), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def fractions_of(knee: Knee, plane: ScanPlane, pixels: np.ndarray) -> np.ndarray:
    fractions = np.zeros((len(knee.tissues), len(pixels), len(pixels)), np.float32)
    knee.add_fractions(fractions, plane, pixels, pixels, np.ones(len(knee.tissues)))
    return fractions


@pytest.mark.parametrize("z_mm", [-60.0, -28.0, 0.0, 20.0, 75.0])
def test_a_pixel_is_full_inside_and_empty_in_air(knee: Knee, z_mm: float):
    pixels = axis(160, 1.0)
    plane = axial(knee, z_mm)
    covered = fractions_of(knee, plane, pixels).sum(0)
    inside = knee.label_map(plane, pixels, pixels) > 0
    assert covered.max() <= 1 + 1e-5
    assert 0.2 < inside.mean() < 0.7
    grown = binary_dilation(inside, iterations=2)
    np.testing.assert_allclose(covered[binary_erosion(inside)], 1.0, atol=2e-3)
    assert label(inside)[1] == 1  # nothing floats beside the leg
    assert not covered[~grown].any()
    assert not covered[:4].any()
    assert not covered[:, -4:].any()


def test_its_tissues_stand_in_the_tissue_table(knee: Knee):
    assert set(knee.tissues) <= set(knee_tissues())


@pytest.mark.parametrize(
    ("z_mm", "expected"),
    [
        (50.0, {"femur", "vastus_medialis", "biceps_femoris", "quadriceps tendon", "popliteal artery"}),
        (5.0, {"femur", "patella", "patella cartilage", "iliotibial band", "medial_gastrocnemius"}),
        (-10.0, {"anterior cruciate ligament", "posterior cruciate ligament", "medial collateral ligament"}),
        (-28.0, {"medial meniscus", "lateral meniscus", "femur cartilage", "patellar tendon"}),
        (-55.0, {"tibia", "fibula", "popliteus", "tibialis_anterior", "great saphenous vein"}),
    ],
)
def test_each_level_shows_its_structures(knee: Knee, z_mm: float, expected: set[str]):
    pixels = axis(150, 0.5)
    found = {knee.structures[i] for i in np.unique(knee.label_map(axial(knee, z_mm), pixels, pixels))}
    assert expected <= found
    assert knee.structures[0] == "air"


@pytest.mark.parametrize(("name", "low_mm2", "high_mm2"), [("tibial", 18, 24), ("common peroneal", 8, 14)])
def test_a_nerve_keeps_its_area_at_any_pixel_size(knee: Knee, name: str, low_mm2: float, high_mm2: float):
    nerve = next(nerve for nerve in knee.nerves if nerve.name == name)
    middle = nerve.point_at(60.0)
    plane = ScanPlane((middle[0], middle[1], middle[2]), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    areas = []
    for pixel_mm in (0.1, 0.35):
        pixels = axis(14.0, pixel_mm)
        areas.append(knee.nerve_fraction(name, plane, pixels, pixels).sum() * pixel_mm**2)
    assert low_mm2 < areas[0] < high_mm2
    assert areas[1] == pytest.approx(areas[0], rel=0.03)


def test_a_genicular_nerve_has_the_volume_of_its_course(knee: Knee):
    nerve = next(nerve for nerve in knee.nerves if nerve.name == "superior-medial")
    pixels = axis(110, 1.0)
    levels = np.arange(nerve.points_mm[:, 2].min() - 2, nerve.points_mm[:, 2].max() + 2, 0.5)
    covered = sum(knee.nerve_fraction(nerve.name, axial(knee, z), pixels, pixels).sum() for z in levels)
    tapered = 0.7 + 0.3 * (1 + 0.8 + 0.8**2) / 3  # its last part thins to four fifths
    expected = np.pi / 4 * nerve.diameter_mm**2 * nerve.arc_length_mm[-1] * tapered
    assert covered * 0.5 == pytest.approx(expected, rel=0.08)


def test_a_left_knee_is_a_mirrored_right_knee(knee: Knee):
    left = digital_knee(side="left")
    pixels = axis(130, 1.0)
    right_labels = knee.label_map(axial(knee, 5.0), pixels, pixels)
    left_labels = left.label_map(axial(left, 5.0), pixels, pixels)
    assert np.mean(right_labels == left_labels[:, ::-1]) > 0.999
    assert left.position_mm[0] == -knee.position_mm[0] > 0
    for here, there in zip(knee.nerves, left.nerves, strict=True):
        np.testing.assert_allclose(here.points_mm * [-1, 1, 1], there.points_mm)


def test_planes_of_any_orientation_show_the_same_knee(knee: Knee):
    pixels = axis(120, 0.5)
    x, y, z = knee.position_mm
    coronal = ScanPlane((x, y, z), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
    half = np.sqrt(0.5)
    oblique = ScanPlane((x, y, z), (1.0, 0.0, 0.0), (0.0, half, half), (0.0, -half, half))
    views = [knee.label_map(plane, pixels, np.array([-0.25, 0.25])) for plane in (axial(knee, 0), coronal, oblique)]
    assert np.mean(views[0][0] == views[1][0]) > 0.93  # they share the line, but for half a pixel
    assert np.mean(views[0][0] == views[2][0]) > 0.93


def test_the_same_seed_makes_the_same_knee_and_another_one_another(knee: Knee):
    pixels = axis(130, 1.0)
    again, other = digital_knee(), digital_knee(seed=1)
    first, second, third = (fractions_of(each, axial(each, 0), pixels) for each in (knee, again, other))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - third).sum(0).mean() > 0.05


def test_muscle_and_marrow_keep_their_signal(knee: Knee):
    pixels = axis(130, 0.5)
    plane = axial(knee, 10.0)
    fractions = dict(zip(knee.tissues, fractions_of(knee, plane, pixels), strict=True))
    labels = knee.label_map(plane, pixels, pixels)
    muscle = binary_erosion(labels == knee.structures.index("biceps_femoris"), iterations=3)
    assert np.median(fractions["muscle"][muscle]) > 0.99
    assert fractions["muscle"][muscle].mean() > 0.96
    marrow = binary_erosion(labels == knee.structures.index("femur"), iterations=8)
    assert 0.9 < fractions["marrow_fat"][marrow].mean() < 0.98


def test_a_tissue_of_weight_zero_is_left_alone(knee: Knee):
    pixels = axis(130, 2.0)
    fractions = np.zeros((len(knee.tissues), len(pixels), len(pixels)), np.float32)
    weights = np.ones(len(knee.tissues))
    fat = knee.tissues.index("subcutaneous_fat")
    weights[fat] = 0
    knee.add_fractions(fractions, axial(knee, 0), pixels, pixels, weights)
    assert not fractions[fat].any()
    assert fractions.sum() > 100


def test_nerves_have_plausible_diameters_and_lie_where_they_belong(knee: Knee):
    names = [nerve.name for nerve in knee.nerves]
    assert names[:4] == ["superior-medial", "superior-lateral", "inferior-medial", "inferior-lateral"]
    assert set(names[4:]) == {"tibial", "common peroneal", "saphenous"}
    for nerve in knee.nerves[:4]:
        assert 0.8 <= nerve.diameter_mm <= 1.2
        side = nerve.points_mm[:, 0] - knee.position_mm[0]  # a right knee's medial side is the patient's left
        assert (side.max() > 25) if "medial" in nerve.name else (side.min() < -25)
    target = np.array(knee.landmarks["target: superior-medial"])
    tubercle = np.array(knee.landmarks["adductor tubercle"])
    assert 3 < np.linalg.norm(target - tubercle) < 20


def test_wrong_sizes_and_names_are_refused(knee: Knee):
    with pytest.raises(ValueError, match=r"size is 2; choose 0\.9 to 1\.1"):
        digital_knee(size=2.0)
    with pytest.raises(ValueError, match=r"nerve_diameter_mm is 3; choose 0\.4 to 2"):
        digital_knee(nerve_diameter_mm=3.0)
    with pytest.raises(KeyError, match="no nerve 'optic'; choose one of superior-medial"):
        knee.nerve_fraction("optic", axial(knee, 0), axis(10, 1.0), axis(10, 1.0))
