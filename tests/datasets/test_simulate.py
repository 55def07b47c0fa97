"""A simulated scan as a user meets it: a complete raw file that reconstructs to its truth, and clear words when it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from knerve.datasets.analytic_phantom import AnalyticPhantom, Ellipse
from knerve.datasets.coil_array import LegArray
from knerve.datasets.description import describe
from knerve.datasets.reading import read_raw
from knerve.datasets.rendered_slices import RenderedSlices
from knerve.datasets.scan_plane import ScanPlane
from knerve.datasets.scan_setup import scan_setup
from knerve.datasets.scan_truth import truth_path
from knerve.datasets.simulate import simulate
from knerve.datasets.simulation_settings import SimulationSettings
from knerve.gpu.fourier import resize_centred, to_image
from knerve.recon.errors import OutputError, SettingsError
from knerve.sequences.errors import ProtocolError
from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import interleaved

PLANE = ScanPlane((-90.0, 10.0, 5.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
NERVE = Ellipse("nerve", 20, 10, 3.0, 2.0, within="muscle")
SETTINGS = SimulationSettings(n_coils=8, seed=3)


class Leg(AnalyticPhantom):
    """A leg of large pieces with one nerve of known course."""

    def __init__(self) -> None:
        shapes = [
            Ellipse("subcutaneous_fat", 0, 1, 60, 56),
            Ellipse("muscle", -2, 2, 50, 45, within="subcutaneous_fat"),
            Ellipse("synovial_fluid", -20, 5, 12, 10, within="muscle"),
            Ellipse("cartilage", 5, -22, 16, 10, within="muscle"),
            NERVE,
        ]
        super().__init__(shapes, PLANE)

    @property
    def nerves(self) -> tuple[Leg, ...]:
        """Itself stands for its nerve."""
        return (self,)

    name = "long one"
    diameter_mm = 5.0

    @property
    def points_mm(self) -> np.ndarray:
        """Along the leg."""
        centre = np.array([PLANE.centre_mm[0] + 20, PLANE.centre_mm[1] + 10, 0.0])
        return centre + np.outer(np.arange(-30, 30, 2.0), [0, 0, 1])

    def nerve_fraction(self, name: str, plane: ScanPlane, x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
        """The ellipse of the nerve alone."""
        assert name == self.name
        fractions = np.zeros((1, len(y_mm), len(x_mm)), np.float32)
        alone = AnalyticPhantom([replace(NERVE, within=None)], PLANE)
        alone.add_fractions(fractions, plane, x_mm, y_mm, np.ones(1))
        return fractions[0]


def small_protocol(voxel_mm: float = 1.0, n_slices: int = 3) -> Protocol:
    protocol = Protocol.load("navigate")
    geometry = replace(
        protocol.geometry,
        voxel_read_m=voxel_mm * 1e-3,
        voxel_phase_m=voxel_mm * 1e-3,
        n_slices=n_slices,
        phase_oversampling=0.2,
    )
    under = replace(protocol.undersampling, acceleration=2.0, calibration_lines=24)
    schedule = replace(protocol.schedule, averages=2, packages=1)
    return replace(protocol, geometry=geometry, undersampling=under, schedule=schedule)


@pytest.fixture(scope="module")
def leg() -> Leg:
    return Leg()


@pytest.fixture(scope="module")
def rendered(leg: Leg) -> RenderedSlices:
    return RenderedSlices(leg)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, leg: Leg, rendered: RenderedSlices) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    simulate(small_protocol(), leg, path, settings=SETTINGS, rendered=rendered)
    return path


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory, leg: Leg, rendered: RenderedSlices) -> Path:
    path = tmp_path_factory.mktemp("perfect") / "perfect.h5"
    settings = replace(SETTINGS, fully_sampled=True, noise_free=True, b0_variation_hz=0, b1_variation=0)
    simulate(small_protocol(n_slices=1), leg, path, settings=settings, rendered=rendered)
    return path


def read_heads(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["dataset/data"]["head"])


def root_sum_of_squares(path: Path) -> np.ndarray:
    scan = read_raw(path)
    images = to_image(scan.kspace, dims=(-2, -1))
    width, height, _ = scan.grid.recon_matrix
    return resize_centred(resize_centred(images, -1, width), -2, height).abs().square().sum(1).sqrt().numpy()


def test_nothing_is_wrong_with_the_file(raw: Path) -> None:
    description = describe(read_raw(raw))
    assert description.problems == ()
    assert description.notes == ()


def test_heads_tell_what_a_scanner_tells(raw: Path) -> None:
    heads = read_heads(raw)
    is_noise = heads["flags"] == 1 << 18
    assert list(heads["scan_counter"]) == list(range(len(heads)))
    assert is_noise[:32].all()
    assert not is_noise[32:].any()
    imaging = heads[32:]
    assert len(imaging) == 3 * 2 * 7 * 15  # slices, averages, shots, echoes: 96 lines and 9 spare echoes
    assert imaging["sample_time_us"][0] != heads["sample_time_us"][0]
    stamps = imaging["acquisition_time_stamp"].astype(np.int64)
    assert (np.diff(stamps) >= 0).all()
    assert stamps[-1] == pytest.approx((2 * 7 - 1 / 3) * 3 * 400, abs=70)
    order = imaging["idx"]["slice"][::15]
    assert list(order[:3]) == interleaved(range(3)) == [0, 2, 1]
    assert list(imaging["idx"]["segment"][:15]) == list(range(15))
    assert set(imaging["idx"]["average"]) == {0, 1}

    def has(flag: int) -> np.ndarray:
        return (imaging["flags"] >> np.uint64(flag - 1)) & np.uint64(1) == 1

    assert has(7).sum() == has(8).sum() == 3
    assert np.flatnonzero(has(25)).tolist() == [len(imaging) - 1]
    lines = imaging["idx"]["kspace_encode_step_1"]
    np.testing.assert_array_equal(has(21), (lines >= 96 - 12) & (lines < 96 + 12))
    for number in range(3):
        position = imaging["position"][imaging["idx"]["slice"] == number]
        np.testing.assert_allclose(position, [(-90, 10, 5 + 3.3 * (number - 1))] * len(position), atol=1e-4)


def test_header_is_valid_for_the_ismrmrd_package(raw: Path) -> None:
    with ismrmrd.Dataset(str(raw), "dataset", create_if_needed=False) as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
    encoding = header.encoding[0]
    assert (encoding.encodedSpace.matrixSize.x, encoding.encodedSpace.matrixSize.y) == (320, 192)
    assert (encoding.reconSpace.matrixSize.x, encoding.reconSpace.matrixSize.y) == (160, 160)
    assert encoding.encodedSpace.fieldOfView_mm.y == pytest.approx(192)
    assert encoding.encodingLimits.average.maximum == 1
    assert header.sequenceParameters.TE[0] == pytest.approx(75.12)
    strings = {each.name: each.value for each in header.userParameters.userParameterString}
    assert strings["protocol"] == "navigate"
    longs = {each.name: each.value for each in header.userParameters.userParameterLong}
    assert longs["mask_seed"] == 0


def test_noise_covariance_comes_back(raw: Path, leg: Leg) -> None:
    noise = read_raw(raw).noise
    assert noise is not None
    samples = noise.samples.numpy()
    found = samples @ samples.conj().T / samples.shape[1] * noise.variance_scale
    setup = scan_setup(small_protocol(), leg, SETTINGS)
    mixing, level = setup.noise.mixing.numpy(), setup.noise.level(setup.grid.dwell_s)
    expected = 2 * level**2 * mixing @ mixing.conj().T
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_given_covariance_is_the_one_in_the_file(tmp_path: Path, leg: Leg, rendered: RenderedSlices) -> None:
    given = np.eye(8) + 0.3j * (np.eye(8, k=1) - np.eye(8, k=-1))
    settings = replace(SETTINGS, noise_covariance=given)
    simulate(small_protocol(n_slices=1), leg, tmp_path / "a.h5", settings=settings, rendered=rendered)
    noise = read_raw(tmp_path / "a.h5").noise
    assert noise is not None
    samples = noise.samples.numpy()
    found = samples @ samples.conj().T
    assert np.linalg.norm(found * 8 / np.trace(found).real - given) < 0.07 * np.linalg.norm(given)


def test_noise_in_the_readouts_is_that_of_the_settings(
    raw: Path, tmp_path: Path, leg: Leg, rendered: RenderedSlices
) -> None:
    settings = replace(SETTINGS, noise_free=True)
    simulate(small_protocol(), leg, tmp_path / "clean.h5", settings=settings, rendered=rendered)
    noisy, clean = read_raw(raw), read_raw(tmp_path / "clean.h5")
    difference = (noisy.kspace - clean.kspace)[:, :, noisy.mask[0]]
    setup = scan_setup(small_protocol(), leg, SETTINGS)
    expected = setup.noise.level(setup.grid.dwell_s) / np.sqrt(2)  # of the mean of two averages
    assert float(difference.real.std()) == pytest.approx(expected, rel=0.02)


def test_perfect_scan_reconstructs_to_its_truth(perfect: Path) -> None:
    images = root_sum_of_squares(perfect)
    with h5py.File(truth_path(perfect)) as file:
        truth = file["image/raw"][...]
    assert images.shape == truth.shape == (1, 160, 160)
    assert np.linalg.norm(images - truth) < 1e-4 * np.linalg.norm(truth)


def test_tissues_have_the_signals_of_the_protocol(perfect: Path, leg: Leg) -> None:
    """Ratios within 5 %: the image over the coils' sensitivity is the echo at ky = 0."""
    setup = scan_setup(small_protocol(n_slices=1), leg, SETTINGS)
    plane = setup.planes[0]
    x_mm, y_mm = setup.grid.image_axes_mm
    heard = LegArray.around(PLANE.centre_mm, 8)
    combined = heard.at_points(torch.from_numpy(plane.points_mm(x_mm, y_mm))).abs().square().sum(0).sqrt().numpy()
    with h5py.File(truth_path(perfect)) as file:
        image, labels = file["image/raw"][0] / combined, file["labels"][0]
        names = list(file["labels"].attrs["tissues"])
    assert names == list(leg.tissues)
    signal = setup.amplitudes.train.amplitude[:, setup.plan.centre_echo]
    inside = {}
    for i, name in enumerate(names):
        region = labels == i + 1
        for _ in range(2):
            region = (
                region & np.roll(region, 1, 0) & np.roll(region, -1, 0) & np.roll(region, 1, 1) & np.roll(region, -1, 1)
            )
        inside[name] = float(np.median(image[region]))
    for i, name in enumerate(names[:4]):
        ratio = inside[name] / inside["subcutaneous_fat"]
        assert ratio == pytest.approx(signal[i] / signal[0], rel=0.05), name


