"""Heavy libraries, imported so that a user waits as little as possible."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this block without garbage collection, now and later.

    What is imported stays until the process ends; looking through torch for garbage again and again costs a tenth of its
    import, and once more at the end of the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def import_in_background(module: str) -> None:
    """Import a module that is needed later, while the processor's other work does not hold Python's lock."""
    Thread(target=import_module, args=(module,)).start()
