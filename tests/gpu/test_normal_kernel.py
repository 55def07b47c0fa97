"""The fused gradient step, against the encoding that explains it."""

import pytest
import torch

from knerve.gpu.normal_kernel import GradientStep
from knerve.recon.encoding import CartesianEncoding


def random_problem(n_columns, n_sets, n_coils, n, penalty, n_lines=0):
    generator = torch.Generator().manual_seed(n)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.complex64, generator=generator)

    counts = torch.randint(0, 3, (1, n_lines or n), generator=generator, dtype=torch.int32)
    encoding = CartesianEncoding(draw(1, n_columns, n_sets, n_coils, n), counts, penalty)
    return encoding, [draw(1, n_columns, n_sets, n) for _ in range(3)]


@pytest.mark.parametrize(
    ("n_columns", "n_sets", "n_coils", "n", "penalty", "n_lines"),
    [
        (16, 1, 1, 8, 0.0, 8),
        (37, 1, 5, 60, 0.0, 60),
        (37, 2, 3, 45, 0.0, 45),
        (5, 1, 4, 64, 0.7, 64),
        (50, 2, 2, 1, 1.0, 1),
        (37, 2, 3, 32, 0.0, 60),
    ],
)
def test_equals_the_plain_step(n_columns, n_sets, n_coils, n, penalty, n_lines):
    encoding, (x, before, right) = random_problem(n_columns, n_sets, n_coils, n, penalty, n_lines)
    z = x + 0.7 * (x - before)
    expected = z - 0.3 * (encoding.normal(z) - right)
    kernel = GradientStep(encoding.maps[0], encoding.counts[0], penalty)
    target = kernel.planes(torch.zeros_like(x[0]))
    kernel(kernel.planes(x[0]), kernel.planes(before[0]), 0.7, kernel.planes(right[0]), 0.3, target)
    difference = (kernel.image(target) - expected[0]).abs().max()
    assert difference < 2e-6 * expected.abs().max()


def test_does_not_depend_on_the_number_of_threads():
    encoding, (x, before, right) = random_problem(100, 1, 4, 60, 0.0)
    kernel = GradientStep(encoding.maps[0], encoding.counts[0], 0.0)
    planes = [kernel.planes(image[0]) for image in (x, before, right)]
    targets = []
    n_before = torch.get_num_threads()
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        target = kernel.planes(torch.zeros_like(x[0]))
        kernel(planes[0], planes[1], 0.5, planes[2], 0.9, target)
        targets.append(torch.from_numpy(target))
    torch.set_num_threads(n_before)
    assert torch.equal(*targets)


def test_planes_hold_the_image():
    encoding, (x, _, _) = random_problem(21, 2, 1, 12, 0.0)
    kernel = GradientStep(encoding.maps[0], encoding.counts[0], 0.0)
    assert kernel.planes(x[0]).shape == (2, 2, 32, 12)
    assert torch.equal(kernel.image(kernel.planes(x[0])), x[0])
