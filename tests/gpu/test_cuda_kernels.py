"""The CUDA kernels, compiled for the CPU, against what explains them; and on a GPU where there is one."""

import sys
from types import SimpleNamespace

import pytest
import torch

from knerve.gpu.cuda_choice import known_choices
from knerve.gpu.cuda_gradient import RADICES, CudaGradientStep, can_step, frequency_order, passes
from knerve.gpu.cuda_kernels import CupyKernels, KernelError, compiled_by_cupy, has_cupy, source_of
from knerve.gpu.cuda_on_cpu import GccKernels, compiled_by_gcc, has_gcc
from knerve.gpu.cuda_step import quickest_step
from knerve.gpu.cuda_update import CudaUpdate
from knerve.gpu.cuda_wavelets import CudaWaveletShrinkage
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.sparsity import shrink_by_neighbours
from knerve.recon.wavelets import FILTERS, WaveletTransform

needs_gcc = pytest.mark.skipif(not has_gcc(), reason="g++ is not here: it compiles the CUDA kernels for the CPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request):
    """Where kernels run: device, and how they are compiled with how many threads."""
    if request.param == "cuda":
        if not (torch.cuda.is_available() and has_cupy()):
            pytest.skip("no CUDA GPU, or no CuPy, here")
        return torch.device("cuda"), {}
    if not has_gcc():
        pytest.skip("g++ is not here: it compiles the CUDA kernels for the CPU")
    return torch.device("cpu"), {"compile_source": compiled_by_gcc}


def draw(*shape):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("n", [12, 64, 96, 480, 500, 540, 576, 1000, 4096])
def test_passes_make_the_length(n):
    radices = passes(n)
    assert torch.tensor(radices).prod() == n
    assert set(radices) <= set(RADICES)
    assert len(radices) >= 2


def test_knows_which_lengths_it_can_transform():
    assert passes(552) is None
    assert not can_step(552, 1)
    assert not can_step(500, 3)
    assert not can_step(10, 1)
    assert can_step(500, 2)
    with pytest.raises(ValueError, match="552 lines have no transform"):
        CudaGradientStep(draw(1, 1, 1, 1, 552), 552, 0.0)


def test_frequencies_lie_in_the_order_of_the_passes():
    assert frequency_order((2, 3)).tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize(
    ("n_sets", "n_rows", "penalty", "sizes"),
    [
        (1, 60, 0.0, {"threads_per_block": 1}),
        (2, 48, 0.7, {"threads_per_block": 1}),
        (1, 60, 0.0, {"columns_per_block": 2}),  # threads that must wait for each other
    ],
)
def test_gradient_step_equals_the_plain_one(place, n_sets, n_rows, penalty, sizes):
    device, options = place
    counts = torch.randint(0, 3, (2, 60), generator=torch.Generator().manual_seed(1), dtype=torch.int32)
    encoding = CartesianEncoding(draw(2, 5, n_sets, 3, n_rows), counts, penalty)
    x, before, right = draw(3, *encoding.image_shape)
    momentum, step = torch.tensor([0.3, 0.8]), torch.tensor([0.5, 0.9])
    z = x + momentum.reshape(-1, 1, 1, 1) * (x - before)
    expected = z - step.reshape(-1, 1, 1, 1) * (encoding.normal(z) - right)
    kernel = CudaGradientStep(encoding.maps.to(device), 60, penalty, **options, **sizes)
    kernel.set_counts(counts.to(device))
    target = torch.full_like(x, torch.nan).to(device)
    kernel(*(each.to(device) for each in (x, before, momentum, right, step)), target)
    assert (target.cpu() - expected).abs().max() < 2e-6 * expected.abs().max()
    normal = kernel.normal(z.to(device)).cpu()
    assert (normal - encoding.normal(z)).abs().max() < 2e-6 * normal.abs().max()


@pytest.mark.parametrize(
    ("name", "n_columns", "n_sets", "n_rows", "shift", "n_threads"),
    [("haar", 33, 1, 40, (1, 0), 1), ("db4", 70, 2, 100, (5, 3), 1), ("db4", 40, 1, 90, (1, 1), 16)],
)
def test_wavelet_shrinkage_equals_the_plain_one(place, name, n_columns, n_sets, n_rows, shift, n_threads):
    device, options = place
    image, x, before = draw(3, 2, n_columns, n_sets, n_rows)
    transform = WaveletTransform.for_image(name, image.shape, (-3, -1))
    shift = tuple(side % transform.period for side in shift)
    threshold, strength = torch.tensor([0.5, 0.4]), torch.tensor([1.0, 2.0])
    momentum = torch.tensor([0.3, 0.6])
    coefficients = transform.forward(image, shift)
    for band in transform.details(coefficients):
        band.copy_(shrink_by_neighbours(band, (threshold * strength).reshape(-1, 1, 1, 1), transform.dims))
    expected = transform.adjoint(coefficients, shift)
    z = x + momentum.reshape(-1, 1, 1, 1) * (x - before)
    expected_uphill = ((z - expected).conj() * (expected - x)).real.flatten(1).sum(1)

    kernel = CudaWaveletShrinkage(
        FILTERS[name], transform.levels, image.shape, transform.padded_sides, device, n_threads=n_threads, **options
    )
    for _ in range(2):  # what an earlier call left behind must not matter
        new, mean = before.clone().to(device), torch.ones_like(image).to(device)
        update = CudaUpdate(x.to(device), new, momentum.to(device), mean, 0.25)
        places = (torch.tensor(shift, dtype=torch.int32), threshold, strength)
        uphill = kernel(image.to(device), *(each.to(device) for each in places), update)
    assert (new.cpu() - expected).abs().max() < 3e-6
    assert (mean.cpu() - 1 - 0.25 * expected).abs().max() < 1e-6
    assert torch.allclose(uphill.cpu(), expected_uphill, rtol=1e-4)


@needs_gcc
def test_a_kernel_that_does_not_compile_says_why():
    with pytest.raises(KernelError, match="not_a_type"):
        GccKernels('extern "C" __global__ void wrong(not_a_type a) {}')


def test_constants_come_before_the_source():
    source = source_of(("cuda_dft",), {"N": 5, "RADICES": (5, 1), "TAPS": [0.5, -1.0]})
    assert source.startswith("#define N 5\n#define RADICES 5, 1\n#define TAPS 0.5f, -1.0f\n")


@pytest.mark.parametrize("are_alike", [True, False])
def test_the_quickest_step_is_the_step(place, are_alike):
    device, options = place
    compile_source = options.get("compile_source", compiled_by_cupy)
    counts = torch.randint(0, 3, (2, 24), generator=torch.Generator().manual_seed(1), dtype=torch.int32)
    counts = counts[:1].repeat(2, 1) if are_alike else counts
    encoding = CartesianEncoding(draw(2, 3, 1, 2, 24), counts)
    step = quickest_step(encoding.maps.to(device), counts.to(device), 0.0, compile_source)
    x, before, right = draw(3, *encoding.image_shape)
    slices = torch.full((2,), 0.5)
    z = x + 0.5 * (x - before)
    target = torch.full_like(x, torch.nan).to(device)
    step(*(each.to(device) for each in (x, before, slices, right, slices)), target)
    assert (target.cpu() - (z - 0.5 * (encoding.normal(z) - right))).abs().max() < 1e-4
    choice = next(found for key, found in known_choices().items() if key[1:] == (3, 1, 2, 24, 24, key[-1]))
    assert not choice.refused
    assert set(choice.seconds) >= {"fft", "kernel, 1 columns", "kernel, 4 columns"}


def test_arguments_have_the_size_that_kernels_expect(monkeypatch):
    """What CuPy is given, with CuPy replaced."""
    launched = []

    class Module:
        def __init__(self, code, options):
            assert (code, options) == ("source", ("-std=c++17",))

        def compile(self):
            pass

        def get_function(self, name):
            return SimpleNamespace(kernel=lambda *arguments, stream: launched.append((name, *arguments, stream.ptr)))

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(RawModule=Module))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=7))
    values = torch.zeros(3)
    CupyKernels("source").launch("name", (1, 2, 3), 64, (values, None, 5, 0.5))
    ((name, grid, block, arguments, stream),) = launched
    assert (name, grid, block, stream) == ("name", (1, 2, 3), (64, 1, 1), 7)
    assert arguments == [values.data_ptr(), 0, 5, 0.5]
    assert [each.dtype for each in arguments] == ["uint64", "uint64", "int32", "float32"]


def test_a_cupy_that_does_not_work_is_done_without(monkeypatch):
    def broken(_):
        raise OSError("libnvrtc.so.13: cannot open shared object file")

    has_cupy.cache_clear()
    monkeypatch.setattr("knerve.gpu.cuda_kernels.find_spec", lambda _: object())
    monkeypatch.setattr("knerve.gpu.cuda_kernels.CupyKernels", broken)
    try:
        with pytest.warns(RuntimeWarning, match=r"CuPy cannot compile kernels here \(OSError: libnvrtc.*slower"):
            assert not has_cupy()
        assert not has_cupy()  # said once
    finally:
        has_cupy.cache_clear()
