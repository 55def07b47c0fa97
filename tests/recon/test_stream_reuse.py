"""Coils of one scan in the next: used where they explain it, found anew where they do not, and never another patient's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from knerve.recon.noise import estimate_whitening
from knerve.recon.scan import Noise, RawScan
from knerve.recon.settings import Settings
from knerve.recon.stream_errors import SpoiltSlicesError
from knerve.recon.stream_memory import CoilMemory
from knerve.recon.stream_outline import Outline
from knerve.recon.stream_reuse import FOUND_ANEW, REUSED
from knerve.recon.streaming import FinishedSlice, StreamingReconstruction

SETTINGS = Settings(snr_map="none")
MakeScan = Callable[..., RawScan]


@pytest.fixture
def knee(make_scan, line_mask) -> MakeScan:
    def make(seed: int, radius: float = 0.6, n_slices: int = 2) -> RawScan:
        counts = line_mask(96, 2, 32)
        return make_scan(
            n_slices=n_slices, n_coils=6, n_y=96, n_x=64, oversampling=2, counts=counts, radius=radius, seed=seed
        ).scan

    return make


@contextmanager
def begun(
    scan: RawScan, memory: CoilMemory | None, patient: str, finished: list[FinishedSlice], where: str = "here"
) -> Iterator[StreamingReconstruction]:
    outline = Outline(scan.n_slices, scan.n_coils, scan.grid, scan.sampled_kx)
    known = None if memory is None else memory.begin(patient, (outline, SETTINGS))
    for entry in range(scan.n_slices):
        if known is not None:
            known.lies_at(entry, where)
    stream = StreamingReconstruction(outline, estimate_whitening(scan)[0], SETTINGS, finished.append, known)
    try:
        yield stream
    finally:
        stream.close()


def images_of(
    scan: RawScan, memory: CoilMemory | None = None, patient: str = "A", where: str = "here"
) -> list[FinishedSlice]:
    finished: list[FinishedSlice] = []
    with begun(scan, memory, patient, finished, where) as stream:
        for entry in range(scan.n_slices):
            for line in torch.nonzero(scan.counts[entry])[:, 0].tolist():
                stream.add(entry, line, scan.kspace[entry, :, line])
            stream.complete(entry)
        stream.finish()
    return sorted(finished, key=lambda one: one.entry)


def assert_anew(found: list[FinishedSlice], scan: RawScan, *, is_said: bool = True) -> None:
    for one, other in zip(found, images_of(scan), strict=True):
        assert not one.has_old_coils
        assert (FOUND_ANEW in one.notes) == is_said
        assert torch.equal(one.image, other.image)


def test_a_scan_that_agrees_uses_the_coils_of_the_one_before(knee: MakeScan, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, first = CoilMemory(), knee(3)
    second = replace(knee(4), noise=first.noise)
    assert_anew(images_of(first, memory), first, is_said=False)
    expected = images_of(second)
    monkeypatch.setattr("knerve.recon.stream_stages.estimate_sensitivities", None)  # nobody calibrates
    for _ in range(2):  # what was used again is kept as it was
        found = images_of(second, memory)
        for one, other in zip(found, expected, strict=True):
            assert one.has_old_coils
            assert REUSED in one.notes
            inside = other.image.abs() > 10
            difference = (one.image.abs() - other.image.abs())[inside]
            assert (
                0 < float(difference.square().mean().sqrt()) < 0.25
            )  # of the noise, which either map follows a little
    again = images_of(second, memory)
    assert all(torch.equal(one.image, other.image) for one, other in zip(found, again, strict=True))


def test_images_are_in_units_of_their_own_noise(knee: MakeScan) -> None:
    memory, first, second = CoilMemory(), knee(3), knee(4)
    images_of(first, memory)
    assert first.noise is not None
    second = replace(second, noise=Noise(0.9 * first.noise.samples))
    for one, other in zip(images_of(second, memory), images_of(second), strict=True):
        assert one.has_old_coils
        inside = other.image.abs() > 10
        assert float((one.image.abs()[inside] / other.image.abs()[inside]).median()) == pytest.approx(1, abs=0.003)


def test_what_lies_where_nothing_was_is_not_lost(knee: MakeScan) -> None:
    memory, larger = CoilMemory(), knee(4, radius=0.8)
    images_of(knee(3), memory)
    assert_anew(images_of(larger, memory), larger)
    assert all(one.has_old_coils for one in images_of(knee(5, radius=0.8), memory))


def test_coils_that_hear_something_else_are_found_anew(knee: MakeScan) -> None:
    memory, moved = CoilMemory(), knee(4)
    images_of(knee(3), memory)
    mixing = torch.eye(6, dtype=torch.complex64)
    mixing[0, 1] = 0.2  # a twentieth of the signal power of one channel
    moved = replace(moved, kspace=torch.einsum("dc,scyx->sdyx", mixing, moved.kspace))
    assert_anew(images_of(moved, memory), moved)


def test_noise_that_is_another_is_told_by_its_whitening(knee: MakeScan) -> None:
    memory, louder = CoilMemory(), knee(4)
    images_of(knee(3), memory)
    assert louder.noise is not None
    louder = replace(louder, noise=Noise(louder.noise.samples * torch.tensor([1, 1, 2, 1, 1, 1])[:, None]))
    assert_anew(images_of(louder, memory), louder)


@pytest.mark.parametrize(("patient", "where"), [("B", "here"), ("A", "there")])
def test_nobody_and_nothing_else_is_taken_for_the_same(knee: MakeScan, patient: str, where: str) -> None:
    memory, second = CoilMemory(), knee(4)
    images_of(knee(3), memory)
    assert_anew(images_of(second, memory, patient, where), second, is_said=False)
    if patient == "B":  # the first patient's next scan finds nothing either
        assert_anew(images_of(second, memory), second, is_said=False)


def test_scans_that_break_off_leave_nothing(knee: MakeScan) -> None:
    memory, scan = CoilMemory(), knee(3)
    with begun(scan, memory, "A", []) as stream:
        for line in torch.nonzero(scan.counts[0])[:, 0].tolist():
            stream.add(0, line, scan.kspace[0, :, line])
        stream.complete(0)
        with pytest.raises(SpoiltSlicesError):
            stream.add(0, 0, scan.kspace[0, :, 0])
    assert_anew(images_of(scan, memory), scan, is_said=False)


def test_memory_is_bounded(knee: MakeScan) -> None:
    small, scan = CoilMemory(most_bytes=1000), knee(3, n_slices=1)
    images_of(scan, small)
    assert_anew(images_of(scan, small), scan, is_said=False)
    enough_for_one, other = CoilMemory(most_bytes=2_000_000), knee(3, n_slices=2)
    for each in (scan, other):  # their number of slices differs: two kinds
        images_of(each, enough_for_one)
    assert all(one.has_old_coils for one in images_of(other, enough_for_one))
    n_bytes = sum(kept.n_bytes for kinds in enough_for_one._scans.values() for kept in kinds.values())
    assert 0 < n_bytes <= 2_000_000
