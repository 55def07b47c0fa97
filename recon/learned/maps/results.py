"""What the trust maps of a scan consist of, as writers take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from knerve.recon.learned.trust import CHI_SQUARE, LINE_CHI_SQUARE

if TYPE_CHECKING:
    from knerve.recon.learned.maps.held_out import HeldOut


@dataclass(frozen=True)
class TrustMap:
    """One map of all slices, on the grid of the images.

    Attributes:
        key: short name, for files.
        title: what it shows.
        unit: of its values.
        caption: how to read it, in a sentence or two.
        values: float32, (slice, y, x); 0 where nothing is known.
        top: value at the bright end of the colour bar.
    """

    key: str
    title: str
    unit: str
    caption: str
    values: Tensor
    top: float


@dataclass(frozen=True)
class LineFit:
    """How well one slice's image explains each line of its data.

    Attributes:
        chi_square: per sample of each line, (line); 0 where not sampled. 1 is what noise alone gives.
        sampled: bool, (line).
    """

    chi_square: Tensor
    sampled: Tensor

    @property
    def overall(self) -> float:
        """Over all sampled lines."""
        return float(self.chi_square[self.sampled].mean())

    @property
    def largest(self) -> float:
        """Of the line where it is largest."""
        return float(self.chi_square[self.sampled].max())

    @property
    def n_beyond(self) -> int:
        """Lines above the gate."""
        return int((self.chi_square[self.sampled] > LINE_CHI_SQUARE).sum())

    @property
    def passes(self) -> bool:
        """Whether the whole and every line stay within the gates."""
        low, high = CHI_SQUARE
        return low <= self.overall <= high and self.n_beyond == 0


@dataclass(frozen=True)
class SliceTrust:
    """The numbers of one slice.

    Attributes:
        method: that made its image: "dl" or "cs".
        reference: the simpler method it is compared with.
        at_bound: part of the object's pixels at, or for cs beyond, the bound around the linear solution.
        lines: data consistency of every line.
        reference_lines: the same of the simpler method.
        prior_energy: part of the image's energy that the sampled lines hardly see.
        gain: of weak spots, median over them, and the 5th percentile; None where no spot fits.
        reference_gain: the same of the simpler method.
        width: median full width at half height of the spots along phase encodes and readout, acquired pixels (true: 2).
        interval: median half width of the 90 % interval in the object, SNR units.
        held_out: the check with held-out lines, None where there are too few lines.
    """

    method: str
    reference: str
    at_bound: float
    lines: LineFit
    reference_lines: LineFit
    prior_energy: float
    gain: tuple[float, float] | None
    reference_gain: tuple[float, float] | None
    width: tuple[float, float] | None
    interval: float
    held_out: HeldOut | None

    def as_dict(self) -> dict[str, object]:
        """Plain names and values, for `report.json`."""
        held_out = None if self.held_out is None else asdict(self.held_out) | {"verdict": self.held_out.verdict}
        return {
            "method": self.method,
            "compared_with": self.reference,
            "at_bound": self.at_bound,
            "chi_square": self.lines.overall,
            "chi_square_largest_line": self.lines.largest,
            "lines_beyond_gate": self.lines.n_beyond,
            "chi_square_reference": self.reference_lines.overall,
            "prior_share_of_energy": self.prior_energy,
            "response_gain_median_p5": self.gain,
            "response_gain_median_p5_reference": self.reference_gain,
            "response_width_px_phase_read": self.width,
            "interval_90_median": self.interval,
            "held_out": held_out,
        }


@dataclass(frozen=True)
class TrustMaps:
    """All of it.

    Attributes:
        maps: the pictures.
        slices: the numbers, one entry a slice.
        notes: for the user.
        seconds: wall time of each part.
    """

    maps: tuple[TrustMap, ...]
    slices: tuple[SliceTrust, ...]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The check with held-out lines in one line."""
        checked = [each for each in self.slices if each.held_out is not None]
        if not checked:
            return "Held-out lines: no check, too few lines lie outside of the calibration centre."
        counts = {name: sum(_verdict(each) == name for each in checked) for name in ("better", "alike", "worse")}
        method, reference = checked[0].method, checked[0].reference
        return (
            f"Held-out lines ({method} against {reference}): predicted better on {counts['better']}, alike on "
            f"{counts['alike']}, worse on {counts['worse']} of {len(checked)} slices."
        )


def _verdict(each: SliceTrust) -> str | None:
    return None if each.held_out is None else each.held_out.verdict