def test_truth_knows_tissues_and_nerves(raw: Path, leg: Leg) -> None:
    with h5py.File(truth_path(raw)) as file:
        labels, mask = file["labels"][1], file["nerves/long one/mask"][1] / 255
        course, centres = file["nerves/long one/course_mm"][...], file["slices/centre_mm"][...]
        snr = file["image/snr"][1]
    assert mask.sum() == pytest.approx(np.pi * 6, rel=0.02)  # pixels of 1 mm²
    row, column = np.unravel_index(mask.argmax(), mask.shape)
    assert abs(row - 90) <= 2
    assert abs(column - 100) <= 2
    assert labels[90, 100] == 1 + leg.tissues.index("nerve")
    assert labels[0, 0] == 0
    np.testing.assert_allclose(course, leg.points_mm)
    np.testing.assert_allclose(centres[:, 2], [1.7, 5.0, 8.3])
    assert np.median(snr[labels == 1 + leg.tissues.index("muscle")]) == pytest.approx(13, rel=0.15)


def test_same_seed_same_bytes_and_another_seed_other_noise(tmp_path: Path, leg: Leg, rendered: RenderedSlices) -> None:
    protocol = small_protocol(2.0, n_slices=1)
    files = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(protocol, leg, tmp_path / f"{name}.h5", settings=replace(SETTINGS, seed=seed), rendered=rendered)
        files.append(read_raw(tmp_path / f"{name}.h5").kspace)
    assert bool((files[0] == files[1]).all())
    assert not bool((files[0] == files[2]).all())


