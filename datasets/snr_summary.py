"""How good the images are in a few numbers: signal, noise and g-factor in the imaged object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.display_window import WINDOW_PERCENTILE
from knerve.datasets.plane_series import OBJECT_FRACTION, OBJECT_SNR, PlaneSeries

_OBJECT_IN_WORDS = f"pixels above {OBJECT_FRACTION:.0%} of the grey window and above {OBJECT_SNR:g} times the noise"


def snr_summary(series: PlaneSeries) -> dict[str, object]:
    """Median signal-to-noise ratio in the object, and there the noise level and g-factor = noise level / √R.

    Without a map of the noise only the signal level in SNR units is known, and the other values are None.
    """
    images, inside = series.images, series.object_mask()
    summary: dict[str, object] = {
        "object": _OBJECT_IN_WORDS,
        "object_fraction": float(inside.mean()),
        "window_top": series.window_top,
        "window_percentile": WINDOW_PERCENTILE,
        "median_signal": _percentile(series.pixels[inside], 50),
        "median_snr": None,
        "noise_level_median": None,
        "g_factor_median": None,
        "g_factor_95th": None,
    }
    if series.snr is not None and series.noise_level is not None:
        summary["median_snr"] = _percentile(series.snr[inside], 50)
        level = series.noise_level[inside]
        summary["noise_level_median"] = _percentile(level, 50)
        if images.method != "zero-filled":  # nothing was unfolded: no g-factor
            g_factor = level / images.acceleration**0.5
            summary["g_factor_median"] = _percentile(g_factor, 50)
            summary["g_factor_95th"] = _percentile(g_factor, 95)
    return summary


def _percentile(values: NDArray[np.float32], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values.size else None
