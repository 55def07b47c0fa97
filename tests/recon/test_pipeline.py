"""The whole way from raw k-space to images, on scans with known truth."""

from dataclasses import replace

import pytest
import torch

from knerve.gpu.fourier import to_kspace
from knerve.recon.errors import CalibrationError, OutOfMemoryError, RawDataError, SettingsError
from knerve.recon.pipeline import reconstruct, reconstruct_slices
from knerve.recon.scan import Frame, Grid, Noise, RawScan
from knerve.recon.settings import Settings
from knerve.recon.smaller_batches import FEWER


@pytest.mark.parametrize("method", ["zero-filled", "sense", "cs"])
def test_full_sampling_gives_the_truth_in_snr_units(method, make_scan, relative_error):
    truth = make_scan(n_slices=2, oversampling=2, snr=80)
    images = reconstruct(truth.scan, Settings(method=method))
    assert images.image.shape == (2, 96, 80)
    assert relative_error(images.image, truth.image) < 0.03
    inside = truth.image.abs() > 40
    scale = (images.magnitude / truth.image.abs())[inside].median()
    assert float(scale) == pytest.approx(2**0.5, rel=0.03)
    assert images.noise_level is not None
    assert float(images.noise_level[inside].median()) == pytest.approx(1.0, abs=0.03)


def test_noise_of_a_fully_sampled_image_is_one(make_scan):
    truth = make_scan(snr=60)
    clean = replace(truth.scan, kspace=to_kspace(truth.maps * truth.image[:, None], (-2, -1)))
    settings = Settings(method="zero-filled", compression="none")
    difference = reconstruct(truth.scan, settings).image - reconstruct(clean, settings).image
    inside = truth.image.abs() > 30
    assert float(difference[inside].real.std()) == pytest.approx(1.0, abs=0.06)


def test_undersampling_is_unfolded(make_scan, line_mask, relative_error):
    truth = make_scan(counts=line_mask(96, 3, 16), snr=60)
    errors = {
        method: relative_error(reconstruct(truth.scan, Settings(method=method)).image[0], truth.image[0])
        for method in ("zero-filled", "sense", "cs")
    }
    assert errors["sense"] < 0.5 * errors["zero-filled"]
    assert errors["cs"] < errors["sense"]


def test_batches_do_not_change_the_images(make_scan, line_mask):
    truth = make_scan(n_slices=3, counts=line_mask(96, 2, 16))
    done = []
    one = reconstruct(truth.scan, Settings(slices_per_batch=1), lambda d, n: done.append((d, n)))
    all_at_once = reconstruct(truth.scan, Settings(slices_per_batch=3))
    torch.testing.assert_close(one.image, all_at_once.image, rtol=1e-3, atol=0.02)
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_same_input_gives_the_same_image(make_scan, line_mask):
    scan = make_scan(counts=line_mask(96, 3, 16)).scan
    assert torch.equal(reconstruct(scan).image, reconstruct(scan).image)


def test_averages_lower_the_noise_and_uneven_ones_are_weighed(make_scan):
    counts = torch.ones(96)
    counts[30:60] = 4
    truth = make_scan(counts=counts)
    images = reconstruct(truth.scan, Settings(method="sense"))
    level = images.noise_level[truth.image.abs() > 25].median()
    assert 0.75 < float(level) < 0.99


def test_field_of_view_smaller_than_the_object_takes_two_sets(make_scan, relative_error):
    truth = make_scan(n_y=128, n_x=64, radius=0.95, texture=1.5, n_coils=12)
    grid = Grid((64, 64, 1), (64.0, 64.0, 5.0), (64, 64, 1), (64.0, 64.0, 5.0))
    counts = truth.scan.counts[:, ::2]
    folded = replace(truth.scan, kspace=truth.scan.kspace[:, :, ::2] * 2**0.5, counts=counts, grid=grid)
    images = reconstruct(folded, Settings(method="sense", compression="none"))
    assert "two sets of coil sensitivities" in " ".join(images.notes)
    one = reconstruct(folded, Settings(method="sense", compression="none", map_sets=1))
    assert "two sets" not in " ".join(one.notes)
    # what two overlapping parts hold together: root sum of squares over the parts
    low, high = torch.roll(truth.image, 32, 1)[:, :64], torch.roll(truth.image, -32, 1)[:, :64]
    expected = (low.abs().square() + high.abs().square()).sqrt()
    assert relative_error(images.image, expected) < 0.8 * relative_error(one.image, expected)


