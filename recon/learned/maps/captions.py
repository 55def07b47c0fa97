"""The words and scales of the maps: what is seen, in which unit, and what to make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from knerve.recon.learned.maps.results import SliceTrust, TrustMap, TrustMaps
from knerve.recon.learned.maps.spots import STRENGTH
from knerve.recon.learned.trust import BOUND

NO_MAPS = "no trust maps: they are made of 2-D slices with one set of coil sensitivities, not of {what}."
NOISE_SD = "noise standard deviations"
MAPS = {  # key: title, unit, top of the colour bar (None: from the values), caption
    "deviation": (
        "Deviation from the linear solution",
        NOISE_SD,
        BOUND,
        "How far the method moved each pixel from lightly regularised SENSE. Structure seen here was shaped by the method; "
        "an even grain is removed noise.",
    ),
    "at_bound": (
        "Pixels at the bound",
        "1 = at the bound",
        1.0,
        f"Pixels whose deviation reaches {BOUND:g} noise standard deviations. The learned method was held back there; compressed "
        "sensing has no bound and went at least so far.",
    ),
    "prior_share": (
        "From the prior",
        NOISE_SD,
        5.0,
        "The part of the image that the sampled lines see with less than a twentieth of full weight: filled in by the "
        "method, neither supported nor contradicted by the data. Do not rely on a small structure that stands out here.",
    ),
    "gain": (
        "Response: what is kept of a weak structure",
        "kept part",
        1.0,
        f"A spot two pixels wide and {STRENGTH:g} noise standard deviations high was put into the data every 12 pixels and "
        "looked for in the image: 1 keeps it, 0 removes it. Dark regions hide small weak structures.",
    ),
    "width_y": (
        "Response: width along the phase encodes",
        "acquired pixels",
        5.0,
        "Full width at half height of those spots in the image; 2 is their true width.",
    ),
    "width_x": (
        "Response: width along the readout",
        "acquired pixels",
        5.0,
        "The same along the readout, which is fully sampled.",
    ),
    "interval": (
        "Uncertainty: half width of the 90 % interval",
        "SNR units",
        None,
        "On digital knees nine in ten pixels lie within this distance of the truth, on average over pixels and not for each "
        "single one. Calibrated there; a real scan can hold errors that no simulation has, such as motion.",
    ),
    "noise": (
        "Noise of the linear solution",
        "SNR units",
        None,
        "Standard deviation that unfolding leaves in each pixel: the unit of the maps in noise standard deviations. 1 is a fully "
        "sampled pixel.",
    ),
}


def described(values: Mapping[str, Tensor], slices: Sequence[SliceTrust] = ()) -> tuple[TrustMap, ...]:
    """The maps (slice, y, x) with their words; those of the response only where there is one.

    Args:
        values: by key.
        slices: their numbers.
    """
    responded = any(each.gain is not None for each in slices)
    return tuple(
        TrustMap(key, title, unit, caption, values[key], _high(values[key]) if top is None else top)
        for key, (title, unit, top, caption) in MAPS.items()
        if key in values and (responded or key not in ("gain", "width_y", "width_x"))
    )


def _high(values: Tensor) -> float:
    """The 99th percentile of what is above 0."""
    positive = values[values > 0]
    every = positive[:: max(1, len(positive) // 1_000_000)]
    return float(torch.quantile(every, 0.99)) if len(every) else 1.0


def noise_alone(noise_level: Tensor) -> TrustMaps:
    """The map of the noise (slice, y, x) alone: all there is for methods that add nothing to the data."""
    return TrustMaps(described({"noise": noise_level}), ())


def moved_maps(moved: Tensor, at_bound: Tensor) -> TrustMaps:
    """What `knerve denoise` did, both (slice, y, x): by how many noise standard deviations, and where it was held back."""
    return TrustMaps(
        (
            TrustMap(
                "moved",
                "How far each pixel moved",
                NOISE_SD,
                "Even grain is noise that was taken out; lines and shapes here are structure that was smoothed or sharpened.",
                moved,
                BOUND,
            ),
            TrustMap(
                "at_bound",
                *MAPS["at_bound"][:2],
                f"Pixels that would have moved by more than {BOUND:g} noise standard deviations and were held back.",
                at_bound.float(),
                1.0,
            ),
        ),
        (),
    )