def test_second_protocol_does_not_draw_again(tmp_path: Path) -> None:
    class Counted(AnalyticPhantom):
        calls = 0

        def add_fractions(self, *arguments: object) -> None:
            """Counted."""
            self.calls += 1
            super().add_fractions(*arguments)

    phantom = Counted([Ellipse("muscle", 0, 0, 30, 30)], PLANE)
    rendered, protocol = RenderedSlices(phantom), small_protocol(2.0, n_slices=2)
    simulate(protocol, phantom, tmp_path / "a.h5", settings=SETTINGS, rendered=rendered)
    drawn = phantom.calls
    train = replace(protocol.echo_train, echo_time_s=5 * protocol.echo_train.echo_spacing_s)
    schedule = replace(protocol.schedule, repetition_time_s=2.0)
    simulate(
        replace(protocol, echo_train=train, schedule=schedule),
        phantom,
        tmp_path / "b.h5",
        settings=SETTINGS,
        rendered=rendered,
    )
    assert phantom.calls == drawn > 0
    finer = replace(protocol, geometry=replace(protocol.geometry, voxel_read_m=1e-3))
    simulate(finer, phantom, tmp_path / "c.h5", settings=SETTINGS, rendered=rendered)
    assert phantom.calls > drawn


def test_motion_spares_the_first_shot_and_the_truth(tmp_path: Path, leg: Leg, rendered: RenderedSlices) -> None:
    protocol = small_protocol(2.0, n_slices=1)
    quiet = replace(SETTINGS, noise_free=True)
    readouts, truths = [], []
    for name, settings in (("still", quiet), ("moving", replace(quiet, motion_mm=2.0))):
        simulate(protocol, leg, tmp_path / f"{name}.h5", settings=settings, rendered=rendered)
        with h5py.File(tmp_path / f"{name}.h5") as file:
            readouts.append(np.stack(list(file["dataset/data"]["data"][32:])).view(np.complex64))
        with h5py.File(truth_path(tmp_path / f"{name}.h5")) as file:
            truths.append(file["image/raw"][...])
    still, moving = readouts
    assert np.linalg.norm((moving - still)[:15]) < 2e-3 * np.linalg.norm(still[:15])
    assert np.linalg.norm((moving - still)[15:]) > 0.1 * np.linalg.norm(still[15:])
    assert np.linalg.norm(truths[1] - truths[0]) < 2e-3 * np.linalg.norm(truths[0])


