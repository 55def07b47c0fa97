"""The house as it is delivered: every folder listed, wheel and sdist complete, rooms without circles."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
PACKAGE_DIR: dict[str, str] = SETUPTOOLS["package-dir"]
ROOMS = {folder for package, folder in PACKAGE_DIR.items() if package != "knerve"}
NOT_SOURCE = (".*", "demo", "build", "dist", "*.egg-info", "__pycache__")
EXTRAS_FOR_USERS = EXTRAS.keys() - {"test"}
IMPORT_NAMES = {"pillow": "PIL"}  # of distributions, where it is not their own name

pytestmark = pytest.mark.xdist_group("packaging")  # one worker, so that the wheel is built once

IMPORT_EVERYTHING = """
import importlib, pathlib, pkgutil, sys
installed, environment = sys.argv[1:]
sys.path.append(environment)
sys.path.insert(0, installed)
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
import knerve
names = [knerve.__name__] + [module.name for module in pkgutil.walk_packages(knerve.__path__, "knerve.")]
for name in names:
    origin = pathlib.Path(importlib.import_module(name).__file__)
    assert origin.is_relative_to(installed), f"{name} came from {origin}, not from {installed}"
print(*names, sep="\\n")
"""


def folder_of(package: str) -> Path:
    """The folder that `package-dir` gives a package, through its nearest listed parent."""
    if package in PACKAGE_DIR:
        return Path(PACKAGE_DIR[package])
    parent, _, name = package.rpartition(".")
    return folder_of(parent) / name


def folders_with_code() -> set[Path]:
    """Folders with Python files below a room or the front door, relative to the repository; links are not followed."""
    return {
        file.parent.relative_to(ROOT)
        for top in PACKAGE_DIR.values()
        for file in (ROOT / top).rglob("*.py")
        if not any(parent.is_symlink() for parent in file.parents)
    }


def test_every_folder_with_code_is_listed() -> None:
    listed = {folder_of(package) for package in SETUPTOOLS["packages"]}
    missing = folders_with_code() - listed
    assert not missing, f"add to [tool.setuptools] packages in pyproject.toml: {sorted(map(str, missing))}"
    gone = {folder for folder in listed if not (ROOT / folder / "__init__.py").is_file()}
    assert not gone, f"listed in pyproject.toml, but without __init__.py: {sorted(map(str, gone))}"


def test_every_room_has_its_link_for_the_tools() -> None:
    for room in ROOMS:
        link = ROOT / "src" / "knerve" / room
        assert link.is_symlink(), f"mypy finds the rooms through src/knerve/{room}"
        assert link.resolve() == ROOT / room


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel built from it: offline, from a copy, with the setuptools of this environment."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_module_of_the_wheel_imports_in_isolation(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", IMPORT_EVERYTHING, str(installed), sysconfig.get_path("purelib")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert set(SETUPTOOLS["packages"]) <= imported
    modules = {
        ".".join((package, file.stem))
        for package in SETUPTOOLS["packages"]
        for file in (ROOT / folder_of(package)).glob("*.py")
        if file.stem != "__init__"
    }
    assert modules <= imported


def test_wheel_holds_every_resource_and_nothing_else_of_the_repository(installed: Path) -> None:
    resources = [
        (package, file)
        for package in SETUPTOOLS["packages"]
        for file in (ROOT / folder_of(package)).iterdir()
        if file.is_file() and file.suffix not in (".py", ".md") and not file.name.startswith(".")
    ]
    assert resources
    for package, file in resources:
        assert (installed / package.replace(".", "/") / file.name).is_file(), (
            f"{file} is not in the wheel: add its suffix to [tool.setuptools] package-data in pyproject.toml"
        )
    top_level = {entry.name for entry in installed.iterdir() if not entry.name.endswith(".dist-info")}
    assert top_level <= {"knerve", "bin"}


def test_sdist_holds_every_room(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {
        str(file.relative_to(ROOT)) for folder in folders_with_code() for file in (ROOT / folder).glob("*.py")
    } | {"pyproject.toml", "README.md", "LICENSE"}
    assert expected <= names, f"not in the sdist: {sorted(expected - names)}"


def test_no_import_circles() -> None:
    graph = grimp.build_graph("knerve", cache_dir=None)
    assert len(graph.modules) > len(SETUPTOOLS["packages"]), "grimp followed the links and saw the rooms"
    circles = [
        (module, imported)
        for module in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if graph.chain_exists(importer=imported, imported=module)
    ]
    assert not circles, f"these imports close a circle: {circles}"


def test_every_library_that_is_imported_is_declared() -> None:
    graph = grimp.build_graph("knerve", include_external_packages=True, cache_dir=None)
    imported = {module for module in graph.modules if graph.is_module_squashed(module)} - set(sys.stdlib_module_names)
    for_users = [*PROJECT["dependencies"], *(line for extra in EXTRAS_FOR_USERS for line in EXTRAS[extra])]
    names = {Requirement(line).name for line in for_users}
    declared = {IMPORT_NAMES.get(name, name) for name in names}
    undeclared = imported - declared
    assert not undeclared, f"add to dependencies in pyproject.toml, or to an extra: {sorted(undeclared)}"
