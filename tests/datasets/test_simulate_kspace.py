"""Simulated k-space against closed forms: shares of tissues, echoes along ky, fat's displacement, motion, fields."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from knerve.datasets.analytic_phantom import AnalyticPhantom, Ellipse, Polygon
from knerve.datasets.coil_array import LegArray
from knerve.datasets.echo_images import EchoImages, echo_images
from knerve.datasets.field_displacement import BentField, bent_field, displaced_readouts
from knerve.datasets.receive import motion_ramp, read_out, receive_lines, received_maps
from knerve.datasets.scan_plane import ScanPlane
from knerve.datasets.scan_setup import ScanSetup, scan_setup
from knerve.datasets.simulate import sensitivities
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.datasets.tissue_images import TissueImages, tissue_images
from knerve.sequences.protocol import Protocol

PLANE = ScanPlane((-90.0, 10.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SHAPES = (
    Ellipse("subcutaneous_fat", 0, 1, 62, 58),
    Ellipse("muscle", -2, 2, 50, 45, within="subcutaneous_fat"),
    Ellipse("nerve", 20, 10, 0.8, 0.6, within="muscle"),
    Ellipse("cartilage", 10, 25, 8, 3, 30, within="muscle"),
    Polygon("synovial_fluid", ((-5, 0), (5, -12), (12, 8), (-1, 3)), within="muscle"),
)
PERFECT = SimulationSettings(n_coils=8, b0_variation_hz=0, b1_variation=0, object_phase_rad=0)


def small_protocol(voxel_mm: float = 0.8) -> Protocol:
    protocol = Protocol.load("navigate")
    geometry = replace(protocol.geometry, voxel_read_m=voxel_mm * 1e-3, voxel_phase_m=voxel_mm * 1e-3, n_slices=1)
    return replace(protocol, geometry=geometry)


def drawn(scan: ScanSetup, phantom: AnalyticPhantom) -> TissueImages:
    return tissue_images(phantom, scan.planes[0], scan.groups, scan.profile, scan.slice_shift_mm, scan.band, scan.bent)


@pytest.fixture(scope="module")
def phantom() -> AnalyticPhantom:
    return AnalyticPhantom(SHAPES, PLANE)


@pytest.fixture(scope="module")
def scan(phantom: AnalyticPhantom) -> ScanSetup:
    return scan_setup(small_protocol(), phantom, PERFECT)


@pytest.fixture(scope="module")
def images(scan: ScanSetup, phantom: AnalyticPhantom) -> TissueImages:
    return drawn(scan, phantom)


def flat(images: TissueImages) -> list[torch.Tensor]:
    return [torch.ones(1, *images.share.shape[1:], dtype=torch.complex64)]


def outer_half(scan: ScanSetup) -> np.ndarray:
    kx, ky = np.abs(scan.grid.kx), np.abs(scan.grid.ky)
    return (kx > kx.max() / 2)[None, :] | (ky > ky.max() / 2)[:, None]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_every_tissue_follows_its_closed_form(scan: ScanSetup, images: TissueImages, phantom: AnalyticPhantom) -> None:
    """Section 15, test 6: below 2 % in the outer half of k-space."""
    outer = outer_half(scan)
    for i, name in enumerate(phantom.tissues):
        part = EchoImages(images.share[i][None], 0.0)
        lines = receive_lines([part], flat(images), images, scan.grid.ky, np.zeros(scan.grid.n_lines, np.int64))
        found = read_out(lines, images, scan.grid)[0].numpy() / scan.grid.thickness_mm
        expected = phantom.spectrum(name, scan.planes[0], scan.grid.kx[None, :], scan.grid.ky[:, None])
        assert relative_error(found, expected) < 0.006, name
        assert relative_error(found[outer], expected[outer]) < 0.02, name


def test_whole_scan_is_the_sum_of_closed_forms_with_their_echoes(
    scan: ScanSetup, images: TissueImages, phantom: AnalyticPhantom
) -> None:
    """Each line has its own echo, fat its ramp: the point spread is that of the protocol."""
    parts = echo_images(images, scan.amplitudes, scan.read_shift_mm, None, None)
    assert [part.shift_mm for part in parts] == sorted({0.0, float(scan.read_shift_mm[0])})
    echoes = scan.echo_of_line
    maps = flat(images) * len(parts)
    found = read_out(receive_lines(parts, maps, images, scan.grid.ky, echoes), images, scan.grid)[0].numpy()
    kx, ky = scan.grid.kx[None, :], scan.grid.ky[:, None]
    expected = np.zeros_like(found, dtype=np.complex128)
    for i, name in enumerate(phantom.tissues):
        weight = scan.amplitudes.train.amplitude[i, echoes][:, None] * scan.grid.thickness_mm
        ramp = np.exp(-2j * np.pi * kx * scan.read_shift_mm[i])
        expected += weight * ramp * phantom.spectrum(name, scan.planes[0], kx, ky)
    outer = outer_half(scan)
    assert relative_error(found, expected) < 0.004
    assert relative_error(found[outer], expected[outer]) < 0.02


def test_fat_is_displaced_by_the_bandwidth_of_a_pixel(scan: ScanSetup) -> None:
    assert scan.read_shift_mm[1] == 0
    pixels = scan.read_shift_mm[0] / scan.grid.pixel_mm[0]
    assert pixels == pytest.approx(-434.3 / scan.protocol.echo_train.pixel_bandwidth_hz, rel=0.01)
    pulses = scan.protocol.pulses
    excited_mm = 434.3 * pulses.excitation_duration_s / pulses.excitation_time_bandwidth * 3
    refocused_mm = 434.3 * pulses.refocusing_duration_s / pulses.refocusing_time_bandwidth * 3
    refocused_mm *= pulses.refocusing_slice_factor
    assert scan.slice_shift_mm[0] == pytest.approx((excited_mm + refocused_mm) / 2, rel=0.01)


def test_moved_object_gives_what_a_moved_phantom_gives(scan: ScanSetup, images: TissueImages) -> None:
    moved_mm = (1.3, -0.7)
    elsewhere = replace(PLANE, centre_mm=(PLANE.centre_mm[0] + 1.3, PLANE.centre_mm[1] - 0.7, 0.0))
    moved = drawn(scan, AnalyticPhantom(SHAPES, elsewhere))
    coils = sensitivities(replace(scan, moved_mm=np.full((1, 1, 3), 1.5)), scan.planes[0], images)
    ky, echoes = scan.grid.ky[::7], scan.echo_of_line[::7]

    def received(seen: TissueImages, shift: tuple[float, float]) -> torch.Tensor:
        parts = echo_images(seen, scan.amplitudes, scan.read_shift_mm, None, None)
        maps = received_maps(parts, seen, coils, shift)
        return read_out(receive_lines(parts, maps, seen, ky, echoes), seen, scan.grid)

    found = received(images, moved_mm) * motion_ramp(scan.grid, ky, moved_mm)
    unmoved, expected = received(images, (0.0, 0.0)), received(moved, (0.0, 0.0))
    assert relative_error(found.numpy(), expected.numpy()) < 0.005
    assert relative_error(unmoved.numpy(), expected.numpy()) > 0.3


def test_smooth_field_displaces_like_a_ramp_where_it_is_uniform(scan: ScanSetup, images: TissueImages) -> None:
    uniform = np.full(images.share.shape[1:], 0.3)
    by_field = echo_images(images, scan.amplitudes, np.zeros(5), None, uniform)
    by_shift = echo_images(images, scan.amplitudes, np.full(5, 0.3), None, None)
    torch.testing.assert_close(by_field[0].echoes, by_shift[0].echoes, atol=2e-4, rtol=0)


def test_b1_weights_as_the_phase_graph_says(phantom: AnalyticPhantom, images: TissueImages) -> None:
    scan = scan_setup(small_protocol(), phantom, replace(PERFECT, b1_variation=0.2))
    scaled = echo_images(images, scan.amplitudes, np.zeros(5), np.full(images.share.shape[1:], 0.87), None)
    expected = torch.einsum("ge,gyx->eyx", torch.from_numpy(scan.amplitudes.at(0.87)).float(), images.share)
    torch.testing.assert_close(scaled[0].echoes, expected, atol=1e-5, rtol=1e-4)
    angle = replace(small_protocol().echo_train, excitation_angle_deg=90 * 0.87, refocusing_angle_deg=150 * 0.87)
    alike = scan_setup(replace(small_protocol(), echo_train=angle), phantom, PERFECT)
    np.testing.assert_allclose(scan.amplitudes.at(0.87)[:, 7], alike.amplitudes.nominal[:, 7], rtol=0.05)


def test_uniform_field_moves_rows_and_keeps_their_sum() -> None:
    image = np.zeros((2, 20), np.float32)
    image[0, 5:9], image[1, 3] = (1, 2, 3, 4), 1
    moved = displaced_readouts(image, np.full((2, 20), 2.25))
    np.testing.assert_allclose(moved[0, 7:12], [0.75, 1.75, 2.75, 3.75, 1.0], atol=1e-6)
    np.testing.assert_allclose(moved.sum(axis=1), image.sum(axis=1), rtol=1e-6)


def test_stretched_rows_thin_out_and_folded_rows_pile_up() -> None:
    x = np.arange(60) - 20.0
    image = np.where(np.abs(x) < 10, 1, 0).astype(np.float32)[None]
    stretched = displaced_readouts(image, 0.5 * x[None])
    np.testing.assert_allclose(stretched[0, 12:28], 1 / 1.5, rtol=1e-5)
    assert stretched.sum() == pytest.approx(image.sum(), rel=1e-5)
    folded = displaced_readouts(image, -1.5 * x[None])
    np.testing.assert_allclose(folded[0, 17:23], 2, rtol=1e-5)
    assert folded.sum() == pytest.approx(image.sum(), rel=1e-5)


class Needle(AnalyticPhantom):
    """A muscle with the field of a thin cylinder along the slice's normal, in a field along y."""

    def field_t(self, points_mm: np.ndarray) -> np.ndarray:
        """Outside the cylinder."""
        x, y = (points_mm - np.array(PLANE.centre_mm))[..., :2].T
        rho = np.maximum(np.hypot(x, y), 0.36)
        return np.asarray(3.0 * 182e-6 / 2 * (0.36 / rho) ** 2 * np.cos(2 * np.arctan2(x, y))).T


