"""CUDA C kernels of this room: compiled when first used, for one problem's sizes, and launched on torch's current stream.

A source is a few `.cu` files one after the other; the sizes are constants put before them, so that loops unroll and arrays
stay in registers. `cuda_on_cpu.py` compiles the same sources for a CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

Argument = Tensor | int | float | None  # a tensor or None is a pointer
Constant = int | float | Sequence[float]
OPTIONS = ("-std=c++17",)


class KernelError(RuntimeError):
    """A kernel that does not compile here."""


class Kernels(Protocol):
    """The kernels of one compiled source."""

    def launch(self, name: str, grid: tuple[int, int, int], n_threads: int, arguments: Sequence[Argument]) -> None:
        """Run a kernel on `grid` blocks of `n_threads` threads; the arguments are those of its CUDA C function."""


Compile = Callable[[str], Kernels]


class _Stream(NamedTuple):
    """What CuPy takes for a stream of somebody else."""

    ptr: int


class CupyKernels:
    """`Kernels` of a source that NVRTC compiles; CuPy keeps the result in the user's cache."""

    def __init__(self, source: str) -> None:
        cupy: Any = import_module("cupy")  # only where there is a GPU
        self._module = cupy.RawModule(code=source, options=OPTIONS)
        try:
            self._module.compile()
        except cupy.cuda.compiler.CompileException as error:
            raise KernelError(f"NVRTC could not compile a CUDA kernel:\n{error}") from error
        self._kernels: dict[str, Any] = {}

    def launch(self, name: str, grid: tuple[int, int, int], n_threads: int, arguments: Sequence[Argument]) -> None:
        """See `Kernels`."""
        if name not in self._kernels:
            self._kernels[name] = self._module.get_function(name).kernel
        stream = _Stream(torch.cuda.current_stream().cuda_stream)
        self._kernels[name](grid, (n_threads, 1, 1), [_passed(each) for each in arguments], stream=stream)


@cache
def compiled_by_cupy(source: str) -> CupyKernels:
    """The kernels of a source, compiled once per process."""
    return CupyKernels(source)


@cache
def has_cupy() -> bool:
    """Whether kernels can be compiled for a GPU; found out once, with a warning where CuPy is there and cannot."""
    if find_spec("cupy") is None:
        return False
    try:
        CupyKernels('extern "C" __global__ void nothing() {}')
    except Exception as error:  # whatever a broken installation raises: plain tensor operations do without it
        words = f"CuPy cannot compile kernels here ({type(error).__name__}: {error}); plain tensor operations are used, slower."
        warnings.warn(words, RuntimeWarning, stacklevel=2)
        return False
    return True


def source_of(names: Sequence[str], constants: Mapping[str, Constant]) -> str:
    """The `.cu` files of this room with these names, after the constants as macros."""
    lines = [f"#define {name} {_literal(value)}" for name, value in constants.items()]
    folder = files("knerve.gpu")
    return "\n".join([*lines, *(folder.joinpath(f"{name}.cu").read_text(encoding="utf-8") for name in names)])


def _literal(value: Constant) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value!r}f"
    return ", ".join(_literal(each) for each in value)


def _passed(argument: Argument) -> object:
    """An argument as CuPy passes it on with the size that the kernel expects."""
    if argument is None:
        return np.uint64(0)
    if isinstance(argument, Tensor):
        return np.uint64(argument.data_ptr())
    return np.int32(argument) if isinstance(argument, int) else np.float32(argument)
