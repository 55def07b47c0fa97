"""`--method dl` through the whole reconstruction, with a network that was woken by random weights."""

import pytest
import torch

from knerve.recon.learned import method
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.trust import BOUND
from knerve.recon.learned.unrolled import Unrolled
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

DL = Settings(method="dl")


@pytest.fixture
def random_network(monkeypatch):
    """Make the package's model one with random weights of this strength."""

    def use(strength):
        model = Unrolled(Architecture(widths=(4, 6, 8)))
        torch.nn.init.normal_(model.networks[0].tail.weight, std=strength, generator=torch.Generator().manual_seed(1))
        monkeypatch.setattr(method, "packaged_model", lambda: model.requires_grad_(False))

    return use


def test_without_weights_compressed_sensing_is_used_and_told(make_scan, random_lines, monkeypatch):
    monkeypatch.setattr(method, "packaged_model", lambda: None)
    scan = make_scan(counts=random_lines(120, 3, 16), n_y=120, n_x=100).scan
    images = reconstruct(scan, DL)
    assert torch.equal(images.image, reconstruct(scan, Settings(method="cs")).image)
    assert any("the network was not used: this installation comes without trained weights" in n for n in images.notes)
    assert images.noise_level is not None


@pytest.mark.parametrize("n_coils", [4, 32])
@pytest.mark.parametrize(("n_y", "n_x"), [(120, 100), (121, 99)])
def test_a_quiet_network_is_used(make_scan, random_lines, random_network, relative_error, n_coils, n_y, n_x):
    random_network(0.0)
    truth = make_scan(counts=random_lines(n_y, 3, 18), n_coils=n_coils, n_y=n_y, n_x=n_x)
    images = reconstruct(truth.scan, DL)
    assert any("learned reconstruction: at most" in note for note in images.notes), images.notes
    assert images.method == "dl"
    assert relative_error(images.image, truth.image) < 0.06
    assert torch.equal(images.image, reconstruct(truth.scan, DL).image)
    expected = reconstruct(truth.scan, Settings(method="cs")).noise_level
    torch.testing.assert_close(images.noise_level, expected, rtol=1e-3, atol=1e-3)


def test_a_scan_has_one_note_of_what_was_held_back(make_scan, random_lines, random_network):
    random_network(0.3)
    scan = make_scan(n_slices=3, counts=random_lines(120, 3, 18), n_y=120, n_x=100).scan
    notes = reconstruct(scan, Settings(method="dl", slices_per_batch=1)).notes
    alone = [reconstruct(scan.select(range(s, s + 1)), DL).notes for s in range(3)]
    kinds = ("learned reconstruction:", "a learned image was replaced")
    assert len({note for each in alone for note in each if note.startswith(kinds)}) > 1
    for kind in kinds:
        assert sum(note.startswith(kind) for note in notes) <= 1
    assert any(note.startswith(kinds) for note in notes)


def test_a_wild_network_is_caught(make_scan, random_lines, random_network):
    random_network(3.0)
    scan = make_scan(n_slices=2, counts=random_lines(120, 2, 18), n_y=120, n_x=100).scan
    images = reconstruct(scan, DL)
    assert any("replaced by compressed sensing: it contradicts" in note for note in images.notes)
    torch.testing.assert_close(images.image, reconstruct(scan, Settings(method="cs")).image)


def test_no_image_leaves_the_bound(make_scan, random_lines, random_network, monkeypatch):
    random_network(3.0)
    seen = []

    def spy(image, linear, noise):
        seen.append((*method_bounded(image, linear, noise), linear, noise))
        return seen[-1][:2]

    method_bounded = method.bounded
    monkeypatch.setattr(method, "bounded", spy)
    reconstruct(make_scan(counts=random_lines(120, 3, 18), n_y=120, n_x=100).scan, DL)
    ((image, clipped, linear, noise),) = seen
    assert bool(clipped.any())
    assert bool(((image - linear).abs() <= BOUND * noise / 2**0.5 * 1.0001 + 1e-3).all())


def far_from_the_centre(n_y, n_calibration):
    """Lines that are close to each other at the edges of k-space alone: one in 15 next to the centre."""
    counts = torch.zeros(1, n_y, dtype=torch.int32)
    first = n_y // 2 - n_calibration // 2
    counts[:, first : first + n_calibration] = 1
    for beside in (first - 8, first + n_calibration + 7):
        counts[:, beside] = 1
    counts[:, 0 : first - 15 : 3] = 1
    counts[:, first + n_calibration + 15 :: 2] = 1
    return counts


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"counts": None}, "trained for accelerations of 1.4 to 8"),
        ({"snr": 2000.0}, "trained on signals 5 to 400 times the noise"),
        ({"n_x": 80}, "images of at least 96 pixels"),
        (
            {"counts": far_from_the_centre(120, 24)},
            "beside the centre of k-space it does well with every 6.5th line, and here it is every 15th",
        ),
        ({"n_coils": 2}, "of 2 independent coils it was trained up to accelerations of 2.2, and this is 3"),
    ],
)
def test_what_was_not_trained_is_left_to_compressed_sensing(make_scan, random_lines, random_network, changes, words):
    random_network(1.0)
    given = {"counts": random_lines(120, 3, 18), "n_y": 120, "n_x": 100} | changes
    scan = make_scan(**given).scan
    images = reconstruct(scan, DL)
    assert any(words in note for note in images.notes), images.notes
    assert images.method == "cs"
    assert torch.equal(images.image, reconstruct(scan, Settings(method="cs")).image)


@pytest.mark.parametrize(
    ("lines", "method"), [((120, 3, 18), "dl"), ((121, 4, 18), "dl"), ((120, 5, 18), "cs"), ((121, 6, 24), "cs")]
)
def test_regular_lines_are_taken_on_where_they_are_not_far_apart(make_scan, line_mask, random_network, lines, method):
    random_network(0.0)
    images = reconstruct(make_scan(counts=line_mask(*lines), n_y=lines[0], n_x=100).scan, DL)
    assert images.method == method, images.notes
    assert any("every 4th, and here it is every" in note for note in images.notes) == (method == "cs")


def test_replicas_map_the_noise_of_the_learned_image_itself(make_scan, random_lines, random_network):
    random_network(0.0)
    scan = make_scan(counts=random_lines(120, 2, 18), n_y=120, n_x=100).scan
    images = reconstruct(scan, Settings(method="dl", snr_map="replica", replicas=3))
    assert images.noise_level is not None
    assert float(images.noise_level.median()) > 0
