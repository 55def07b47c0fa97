"""Seconds a simulated slice of the digital knee takes: the first, later ones, and the same slices under a second protocol.

    python benchmarks/simulation_times.py [--slices 4]

Axial slices of `navigate`, 16 coils, 552 x 484. The second protocol differs in echo time, train and repetition time. Times are
those between two reports of progress, all cores of the machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from knerve.datasets.knee import digital_knee
from knerve.datasets.rendered_slices import RenderedSlices
from knerve.datasets.simulate import simulate
from knerve.sequences.protocol import Protocol


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    knee = digital_knee(arguments.seed)
    drawn_s = time.perf_counter() - start
    first = Protocol.load("navigate")
    first = replace(first, geometry=replace(first.geometry, n_slices=arguments.slices))
    spacing = first.echo_train.echo_spacing_s
    second = replace(
        first,
        echo_train=replace(first.echo_train, echo_time_s=5 * spacing),
        schedule=replace(first.schedule, repetition_time_s=2.0),
    )
    rendered = RenderedSlices(knee)
    result: dict[str, object] = {"draw the knee": round(drawn_s, 2)}
    with tempfile.TemporaryDirectory() as folder:
        for name, protocol in (("first protocol", first), ("second protocol", second)):
            begun = time.perf_counter()
            done: list[float] = []
            simulate(
                protocol,
                knee,
                Path(folder, "raw.h5"),
                rendered=rendered,
                on_progress=partial(_note, done),
            )
            result[f"{name}, all slices"] = round(time.perf_counter() - begun, 2)
            result[f"{name}, from slice to slice"] = [
                round(later - earlier, 2) for earlier, later in zip([begun, *done], done, strict=False)
            ]
    print(json.dumps(result, indent=1))


def _note(done: list[float], n_done: int, _: int) -> None:
    """Keep the time of a report of progress, one a slice."""
    if n_done > len(done):
        done.append(time.perf_counter())


if __name__ == "__main__":
    main()
