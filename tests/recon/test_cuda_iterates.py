"""The solver of a GPU gives the iterates of the plain one; here with its kernels compiled for the CPU."""

import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from knerve.gpu.cuda_kernels import compiled_by_cupy, has_cupy
from knerve.gpu.cuda_on_cpu import compiled_by_gcc, has_gcc
from knerve.recon.cuda_iterates import KEPT, CudaIterates, can_run, release_memory
from knerve.recon.encoding import CartesianEncoding
from knerve.recon.iterates import Schedule
from knerve.recon.methods import METHODS, cs_at_once
from knerve.recon.object_rows import object_rows
from knerve.recon.plain_iterates import PlainIterates
from knerve.recon.settings import Settings
from knerve.recon.sparsity import SparsityPrior
from knerve.recon.wavelets import WaveletTransform


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request):
    """Where kernels run: device, and how they are compiled."""
    if request.param == "cuda":
        if not (torch.cuda.is_available() and has_cupy()):
            pytest.skip("no CUDA GPU, or no CuPy, here")
        return torch.device("cuda"), {"compile_source": compiled_by_cupy}
    if not has_gcc():
        pytest.skip("g++ is not here: it compiles the CUDA kernels for the CPU")
    return torch.device("cpu"), {"compile_source": compiled_by_gcc, "n_threads": 1}


def problem(device, seed, n_sets=1, penalty=0.0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 48, n_sets, 4, 60, dtype=torch.complex64, generator=generator)
    maps = (maps / torch.linalg.vector_norm(maps, dim=3, keepdim=True)).to(device)
    counts = (torch.rand(2, 60, generator=generator) < 0.6).int().to(device)
    encoding = CartesianEncoding(maps, counts, penalty)
    right_side = 5 * torch.randn(encoding.image_shape, dtype=torch.complex64, generator=generator).to(device)
    return encoding, right_side


def prior_for(encoding, **options):
    wavelet = WaveletTransform.for_image("db2", encoding.image_shape, (-3, -1))
    weight = torch.linspace(0.5, 1.0, 2, device=encoding.maps.device).reshape(-1, 1, 1, 1)
    return SparsityPrior(wavelet, (-3, -1), weight, **options)


@pytest.mark.parametrize(("n_sets", "penalty", "variation"), [(1, 0.0, None), (2, 1.0, None), (2, 0.0, 0.4)])
def test_cycles_equal_the_plain_ones(place, n_sets, penalty, variation):
    device, options = place
    tv_weight = None if variation is None else torch.tensor([1.0, 2.0], device=device).reshape(-1, 1, 1, 1) * variation
    lipschitz = torch.tensor([1.0, 1.5], device=device).reshape(-1, 1, 1, 1) + penalty
    first = torch.tensor([4.0, 1.0], device=device).reshape(-1, 1, 1, 1)

    def compare(seed):
        encoding, right_side = problem(device, seed, n_sets, penalty)
        priors = (prior_for(encoding, tv_weight=tv_weight) for _ in range(2))
        plain = PlainIterates(encoding, right_side, next(priors), lipschitz)
        cuda = CudaIterates(encoding, right_side, next(priors), lipschitz, **options)
        schedules = Schedule(first), Schedule(first)
        for n_iterations in (8, 8, 8, 3, 3, 3, 5):  # odd numbers exchange the places of the last two iterates
            for iterates, schedule in zip((plain, cuda), schedules, strict=True):
                iterates.advance_by(n_iterations, schedule)
            expected, mean = plain.take_mean(), cuda.take_mean()
            assert (mean - expected).abs().max() < 2e-5 * expected.abs().max()
            assert torch.equal(schedules[0].momentum, schedules[1].momentum)
        return id(cuda._work)

    release_memory()
    assert compare(0) == compare(1)  # the second time in the memory of the first


def test_single_iterations_equal_the_plain_ones(place):
    device, options = place
    encoding, right_side = problem(device, 2)
    lipschitz = torch.ones(2, 1, 1, 1, device=device)
    plain = PlainIterates(encoding, right_side, prior_for(encoding), lipschitz)
    cuda = CudaIterates(encoding, right_side, prior_for(encoding), lipschitz, **options)
    for _ in range(3):
        expected, uphill = (each.advance(0.5 * lipschitz, 2 * lipschitz, 0.25) for each in (plain, cuda))
        assert torch.allclose(uphill, expected, rtol=1e-4)


