"""All trust maps of a scan, slice by slice: the page on which they are made.

prepared.py  ->  refit.py  ->  linear.py  ->  deviation.py, prior_share.py, response.py, uncertainty.py, held_out.py
             ->  captions.py  ->  results.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from knerve.gpu.devices import cpu_threads
from knerve.recon.errors import SettingsError
from knerve.recon.learned.maps.captions import NO_MAPS, described
from knerve.recon.learned.maps.deviation import deviation
from knerve.recon.learned.maps.held_out import held_out_check
from knerve.recon.learned.maps.linear import linear_of
from knerve.recon.learned.maps.prepared import PreparedSlice, prepared_slices
from knerve.recon.learned.maps.prior_share import prior_share
from knerve.recon.learned.maps.refit import refit_of
from knerve.recon.learned.maps.response import Response, between_spots, response
from knerve.recon.learned.maps.results import LineFit, SliceTrust, TrustMaps
from knerve.recon.learned.maps.uncertainty import calibration_note, error_spread, half_width
from knerve.recon.learned.trust import line_chi_square
from knerve.recon.partial_fourier import is_partial
from knerve.recon.pipeline import told_when_memory_runs_out
from knerve.recon.scan import RawScan
from knerve.recon.settings import Settings
from knerve.recon.stages import Stopwatch

METHODS_WITH_MAPS = ("cs", "dl")
LOW_PERCENTILE = 0.05
SNR_UNITS = 2**0.5  # images are in units of the noise of each real part


def trust_maps(
    scan: RawScan, settings: Settings, on_slices_done: Callable[[int, int], None] | None = None
) -> TrustMaps:
    """Make the maps of a scan that was, or will be, reconstructed with the same settings.

    Args:
        scan: raw.
        settings: those of the images.
        on_slices_done: called with (done, total) after each slice.

    Returns:
        The maps; with a note and without maps for scans that they do not know.

    Raises:
        SettingsError: the method is neither cs nor dl.
        CalibrationError: the data have no calibration lines.
        OutOfMemoryError: a slice does not fit into the memory.
    """
    if settings.method not in METHODS_WITH_MAPS:
        raise SettingsError(f"maps were asked for, and the method is {settings.method}; they are made of cs and dl.")
    if scan.counts.ndim != 2 or is_partial(scan.mask.cpu()):
        return TrustMaps((), (), (NO_MAPS.format(what="3-D and partial Fourier scans"),))
    watch = Stopwatch()
    found: list[_SliceMaps] = []
    with cpu_threads(settings.threads), told_when_memory_runs_out():
        for slice_ in prepared_slices(scan, settings):
            if slice_.encoding.maps.shape[2] > 1:
                return TrustMaps((), (), (NO_MAPS.format(what="slices that need two sets of sensitivities"),))
            found.append(_of_slice(slice_, settings, watch))
            if on_slices_done is not None:
                on_slices_done(len(found), scan.n_slices)
    values = {key: torch.stack([each.values[key] for each in found]) for key in found[0].values}
    slices = tuple(each.numbers for each in found)
    notes = tuple({note: None for each in slices for note in calibration_note(each.method)})
    return TrustMaps(described(values, slices), slices, notes, dict(watch.seconds))


@dataclass(frozen=True)
class _SliceMaps:
    """Maps (y, x) by key, and numbers."""

    values: dict[str, Tensor]
    numbers: SliceTrust


def _of_slice(slice_: PreparedSlice, settings: Settings, watch: Stopwatch) -> _SliceMaps:
    with watch.stage("images again"):
        refit, pair = refit_of(slice_, settings)
        image = pair.image[0, :, 0]
        start = pair.reference if refit.method == "dl" else pair.image
        linear = linear_of(slice_, start)
    with watch.stage("deviation and prior"):
        away = deviation(image, linear)
        prior = prior_share(image, linear)
    with watch.stage("response"):
        gains = response(slice_, refit, pair, linear, settings.seed)
    with watch.stage("uncertainty"):
        spread = error_spread(slice_, refit, pair.image, prior.part, settings.seed)
        interval = SNR_UNITS * half_width(spread, refit.method) * slice_.strength
    with watch.stage("held-out lines"):
        held_out = held_out_check(slice_, refit, settings.seed)
    inside = slice_.inside
    maps = {
        "deviation": away.size * inside,
        "at_bound": (away.at_bound & inside).float(),
        "prior_share": prior.size * inside,
        "interval": interval,
        "noise": SNR_UNITS * linear.noise * slice_.strength,
    } | _response_maps(gains, inside)
    numbers = SliceTrust(
        method=refit.method,
        reference=refit.reference,
        at_bound=float((away.at_bound & inside).sum() / inside.sum().clamp(min=1)),
        lines=_line_fit(slice_, pair.image),
        reference_lines=_line_fit(slice_, pair.reference),
        prior_energy=prior.energy,
        gain=None if gains is None else _median_and_low(gains.gain),
        reference_gain=None if gains is None else _median_and_low(gains.reference_gain),
        width=None if gains is None else (_median(gains.width_y), _median(gains.width_x)),
        interval=_median(interval[inside]),
        held_out=held_out,
    )
    return _SliceMaps({key: slice_.on_image_grid(values) for key, values in maps.items()}, numbers)


def _response_maps(gains: Response | None, inside: Tensor) -> dict[str, Tensor]:
    """Gain and widths (x, y); zero where nothing could be measured."""
    if gains is None:
        nothing = torch.zeros_like(inside, dtype=torch.float32)
        return {"gain": nothing, "width_y": nothing, "width_x": nothing}
    values = {"gain": gains.gain, "width_y": gains.width_y, "width_x": gains.width_x}
    return {key: between_spots(gains.places, each, inside) for key, each in values.items()}


def _line_fit(slice_: PreparedSlice, image: Tensor) -> LineFit:
    chi_square, sampled = line_chi_square(slice_.encoding, slice_.hybrid, image)
    return LineFit(chi_square[0].cpu(), sampled[0].cpu())


def _median_and_low(values: Tensor) -> tuple[float, float]:
    return _median(values), float(values.quantile(LOW_PERCENTILE))


def _median(values: Tensor) -> float:
    return float(values.nanmedian())
