"""Compile numeric loops: the one place that asks for numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, kept on disk between runs; it lets other threads run meanwhile."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))