def test_needle_leaves_a_void_of_the_predicted_size() -> None:
    """Section 10: where the displacement equals the distance, ρ³ = a² B0 Δχ / (2 G); 1.3 mm for this one."""
    needle = Needle([Ellipse("muscle", 0, 0, 25, 25)], PLANE)
    protocol = small_protocol(0.4)
    narrow = replace(protocol.geometry, field_of_view_read_m=0.06, field_of_view_phase_m=0.06)
    scan = scan_setup(replace(protocol, geometry=narrow), needle, PERFECT)
    assert isinstance(bent_field(needle, 1.0), BentField)
    share = drawn(scan, needle)
    image = share.share[0].numpy()
    gradient_t_per_mm = 1 / (scan.read_mm_per_hz * 42.577478e6)
    radius_mm = (0.36**2 * 3.0 * 182e-6 / (2 * gradient_t_per_mm)) ** (1 / 3)
    assert 1.1 < radius_mm < 1.5
    y, x = np.meshgrid(share.y_mm, share.x_mm, indexing="ij")
    far = (np.hypot(x, y) > 12) & (np.hypot(x, y) < 18)
    near = np.hypot(x, y) < 2.5 * radius_mm
    assert image[far].mean() == pytest.approx(1, abs=0.02)
    assert image[near].max() > 1.5
    void = np.where(np.abs(share.y_mm) < 0.2)[0][0]
    assert 2 * radius_mm * 0.7 < np.sum(image[void, near[void]] < 0.5) * share.pixel_mm[0] < 2 * radius_mm * 1.6
    assert image.sum() == pytest.approx(np.pi * 25**2 / np.prod(share.pixel_mm), rel=0.02)


def test_sensitivities_follow_the_array_in_every_plane() -> None:
    settings = replace(PERFECT, orientation="coronal", tilt_deg=(10.0, -20.0))
    scan = scan_setup(small_protocol(), Needle([Ellipse("muscle", 0, 0, 25, 25)], PLANE), settings)
    plane = scan.planes[0]
    x_mm, y_mm = np.arange(-30, 30) * 1.1, np.arange(-20, 20) * 1.2
    grid = TissueImages(np.zeros(1, np.int64), torch.zeros(1, 40, 60), x_mm, y_mm, scan.band)
    found = sensitivities(scan, plane, grid).at(x_mm, y_mm)
    points = torch.from_numpy(plane.points_mm(x_mm, y_mm))
    exact = LegArray.around(PLANE.centre_mm, 8).at_points(points)
    assert relative_error(found.numpy(), exact.numpy()) < 0.005
    assert np.dot(plane.read, plane.phase) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.cross(plane.read, plane.phase), plane.normal, atol=1e-12)
