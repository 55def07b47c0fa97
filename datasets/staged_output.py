"""Write a folder of results aside, then rename it into place: a half-written folder never looks finished.

An existing folder is touched only when it is empty or holds nothing but the files of an earlier knerve output, as that
output's own `report.json` lists them.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knerve.recon.errors import OutputError

MARKER_FILE = "report.json"
MARKER_KEY = "knerve_report"
FILES_KEY = "files"
_HIDDEN_PREFIX = ".knerve-"


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `target` when the block ends without an error.

    The hidden folder stands beside `target`; inside it where a rename cannot replace `target` itself (a mount point,
    the current folder, a parent without write permission). Whatever the block raises, the hidden folder is removed and
    `target` is as it was.

    Raises:
        OutputError: `target` holds files of others, cannot be written, or the disk is full.
    """
    staging: Path | None = None
    try:
        with _os_errors_in_words(target):
            check_target(target)
            resolved = target.resolve()
            staging = _new_staging(resolved)
            yield staging
            _publish(staging, resolved)
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def check_target(target: Path) -> None:
    """Refuse early, before a long reconstruction, what `staged_directory` would refuse at its end.

    Raises:
        OutputError: `target` is a file, lies below a file, is not writable or holds files that knerve did not write.
    """
    with _os_errors_in_words(target):
        resolved = standing = target.resolve()
        while not standing.exists() and standing != standing.parent:
            standing = standing.parent
        if not standing.is_dir():
            raise OutputError(f"{standing} is a file, but a folder is needed for the results; choose another folder.")
        if not os.access(standing, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(standing))
        _try_to_write(_staging_place(resolved) if resolved == standing else standing)
        stranger = _first_stranger(target) if target.is_dir() else None
    if stranger is not None:
        raise OutputError(
            f'{target} already holds files that knerve did not write, "{stranger}" for one; '
            "choose a new or empty folder. Only an earlier knerve output is replaced."
        )


def _first_stranger(folder: Path) -> str | None:
    """Name of a file in `folder` that no earlier knerve output lists, or None."""
    ours = _listed_files(folder)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN_PREFIX))
        for name in sorted(names):
            relative = (Path(root) / name).relative_to(folder).as_posix()
            if relative not in ours:
                return relative
    return None


def _listed_files(folder: Path) -> frozenset[str]:
    """The files that the earlier output in `folder` says it consists of; empty when there is none."""
    try:
        report = json.loads((folder / MARKER_FILE).read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return frozenset()
    if not isinstance(report, dict) or MARKER_KEY not in report or not isinstance(report.get(FILES_KEY), list):
        return frozenset()
    return frozenset(str(name) for name in report[FILES_KEY])


def _try_to_write(folder: Path) -> None:
    """Make a folder in `folder` and remove it: some file systems refuse although the permissions are there."""
    trial = folder / f"{_HIDDEN_PREFIX}{secrets.token_hex(4)}.trial"
    trial.mkdir()
    trial.rmdir()


def _new_staging(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = _staging_place(target) / f"{_HIDDEN_PREFIX}{target.name}-{secrets.token_hex(4)}.partial"
    staging.mkdir()
    return staging


def _staging_place(target: Path) -> Path:
    """Where the hidden folder of a target stands: beside it, or inside where it cannot be renamed."""
    return target if target.is_dir() and _cannot_be_renamed(target) else target.parent


def _cannot_be_renamed(target: Path) -> bool:
    return target.is_mount() or target == Path.cwd() or not os.access(target.parent, os.W_OK)


def _publish(staging: Path, target: Path) -> None:
    if staging.parent == target:
        _fill(staging, target)
    else:
        _swap(staging, target)


def _swap(staging: Path, target: Path) -> None:
    """Put `staging` in the place of `target`; what stood there comes back if that fails."""
    if not target.exists():
        staging.rename(target)
        return
    old = staging.with_suffix(".old")
    target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _fill(staging: Path, target: Path) -> None:
    """Move the contents of `staging` up into `target`: the marker leaves first and arrives last."""
    old = staging.with_suffix(".old")
    old.mkdir()
    for entry in sorted(target.iterdir(), key=lambda entry: entry.name != MARKER_FILE):
        if not entry.name.startswith(_HIDDEN_PREFIX):
            entry.rename(old / entry.name)
    for entry in sorted(staging.iterdir(), key=lambda entry: entry.name == MARKER_FILE):
        entry.rename(target / entry.name)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _os_errors_in_words(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(_explanation(error, target)) from error


def _explanation(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{target} could not be written: the disk is full. Free some space or choose a folder on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} could not be written: no permission. Choose a folder that you may write to."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{target} could not be written: a file stands where a folder is needed. Choose another folder."
    if error.errno == errno.ENOENT:
        return f"{target} could not be written: no folder can be made there. Choose another folder."
    return f"{target} could not be written: {error}."
