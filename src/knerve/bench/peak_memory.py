"""How much memory this process held at its largest."""

from __future__ import annotations

from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start_peak() -> None:
    """Forget the peak so far, where the system allows it."""
    try:
        RESET.write_text("5", encoding="ascii")
    except OSError:  # not Linux, or not allowed: then the peak is that of the whole life
        return


def peak_bytes() -> int | None:
    """Largest resident memory since `start_peak`, libraries included; None where the system does not say."""
    try:
        text = STATUS.read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
