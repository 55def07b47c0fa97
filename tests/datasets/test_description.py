"""Every problem that a scan can have is found, and a sound scan has none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from knerve.datasets.description import describe
from knerve.recon.scan import Frame, Grid, Noise, RawScan, ScanHeader

N_SLICES, N_COILS, N_Y, N_X = 3, 4, 48, 64


def frame(s: int, height_mm: float | None = None) -> Frame:
    z = 3.3 * s if height_mm is None else height_mm
    return Frame(slice=s, position_mm=(1.0, 2.0, z), geometry_known=True)


@pytest.fixture
def sound() -> RawScan:
    """A noisy, fully sampled scan of a smooth blob."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(N_SLICES, N_COILS, N_Y, N_X, generator=generator, dtype=torch.complex64)
    y, x = torch.meshgrid(torch.arange(N_Y) - N_Y // 2, torch.arange(N_X) - N_X // 2, indexing="ij")
    signal = 300 * torch.exp(-(y**2 + (x / 1.5) ** 2) / 30) * torch.exp(0.3j * x + 0.1j * y)
    return RawScan(
        kspace=noise + signal,
        counts=torch.ones(N_SLICES, N_Y, dtype=torch.int32),
        frames=tuple(frame(s) for s in (2, 0, 1)),
        grid=Grid((N_X, N_Y, 1), (200.0, 100.0, 3.0), (N_X // 2, N_Y, 1), (100.0, 100.0, 3.0)),
        sampled_kx=(0, N_X),
        header=ScanHeader(patient_name="Somebody^Private", tr_ms=(3000.0,), vendor="A", model="B"),
        noise=Noise(torch.randn(N_COILS, 4000, generator=generator, dtype=torch.complex64)),
        notes=("a note",),
    )


def only_problem(scan: RawScan) -> str:
    problems = describe(scan).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_a_sound_scan_has_no_problems(sound: RawScan) -> None:
    told = describe(sound)
    assert told.problems == ()
    assert told.notes == ("a note",)
    assert (told.images.total, told.images.slices, told.images.repetitions, told.images.encoding) == (3, 3, 1, "2-D")
    assert told.geometry.voxel_mm == (100 / 32, 100 / 48, 3.0)
    assert told.geometry.readout_oversampling == 2
    assert told.geometry.slice_spacing_mm == pytest.approx(3.3)
    assert told.geometry.slice_gap_mm == pytest.approx(0.3)
    assert told.noise.samples == 4000
    assert told.noise.whitening == "from noise readouts"
    assert told.noise.largest_correlation == pytest.approx(0, abs=0.06)
    assert told.sequence.scanner == "A B"
    assert told.sampling.pattern == "full"


def test_the_description_is_json_and_names_no_patient(sound: RawScan) -> None:
    text = json.dumps(describe(sound).as_dict(), allow_nan=False)
    assert json.loads(text)["geometry"]["recon_matrix"] == [32, 48, 1]
    assert "Somebody" not in text


def test_missing_and_scarce_noise_readouts(sound: RawScan) -> None:
    told = describe(replace(sound, noise=None))
    assert told.problems == ("No noise readouts: the noise has to be estimated from the edge of k-space.",)
    assert told.noise.whitening == "from k-space edge"
    assert told.noise.samples == 0
    assert "too few noise samples" in only_problem(
        replace(sound, noise=Noise(torch.randn(4, 9, dtype=torch.complex64)))
    )


def test_dead_and_weak_coils(sound: RawScan) -> None:
    kspace = sound.kspace.clone()
    kspace[:, 1] = 0
    kspace[:, 3] *= 1e-3
    told = describe(replace(sound, kspace=kspace))
    assert told.problems[:2] == (
        "Dead coil(s) 1: every sample is zero.",
        "Coil(s) 3 are more than 100 times weaker than the median coil.",
    )


def test_a_silent_noise_channel_is_told(sound: RawScan) -> None:
    assert sound.noise is not None
    samples = sound.noise.samples.clone()
    samples[2] = 0
    told = describe(replace(sound, noise=Noise(samples)))
    assert told.noise.whitening == "from noise readouts"
    assert "channel(s) [2] hold no noise at all" in " ".join(told.problems)


def test_spikes_are_counted_and_signal_is_not(sound: RawScan) -> None:
    kspace = sound.kspace.clone()
    kspace[1, :, 2, 5] += 400
    kspace[1, 0, 44, 60] += 400j
    assert "2 spike(s), single outlying samples, in image(s) 1" in only_problem(replace(sound, kspace=kspace))


def test_clipped_samples(sound: RawScan) -> None:
    parts = torch.view_as_real(sound.kspace.clone())
    parts[:, 2] = parts[:, 2].clamp(-100, 100)
    assert only_problem(replace(sound, kspace=torch.view_as_complex(parts))).startswith("Coil(s) 2 may be clipped")


def test_few_calibration_lines(sound: RawScan) -> None:
    counts = torch.zeros_like(sound.counts)
    counts[:, ::2] = 1
    counts[:, 21:27] = 1
    sampled = sound.kspace * (counts > 0)[:, None, :, None]
    assert "Few calibration lines: 7" in only_problem(replace(sound, counts=counts, kspace=sampled))


def test_uneven_averages_and_an_interrupted_scan(sound: RawScan) -> None:
    counts = sound.counts.clone()
    counts[:, 20:28] = 3
    assert "mean of 1 to 3 readouts" in only_problem(replace(sound, counts=counts))
    counts = sound.counts.clone()
    counts[2, 40:] = 0
    assert "Image(s) 2 have 40 of 48 lines" in only_problem(replace(sound, counts=counts))


def test_slices_out_of_place(sound: RawScan) -> None:
    uneven = tuple(frame(s, z) for s, z in enumerate((0.0, 3.3, 9.9)))
    assert "not evenly spaced: 3.30 to 6.60 mm" in only_problem(replace(sound, frames=uneven))
    stacked = tuple(frame(s, 0.0) for s in range(3))
    assert only_problem(replace(sound, frames=stacked)) == "All slices lie in the same place."
    tilted = (*uneven[:2], replace(uneven[2], slice_dir=(1.0, 0.0, 0.0)))
    assert "not parallel" in only_problem(replace(sound, frames=tilted))
    unknown = tuple(Frame(slice=s) for s in range(3))
    assert only_problem(replace(sound, frames=unknown)).startswith("Position and orientation are unknown")


def test_a_header_that_contradicts_itself(sound: RawScan) -> None:
    grid = replace(sound.grid, recon_fov_mm=(100.0, 150.0, 3.0))
    assert "along y (150 mm) is larger than the encoded one (100 mm)" in only_problem(replace(sound, grid=grid))


def test_repetitions_share_their_slices(sound: RawScan) -> None:
    frames = tuple(replace(frame(0), repetition=r) for r in range(3))
    told = describe(replace(sound, frames=frames))
    assert (told.images.slices, told.images.repetitions) == (1, 3)
    assert told.geometry.slice_spacing_mm is None
    assert told.problems == ()
