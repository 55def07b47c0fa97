"""The DICOM files of a session: are they valid, and does each reach its receiver once, though the receiver is killed meanwhile?

    python benchmarks/dicom_receivers.py                  # needs Debian's dcmtk and dicom3tools; orthanc if it is there

A scan of 15 slices goes to `knerve serve --store`. `dciodvfy` (dicom3tools) checks the files. `storescp` (dcmtk) and Orthanc are
killed while files come in and started again; then the identifiers are counted that they hold, and how often each was received.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fault_rig import play, serving, sessions, tiny_scan, until
from pydicom import dcmread

N_SLICES = 15
FIRST_KILL = 4  # files received
LONGEST_S = 90.0
QUIET_S = 3.0  # in which nothing more must come


def n_errors(files: Sequence[Path]) -> int:
    """Lines of `dciodvfy` that tell an error."""
    found = 0
    for path in files:
        said = subprocess.run(("dciodvfy", str(path)), capture_output=True, text=True, check=False)
        found += sum(line.startswith("Error") for line in (said.stdout + said.stderr).splitlines())
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def storescp(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Debian's storescp, which notes every file it is sent."""
    folder.mkdir(exist_ok=True)
    note = f"sleep 0.05; echo #f >> {folder / 'received.log'}"  # slow enough to be killed in the middle
    command = ("storescp", "--output-directory", str(folder), "--exec-on-reception", note, "--exec-sync", str(port))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _log(folder: Path) -> list[str]:
    log = folder / "received.log"
    return log.read_text().split() if log.exists() else []


def by_storescp(folder: Path, scan: Sequence[bytes]) -> dict[str, object]:
    """One session to a storescp that is killed and started again."""
    port, received = free_port(), folder / "received"
    spool = folder / "spool"
    with serving(spool, "--store", f"PACS@127.0.0.1:{port}") as server:
        with storescp(port, received) as process:
            answer = play(server.port, scan)
            until(lambda: len(_log(received)) >= FIRST_KILL, LONGEST_S)
            process.send_signal(signal.SIGKILL)
            n_before = len(_log(received))
        with storescp(port, received):
            until(lambda: len(set(_log(received))) >= N_SLICES, LONGEST_S)
            time.sleep(QUIET_S)
    files = sorted(sessions(spool)[-1].dicom.glob("*.dcm"))
    uids = {f"MR.{dcmread(path).SOPInstanceUID}" for path in files}
    times = Counter(_log(received))
    kept = {path.name for path in received.glob("MR.*")}
    return {
        "images": len(answer.images),
        "files": len(files),
        "dciodvfy_errors": n_errors(files),
        "received_before_the_kill": n_before,
        "lost": len(uids - kept),
        "strange": len(kept - uids),
        "files_sent_twice": sum(n > 1 for n in times.values()),
    }


@contextmanager
def orthanc(folder: Path, dicom_port: int, http_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An Orthanc whose store stays between starts."""
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": False,
        "Plugins": [],
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    with subprocess.Popen(("Orthanc", str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _asked(http_port: int, question: str) -> list[object]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/{question}", timeout=5) as answer:
            found: list[object] = json.load(answer)
            return found
    except (urllib.error.URLError, OSError):
        return []


def by_orthanc(folder: Path, scan: Sequence[bytes]) -> dict[str, object]:
    """One session to an Orthanc that is killed and started again."""
    dicom_port, http_port, spool = free_port(), free_port(), folder / "spool"
    with serving(spool, "--store", f"ORTHANC@127.0.0.1:{dicom_port}") as server:
        with orthanc(folder, dicom_port, http_port) as process:
            until(lambda: _is_open(dicom_port), LONGEST_S)
            answer = play(server.port, scan)
            until(lambda: len(_asked(http_port, "instances")) >= FIRST_KILL, LONGEST_S)
            process.send_signal(signal.SIGKILL)
        with orthanc(folder, dicom_port, http_port):
            until(lambda: len(_asked(http_port, "instances")) >= N_SLICES, LONGEST_S)
            time.sleep(QUIET_S)
            n_instances, series = len(_asked(http_port, "instances")), _asked(http_port, "series")
    return {
        "images": len(answer.images),
        "instances": n_instances,
        "series": len(series),
        "lost": max(0, N_SLICES - n_instances),
        "twice": max(0, n_instances - N_SLICES),
    }


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Run both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    for name, program, run in (("storescp", "storescp", by_storescp), ("orthanc", "Orthanc", by_orthanc)):
        if shutil.which(program) is None:
            print(f"{name:10} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[name] = run(Path(folder), tiny_scan(Path(folder) / "raw.h5", "zero-filled", n_slices=N_SLICES))
        print(f"{name:10} " + ", ".join(f"{key} {value}" for key, value in found[name].items()), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if any(figures["lost"] or figures.get("dciodvfy_errors") or figures.get("strange") for figures in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
