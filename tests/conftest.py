"""What every room's tests share: seeded randomness, the checks that every linear operator passes, the command line, real data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

LinearMap = Callable[[Tensor], Tensor]
Randn = Callable[[Sequence[int]], Tensor]
CheckAdjoint = Callable[[LinearMap, LinearMap, Sequence[int], Sequence[int]], None]
CheckNormal = Callable[[LinearMap, LinearMap, LinearMap, Sequence[int]], None]


@pytest.fixture
def randn() -> Randn:
    """Complex normal numbers of a shape, the same in every run."""
    generator = torch.Generator().manual_seed(7)
    return lambda shape: torch.randn(tuple(shape), generator=generator, dtype=torch.complex64)


@pytest.fixture
def check_adjoint(randn: Randn) -> CheckAdjoint:
    """Linearity, and <A x, y> = <x, Aᴴ y> for random x and y."""

    def check(forward: LinearMap, adjoint: LinearMap, domain: Sequence[int], range_: Sequence[int]) -> None:
        x, x2, y = randn(domain), randn(domain), randn(range_)
        a = 0.3 - 1.2j
        torch.testing.assert_close(forward(a * x + x2), a * forward(x) + forward(x2), rtol=1e-4, atol=1e-4)
        left = torch.vdot(forward(x).flatten(), y.flatten())
        right = torch.vdot(x.flatten(), adjoint(y).flatten())
        scale = torch.linalg.vector_norm(forward(x)) * torch.linalg.vector_norm(y)
        assert float((left - right).abs() / scale) < 1e-5

    return check


@pytest.fixture
def check_normal(randn: Randn) -> CheckNormal:
    """Aᴴ A computed in one go equals the two steps, and is the gradient of ½ ‖A x‖²."""

    def check(forward: LinearMap, adjoint: LinearMap, normal: LinearMap, domain: Sequence[int]) -> None:
        x = randn(domain)
        torch.testing.assert_close(normal(x), adjoint(forward(x)), rtol=1e-4, atol=1e-4)
        variable = x.clone().requires_grad_(True)
        (0.5 * forward(variable).abs().square().sum()).backward()
        assert variable.grad is not None
        torch.testing.assert_close(normal(x), variable.grad, rtol=1e-4, atol=1e-4)

    return check


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real raw data beside the repository; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not here: real raw data are not part of the project")
    return folder


class Run(NamedTuple):
    """What one run of the command line left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """The one strict JSON document on stdout."""
        document = json.loads(self.out, parse_constant=_refuse)
        assert isinstance(document, dict)
        return document


def _refuse(constant: str) -> object:
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def knerve(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run `knerve` with some arguments in this process."""
    from knerve import cli  # tests of single rooms do without what it needs

    def run(*arguments: str | Path) -> Run:
        monkeypatch.setattr(sys, "argv", ["knerve", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return Run(int(stop.value.code or 0), said.out, said.err)

    return run
