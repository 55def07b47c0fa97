"""Compressed sensing against the independent oracle SigPy: same data, same weight, same wavelet, same answer."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.espirit import espirit
from knerve.recon.methods import cs, sense, wiener_weight
from knerve.recon.noise import estimate_whitening, prewhiten
from knerve.recon.pipeline import reconstruct
from knerve.recon.proximal_gradient import proximal_gradient
from knerve.recon.scan import Frame, Grid, RawScan
from knerve.recon.settings import Settings
from knerve.recon.sparsity import CYCLE, SparsityPrior, lattice_shift, soft_threshold
from knerve.recon.wavelets import WaveletTransform

DIMS = (-4, -2, -1)


class FixedGridPrior(SparsityPrior):
    """SigPy's wavelet: one grid, zeros around the image, every coefficient shrunk.

    PyWavelets' grid starts at sample 6 (mod 2^levels) for db4; the image sits in a frame of zeros at that place.
    """

    def prox(self, image, step):
        """Frame, transform, shrink, and back."""
        margin = 42
        sides = self.wavelet.sides
        framed = image.new_zeros((*image.shape[:-2], *sides))
        window = framed[..., margin : margin + image.shape[-2], margin : margin + image.shape[-1]]
        window.copy_(image)
        coefficients = soft_threshold(self.wavelet.forward(framed), step * self.wavelet_weight)
        return self.wavelet.adjoint(coefficients)[
            ..., margin : margin + image.shape[-2], margin : margin + image.shape[-1]
        ]


@pytest.fixture(scope="module")
def brain(shared_data):
    """The Poisson-disc brain, whitened: encoding, right side, and k-space (coil, kz, ky) and maps for SigPy."""
    path = shared_data / "brain_8ch_undersampled" / "cartesian_ksp.npy"
    kspace = torch.from_numpy(np.load(path))
    mask = (kspace != 0).any(0)
    n_z, n_y = mask.shape
    grid = Grid((1, n_y, n_z), (1.0, n_y, n_z), (1, n_y, n_z), (1.0, n_y, n_z))
    scan = RawScan(kspace[None, ..., None], mask.int()[None], (Frame(),), grid, (0, 1))
    scan = prewhiten(scan, estimate_whitening(scan)[0])
    kspace = scan.kspace[0, ..., 0] * mask
    calibration = scan.kspace[:, :, n_z // 2 - 12 : n_z // 2 + 12, n_y // 2 - 12 : n_y // 2 + 12]
    maps = espirit(calibration, (n_z, n_y, 1), (1.0, 1.0, 1.0), 6, 1).maps
    encoding = CartesianEncoding(maps, mask.int()[None])
    return encoding, encoding.adjoint(kspace[None, None]), kspace.numpy(), maps[0, 0, 0].numpy()


@pytest.mark.slow
def test_same_answer_as_sigpy_on_real_data(brain):
    mr = pytest.importorskip("sigpy.mri.app")
    encoding, right_side, kspace, maps = brain
    weight = 0.3
    oracle = mr.L1WaveletRecon(kspace, maps, weight, wave_name="db4", max_iter=300, show_pbar=False).run()
    wavelet = WaveletTransform("db4", (-2, -1), (320, 272), levels=4)
    prior = FixedGridPrior(wavelet, DIMS, torch.full((1, 1, 1, 1, 1), weight))
    ours = proximal_gradient(encoding, right_side, prior, torch.ones(1, 1, 1, 1, 1), tolerance=0.0, max_iterations=300)
    image = ours[0, 0, 0].numpy()
    assert np.linalg.norm(image - oracle) / np.linalg.norm(oracle) < 0.01


@pytest.mark.skipif(shutil.which("bart") is None, reason="bart is not installed (Debian package bart)")
def test_maps_equal_barts_on_real_data(brain, tmp_path):
    _, _, kspace, maps = brain
    data = kspace.transpose(1, 2, 0)[None]  # BART: read, phase 1, phase 2, coil
    (tmp_path / "data.hdr").write_text("# Dimensions\n" + " ".join(map(str, data.shape)) + "\n")
    data.ravel(order="F").tofile(tmp_path / "data.cfl")
    subprocess.run(["bart", "ecalib", "-m1", "-r24", "data", "maps"], cwd=tmp_path, check=True, capture_output=True)
    theirs = np.fromfile(tmp_path / "maps.cfl", np.complex64).reshape(*data.shape, order="F")[0].transpose(2, 0, 1)
    norms = np.linalg.norm(theirs, axis=0) * np.linalg.norm(maps, axis=0)
    correlation = np.abs((theirs.conj() * maps).sum(0)) / np.maximum(norms, 1e-9)
    image = np.linalg.norm(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=(1, 2))), axes=(1, 2)), axis=0)
    inside = image > 0.15 * image.max()
    assert inside.mean() > 0.2
    assert correlation[inside].min() > 0.99


def test_sense_solves_the_normal_equations(line_mask, smooth_maps, randn):
    maps = smooth_maps(2, 6, 32, 20).permute(0, 3, 1, 2)[:, :, None].contiguous()
    encoding = CartesianEncoding(maps, line_mask(32, 2, 8).int().expand(2, -1))
    right_side = 20 * encoding.adjoint(encoding.forward(randn(encoding.image_shape)))
    image = sense(encoding, right_side, Settings())
    mu = wiener_weight(encoding, right_side)
    residual = encoding.normal(image) + mu * image - right_side
    assert float(torch.linalg.vector_norm(residual) / torch.linalg.vector_norm(right_side)) < 2e-4


def test_a_slice_does_not_depend_on_its_neighbours(smooth_maps, line_mask, randn):
    maps = smooth_maps(3, 6, 48, 40).permute(0, 3, 1, 2)[:, :, None].contiguous()
    counts = line_mask(48, 3, 10).int().expand(3, -1)
    encoding = CartesianEncoding(maps, counts)
    image = torch.cumsum(randn(encoding.image_shape), -1)
    right_side = encoding.adjoint(encoding.forward(image * torch.tensor([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1)))
    together = cs(encoding, right_side, Settings())
    for s in range(3):
        alone = cs(CartesianEncoding(maps[s : s + 1], counts[s : s + 1]), right_side[s : s + 1], Settings())
        torch.testing.assert_close(alone[0], together[s], rtol=1e-4, atol=1e-3)


def test_total_variation_helps_a_flat_object(make_scan, line_mask, relative_error):
    truth = make_scan(counts=line_mask(96, 3, 16), snr=15)
    errors = {}
    for multiple in (0.0, 1.0):
        settings = Settings(total_variation=multiple, snr_map="none", tolerance=0.2)
        errors[multiple] = relative_error(reconstruct(truth.scan, settings).image[0], truth.image[0])
    assert errors[1.0] < 0.97 * errors[0.0]


def test_soft_threshold_shrinks_magnitudes_and_keeps_phases():
    values = torch.tensor([3 + 4j, 0.3 + 0.4j, 0, -2])
    expected = torch.tensor([(3 + 4j) * 0.8, 0, 0, -1])
    torch.testing.assert_close(soft_threshold(values, torch.tensor(1.0)), expected)


def test_shift_lattice_visits_every_offset_equally():
    wavelet = WaveletTransform("db2", (-3, -1), (64, 64), levels=3)
    for start in (0, CYCLE, 5 * CYCLE):
        shifts = [lattice_shift(i, wavelet) for i in range(start, start + CYCLE)]
        for axis in (0, 1):
            offsets = [shift[axis] for shift in shifts]
            assert offsets.count(0) <= 2
            assert sum(offset % 2 for offset in offsets) == CYCLE // 2


def test_fixed_shift_stays(randn):
    wavelet = WaveletTransform("haar", (-2, -1), (8, 8), levels=1)
    prior = SparsityPrior(wavelet, (-2, -1), torch.tensor(0.5), fixed_shift=(1, 0))
    image = randn((1, 8, 8))
    first = prior.prox(image, torch.tensor(1.0))
    assert torch.equal(prior.prox(image, torch.tensor(1.0)), first)
    assert not torch.equal(replace(prior, fixed_shift=(0, 0)).prox(image, torch.tensor(1.0)), first)
