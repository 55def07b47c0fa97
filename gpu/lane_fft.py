"""Fast Fourier transform of sixteen columns side by side, for use inside of numba kernels.

A column's samples are `LANES` numbers apart, so that every butterfly works on sixteen columns at once; real and imaginary parts
are two arrays. Stockham's form sorts itself: each pass reads one pair of arrays and writes another. Lengths are products of
2, 3 and 5; other lengths are better padded to such a one (`fast_length`) than transformed.

Stockham 1966; the radix-r butterflies are those of every textbook, here with the twiddle factors after the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knerve.gpu.fft_lengths import factors
from knerve.gpu.kernel_cache import kernel
from knerve.gpu.lanes import LANES, load, splat, store

Real = NDArray[np.float32]

HALF, ROOT_HALF = np.float32(0.5), np.float32(math.sqrt(0.5))
SINE_3 = np.float32(math.sin(2 * math.pi / 3))
COSINE_5, COSINE_10 = np.float32(math.cos(2 * math.pi / 5)), np.float32(math.cos(4 * math.pi / 5))
SINE_5, SINE_10 = np.float32(math.sin(2 * math.pi / 5)), np.float32(math.sin(4 * math.pi / 5))


@dataclass(frozen=True)
class FftPlan:
    """How a length is transformed.

    Attributes:
        n: length.
        radices: int64, of the passes, in order.
        cosines: float32, real parts of exp(-2πi k / m) for k in range(m), for the length m that each pass meets.
        sines: their imaginary parts.
    """

    n: int
    radices: NDArray[np.int64]
    cosines: Real
    sines: Real


def fft_plan(n: int) -> FftPlan:
    """The plan of a length.

    Raises:
        ValueError: n has a prime factor above 5.
    """
    radices = factors(n)
    if radices is None:
        raise ValueError(f"{n} has a prime factor above 5; take a length that is a product of 2, 3 and 5.")
    lengths = [n // math.prod(radices[:i]) for i in range(len(radices))]
    twiddles = np.concatenate([np.exp(-2j * np.pi * np.arange(m) / m) for m in lengths] or [np.ones(0, complex)])
    return FftPlan(n, np.array(radices, np.int64), twiddles.real.astype(np.float32), twiddles.imag.astype(np.float32))


@kernel
def transform(
    a_re: Real, a_im: Real, b_re: Real, b_im: Real, n: int, radices: NDArray[np.int64], cosines: Real, sines: Real
) -> bool:
    """Forward transform of a, flat (n · LANES); with real and imaginary parts exchanged it is n times the inverse.

    Returns:
        Whether the result is in b; else it is in a. The other pair holds rubbish.
    """
    stride, rest, first, in_b = LANES, n, 0, False
    s_re, s_im, t_re, t_im = a_re, a_im, b_re, b_im
    for radix in radices:
        m = rest // radix
        _one_pass(radix, s_re, s_im, t_re, t_im, m, stride, cosines[first : first + rest], sines[first : first + rest])
        s_re, s_im, t_re, t_im = t_re, t_im, s_re, s_im  # one call, not two: the passes are compiled into it
        in_b = not in_b
        first, rest, stride = first + rest, m, stride * radix
    return in_b


@kernel
def _one_pass(radix: int, s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    if radix == 8:
        _radix_8(s_re, s_im, t_re, t_im, m, w, cos, sin)
    elif radix == 5:
        _radix_5(s_re, s_im, t_re, t_im, m, w, cos, sin)
    elif radix == 4:
        _radix_4(s_re, s_im, t_re, t_im, m, w, cos, sin)
    elif radix == 3:
        _radix_3(s_re, s_im, t_re, t_im, m, w, cos, sin)
    else:
        _radix_2(s_re, s_im, t_re, t_im, m, w, cos, sin)


@kernel
def _put(t_re: Real, t_im: Real, at: int, x_re: Any, x_im: Any, cos: Any, sin: Any) -> None:  # noqa: ANN401 - lanes
    """Store x times a twiddle factor."""
    c, s = splat(cos), splat(sin)
    store(t_re, at, x_re * c - x_im * s)
    store(t_im, at, x_re * s + x_im * c)


# Each pass: x_k = source[(p + k m) w ...], for k < r;  target[(r p + k) w ...] = twiddle^(p k) · DFT_r(x)_k.


@kernel
def _radix_2(s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    for p in range(m):
        for i in range(p * w, (p + 1) * w, LANES):
            a_re, a_im, b_re, b_im = load(s_re, i), load(s_im, i), load(s_re, i + m * w), load(s_im, i + m * w)
            o = i + p * w
            store(t_re, o, a_re + b_re)
            store(t_im, o, a_im + b_im)
            _put(t_re, t_im, o + w, a_re - b_re, a_im - b_im, cos[p], sin[p])


@kernel
def _radix_3(s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    step = m * w
    for p in range(m):
        for i in range(p * w, (p + 1) * w, LANES):
            a_re, a_im, b_re, b_im = load(s_re, i), load(s_im, i), load(s_re, i + step), load(s_im, i + step)
            c_re, c_im = load(s_re, i + 2 * step), load(s_im, i + 2 * step)
            sum_re, sum_im = b_re + c_re, b_im + c_im
            odd_re, odd_im = SINE_3 * (b_im - c_im), SINE_3 * (c_re - b_re)
            even_re, even_im = a_re - HALF * sum_re, a_im - HALF * sum_im
            o = i + 2 * p * w
            store(t_re, o, a_re + sum_re)
            store(t_im, o, a_im + sum_im)
            _put(t_re, t_im, o + w, even_re + odd_re, even_im + odd_im, cos[p], sin[p])
            _put(t_re, t_im, o + 2 * w, even_re - odd_re, even_im - odd_im, cos[2 * p], sin[2 * p])


@kernel
def _radix_4(s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    step = m * w
    for p in range(m):
        for i in range(p * w, (p + 1) * w, LANES):
            a_re, a_im, b_re, b_im = load(s_re, i), load(s_im, i), load(s_re, i + step), load(s_im, i + step)
            c_re, c_im = load(s_re, i + 2 * step), load(s_im, i + 2 * step)
            d_re, d_im = load(s_re, i + 3 * step), load(s_im, i + 3 * step)
            p_re, p_im, q_re, q_im = a_re + c_re, a_im + c_im, a_re - c_re, a_im - c_im
            r_re, r_im, u_re, u_im = b_re + d_re, b_im + d_im, b_im - d_im, d_re - b_re  # u = -i (b - d)
            o = i + 3 * p * w
            store(t_re, o, p_re + r_re)
            store(t_im, o, p_im + r_im)
            _put(t_re, t_im, o + w, q_re + u_re, q_im + u_im, cos[p], sin[p])
            _put(t_re, t_im, o + 2 * w, p_re - r_re, p_im - r_im, cos[2 * p], sin[2 * p])
            _put(t_re, t_im, o + 3 * w, q_re - u_re, q_im - u_im, cos[3 * p], sin[3 * p])


@kernel
def _radix_5(s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    step = m * w
    for p in range(m):
        for i in range(p * w, (p + 1) * w, LANES):
            a_re, a_im, b_re, b_im = load(s_re, i), load(s_im, i), load(s_re, i + step), load(s_im, i + step)
            c_re, c_im = load(s_re, i + 2 * step), load(s_im, i + 2 * step)
            d_re, d_im = load(s_re, i + 3 * step), load(s_im, i + 3 * step)
            e_re, e_im = load(s_re, i + 4 * step), load(s_im, i + 4 * step)
            p_re, p_im, q_re, q_im = b_re + e_re, b_im + e_im, b_re - e_re, b_im - e_im
            r_re, r_im, u_re, u_im = c_re + d_re, c_im + d_im, c_re - d_re, c_im - d_im
            f_re, f_im = a_re + (COSINE_5 * p_re + COSINE_10 * r_re), a_im + (COSINE_5 * p_im + COSINE_10 * r_im)
            g_re, g_im = a_re + (COSINE_10 * p_re + COSINE_5 * r_re), a_im + (COSINE_10 * p_im + COSINE_5 * r_im)
            h_re, h_im = SINE_5 * q_im + SINE_10 * u_im, -SINE_5 * q_re - SINE_10 * u_re
            k_re, k_im = SINE_10 * q_im - SINE_5 * u_im, SINE_5 * u_re - SINE_10 * q_re
            o = i + 4 * p * w
            store(t_re, o, a_re + p_re + r_re)
            store(t_im, o, a_im + p_im + r_im)
            _put(t_re, t_im, o + w, f_re + h_re, f_im + h_im, cos[p], sin[p])
            _put(t_re, t_im, o + 2 * w, g_re + k_re, g_im + k_im, cos[2 * p], sin[2 * p])
            _put(t_re, t_im, o + 3 * w, g_re - k_re, g_im - k_im, cos[3 * p], sin[3 * p])
            _put(t_re, t_im, o + 4 * w, f_re - h_re, f_im - h_im, cos[4 * p], sin[4 * p])


@kernel
def _radix_8(s_re: Real, s_im: Real, t_re: Real, t_im: Real, m: int, w: int, cos: Real, sin: Real) -> None:
    step = m * w
    for p in range(m):
        for i in range(p * w, (p + 1) * w, LANES):
            a_re, a_im, e_re, e_im = load(s_re, i), load(s_im, i), load(s_re, i + 4 * step), load(s_im, i + 4 * step)
            p_re, p_im, q_re, q_im = a_re + e_re, a_im + e_im, a_re - e_re, a_im - e_im
            a_re, a_im = load(s_re, i + 2 * step), load(s_im, i + 2 * step)
            e_re, e_im = load(s_re, i + 6 * step), load(s_im, i + 6 * step)
            r_re, r_im, u_re, u_im = a_re + e_re, a_im + e_im, a_im - e_im, e_re - a_re
            f_re, f_im, g_re, g_im = p_re + r_re, p_im + r_im, p_re - r_re, p_im - r_im  # the even ones: 0 and 2 of 4
            h_re, h_im, k_re, k_im = q_re + u_re, q_im + u_im, q_re - u_re, q_im - u_im  # 1 and 3 of 4
            a_re, a_im, e_re, e_im = (
                load(s_re, i + step),
                load(s_im, i + step),
                load(s_re, i + 5 * step),
                load(s_im, i + 5 * step),
            )
            p_re, p_im, q_re, q_im = a_re + e_re, a_im + e_im, a_re - e_re, a_im - e_im
            a_re, a_im = load(s_re, i + 3 * step), load(s_im, i + 3 * step)
            e_re, e_im = load(s_re, i + 7 * step), load(s_im, i + 7 * step)
            r_re, r_im, u_re, u_im = a_re + e_re, a_im + e_im, a_im - e_im, e_re - a_re
            v_re, v_im = p_re + r_re, p_im + r_im
            x_re, x_im = p_im - r_im, r_re - p_re  # times -i
            y_re, y_im = ROOT_HALF * (q_re + u_re + q_im + u_im), ROOT_HALF * (q_im + u_im - q_re - u_re)  # e^(-iπ/4)
            z_re, z_im = ROOT_HALF * (q_im - u_im - q_re + u_re), ROOT_HALF * (u_re - q_re + u_im - q_im)  # e^(-3iπ/4)
            o = i + 7 * p * w
            store(t_re, o, f_re + v_re)
            store(t_im, o, f_im + v_im)
            _put(t_re, t_im, o + w, h_re + y_re, h_im + y_im, cos[p], sin[p])
            _put(t_re, t_im, o + 2 * w, g_re + x_re, g_im + x_im, cos[2 * p], sin[2 * p])
            _put(t_re, t_im, o + 3 * w, k_re + z_re, k_im + z_im, cos[3 * p], sin[3 * p])
            _put(t_re, t_im, o + 4 * w, f_re - v_re, f_im - v_im, cos[4 * p], sin[4 * p])
            _put(t_re, t_im, o + 5 * w, h_re - y_re, h_im - y_im, cos[5 * p], sin[5 * p])
            _put(t_re, t_im, o + 6 * w, g_re - x_re, g_im - x_im, cos[6 * p], sin[6 * p])
            _put(t_re, t_im, o + 7 * w, k_re - z_re, k_im - z_im, cos[7 * p], sin[7 * p])
