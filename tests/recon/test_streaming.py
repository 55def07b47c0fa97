"""A scan that is reconstructed while it arrives becomes the images that it becomes as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Queue
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from knerve.gpu.arriving_lines import ArrivingLines
from knerve.recon.errors import RawDataError, SettingsError
from knerve.recon.images import ImageSeries
from knerve.recon.methods import starting_settings
from knerve.recon.noise import estimate_whitening
from knerve.recon.pipeline import reconstruct
from knerve.recon.scan import Noise, RawScan
from knerve.recon.settings import Settings
from knerve.recon.stream_errors import NotStreamableError, SpoiltSlicesError
from knerve.recon.stream_outline import Outline
from knerve.recon.stream_room import can_be_sent_early
from knerve.recon.streaming import FinishedSlice, StreamingReconstruction

ALLOWED = 1e-3  # noise standard deviations
Readout = tuple[int, int, Tensor]


@contextmanager
def streaming(
    scan: RawScan, settings: Settings, deliver: Callable[[FinishedSlice], None]
) -> Iterator[StreamingReconstruction]:
    outline = Outline(scan.n_slices, scan.n_coils, scan.grid, scan.sampled_kx)
    stream = StreamingReconstruction(outline, estimate_whitening(scan)[0], settings, deliver)
    try:
        yield stream
    finally:
        stream.close()


def shot_by_shot(scan: RawScan, n_shots: int = 4) -> Iterator[Readout]:
    """Readouts as an interleaved multi-slice scan plays them, every shot spread over k-space."""
    for shot in range(n_shots):
        for entry in range(scan.n_slices):
            lines = torch.nonzero(scan.counts[entry])[:, 0].tolist()
            yield from ((entry, line, scan.kspace[entry, :, line]) for line in lines[shot::n_shots])


def streamed(scan: RawScan, settings: Settings, readouts: Iterable[Readout] | None = None) -> list[FinishedSlice]:
    finished: list[FinishedSlice] = []
    with streaming(scan, settings, finished.append) as stream:
        for entry, line, samples in shot_by_shot(scan) if readouts is None else readouts:
            stream.add(entry, line, samples)
        for entry in range(scan.n_slices):
            stream.complete(entry)
        stream.finish()
        return [stream.with_noise(one) for one in sorted(finished, key=lambda one: one.entry)]


def assert_same(finished: list[FinishedSlice], images: ImageSeries) -> None:
    assert [one.entry for one in finished] == list(range(images.n_slices))
    image = torch.stack([one.image for one in finished])
    assert float(images.magnitude.max()) > 20
    torch.testing.assert_close(image, images.image, rtol=0, atol=ALLOWED)
    if images.noise_level is None:
        assert all(one.noise_level is None for one in finished)
    else:
        levels = torch.stack([one.noise_level for one in finished])
        torch.testing.assert_close(levels, images.noise_level, rtol=0, atol=ALLOWED)


def whole(scan: RawScan) -> RawScan:
    """A scan with several coils' noise correlated and one channel dead."""
    mixing = torch.eye(scan.n_coils, dtype=torch.complex64)
    mixing[1, 0], mixing[2, 3], mixing[4, 4] = 0.4 + 0.2j, 0.3j, 0
    noise = scan.noise
    assert noise is not None
    kspace = torch.einsum("dc,scyx->sdyx", mixing, scan.kspace)
    return replace(scan, kspace=kspace, noise=Noise(mixing @ noise.samples))


@pytest.mark.parametrize(
    ("n_y", "oversampling", "settings"),
    [
        (96, 1, Settings()),
        (75, 2, Settings(snr_map="none", calibration_width=17)),
        (62, 2, Settings(method="sense", compression="svd", threads=2)),
        (62, 2, Settings(method="zero-filled")),
    ],
)
def test_the_images_are_those_of_the_whole_scan(make_scan, line_mask, n_y, oversampling, settings) -> None:
    counts = line_mask(n_y, 2, 24)
    scan = whole(make_scan(n_slices=3, n_coils=6, n_y=n_y, n_x=48, oversampling=oversampling, counts=counts).scan)
    assert_same(streamed(scan, settings), reconstruct(scan, settings))