def test_three_dimensional_scan(smooth_maps, relative_error):
    n_z, n_y, n_x, n_coils = 16, 32, 28, 6
    maps = smooth_maps(1, n_coils, n_y, n_x)[0][:, None].expand(-1, n_z, -1, -1)
    image = torch.zeros(n_z, n_y, n_x, dtype=torch.complex64)
    image[3:13, 8:24, 7:21] = 60
    image[5:9, 12:18, 10:14] = 100
    generator = torch.Generator().manual_seed(0)
    kspace = to_kspace(maps * image, (-3, -2, -1))
    kspace = kspace + torch.randn(kspace.shape, generator=generator, dtype=torch.complex64)
    mask = torch.rand(n_z, n_y, generator=generator) < 0.4
    mask[n_z // 2 - 5 : n_z // 2 + 5, n_y // 2 - 6 : n_y // 2 + 6] = True
    scan = RawScan(
        kspace=(kspace * mask[None, :, :, None])[None],
        counts=mask.int()[None],
        frames=(Frame(),),
        grid=Grid((n_x, n_y, n_z), (28.0, 32.0, 32.0), (n_x, n_y, n_z), (28.0, 32.0, 32.0)),
        sampled_kx=(0, n_x),
        noise=Noise(torch.randn(n_coils, 2000, generator=generator, dtype=torch.complex64)),
    )
    images = reconstruct(scan, Settings(kernel_width=5))
    assert images.image.shape == (1, n_z, n_y, n_x)
    zero_filled = reconstruct(scan, Settings(method="zero-filled", kernel_width=5))
    assert relative_error(images.image[0], image) < 0.5 * relative_error(zero_filled.image[0], image)
    assert images.noise_level is None
    replicas = reconstruct(scan, Settings(method="sense", kernel_width=5, snr_map="replica", replicas=8))
    assert replicas.noise_level is not None
    assert replicas.noise_level.shape == images.image.shape


def test_without_calibration_only_zero_filled_works_and_says_so(make_scan, line_mask):
    scan = make_scan(counts=line_mask(96, 2, 0)).scan
    with pytest.raises(CalibrationError, match="use the method zero-filled"):
        reconstruct(scan)
    images = reconstruct(scan, Settings(method="zero-filled"))
    assert "coils were combined by root sum of squares" in " ".join(images.notes)


def test_recon_grid_is_honoured(make_scan):
    truth = make_scan()
    grid = replace(truth.scan.grid, recon_matrix=(120, 144, 1), recon_fov_mm=(60.0, 90.0, 5.0))
    images = reconstruct(replace(truth.scan, grid=grid), Settings(method="zero-filled"))
    assert images.image.shape == (1, 144, 120)
    # the structure at the centre stays at the centre
    expected = reconstruct(truth.scan, Settings(method="zero-filled")).magnitude[0, 48, 40]
    torch.testing.assert_close(images.magnitude[0, 72, 60], expected, rtol=0.05, atol=0)


def test_asymmetric_echo_is_completed(make_scan, relative_error):
    truth = make_scan(n_x=96, snr=60)
    kspace = truth.scan.kspace.clone()
    kspace[..., :26] = 0
    partial = replace(truth.scan, kspace=kspace, sampled_kx=(26, 96))
    settings = Settings(method="sense", snr_map="none")
    completed = relative_error(reconstruct(partial, settings).image, truth.image)
    zero_filled = relative_error(reconstruct(replace(partial, sampled_kx=(0, 96)), settings).image, truth.image)
    assert completed < 0.8 * zero_filled


def test_snr_is_zero_where_the_coils_see_nothing(make_scan):
    truth = make_scan(radius=0.4)
    images = reconstruct(truth.scan, Settings(method="sense"))
    assert images.snr is not None
    assert float(images.snr[0, :4].max()) == 0
    assert float(images.snr[0, 48, 40]) > 20


@pytest.mark.parametrize("method", ["zero-filled", "sense", "cs"])
@pytest.mark.parametrize("map_sets", [None, 2])
def test_a_single_coil(method, map_sets, make_scan, relative_error):
    truth = make_scan(n_coils=1, snr=60)
    images = reconstruct(truth.scan, Settings(method=method, map_sets=map_sets))
    assert relative_error(images.image, truth.image) < 0.05


def test_an_empty_image_beside_others_stays_empty(make_scan, line_mask):
    truth = make_scan(n_slices=2, counts=line_mask(96, 2, 16))
    kspace = truth.scan.kspace.clone()
    kspace[1] = 0
    images = reconstruct(replace(truth.scan, kspace=kspace))
    assert not bool(images.image[1].abs().any())
    assert float(images.magnitude[0].max()) > 50


@pytest.mark.parametrize("method", ["sense", "cs"])
def test_slices_of_different_extent_do_not_depend_on_the_batch(method, make_scan):
    counts = torch.ones(2, 96)
    counts[1, :30] = 0
    scan = make_scan(n_slices=2, counts=counts).scan
    one, two = (reconstruct(scan, Settings(method=method, slices_per_batch=n)) for n in (1, 2))
    torch.testing.assert_close(one.image, two.image, rtol=1e-3, atol=0.05)
    assert one.notes == two.notes


def test_zero_filled_counts_every_line_once(make_scan, relative_error):
    counts = torch.ones(96)
    counts[36:60] = 4
    truth = make_scan(counts=counts, snr=200)
    images = reconstruct(truth.scan, Settings(method="zero-filled"))
    assert relative_error(images.image, truth.image) < 0.02
    assert images.noise_level is not None
    level = images.noise_level[truth.image.abs() > 100].median()
    assert float(level) == pytest.approx(((72 + 24 / 4) / 96) ** 0.5, rel=0.02)


def test_noise_level_of_a_coarser_grid_is_lower(make_scan):
    truth = make_scan()
    grid = replace(truth.scan.grid, recon_matrix=(40, 48, 1))
    images = reconstruct(replace(truth.scan, grid=grid), Settings(method="sense"))
    assert images.noise_level is not None
    assert float(images.noise_level[0, 24, 20]) == pytest.approx(0.5, rel=0.05)


def test_noise_level_of_an_asymmetric_echo(make_scan):
    scans = [make_scan(n_x=64, seed=seed, snr=60).scan for seed in range(12)]
    found = []
    for scan in scans:
        kspace = scan.kspace.clone()
        kspace[..., :16] = 0
        images = reconstruct(replace(scan, kspace=kspace, sampled_kx=(16, 64)), Settings(method="sense"))
        found.append(images.magnitude[0, 46:50, 24:40])
        assert images.noise_level is not None
    measured = torch.stack(found).std(0).mean()
    assert float(images.noise_level[0, 48, 32]) == pytest.approx(float(measured), rel=0.15)


def test_phase_constrained_images_have_only_measured_noise(make_scan):
    counts = torch.ones(96)
    counts[:34] = 0
    scan = make_scan(counts=counts, n_x=32, snr=60).scan
    analytic = reconstruct(scan, Settings(method="sense"))
    assert analytic.noise_level is None
    assert "phase-constrained images have no analytic noise map" in " ".join(analytic.notes)
    replicas = reconstruct(scan, Settings(method="sense", snr_map="replica", replicas=24))
    assert replicas.noise_level is not None
    assert 1.1 < float(replicas.noise_level[0, 44:52, 12:20].mean()) < 1.5


def test_an_absurd_image_grid_is_refused(make_scan):
    scan = make_scan().scan
    grid = replace(scan.grid, recon_matrix=(60000, 96, 1))
    with pytest.raises(RawDataError, match="60000 pixels along x, 750 times finer than the acquired resolution"):
        reconstruct(replace(scan, grid=grid))


def test_running_out_of_memory_says_what_to_do(make_scan, monkeypatch):
    def exhausted(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("knerve.recon.pipeline.to_hybrid_space", exhausted)
    with pytest.raises(OutOfMemoryError, match="fewer slices at once"):
        reconstruct(make_scan().scan)


def test_a_batch_too_large_for_the_gpu_is_done_in_halves(make_scan, monkeypatch):
    scan = make_scan(n_slices=5).scan
    sizes, all_at_once = [], reconstruct(scan, Settings(slices_per_batch=5))

    def at_most_two(batch, *arguments):
        sizes.append(batch.n_slices)
        if batch.n_slices > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.21 GiB.")
        return reconstruct_slices(batch, *arguments)

    monkeypatch.setattr("knerve.recon.pipeline.reconstruct_slices", at_most_two)
    images = reconstruct(scan, Settings(slices_per_batch=5))
    assert sizes == [5, 5, 3, 3, 2, 1, 2]  # once more after what was kept has been given back
    torch.testing.assert_close(images.image, all_at_once.image, rtol=1e-3, atol=1e-3)
    assert FEWER.format(many=5, few=2) in images.notes
    monkeypatch.setattr("knerve.recon.pipeline.reconstruct_slices", _never_fits)
    with pytest.raises(OutOfMemoryError, match="fewer slices at once"):
        reconstruct(scan)


def _never_fits(*_):
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_stages_and_settings_are_reported(make_scan):
    images = reconstruct(make_scan().scan, Settings(threads=1))
    assert {"noise", "readout", "calibrate", "solve", "finish"} <= set(images.seconds)
    assert images.settings["threads"] == 1
    assert images.acceleration == 1.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_a_settings_error(make_scan):
    with pytest.raises(SettingsError, match="torch finds no CUDA GPU here"):
        reconstruct(make_scan().scan, Settings(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_image_of_the_cpu(make_scan, line_mask):
    scan = make_scan(counts=line_mask(96, 3, 16)).scan
    on_cpu, on_gpu = (reconstruct(scan, Settings(device=device)) for device in ("cpu", "cuda"))
    torch.testing.assert_close(on_gpu.image, on_cpu.image, rtol=0, atol=0.02)
