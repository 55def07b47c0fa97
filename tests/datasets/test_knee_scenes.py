"""Scenes in the digital knee: fluid of the asked volume, ice without signal, and the field of a needle."""

from __future__ import annotations

import numpy as np
import pytest

from knerve.datasets.knee import Cryoprobe, Depot, Lesion, Needle, Scene, digital_knee
from knerve.datasets.knee.metal import Shaft, field_t
from knerve.datasets.scan_plane import ScanPlane

CHI, RADIUS_MM = 191e-6, 0.36


def volume_ml(knee, tissue: str, nerve: str) -> float:
    """Of a tissue within 20 mm of a nerve's target."""
    target = np.array(knee.landmarks[f"target: {nerve}"])
    pixels = np.arange(-20, 20, 0.5) + 0.25
    fractions = np.zeros((len(knee.tissues), len(pixels), len(pixels)), np.float32)
    weights = np.array([float(name == tissue) for name in knee.tissues])
    for z in np.arange(-20, 20) + 0.5:
        plane = ScanPlane((target[0], target[1], target[2] + z), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))
        knee.add_fractions(fractions, plane, pixels, pixels, weights)
    return float(fractions.sum() * 0.25e-3)


def test_a_depot_has_its_volume():
    knee = digital_knee(scene=Scene.at_nerve("superior-lateral", Depot("ethanol", volume_ml=1.5)))
    assert volume_ml(knee, "ethanol", "superior-lateral") == pytest.approx(
        1.5, rel=0.2
    )  # its bed's vessels displace some


def test_ice_lesion_and_needle_lie_at_the_nerve_of_either_side():
    objects = (Lesion(offset_mm=(0, 0, 15)), Cryoprobe(), Needle("nitinol", 18, offset_mm=(0, 0, -12)))
    for side in ("right", "left"):
        knee = digital_knee(side=side, scene=Scene.at_nerve("inferior-medial", *objects))
        target = knee.landmarks["target: inferior-medial"]
        pixels = np.arange(-25, 25, 0.5) + 0.25
        plane = ScanPlane(target, (1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0))
        labels = knee.label_map(plane, pixels, pixels)
        assert knee.structures[labels[56, 50]] == "ice ball"  # beside the shaft
        found = {knee.structures[i] for i in np.unique(labels)}
        assert {"oedema", "lesion core", "lesion rim"} <= found
        assert len(knee.shafts) == 2
        assert (knee.shafts[1].direction[0] > 0) == (side == "right")  # medial is away from the patient's side


def test_far_behind_its_tip_a_needle_makes_the_field_of_an_infinite_cylinder():
    direction = np.array([np.sin(1.0), 0.0, np.cos(1.0)])
    shaft = Shaft(np.zeros(3), direction, RADIUS_MM, CHI)
    across, up = np.array([0.0, 1.0, 0.0]), np.array([-np.cos(1.0), 0.0, np.sin(1.0)])
    for phi in (0.0, 0.4, np.pi / 2):
        point = 400 * direction + 3.0 * (np.cos(phi) * up + np.sin(phi) * across)
        expected = 3.0 * CHI / 2 * np.sin(1.0) ** 2 * (RADIUS_MM / 3.0) ** 2 * np.cos(2 * phi)
        assert field_t(shaft, point[None], 3.0)[0] == pytest.approx(expected, rel=2e-3)


def test_a_needle_along_the_field_shows_only_its_tip():
    shaft = Shaft(np.zeros(3), np.array([0.0, 0.0, 1.0]), RADIUS_MM, CHI)
    near_tip, beside_shaft = np.array([[0.0, 0.0, -2.0], [2.0, 0.0, 60.0]])
    assert abs(field_t(shaft, near_tip, 3.0)) > 100 * abs(field_t(shaft, beside_shaft, 3.0)) > 0


def test_the_field_of_a_needle_is_free_of_sources():
    """Its potential obeys Laplace's equation, so that each component does: checked by differences."""
    shaft = Shaft(np.zeros(3), np.array([0.6, 0.0, 0.8]), RADIUS_MM, CHI)
    step, point = 0.05, np.array([1.0, 2.0, 1.5])
    around = [field_t(shaft, point + sign * step * unit, 3.0) for unit in np.eye(3) for sign in (-1, 1)]
    curvature = (sum(around) - 6 * field_t(shaft, point, 3.0)) / step**2
    single = (around[0] + around[1] - 2 * field_t(shaft, point, 3.0)) / step**2
    assert abs(curvature) < 0.01 * abs(single)


def test_steel_disturbs_more_than_titanium():
    knees = [digital_knee(scene=Scene.at_nerve("superior-medial", Needle(metal))) for metal in ("titanium", "steel")]
    point = np.array(knees[0].landmarks["target: superior-medial"]) + np.array([5.0, 2.0, 4.0])
    titanium, steel = (abs(knee.field_t(point[None])[0]) for knee in knees)
    assert steel == pytest.approx(titanium * 4009 / 191)
    assert digital_knee().field_t(point[None])[0] == 0


def test_an_unknown_nerve_is_refused():
    with pytest.raises(ValueError, match="no nerve 'sural'; choose one of superior-medial"):
        digital_knee(scene=Scene.at_nerve("sural", Depot()))
