from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from knerve.recon.learned.network import Architecture, ResidualUNet, as_channels, as_complex, phase_of
from knerve.recon.learned.problem import PlainNormal, Problem
from knerve.recon.learned.unrolled import BY_HALF, Seen, Unrolled, local_phase, object_box

SMALL = Architecture(widths=(4, 6, 8), n_steps=2)


def awake(model: torch.nn.Module) -> torch.nn.Module:
    """A model that has learned something: no weight is zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for values in model.parameters():
            values += 0.1 * torch.randn(values.shape, generator=generator)
    return model


def small_problem(n_x: int = 20, n_coils: int = 4, n_y: int = 30) -> tuple[Problem, PlainNormal]:
    generator = torch.Generator().manual_seed(5)
    maps = torch.randn(n_x, n_coils, n_y, generator=generator, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    normal = PlainNormal(maps, (torch.rand(n_y, generator=generator) < 0.5).float())
    images = torch.randn(2, 1, n_x, n_y, generator=generator, dtype=torch.complex64)
    return Problem(30 * images[0], 30 * images[1], torch.full((n_x, n_y), 1.5)), normal


def seen_of(problem: Problem, turn: complex = 1.0) -> Seen:
    images = (turn * each for each in (problem.start, problem.right, problem.right - problem.start))
    return Seen.of(*images, problem.noise, object_box(problem.noise))


def test_no_biases() -> None:
    assert not [name for name, _ in ResidualUNet(SMALL).named_parameters() if "bias" in name]


@pytest.mark.parametrize("factor", [0.01, 7.0, 500.0])
def test_brightness_scales_through(factor: float) -> None:
    model = awake(Unrolled(SMALL))
    problem, normal = small_problem()
    with torch.no_grad():
        image = model(problem, normal)[-1]
        scaled = model(problem.scaled(factor), normal)[-1]
    assert float((image - problem.start).abs().max()) > 0.1
    torch.testing.assert_close(scaled, factor * image, rtol=1e-4, atol=1e-4 * factor)


def test_phase_turns_through() -> None:
    model = awake(Unrolled(SMALL))
    problem, normal = small_problem()
    turn = torch.polar(torch.tensor(1.0), torch.tensor(2.0))
    turned = replace(problem, right=turn * problem.right, start=turn * problem.start)
    with torch.no_grad():
        image = model(problem, normal)[-1]
        torch.testing.assert_close(model(turned, normal)[-1], turn * image, rtol=1e-3, atol=1e-3)


def test_nothing_changes_across_the_local_phase_where_a_network_is_trained() -> None:
    model = awake(Unrolled(SMALL))
    problem, _ = small_problem()
    with torch.no_grad():
        image = model.refined(0, problem.start, problem.right, problem.right, problem.noise)
    change = (image - problem.start) * local_phase(problem.start).conj()
    assert float(change.real.abs().max()) > 0.1
    torch.testing.assert_close(change.imag, torch.zeros_like(change.imag), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("power", "unknown"), [(1.0, 0.1 / 1.1), (0.0, 1.0), (0.1, 0.5)])
def test_what_changes_across_the_phase_is_what_the_lines_do_not_tell(power: float, unknown: float) -> None:
    model, seen = awake(Unrolled(SMALL)), seen_of(small_problem()[0])
    with torch.no_grad():
        change = seen.phase.conj() * model.change(0, seen, lambda image: power * image)
        across = model.answer(0, seen.across)
    assert float(across.abs().max()) > 0.1
    torch.testing.assert_close(change.imag, unknown * across, rtol=1e-4, atol=1e-3)


def test_across_the_phase_the_network_is_asked_as_if_that_were_the_image() -> None:
    problem = small_problem()[0]
    seen, turned = seen_of(problem), seen_of(problem, 1j)
    torch.testing.assert_close(turned.phase, 1j * seen.phase)
    torch.testing.assert_close(turned.channels, seen.channels)  # a common phase is nothing to see
    by_quarter = replace(seen, channels=seen.across)
    torch.testing.assert_close(by_quarter.across[:, :-1], -seen.channels[:, :-1])
    torch.testing.assert_close(seen.across[:, -1], seen.channels[:, -1])


def test_the_first_network_is_blind_to_a_turn_by_half_along_the_phase() -> None:
    model = awake(Unrolled(SMALL))
    seen = seen_of(small_problem(24, 4, 32)[0])
    turned = replace(seen, phase=seen.phase.flip(BY_HALF), channels=seen.channels.flip(BY_HALF))

    def along(change: Tensor, of: Seen) -> Tensor:
        return (of.phase.conj() * change).real

    with torch.no_grad():
        changes = [along(model.change(k, each, lambda image: image), each) for k in (0, 1) for each in (seen, turned)]
    first, first_turned, second, second_turned = changes
    torch.testing.assert_close(first_turned.flip(BY_HALF), first)
    assert float((second_turned.flip(BY_HALF) - second).abs().max()) > 0.1


def test_phase_of_nothing_is_nothing() -> None:
    image = torch.tensor([[0, 3j, -1e-3]], dtype=torch.complex64)
    torch.testing.assert_close(phase_of(image), torch.tensor([[0, 1j, -1]], dtype=torch.complex64))


@pytest.mark.parametrize("n_coils", [1, 4, 32])
@pytest.mark.parametrize(("n_x", "n_y"), [(20, 30), (21, 33), (17, 40)])
def test_any_matrix_and_number_of_coils(n_x: int, n_y: int, n_coils: int) -> None:
    model = awake(Unrolled(SMALL))
    problem, normal = small_problem(n_x, n_coils, n_y)
    with torch.no_grad():
        images = model(problem, normal)
    assert all(image.shape == (1, n_x, n_y) for image in images)
    assert bool(torch.isfinite(torch.view_as_real(images[-1])).all())


def test_untrained_network_changes_nothing_but_consistency() -> None:
    problem, normal = small_problem()
    with torch.no_grad():
        first, second, _ = Unrolled(SMALL)(problem, normal)
    torch.testing.assert_close(first, problem.start)
    torch.testing.assert_close(second, problem.start)


def test_only_the_object_is_looked_at() -> None:
    model = awake(Unrolled(SMALL))
    (problem, _), generator = small_problem(64, 4, 200), torch.Generator().manual_seed(1)
    inside = torch.zeros(64, 200)
    inside[:, 90:130] = 1
    problem = replace(problem, start=problem.start * inside, noise=problem.noise * inside)
    folded = torch.randn(1, 64, 200, dtype=torch.complex64, generator=generator) * inside
    with torch.no_grad():
        cut = model.refined(0, problem.start, folded, folded, problem.noise)
        whole = model.refined(0, problem.start, folded, folded, problem.noise + 1e-9 * (1 - inside))
    assert object_box(problem.noise)[1] == slice(72, 146)
    torch.testing.assert_close(cut * inside, whole * inside, rtol=1e-3, atol=1e-3)


def test_the_same_twice() -> None:
    model = awake(Unrolled(SMALL))
    problem, normal = small_problem()
    with torch.no_grad():
        assert torch.equal(model(problem, normal)[-1], model(problem, normal)[-1])


def test_channels_are_real_and_imaginary_parts() -> None:
    image = torch.randn(2, 5, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    assert as_channels(image).shape == (2, 2, 5, 6)
    assert torch.equal(as_channels(image)[:, 1], image.imag)
    assert torch.equal(as_complex(as_channels(image)), image)