def test_empty_slices_are_scanned_too(tmp_path: Path) -> None:
    phantom = AnalyticPhantom([Ellipse("muscle", 0, 0, 30, 30, depth_mm=(-5, 5))], PLANE)
    settings = replace(SETTINGS, centre_mm=(-90.0, 10.0, 60.0))
    simulate(small_protocol(2.0, n_slices=1), phantom, tmp_path / "a.h5", settings=settings)
    with h5py.File(truth_path(tmp_path / "a.h5")) as file:
        assert not file["labels"][...].any()
    assert float(read_raw(tmp_path / "a.h5").kspace.abs().max()) > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_coils": 4}, "n_coils is 4; a leg array has 8 to 32 loops"),
        ({"orientation": "diagonal"}, "orientation is 'diagonal'; choose axial, coronal, sagittal"),
        ({"muscle_snr": 0.0}, "muscle_snr is 0.0; it must be positive. For a scan without noise set noise_free=True"),
        ({"noise_density": -1.0}, "noise_density is -1.0; it must be positive"),
        ({"b1_variation": 0.9}, "b1_variation is 0.9; it must lie between 0 and 0.4"),
        ({"motion_mm": -1.0}, "motion_mm is -1.0"),
        ({"noise_covariance": np.eye(3)}, r"noise_covariance has the shape \(3, 3\); 16 coils need \(16, 16\)"),
        ({"noise_covariance": -np.eye(16)}, "is no covariance"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        SimulationSettings(**change)


def test_unwritable_paths_are_refused(tmp_path: Path, leg: Leg, rendered: RenderedSlices) -> None:
    for path, words in ((tmp_path / "no" / "a.h5", "Check that the folder exists"), (tmp_path, "is a folder")):
        with pytest.raises(OutputError, match=words):
            simulate(small_protocol(2.0, n_slices=1), leg, path, settings=SETTINGS, rendered=rendered)
    assert list(tmp_path.iterdir()) == []


def test_scan_that_fails_leaves_nothing(tmp_path: Path, leg: Leg, rendered: RenderedSlices) -> None:
    def stop(done: int, total: int) -> None:
        assert (done, total) == (1, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(small_protocol(2.0), leg, tmp_path / "a.h5", settings=SETTINGS, rendered=rendered, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_slices_of_another_object_and_unknown_tissues_are_refused(tmp_path: Path, rendered: RenderedSlices) -> None:
    other = AnalyticPhantom([Ellipse("cheese", 0, 0, 30, 30)], PLANE)
    with pytest.raises(SettingsError, match="drawn of another object"):
        simulate(small_protocol(), other, tmp_path / "a.h5", rendered=rendered)
    with pytest.raises(ProtocolError, match="no tissue 'cheese'"):
        simulate(small_protocol(), other, tmp_path / "a.h5")
