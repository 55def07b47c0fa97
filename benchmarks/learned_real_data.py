"""Real scans, where no truth is known: lines that were held back, predicted by dl and by compressed sensing.

    python benchmarks/learned_real_data.py [--data ../shared/data] [--accelerations 2 3 4 6] [--patterns 3] [--choices 12]

5 % of the lines outside the calibration centre are left out, images are made from the rest, and the lines are predicted from
them: error over the measured lines (`recon/learned/maps/held_out.py`), for several choices of lines. Noise in the lines that are
predicted sets a floor, given beside it. Sets that have all lines are thinned out first, to each of the accelerations by several
patterns of variable density, and their magnitudes are also compared with SENSE of all lines, in the object: `NRMSE to all lines`,
means over slices and patterns (the reference has noise of its own). Other sets are taken as they are. What is not there, or what
dl does not take on, is skipped and said, with the reason. Compressed sensing has its automatic weight; dl and it predict the same
lines.

| set | what |
|---|---|
| brain_7ch_moco | 2-D brain, 7 coils, all lines; made from coil images, noise from the corners of k-space |
| phantom_14ch_R3 | two bottles, 14 coils, R = 3 as scanned |
| siemens_twix | gradient echo, TWIX, all lines; needs `knerve[twix]` |
| brain_8ch_undersampled | 3-D brain, 8 coils, Poisson disc in a plane of both phase encodes |
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from brain_vs_bart import whitened_brain
from numpy.typing import NDArray

from knerve.bench.source import inside_of
from knerve.datasets.reading import read_raw
from knerve.recon.errors import KnerveError
from knerve.recon.learned.maps.held_out import HeldOut, held_out_check
from knerve.recon.learned.maps.prepared import prepared_slices
from knerve.recon.learned.maps.refit import Refit
from knerve.recon.pipeline import reconstruct
from knerve.recon.quality import fitted, nrmse
from knerve.recon.scan import Frame, Grid, Noise, RawScan
from knerve.recon.settings import Settings
from knerve.sequences.sampling import variable_density

Row = dict[str, object]
Float = NDArray[np.float32]

DL = Settings(method="dl", snr_map="none")
SENSE = Settings(method="sense", snr_map="none")
REFITS = {"dl": Refit(DL, "dl"), "cs": Refit(Settings(method="cs", snr_map="none"), "cs")}
N_CALIBRATION = 24
THINNED_BELOW = 1.4  # acceleration
REFUSED = "the network was not used"
REPLACED = "a learned image was replaced"


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--patterns", type=int, default=3, help="of lines, for sets with all lines")
    parser.add_argument("--choices", type=int, default=12, help="of held-out lines, shared out among the patterns")
    parser.add_argument(
        "--accelerations", type=float, nargs="+", default=(2.0, 3.0, 4.0, 6.0), help="of sets with all lines"
    )
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name, (file, read) in SETS.items():
        path = arguments.data / name / file
        for row in rows_of(path, read, arguments):
            rows.append({"set": name} | row)
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=1))


def rows_of(path: Path, read: Callable[[Path], RawScan], arguments: argparse.Namespace) -> Iterator[Row]:
    """Everything that one set says."""
    if not path.exists():
        yield {"skipped": f"{path} is not there"}
        return
    try:
        scan = read(path)
    except KnerveError as error:
        yield {"skipped": str(error)}
        return
    if scan.acceleration >= THINNED_BELOW:
        yield _row([scan], arguments.choices)
        return
    truth = reconstruct(scan, SENSE).magnitude.numpy()
    for acceleration in arguments.accelerations:
        scans = [thinned(scan, acceleration, pattern) for pattern in range(arguments.patterns)]
        row = _row(scans, arguments.choices // arguments.patterns)
        more = {} if "skipped" in row else {"NRMSE to all lines": to_all_lines(truth, scans)}
        yield {"patterns": arguments.patterns} | row | more


def to_all_lines(truth: Float, scans: list[RawScan]) -> dict[str, float]:
    """Errors by method of magnitudes beside the truth (slice, y, x), mean over slices and scans."""
    insides = [inside_of(each) for each in truth]
    errors: dict[str, list[float]] = {name: [] for name in REFITS}
    for each, (name, refit) in product(scans, REFITS.items()):
        images = reconstruct(each, refit.settings).magnitude.numpy()
        for image, expected, inside in zip(images, truth, insides, strict=True):
            errors[name].append(nrmse(fitted(image, expected, inside), expected, inside))
    return {name: round(float(np.mean(found)), 4) for name, found in errors.items()}


def _row(scans: list[RawScan], n_choices: int) -> Row:
    about: Row = {
        "R": round(scans[0].acceleration, 2),
        "coils": scans[0].n_coils,
        "lines_by_columns": list(scans[0].kspace.shape[-2:]),
    }
    try:
        notes = [note for scan in scans for note in reconstruct(scan, DL).notes]
    except KnerveError as error:
        return about | {"skipped": str(error)}
    refused = [note for note in notes if note.startswith(REFUSED)]
    if refused:
        return about | {"skipped": refused[0]}
    replaced = [note for note in notes if note.startswith(REPLACED)]
    return about | held_out(scans, n_choices) | ({"replaced": replaced} if replaced else {})


def held_out(scans: list[RawScan], n_choices: int) -> Row:
    """Errors over all slices and choices of lines."""
    found: dict[str, list[HeldOut]] = {"dl": [], "cs": []}
    slices = (slice_ for scan in scans for slice_ in prepared_slices(scan, DL))
    for slice_, seed in product(slices, range(n_choices)):
        for method, checks in found.items():
            check = held_out_check(slice_, REFITS[method], seed)
            checks += [check] if check is not None else []
    unused = [check.unused for check in found["dl"] if check.unused is not None]
    if not found["dl"] or unused:
        return {"skipped": f"without the held-out lines: {unused[0] if unused else 'too few lines outside the centre'}"}
    dl, cs = (np.array([check.error for check in checks]) for checks in found.values())
    sense, noise = (np.array([getattr(check, key) for check in found["cs"]]) for key in ("reference", "noise"))
    means = {"error dl": dl, "error cs": cs, "error sense": sense, "noise alone": noise}
    return {name: round(float(errors.mean()), 4) for name, errors in means.items()} | {
        "checks": len(dl),
        "lines_each": found["dl"][0].n_lines,
        "dl/cs": round(float(dl.mean() / cs.mean()), 4),
        "dl/cs, highest": round(float((dl / cs).max()), 4),
        "dl not above cs in": f"{int((dl <= cs).sum())} of {len(dl)}",
    }


def thinned(scan: RawScan, acceleration: float, seed: int) -> RawScan:
    """The scan without most of its lines."""
    n_lines = scan.counts.shape[-1]
    pattern = variable_density(n_lines, round(n_lines / acceleration), n_calibration=N_CALIBRATION, seed=seed)
    kept = torch.from_numpy(pattern.sampled)
    return replace(scan, kspace=scan.kspace * kept[:, None], counts=scan.counts * kept)


def read_coil_images(path: Path) -> RawScan:
    """brain_7ch_moco."""
    kspace, noise = whitened_brain(path)
    _, n_y, n_x = kspace.shape
    return RawScan(
        kspace=torch.from_numpy(kspace)[None],
        counts=torch.ones(1, n_y, dtype=torch.int32),
        frames=(Frame(),),
        grid=Grid((n_x, n_y, 1), (n_x, n_y, 5.0), (n_x, n_y, 1), (n_x, n_y, 5.0)),
        sampled_kx=(0, n_x),
        noise=Noise(torch.from_numpy(noise)),
    )


def read_plane_of_phase_encodes(path: Path) -> RawScan:
    """brain_8ch_undersampled: one column of a 3-D scan, (coil, kz, ky)."""
    kspace = torch.from_numpy(np.load(path))
    mask = (kspace != 0).any(0)
    n_z, n_y = mask.shape
    grid = Grid((1, n_y, n_z), (1.0, n_y, n_z), (1, n_y, n_z), (1.0, n_y, n_z))
    return RawScan(kspace[None, ..., None], mask.int()[None], (Frame(),), grid, (0, 1))


SETS: dict[str, tuple[str, Callable[[Path], RawScan]]] = {
    "brain_7ch_moco": ("brain_slice.npz", read_coil_images),
    "phantom_14ch_R3": ("meas_MID00349_FID09273_SNR_R3.h5", read_raw),
    "siemens_twix": ("gre.dat", read_raw),
    "brain_8ch_undersampled": ("cartesian_ksp.npy", read_plane_of_phase_encodes),
}


if __name__ == "__main__":
    main()