def test_lines_that_are_sent_while_they_arrive(make_scan, line_mask, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = whole(make_scan(n_slices=3, n_coils=6, n_y=75, n_x=48, oversampling=2, counts=line_mask(75, 2, 24)).scan)
    settings, asked, arrived = Settings(device="cpu", threads=1), [], ArrivingLines.kspace
    waiting = streamed(scan, settings)
    monkeypatch.setattr("knerve.recon.streaming.can_be_sent_early", lambda _outline, _device: True)
    monkeypatch.setattr(ArrivingLines, "kspace", lambda self, n: (asked.append(n), arrived(self, n))[1])
    for early, late in zip(streamed(scan, settings), waiting, strict=True):
        assert torch.equal(early.image, late.image)
    assert asked == [75, 75, 75]


def test_a_gpu_with_little_memory_is_sent_whole_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    outline = SimpleNamespace(n_slices=54, n_coils=16, n_lines=1000, n_columns=552)
    for gigabytes, expected in ((6, False), (139, True)):
        monkeypatch.setattr("knerve.recon.stream_room.free_memory_bytes", lambda _device, n=gigabytes: n * 10**9)
        assert can_be_sent_early(outline, torch.device("cuda")) is expected
        assert not can_be_sent_early(outline, torch.device("cpu"))


def test_lines_that_were_never_asked_for_and_one_sided_k_space(make_scan, line_mask) -> None:
    counts = line_mask(96, 2, 24)
    for kept, note in ((slice(20, 76), ""), (slice(32, 96), "partial Fourier: the image phase")):
        some = torch.zeros_like(counts)
        some[kept] = counts[kept]
        scan = make_scan(n_slices=2, n_coils=6, n_y=96, n_x=48, counts=some).scan
        settings = Settings(snr_map="none")
        images = reconstruct(scan, settings)
        assert any(note in one for one in images.notes) or not note
        assert_same(streamed(scan, settings), images)


def test_an_echo_that_is_not_in_the_middle(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=2, n_coils=6, n_y=64, n_x=64, counts=line_mask(64, 2, 24)).scan
    kspace = scan.kspace.clone()
    kspace[..., :16] = 0
    scan = replace(scan, kspace=kspace, sampled_kx=(16, 64))
    image = torch.stack([one.image for one in streamed(scan, Settings())])
    difference = (image - reconstruct(scan, Settings()).image).abs()
    assert float(difference.quantile(0.999)) < ALLOWED  # where there is no signal rounding decides the phase


def test_a_slice_is_finished_while_others_still_arrive(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=3, n_coils=4, n_y=64, n_x=32, counts=line_mask(64, 2, 24)).scan
    finished: Queue[int] = Queue()
    order = []
    with streaming(scan, Settings(snr_map="none"), lambda one: finished.put(one.entry)) as stream:
        for entry in (2, 0, 1):
            lines = torch.nonzero(scan.counts[entry])[:, 0].tolist()
            for line in lines:
                stream.add(entry, line, scan.kspace[entry, :, line])
            if entry == 2:
                assert finished.empty()  # nobody knows yet that there are no more lines
                stream.complete(entry)
            order.append(finished.get(timeout=20))  # the others are complete with the lines of the first
        assert stream.n_unfinished == 0
        assert stream.lines is not None
        assert stream.lines.acceleration == pytest.approx(scan.acceleration)
        assert list(stream.quick_slices()) == []
    assert order == [2, 0, 1]


def test_quick_images_show_what_is_there(make_scan, line_mask, relative_error) -> None:
    truth = make_scan(n_slices=1, n_coils=6, n_y=64, n_x=48, counts=line_mask(64, 1, 24))
    with streaming(truth.scan, Settings(), lambda _: None) as stream:
        stream._pool.submit = lambda *_: None  # nobody solves
        for entry, line, samples in shot_by_shot(truth.scan):
            stream.add(entry, line, samples)
        stream.complete(0)
        assert stream.n_unfinished == 1
        (quick,) = stream.quick_slices()
    assert quick.entry == 0
    assert relative_error(quick.image, truth.image[0]) < 0.1


def test_what_does_not_fit_is_refused(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=2, n_coils=4, n_y=64, n_x=32, counts=line_mask(64, 2, 24)).scan
    readouts = list(shot_by_shot(scan, 1))
    n_lines = len(readouts) // 2
    with pytest.raises(SpoiltSlicesError, match="line 0 of slice entry 0 came twice"):
        streamed(scan, Settings(), [readouts[0], readouts[0]])
    with pytest.raises(NotStreamableError, match="slice entry 1 has other lines than the slices before it"):
        streamed(scan, Settings(), readouts[:-1])
    with pytest.raises(NotStreamableError, match="too few calibration lines"):
        streamed(scan, Settings(), readouts[: n_lines // 4])
    with streaming(scan, Settings(), lambda _: None) as stream:
        for readout in readouts[: n_lines - 1]:
            stream.add(*readout)
        stream.complete(0)
        with pytest.raises(SpoiltSlicesError, match="a readout came for slice entry 0 after its last one"):
            stream.add(*readouts[n_lines - 1])


def test_scans_that_cannot_be_are_refused_at_once(make_scan, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = make_scan(n_slices=1, n_coils=4, n_y=64, n_x=32).scan
    fine = replace(scan, grid=replace(scan.grid, recon_matrix=(4096, 64, 1)))
    with pytest.raises(RawDataError, match="Correct reconSpace"), streaming(fine, Settings(), lambda _: None):
        pass
    monkeypatch.setattr("knerve.recon.stream_room.free_memory_bytes", lambda _: 1000)
    with pytest.raises(NotStreamableError, match="GB are free"), streaming(scan, Settings(), lambda _: None):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no CUDA"), streaming(scan, Settings(device="cuda"), lambda _: None):
            pass


def test_a_slice_that_fails_is_told_at_the_end(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=1, n_coils=4, n_y=64, n_x=32, counts=line_mask(64, 2, 24)).scan

    def refuse(_: FinishedSlice) -> None:
        raise RawDataError("nobody wants it")

    with streaming(scan, Settings(), refuse) as stream:
        for readout in shot_by_shot(scan):
            stream.add(*readout)
        stream.complete(0)
        with pytest.raises(RawDataError, match="nobody wants it"):
            stream.finish()


def delivered_by(scan: RawScan, settings: Settings) -> list[FinishedSlice]:
    """All that a stream delivers, in the order of time, previews too."""
    delivered: list[FinishedSlice] = []
    with streaming(scan, settings, delivered.append) as stream:
        for entry, line, samples in shot_by_shot(scan):
            stream.add(entry, line, samples)
        for entry in range(scan.n_slices):
            stream.complete(entry)
        stream.finish()
        return [stream.with_noise(one) if one.is_final else one for one in delivered]


def test_refined_slices_come_after_those_of_compressed_sensing(make_scan, random_lines) -> None:
    scan = make_scan(n_slices=2, n_coils=6, n_y=100, n_x=96, counts=random_lines(100, 2, 24), snr=30, texture=0.3).scan
    delivered = delivered_by(scan, Settings(method="dl"))
    whole = reconstruct(
        scan, Settings(method="dl", threads=1)
    )  # as in the stream: bfloat16 rounds by how work is shared
    assert any("learned reconstruction" in note for note in whole.notes)
    previews, refined = (
        sorted((one for one in delivered if one.is_final is final), key=lambda one: one.entry)
        for final in (False, True)
    )
    assert_same(previews, reconstruct(scan, starting_settings(Settings(snr_map="none"))))
    assert_same(refined, whole)
    for preview, one in zip(previews, refined, strict=True):
        assert preview.method == "cs"
        assert one.method == "dl"
        assert not torch.equal(one.image, preview.image)
        assert [found.is_final for found in delivered if found.entry == one.entry] == [False, True]
        assert any("learned reconstruction" in note for note in one.notes)


def test_a_slice_that_the_network_refuses_is_called_what_it_is(make_scan, line_mask) -> None:
    scan = make_scan(n_slices=1, n_coils=6, n_y=64, n_x=48, counts=line_mask(64, 2, 24)).scan  # too small for it
    preview, final = delivered_by(scan, Settings(method="dl"))
    assert (preview.method, final.method) == ("cs", "cs")
    assert_same([final], reconstruct(scan, Settings(method="cs")))
    assert any("the network was not used" in note for note in final.notes)