def test_says_which_problems_it_can_solve(monkeypatch):
    monkeypatch.setattr("knerve.recon.cuda_iterates.has_cupy", lambda: True)
    encoding, _ = problem(torch.device("cpu"), 0)
    assert can_run(encoding, prior_for(encoding))
    assert can_run(encoding, prior_for(encoding, tv_weight=torch.ones(2, 1, 1, 1)))
    assert not can_run(encoding, prior_for(encoding, shrinkage="soft"))
    monkeypatch.setattr("knerve.recon.cuda_iterates.has_cupy", lambda: False)
    assert not can_run(encoding, prior_for(encoding))


def test_memory_is_kept_for_the_next_problem_of_a_size_until_it_is_released(place):
    device, options = place

    def iterates(n_sets=1):
        encoding, right_side = problem(device, 0, n_sets)
        return CudaIterates(encoding, right_side, prior_for(encoding), torch.ones(2, 1, 1, 1, device=device), **options)

    release_memory()
    first, second = iterates(), iterates()
    in_use = {id(first._work), id(second._work)}
    assert len(in_use) == 2  # both are needed
    del first, second
    with ThreadPoolExecutor(1) as other_thread:
        third = other_thread.submit(iterates).result()
    assert id(third._work) in in_use
    work = third._work
    del third
    other_size = iterates(n_sets=2)
    assert other_size._work is not work
    release_memory()
    assert iterates()._work is not work


def test_memory_of_a_few_problems_is_kept(place):
    device, options = place
    release_memory()
    works = []
    for n_columns in range(16, 16 + KEPT + 1):
        encoding, right_side = problem(device, 0)
        encoding = CartesianEncoding(encoding.maps[:, :n_columns], encoding.counts)
        arguments = (right_side[:, :n_columns], prior_for(encoding), torch.ones(2, 1, 1, 1, device=device))
        iterates = CudaIterates(encoding, *arguments, **options)
        iterates.advance_by(2, Schedule(torch.ones(2, 1, 1, 1, device=device)))
        works.append(weakref.ref(iterates._work))
        del iterates
    assert [work() is not None for work in works] == [False] + KEPT * [True]
    release_memory()
    assert not any(work() for work in works)  # at once: a GPU does not wait for garbage to be collected


def slices_with_objects_at(seen, n_lines=160):
    """Encodings whose coils see some rows each, and Aᴴ y of structured images at an SNR of 20 in white noise of unit variance."""
    generator = torch.Generator().manual_seed(5)
    n_slices, n_columns, n_coils = len(seen), 48, 4
    maps = torch.zeros(n_slices, n_columns, 1, n_coils, n_lines, dtype=torch.complex64)
    for s, (first, last) in enumerate(seen):
        phase = torch.linspace(0, 3 + s, last - first) * torch.arange(1, n_coils + 1)[:, None]
        maps[s, :, 0, :, first:last] = torch.polar(torch.full_like(phase, n_coils**-0.5), phase)
    counts = (torch.rand(n_slices, n_lines, generator=generator) < 0.4).int()
    counts[:, n_lines // 2 - 12 : n_lines // 2 + 12] = 1
    encoding = CartesianEncoding(maps, counts)
    blocks = torch.rand(n_slices, n_columns // 8, 1, n_lines // 8, generator=generator)
    image = 20 * blocks.repeat_interleave(8, 1).repeat_interleave(8, 3).to(torch.complex64)
    noise = torch.randn(encoding.kspace_shape, dtype=torch.complex64, generator=generator)
    return encoding, encoding.adjoint(encoding.forward(image) + noise * (counts > 0)[:, None, None])


def test_a_batch_of_slices_gives_the_images_that_a_cpu_makes_of_each(place, monkeypatch):
    device, options = place
    encoding, right_side = slices_with_objects_at([(30, 110), (6, 140), (70, 152), (40, 100)])
    assert len({rows.start for rows in object_rows(encoding)}) == 4
    assert len({rows.stop - rows.start for rows in object_rows(encoding)}) == 3
    settings = Settings()
    each = METHODS["cs"](encoding, right_side, settings)
    monkeypatch.setattr("knerve.recon.proximal_gradient._iterates", partial(CudaIterates, **options))
    there = CartesianEncoding(encoding.maps.to(device), encoding.counts.to(device))
    batch = cs_at_once(there, right_side.to(device), settings).cpu()
    differences = (batch - each).abs().square().mean((1, 2, 3)).sqrt()  # noise standard deviations
    assert differences.max() < 1e-3
