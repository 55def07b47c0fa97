"""knerve itself in a warm process, with its automatic defaults.

Nothing is searched for: weight, compression, calibration and stopping are what `Settings()` says. What is counted is more
than the peers': knerve starts from raw data, and estimates noise, whitens, and drops the oversampling with the clock running.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version as distribution_version
from typing import get_args

from knerve.bench.case_files import CaseFiles
from knerve.bench.methods import Magnitude, Measured, Method, Setting
from knerve.bench.stopwatch import RunWatch
from knerve.recon.settings import Method as MethodName
from knerve.recon.settings import SnrMap
from knerve.start_up import reuse_freed_memory

STAGE_NAMES = {"calibrate": "calibration"}  # knerve's, in the words of the benchmark


class Own:
    """One of knerve's methods on one case, the raw scan in memory."""

    def __init__(self, files: CaseFiles, n_threads: int, *, method: MethodName, snr_map: SnrMap) -> None:
        from knerve.datasets.reading import read_raw
        from knerve.recon.settings import Settings

        reuse_freed_memory()  # as knerve's commands do
        self._scan = read_raw(files.raw)
        self._settings = Settings(method=method, snr_map=snr_map, threads=n_threads, device="cpu")

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """From raw k-space in memory to the image in memory."""
        from knerve.recon.pipeline import reconstruct

        assert setting is None, "knerve finds its weight by itself"
        watch = RunWatch()
        images = reconstruct(self._scan, self._settings)
        measured = watch.stop({STAGE_NAMES.get(name, name): seconds for name, seconds in images.seconds.items()})
        return images.magnitude[0].numpy(), measured


def missing() -> str | None:
    """No reason: knerve is always there."""
    return None


def version() -> str:
    """Of the installed distribution; the commit stands among the machine's facts."""
    return f"knerve {distribution_version('knerve')}"


def own_method(method: MethodName, *, noise_map: bool) -> Method:
    """One of knerve's methods, with or without the map of the noise beside the image."""
    return Method(
        name=f"knerve-{method}" + ("-map" if noise_map else ""),
        home=__name__,
        label=f"knerve {method}" + (" with noise map" if noise_map else ""),
        counted="from raw k-space in memory to the image in memory, in a warm process: noise, whitening, readout, calibration, "
        "compression, solution" + (", map of the noise" if noise_map else ""),
        start=partial(Own, method=method, snr_map="analytic" if noise_map else "none"),
        missing=missing,
        version=version,
        ours=True,
    )


METHODS = (
    own_method("cs", noise_map=False),
    own_method("cs", noise_map=True),
    *(own_method(method, noise_map=False) for method in get_args(MethodName) if method not in ("cs", "zero-filled")),
)
REFERENCE = METHODS[0].name  # what the others are compared with
