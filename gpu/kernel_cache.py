"""Where compiled numba kernels are kept, and the decorator that compiles them.

Numba looks only at the file of a kernel to see whether its compiled form is still right, but a kernel contains those it calls
from other files. So all of them live in one folder named after the sources of this room. A folder that others could write to
is never used: what lies in it is executed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel_folder() -> Path | None:
    """This user's folder for the kernels of exactly these sources; None where none can be made."""
    sources = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("cuda_"))
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    for parent in (_cache_home(), Path(tempfile.gettempdir()) / f"knerve-{_user_id()}"):
        folder = parent / f"kernels-{stamp}"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder):
                return folder
        except OSError:
            continue
    return None


def _cache_home() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path(os.path.expanduser("~")) / ".cache") / "knerve"


def _user_id() -> int:
    return os.getuid() if sys.platform != "win32" else 0


def _is_ours(folder: Path) -> bool:
    """Whether nobody else could have put a file there."""
    status = folder.lstat()
    if sys.platform == "win32":
        return stat.S_ISDIR(status.st_mode)
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and not others_write
        and os.access(folder, os.W_OK)
    )


_folder = kernel_folder()
if _folder is not None:
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_folder))  # read when numba is imported, so before the next line

from numba import config, njit  # noqa: E402

# numba may have been imported before us, and then keeps kernels beside their sources if it may write there
_is_kept = bool(getattr(config, "CACHE_DIR", "")) or os.access(Path(__file__).parent, os.W_OK)
_compiled: Any = njit(nogil=True, cache=_is_kept, fastmath=True, error_model="numpy")


def kernel(function: Function) -> Function:
    """Compile a function when it is first called; it runs without Python's lock and checks no bounds."""
    return cast(Function, _compiled(function))
