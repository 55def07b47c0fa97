"""On what was measured: processor, memory, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import knerve
from knerve.bench.rounds import load

CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
LIBRARIES = ("knerve", "torch", "numba", "numpy", "scipy")


@dataclass(frozen=True)
class Machine:
    """The machine and the software, None where the system does not say; `load_at_start` is the mean of a minute."""

    processor: str
    cores: int
    frequency_mhz: float | None
    memory_bytes: int | None
    system: str
    load_at_start: float | None
    versions: dict[str, str | None]
    commit: str | None


def machine_facts() -> Machine:
    """Ask the system."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    return Machine(
        processor=processor(),
        cores=cores(),
        frequency_mhz=frequency_mhz(),
        memory_bytes=memory_bytes(),
        system=f"{platform.system()} {platform.release()}",
        load_at_start=load(),
        versions=versions | {name: version_of(name) for name in LIBRARIES},
        commit=commit(),
    )


def version_of(distribution: str) -> str | None:
    """Of an installed library; None where it is not."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Name of the processor's model."""
    names = _values(CPU_INFO, "model name")
    return names[0] if names else platform.processor() or platform.machine()


def frequency_mhz() -> float | None:
    """Mean over the cores, now."""
    values = [float(value) for value in _values(CPU_INFO, "cpu MHz")]
    return sum(values) / len(values) if values else None


def memory_bytes() -> int | None:
    """Of the whole machine."""
    values = _values(MEMORY_INFO, "MemTotal")
    return int(values[0].split()[0]) * 1024 if values else None


def commit() -> str | None:
    """Short commit of the sources that run, with `+` where files were changed since; None outside a git checkout."""
    folder = Path(knerve.__file__).parent
    named = _git(folder, "rev-parse", "--short=10", "HEAD")
    if not named or _git(folder, "ls-files", "__init__.py") == "":
        return None
    return named + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *words: str) -> str | None:
    """What git answers; None where it is missing or refuses."""
    try:
        done = subprocess.run(("git", "-C", str(folder), *words), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _values(file: Path, name: str) -> list[str]:
    """Values of all lines `name: value`; empty where the file cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name]
