"""The quickest of several ways to compute the same thing on this GPU, measured; ways that fail or are wrong are left out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from knerve.gpu.cuda_timing import gpu_seconds

N_TIMES = 5
TOLERANCE = 1e-4  # of the reference's norm


@dataclass(frozen=True)
class Choice:
    """Which way was chosen, and why.

    Attributes:
        name: of the way.
        seconds: median of each way that is right.
        refused: why each of the others is not.
    """

    name: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


_choices: dict[Hashable, Choice] = {}


def quickest(key: Hashable, ways: Mapping[str, Callable[[], Tensor]], reference: str) -> Choice:
    """Measure the ways once per key and process.

    Args:
        key: what the choice depends on: sizes, the GPU.
        ways: functions of no arguments that return the same tensor.
        reference: the way that is right by definition.
    """
    if key not in _choices:
        _choices[key] = _measured(ways, reference)
    return _choices[key]


def known_choices() -> Mapping[Hashable, Choice]:
    """All choices of this process."""
    return dict(_choices)


def _measured(ways: Mapping[str, Callable[[], Tensor]], reference: str) -> Choice:
    expected = ways[reference]()
    seconds, refused = {}, {}
    for name, way in ways.items():
        try:
            error = relative_difference(way(), expected)
        except (RuntimeError, ValueError, ImportError) as problem:  # a kernel that does not compile or run here
            refused[name] = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
            continue
        if not error <= TOLERANCE:
            refused[name] = f"its result is off by {error:.2g} of the reference's norm"
            continue
        seconds[name] = statistics.median(gpu_seconds(way, expected.device) for _ in range(N_TIMES))
    return Choice(min(seconds, key=seconds.__getitem__), seconds, refused)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """‖found - expected‖ / ‖expected‖."""
    size = torch.linalg.vector_norm(expected).clamp(min=1e-30)
    return float(torch.linalg.vector_norm(found - expected) / size)
