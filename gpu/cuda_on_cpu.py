"""The CUDA C kernels of this room compiled for a CPU by g++: their twin for tests and rehearsals, slower than numba's."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from torch import Tensor

from knerve.gpu.cuda_kernels import Argument, KernelError

COMPILER = "g++"
OPTIONS = ("-std=c++20", "-O2", "-shared", "-fPIC", "-pthread")
KERNEL = re.compile(r"__global__[^{;]*?\bvoid\b(?:\s+__launch_bounds__\(.*?\)\s)?\s*(\w+)\(", re.DOTALL)


class GccKernels:
    """`Kernels` of a source that g++ compiles; kernels run one at a time, as their shared memory is static."""

    def __init__(self, source: str, options: Sequence[str] = ()) -> None:
        """Compile.

        Args:
            source: CUDA C.
            options: more of them for the compiler.
        """
        shim = files("knerve.gpu").joinpath("cuda_on_cpu.cu").read_text(encoding="utf-8")
        entries = [
            f'extern "C" void launch_{name}(const int* grid, int n, void** arguments) {{ run({name}, grid, n, arguments); }}'
            for name in KERNEL.findall(source)
        ]
        with tempfile.TemporaryDirectory() as folder:
            path, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            path.write_text("\n".join([shim, source, *entries]), encoding="utf-8")
            command = [COMPILER, *OPTIONS, *options, str(path), "-o", str(library)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise KernelError(f"{COMPILER} could not compile the CUDA kernels:\n{done.stderr[-2000:]}")
            self._library = ctypes.CDLL(str(library))

    def launch(self, name: str, grid: tuple[int, int, int], n_threads: int, arguments: Sequence[Argument]) -> None:
        """See `Kernels`; the tensors are on the CPU."""
        values = [_passed(each) for each in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self._library[f"launch_{name}"]((ctypes.c_int * 3)(*grid), n_threads, pointers)


@cache
def compiled_by_gcc(source: str) -> GccKernels:
    """The kernels of a source, compiled once per process."""
    return GccKernels(source)


def has_gcc() -> bool:
    """Whether kernels can be compiled for the CPU."""
    return shutil.which(COMPILER) is not None


def _passed(argument: Argument) -> ctypes.c_void_p | ctypes.c_int | ctypes.c_float:
    if argument is None:
        return ctypes.c_void_p()
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int(argument) if isinstance(argument, int) else ctypes.c_float(argument)
