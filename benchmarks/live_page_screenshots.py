"""What the live page looks like while a scan runs and when it is over.

    python benchmarks/live_page_screenshots.py navigate.h5 --out docs

Starts `knerve serve --http`, plays a scan as fast as the server takes it, zero-filled, as the previous one, then plays it by its
time stamps, and takes pictures with Chromium: in the middle of the scan, after it with needle and target marked, and beside the
previous scan. Needle and target are each marked in a slice, right of and below the middle of the view by fractions of its height.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

CHROMIUM = "/usr/bin/chromium"
KNERVE = (sys.executable, "-P", "-c", "from knerve.cli import main; main()")
WARMING_UP_S = 12.0  # workers import torch
LONGEST_S = 240.0
MOST_SLICES = 200
PAINTED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
  () => done(document.querySelector("#now-slice b").textContent))))"""
SIZE: ViewportSize = {"width": 1920, "height": 1080}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """A server in a folder of its own; its ports for scanners and browsers."""
    port, http = free_port(), free_port()
    with tempfile.TemporaryDirectory() as spool:
        command = (*KNERVE, "serve", "--port", str(port), "--http", str(http), "--spool", spool)
        with subprocess.Popen(command) as server:
            try:
                time.sleep(WARMING_UP_S)
                yield port, http
            finally:
                server.terminate()


def play(raw: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """A scanner that plays a file."""
    return subprocess.Popen((*KNERVE, "replay", str(raw), "--to", f"127.0.0.1:{port}", *options))


def wait_for(page: Page, state: str, seconds: float = LONGEST_S) -> None:
    """Until the page says so."""
    page.wait_for_function(
        "text => document.getElementById('state').textContent.includes(text)", arg=state, timeout=1000 * seconds
    )


def picture(page: Page, out: Path, name: str) -> None:
    """Take one when what was asked for has been painted."""
    page.wait_for_timeout(700)
    page.screenshot(path=out / name)
    print(out / name)


def mark(page: Page, key: str, slice_number: int, across: float, down: float) -> None:
    """Scroll to a slice and mark a point in it."""
    page.keyboard.press("Home")
    for _ in range(MOST_SLICES):
        if page.evaluate(PAINTED) == str(slice_number):
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press(key)
    box = page.locator("#canvas-now").bounding_box()
    assert box is not None, "the canvas is there"
    page.mouse.click(
        box["x"] + box["width"] / 2 + across * box["height"], box["y"] + box["height"] / 2 + down * box["height"]
    )


def main() -> None:
    """Serve, play, take pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="ISMRMRD raw file with time stamps")
    parser.add_argument("--before", type=Path, help="an earlier scan; the same file without it")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--config", default="cs")
    parser.add_argument("--config-before", default="zero-filled")
    parser.add_argument("--needle", nargs=3, type=float, default=(8, -0.314, -0.12), metavar=("SLICE", "RIGHT", "DOWN"))
    parser.add_argument(
        "--target", nargs=3, type=float, default=(9, -0.206, -0.248), metavar=("SLICE", "RIGHT", "DOWN")
    )
    options = parser.parse_args()
    with serving() as (port, http), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.on("console", lambda message: print("console:", message.text))
        page.goto(f"http://127.0.0.1:{http}/")
        with play(options.before or options.raw, port, "--config", options.config_before) as earlier:
            earlier.wait()
        wait_for(page, "DONE")
        with play(options.raw, port, "--config", options.config, "--real-time"):
            wait_for(page, "RECEIVING")
            time.sleep(18)
            picture(page, options.out, "live-scanning.png")
            wait_for(page, "DONE")
        for key, (number, across, down) in (("n", options.needle), ("t", options.target)):
            mark(page, key, int(number), across, down)
        picture(page, options.out, "live.png")
        page.keyboard.press("c")
        picture(page, options.out, "live-compare.png")
        browser.close()


if __name__ == "__main__":
    main()
