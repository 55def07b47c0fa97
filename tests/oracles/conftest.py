"""Programs of others that judge ours.

`make test-oracles` installs them and demands them; elsewhere the tests of an absent one skip with the reason. Some are under the
GPL or the AGPL: they are asked for here, in tests, and nowhere in the package.
"""

from __future__ import annotations

import importlib
import os
import shutil
from functools import cache
from types import ModuleType
from typing import NoReturn

import pytest

from knerve.sequences.protocol import Protocol, preset_names
from knerve.sequences.pulseq_export import export

ARE_REQUIRED = os.environ.get("ORACLES") == "required"


def absent(reason: str) -> NoReturn:
    """Skip the test, or fail it where the oracles are required."""
    if ARE_REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def foreign(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        absent(f"the oracle {name} cannot be imported ({problem}); `make test-oracles` installs it")


@pytest.fixture(scope="session")
def pydisseqt() -> ModuleType:
    """A parser of Pulseq 1.4.1 in Rust (MIT)."""
    return foreign("pydisseqt")


@pytest.fixture(scope="session")
def pulseq_rs() -> ModuleType:
    """A parser of Pulseq 1.4.1 and 1.5 in Rust, part of MRzeroCore (AGPL-3); a private name, so the version is pinned."""
    return foreign("MRzeroCore._prepass")


@pytest.fixture(scope="session")
def pypulseqpp() -> ModuleType:
    """A parser of Pulseq 1.5 in C++ (MIT). Importing it changes the default rasters of PyPulseq; ours are all named."""
    return foreign("pypulseqpp.io")


@pytest.fixture(scope="session")
def epyg() -> ModuleType:
    """Operators of an extended phase graph (MIT)."""
    foreign("epyg.EpyG")
    return foreign("epyg.Operators")


@pytest.fixture(scope="session")
def blochsim() -> ModuleType:
    """Simulators of whole sequences by an extended phase graph in single precision (MIT)."""
    return foreign("blochsim.simulators")


@pytest.fixture(scope="session")
def blochsimulator() -> ModuleType:
    """A Bloch simulator in C that plays .seq files sample by sample (GPL-3)."""
    foreign("blochsimulator.sequence")
    return foreign("blochsimulator")


@pytest.fixture(scope="session")
def bart() -> str:
    """The path of the Berkeley Advanced Reconstruction Toolbox."""
    path = shutil.which("bart")
    if path is None:
        absent("the oracle BART is not on PATH; install it, on Debian with `apt-get install bart`")
    return path


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Writes a version of a preset as a .seq file, once, and gives its path."""
    folder = tmp_path_factory.mktemp("seq")

    @cache
    def path_of(name, version):
        path = folder / f"{name}-{version}.seq"
        export(Protocol.load(name), path, version)
        return path

    return path_of


@pytest.fixture(scope="module", params=preset_names())
def protocol(request) -> Protocol:
    """Every preset in turn."""
    return Protocol.load(request.param)
