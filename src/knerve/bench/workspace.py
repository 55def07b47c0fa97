"""Where the benchmark's data lie while it runs: on a RAM disk if there is one, so that no disk is measured."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knerve.recon.errors import OutputError

RAM_DISK = Path("/dev/shm")
NEEDED_BYTES = 500 << 20  # raw data, the peers' copies, what BART writes on its way


@contextmanager
def workspace() -> Iterator[tuple[Path, str]]:
    """A folder that is removed at the end, and what it lies on: "RAM disk" or "disk".

    Raises:
        OutputError: there is no place for it.
    """
    parent, kind = (RAM_DISK, "RAM disk") if has_room(RAM_DISK) else (Path(tempfile.gettempdir()), "disk")
    free = shutil.disk_usage(parent).free
    if free < NEEDED_BYTES:
        raise OutputError(
            f"The benchmark's data need {NEEDED_BYTES >> 20} MB, but {parent} has {free >> 20} MB free. "
            "Free some, or name a folder on another disk in TMPDIR."
        )
    with tempfile.TemporaryDirectory(prefix="knerve-bench-", dir=parent) as folder, _full_disk_in_words(parent):
        yield Path(folder), kind


def has_room(folder: Path) -> bool:
    """Whether a folder can be written and holds the benchmark's data."""
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= NEEDED_BYTES


@contextmanager
def _full_disk_in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError(
            f"{folder} is full: the benchmark's data need {NEEDED_BYTES >> 20} MB. "
            "Free some, or name a folder on another disk in TMPDIR."
        ) from error
