"""Start-up leaves Python as it found it."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from importlib import import_module

import pytest

from knerve.start_up import import_in_background, quick_imports


def test_collection_pauses_and_comes_back() -> None:
    frozen = gc.get_freeze_count()
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    gc.unfreeze()


def test_collection_comes_back_after_a_failed_import() -> None:
    with pytest.raises(ModuleNotFoundError), quick_imports():
        import_module("knerve.nothing_of_this_name")
    assert gc.isenabled()
    gc.unfreeze()


def test_a_module_arrives_in_the_background() -> None:
    sys.modules.pop("colorsys", None)
    import_in_background("colorsys")
    until = time.monotonic() + 5
    while "colorsys" not in sys.modules and time.monotonic() < until:
        time.sleep(0.01)
    assert "colorsys" in sys.modules


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_large_blocks_are_used_again() -> None:
    """In a process of its own: a block freed and taken again causes no new page faults."""
    program = """
import resource
from knerve.start_up import reuse_freed_memory
reuse_freed_memory()
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(range(0, 64 << 20, 4096))
    del block
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(faults[-1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # of 16384 pages
