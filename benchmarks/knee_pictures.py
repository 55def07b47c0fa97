"""The pictures of the digital knee in docs/: simulated, noisy, undersampled scans, reconstructed like any other raw file.

python benchmarks/knee_pictures.py docs/knee.png [--seed 0]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from knerve import Protocol, Settings, SimulationSettings, read, reconstruct, simulate
from knerve.datasets.knee import Cryoprobe, Depot, Knee, Lesion, Needle, Scene, digital_knee
from knerve.sequences.sections import Orientation

NERVE = "superior-medial"
WHITE_PERCENTILE = 99.7
DARK = 0.05  # of white, and of a row or column


@dataclass(frozen=True)
class View:
    """One picture: title, preset, place (a landmark and millimetres along the slice normal), direction, what is in the knee."""

    title: str
    preset: str
    landmark: str
    orientation: Orientation = "axial"
    shift_mm: float = 0.0
    scene: Scene | None = None


VIEWS = (
    View("axial, epicondyles", "navigate", "medial epicondyle"),
    View("axial, tibial plateau", "navigate", "medial joint line", shift_mm=-9.0),
    View("coronal, planning scan", "planning-coronal", "medial epicondyle", "coronal"),
    View("sagittal", "navigate", "medial joint line", "sagittal", shift_mm=-15.0),
    View("22 G titanium needle", "navigate", f"target: {NERVE}", scene=Scene.at_nerve(NERVE, Needle())),
    View("the same, stainless steel", "navigate", f"target: {NERVE}", scene=Scene.at_nerve(NERVE, Needle("steel"))),
    View("ethanol, T2", "navigate", f"target: {NERVE}", scene=Scene.at_nerve(NERVE, Depot("ethanol"))),
    View("ethanol, STIR", "stir", f"target: {NERVE}", scene=Scene.at_nerve(NERVE, Depot("ethanol"))),
    View("ice ball", "navigate", "target: inferior-medial", scene=Scene.at_nerve("inferior-medial", Cryoprobe())),
    View("radiofrequency lesion, STIR", "stir", f"target: {NERVE}", scene=Scene.at_nerve(NERVE, Lesion())),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    figure = Figure(figsize=(20, 8.6), layout="constrained", facecolor="black")
    for view, axes in zip(VIEWS, figure.subplots(2, 5).flat, strict=True):
        image = picture(view, options.seed)
        axes.imshow(_cropped(image), cmap="gray", vmin=0, vmax=np.percentile(image, WHITE_PERCENTILE))
        axes.set_title(view.title, color="white", fontsize=12)
        axes.set_axis_off()
        print(view.title)
    figure.savefig(options.out, dpi=100)


def picture(view: View, seed: int) -> NDArray[np.float32]:
    """Magnitude (y, x) of a single slice, compressed sensing with its defaults."""
    knee = digital_knee(seed=seed, scene=view.scene)
    protocol = Protocol.load(view.preset)
    one_slice, one_package = replace(protocol.geometry, n_slices=1), replace(protocol.schedule, packages=1)
    protocol = replace(protocol, geometry=one_slice, schedule=one_package)
    settings = SimulationSettings(seed=seed, orientation=view.orientation, centre_mm=_centre(knee, view))
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.h5"
        simulate(protocol, raw, anatomy=knee, settings=settings)
        images = reconstruct(read(raw), settings=Settings(snr_map="none"))
    return images.magnitude[0].numpy()


def _cropped(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part with the leg."""
    is_leg = image > DARK * np.percentile(image, WHITE_PERCENTILE)
    rows, columns = (np.flatnonzero(is_leg.mean(axis) > DARK) for axis in (1, 0))
    return image[rows[0] : rows[-1], columns[0] : columns[-1]]


def _centre(knee: Knee, view: View) -> tuple[float, float, float]:
    """The knee's middle, but through the landmark along the slice's normal."""
    along = {"axial": 2, "coronal": 1, "sagittal": 0}[view.orientation]
    centre = [float(c) for c in knee.position_mm]
    centre[along] = float(knee.landmarks[view.landmark][along]) + view.shift_mm
    return centre[0], centre[1], centre[2]


if __name__ == "__main__":
    main()
