"""What breaks the server, and what does not: malformed streams, killed and deaf clients, crashes, full disks, load.

    python benchmarks/server_faults.py                    # all, a quarter of an hour on two cores
    python benchmarks/server_faults.py --only soak kill9 --json faults.json
    nice -n 19 python benchmarks/server_faults.py --only malformed --streams 100000

Each fault meets a `knerve serve` in a process of its own, or a server in this one where the fault needs it. The scans are tiny:
two slices of 64 x 48 pixels, six coils. The tests run smaller versions of the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import fault_clients
import fault_crashes
from fault_rig import Finding, Server, serving, tiny_scan

Run = Callable[[Path, Sequence[bytes], argparse.Namespace], Finding | None]
N_SCANS_AT_ONCE, N_DIFFERENT = 20, 4
DISKS_KIB = (*range(16, 528, 32), *range(1024, 25600, 3072))  # the journal fills half a mebibyte, all files take 17


def _at_once(server: Server, folder: Path) -> Finding:
    different = [tiny_scan(folder / f"{seed}.h5", seed=seed) for seed in range(N_DIFFERENT)]
    return fault_crashes.at_once(server, [different[number % N_DIFFERENT] for number in range(N_SCANS_AT_ONCE)])


def _with_server(fault: Callable[[Server], Finding], folder: Path) -> Finding:
    with serving(folder / "spool") as server:
        return fault(server)


FAULTS: dict[str, Run] = {
    "malformed": lambda folder, _, options: fault_clients.malformed(folder, options.streams, options.first_seed),
    "clients": lambda folder, scan, _: _with_server(lambda server: fault_clients.killed_clients(server, scan), folder),
    "kill9": lambda folder, scan, options: fault_crashes.killed_server(folder, scan, options.kills),
    "disk": lambda folder, scan, _: fault_crashes.full_disk(folder, scan, DISKS_KIB),
    "crowd": lambda folder, scan, _: _with_server(
        lambda server: fault_clients.crowd(server, scan, n_bad=100, n_rounds=8, n_scans=10), folder
    ),
    "deaf": lambda folder, scan, _: fault_clients.deaf(folder, scan, sending_s=5.0),
    "workers": lambda folder, scan, _: _with_server(lambda server: fault_crashes.killed_workers(server, scan), folder),
    "at-once": lambda folder, _, __: _with_server(lambda server: _at_once(server, folder), folder),
    "soak": lambda folder, scan, options: _with_server(
        lambda server: fault_crashes.soak(server, scan, options.scans), folder
    ),
}


def main() -> None:
    """Run the faults, print a table, write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--streams", type=int, default=5000, help="malformed ones")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=50, help="of the server")
    parser.add_argument("--scans", type=int, default=500, help="one after the other")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    findings: list[dict[str, object]] = []
    print(f"{'fault':34} {'holds':6} {'seconds':>8}  figures", flush=True)
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            scan = tiny_scan(Path(folder) / "raw.h5")
            started = time.monotonic()
            finding = FAULTS[name](Path(folder), scan, options)
        seconds = time.monotonic() - started
        if finding is None:
            print(f"{name:34} could not be tried here")
            continue
        findings.append({**asdict(finding), "seconds": round(seconds, 1)})
        figures = ", ".join(f"{name} {value}" for name, value in finding.figures.items())
        print(f"{finding.fault:34} {'yes' if finding.holds else 'NO':6} {seconds:8.1f}  {figures}", flush=True)
    if options.json is not None:
        document = {"cores": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()[0], "findings": findings}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if not all(finding["holds"] for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
