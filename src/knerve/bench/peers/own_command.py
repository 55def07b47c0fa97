"""`knerve recon` as a user starts it: a cold process, from the raw file to images on disk."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import h5py

from knerve.bench.case_files import CaseFiles
from knerve.bench.child_process import run_child
from knerve.bench.methods import Magnitude, Measured, Method, Setting
from knerve.bench.peers.own import STAGE_NAMES, missing, version


class OwnCommand:
    """The command on one case."""

    def __init__(self, files: CaseFiles, n_threads: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="knerve-", dir=files.folder))
        self._out = self._folder / "out"
        program = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")
        options = ("--method", "cs", "--device", "cpu", "--threads", str(n_threads), "--out", str(self._out))
        self._command = (*program, "recon", str(files.raw), *options)

    def run(self, setting: Setting | None) -> tuple[Magnitude, Measured]:
        """One process from its start to its end."""
        assert setting is None, "knerve finds its weight by itself"
        shutil.rmtree(self._out, ignore_errors=True)
        child = run_child(self._command, os.environ, self._folder / "words.txt")
        return self._image(), Measured(child.seconds, child.cpu_seconds, self._stages(child.seconds), child.peak_bytes)

    def _image(self) -> Magnitude:
        with h5py.File(self._out / "images.h5") as file:
            magnitude: Magnitude = file["dataset/image_0/data"][0, 0, 0]
        return magnitude

    def _stages(self, seconds: float) -> dict[str, float]:
        told = json.loads((Path(self._out) / "report.json").read_text(encoding="utf-8"))["seconds"]
        stages = {STAGE_NAMES.get(name, name): float(value) for name, value in told.items()}
        return {"start, imports and all else": seconds - sum(stages.values())} | stages


METHODS = (
    Method(
        name="knerve-recon",
        home=__name__,
        label="knerve recon, cold process",
        counted="the command from the start of its process to its end: imports, reading, compressed sensing, map of the noise, "
        "images as MRD, DICOM and PNG, report",
        start=OwnCommand,
        missing=missing,
        version=version,
        ours=True,
    ),
)
