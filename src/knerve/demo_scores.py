"""How well each method does on the demo's scan: error against the truth, and the contrast of each nerve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from knerve.demo_nerves import NerveView, best_view, contrasts
from knerve.demo_truth import Images, Truth, nrmse

TRUTH = "truth"
NAMES = {
    TRUTH: "Truth",
    "zero-filled": "Zero-filled",
    "sense": "SENSE",
    "cs": "Compressed sensing",
    "dl": "Deep learning",
}


@dataclass(frozen=True)
class NerveScore:
    """One nerve.

    Attributes:
        diameter_mm: of the nerve.
        view: where it is shown.
        contrast: there, by method, and of the truth.
        recovered: by method, the part of the truth's contrast that its images keep.
    """

    diameter_mm: float
    view: NerveView
    contrast: Mapping[str, float]
    recovered: Mapping[str, float]


@dataclass(frozen=True)
class Scores:
    """All of it.

    Attributes:
        nrmse: by method.
        nerves: by name, those that the slices hold near their targets.
        missing: names of the others.
    """

    nrmse: Mapping[str, float]
    nerves: Mapping[str, NerveScore]
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain names and values."""
        return asdict(self)


def score(truth: Truth, series: Mapping[str, Images]) -> Scores:
    """Hold every method's images (slice, y, x) against the truth."""
    nerves = {}
    for name, nerve in truth.nerves.items():
        view = best_view(truth, nerve)
        if view is None:
            continue
        both = {
            key: contrasts(images, truth, nerve, view) for key, images in ({TRUTH: truth.image} | dict(series)).items()
        }
        nerves[name] = NerveScore(
            diameter_mm=nerve.diameter_mm,
            view=view,
            contrast={key: here for key, (here, _) in both.items()},
            recovered={key: part for key, (_, part) in both.items() if key != TRUTH},
        )
    errors = {key: nrmse(images, truth) for key, images in series.items()}
    return Scores(errors, nerves, tuple(name for name in truth.nerves if name not in nerves))


def method_name(method: str) -> str:
    """As people read it."""
    return NAMES.get(method, method)
