"""BART (https://mrirecon.github.io/bart): `bart ecalib` and `bart pics` with wavelets, as its users run it.

    bart         as it comes
    bart-tuned   with an allocator that keeps memory instead of giving it back: a third of its time is page faults
    bart-cc8     that, and `bart cc` from all coils to 8 virtual ones: what an expert does

Uecker et al. 2015, ISMRM 23:2486; ESPIRiT: doi:10.1002/mrm.24751; coil compression: doi:10.1002/mrm.21237.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from knerve.bench.case_files import CaseFiles
from knerve.bench.cfl import read_cfl
from knerve.bench.child_process import Child, run_child
from knerve.bench.methods import Magnitude, Measured, Method, Search, Setting

TUNED_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
N_VIRTUAL_COILS = 8
IMAGE_AXES = 0b11  # readout and first phase encode: what the wavelets run over


class Bart:
    """BART's command line on one case."""

    def __init__(self, files: CaseFiles, n_threads: int, *, n_virtual_coils: int | None) -> None:
        self._files = files
        self._environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
        self._n_virtual_coils = n_virtual_coils
        self._folder = Path(tempfile.mkdtemp(prefix="bart-", dir=files.folder))

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """Every command from its start to its end, files read and written."""
        assert setting is not None, "BART is told its weight and iterations"
        start = self._command("version")
        stages = self._calibrate()
        stages["solve"] = self._solve(setting)
        seconds = {name: child.seconds for name, child in stages.items()}
        measured = Measured(
            seconds=sum(seconds.values()),
            cpu_seconds=sum(child.cpu_seconds for child in stages.values()),
            stages=seconds | {"start of a process, within each": start.seconds},
            peak_bytes=max(child.peak_bytes for child in stages.values()),
        )
        return self._image(), measured

    def curve(self, weight: float, iterations: Sequence[int]) -> Magnitude:
        """One solution after the other with the same coil sensitivities."""
        if not (self._folder / "maps.cfl").is_file():
            self._calibrate()
        images = []
        for n in iterations:
            self._solve(Setting(weight, n))
            images.append(self._image())
        return np.stack(images)

    def _calibrate(self) -> dict[str, Child]:
        width, stages = str(self._files.case.n_calibration), {}
        if self._n_virtual_coils is not None:
            virtual = str(self._n_virtual_coils)
            stages["compress"] = self._command(
                "cc", "-p", virtual, "-r", width, str(self._files.cfl), str(self._folder / "virtual")
            )
        stages["calibration"] = self._command(
            "ecalib", "-m", "1", "-r", width, str(self._kspace), str(self._folder / "maps")
        )
        return stages

    def _solve(self, setting: Setting) -> Child:
        prior = f"W:{IMAGE_AXES}:0:{setting.weight:.6g}"
        names = (str(self._kspace), str(self._folder / "maps"), str(self._folder / "image"))
        return self._command("pics", "-S", "-i", str(setting.iterations), "-R", prior, *names)

    @property
    def _kspace(self) -> Path:
        return self._files.cfl if self._n_virtual_coils is None else self._folder / "virtual"

    def _image(self) -> Magnitude:
        return np.abs(read_cfl(self._folder / "image")).squeeze().T

    def _command(self, *words: str) -> Child:
        return run_child(("bart", *words), self._environment, self._folder / "words.txt")


def missing() -> str | None:
    """Why BART cannot run here."""
    return None if shutil.which("bart") else "no `bart` on PATH; on Debian: apt-get install bart"


def version() -> str:
    """As BART tells it."""
    return "BART " + subprocess.run(("bart", "version"), capture_output=True, text=True, check=True).stdout.strip()


COUNTED = "the commands, each a process of its own, with reading and writing its files: "
METHODS = (
    Method(
        name="bart",
        home=__name__,
        label="BART",
        counted=COUNTED + "ecalib, pics",
        start=partial(Bart, n_virtual_coils=None),
        missing=missing,
        version=version,
        search=Search("bart", start=0.008),
    ),
    Method(
        name="bart-tuned",
        home=__name__,
        label="BART, tuned allocator",
        counted=COUNTED + f"ecalib, pics, with {', '.join(TUNED_ALLOCATOR)} large",
        start=partial(Bart, n_virtual_coils=None),
        missing=missing,
        version=version,
        environment=TUNED_ALLOCATOR,
        search=Search("bart", start=0.008),
    ),
    Method(
        name="bart-cc8",
        home=__name__,
        label=f"BART, tuned, {N_VIRTUAL_COILS} virtual coils",
        counted=COUNTED + f"cc to {N_VIRTUAL_COILS} coils, ecalib, pics, with the allocator tuned",
        start=partial(Bart, n_virtual_coils=N_VIRTUAL_COILS),
        missing=missing,
        version=version,
        environment=TUNED_ALLOCATOR,
        search=Search("bart-cc8", start=0.008),
    ),
)
