"""Would a reader find it? Model observers on reconstructions with and without a signal, and how often they see what is not there.

    NPW   t = wᵀ g                        w: the signal as it should appear; the noise is not whitened, as by a human eye
    CHO   d'² = Δvᵀ K⁻¹ Δv,  v = Uᵀ g     U: a few Laguerre-Gauss channels, K: their pooled covariance

Myers and Barrett 1987, doi:10.1364/JOSAA.4.002447; channels: Gallas and Barrett 2003, doi:10.1364/JOSAA.20.001725. Choose signals
so that d' is 1 to 4: above that every method finds all of them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Float = NDArray[np.floating]
Mask = NDArray[np.bool_]

FALSE_ALARMS = 0.05  # of places, on the reference


def npw_detectability(present: Float, absent: Float, signal: Float) -> float:
    """Detectability d' by the non-prewhitening observer that knows the signal.

    Args:
        present: images (draw, y, x) with the signal.
        absent: without it, same shape or another number of draws.
        signal: (y, x), as it should appear.

    Raises:
        ValueError: fewer than two draws of one kind.
    """
    _enough(present, absent, 2)
    with_signal, without = (images.reshape(len(images), -1) @ signal.ravel() for images in (present, absent))
    spread = math.sqrt(0.5 * (with_signal.var(ddof=1) + without.var(ddof=1)))
    return float((with_signal.mean() - without.mean()) / spread)


def laguerre_gauss_channels(shape: tuple[int, int], width_px: float, n_channels: int = 5) -> Float:
    """Channels (channel, y, x) of unit norm about the middle pixel n // 2.

    u_n(r) ∝ exp(-π r² / a²) L_n(2 π r² / a²)

    Args:
        shape: of the images.
        width_px: a; about 2.2 diameters of the signal.
        n_channels: from the zeroth polynomial on.
    """
    y, x = (np.arange(n) - n // 2 for n in shape)
    square = 2 * np.pi * (y[:, None] ** 2 + x[None, :] ** 2) / width_px**2
    envelope = np.exp(-square / 2)
    channels = []
    for n in range(n_channels):
        channel = envelope * np.polynomial.laguerre.lagval(square, [0.0] * n + [1.0])
        channels.append(channel / np.linalg.norm(channel))
    return np.stack(channels)


def cho_detectability(present: Float, absent: Float, channels: Float) -> float:
    """Detectability d' by the channelized Hotelling observer, without the bias of few draws; 0 where nothing is left.

    With N draws of each kind and p channels,  d'² = (2N - p - 3) / (2N - 2) Δvᵀ K⁻¹ Δv - 2 p / N.

    Args:
        present: images (draw, y, x) with the signal.
        absent: as many without it.
        channels: (channel, y, x).

    Raises:
        ValueError: different numbers of draws, or too few for the channels.
    """
    n, p = len(present), len(channels)
    if len(absent) != n:
        raise ValueError(f"{n} images with the signal and {len(absent)} without came; as many of each are needed.")
    _enough(present, absent, (p + 5) // 2 + 1)
    flat = channels.reshape(p, -1)
    v_present, v_absent = (images.reshape(n, -1) @ flat.T for images in (present, absent))
    difference = v_present.mean(0) - v_absent.mean(0)
    covariance = 0.5 * (np.cov(v_present, rowvar=False) + np.cov(v_absent, rowvar=False)).reshape(p, p)
    distance = float(difference @ np.linalg.solve(covariance, difference))
    return math.sqrt(max(0.0, (2 * n - p - 3) / (2 * n - 2) * distance - 2 * p / n))


def percent_correct(detectability: float) -> float:
    """Part of two-alternative choices that an observer of this d' makes right, 0.5 to 1: Φ(d' / √2), the area under its ROC."""
    return 0.5 * (1 + math.erf(detectability / 2))


def matched_filter(image: Float, signal: Float) -> Float:
    """Amplitude of the signal that fits best at every pixel (y, x), by correlation with its zero-mean pattern.

    Args:
        image: (y, x); of an object without the signal, less what it should be.
        signal: a small odd-sized patch with the signal in its middle.
    """
    pattern = signal - signal.mean()
    return np.asarray(fftconvolve(image, pattern[::-1, ::-1], mode="same") / np.vdot(pattern, pattern))


def alarm_threshold(reference: Float, inside: Mask, rate: float = FALSE_ALARMS) -> float:
    """Amplitude that a part `rate` of the pixels of a reference's matched filter (y, x) exceeds in either direction."""
    return float(np.quantile(np.abs(reference[inside]), 1 - rate))


def hallucination_rate(response: Float, inside: Mask, threshold: float) -> float:
    """Part of the pixels where a matched filter sees a signal that is not there, 0 to 1.

    Args:
        response: of `matched_filter` on an image of an object without the signal, (y, x).
        inside: pixels that count.
        threshold: from `alarm_threshold` of linear SENSE on the same object: its rate is then `FALSE_ALARMS`.
    """
    return float((np.abs(response[inside]) > threshold).mean())


def _enough(present: Float, absent: Float, fewest: int) -> None:
    if min(len(present), len(absent)) < fewest:
        raise ValueError(
            f"{len(present)} and {len(absent)} draws came; at least {fewest} with and without the signal are needed."
        )
