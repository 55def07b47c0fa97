"""What can go wrong in a benchmark, beyond what the reconstruction itself refuses."""

from __future__ import annotations

from knerve.recon.errors import KnerveError


class BenchError(KnerveError):
    """A benchmark that cannot be run or whose numbers cannot be believed."""


class MethodFailedError(BenchError):
    """One method crashed, hung or gave an image that is none; the others go on."""
