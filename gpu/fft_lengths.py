"""Lengths whose Fourier transform is fast: products of 2, 3 and 5, with few passes over the data."""

from __future__ import annotations

import math

RADICES = (8, 5, 4, 3, 2)  # of the passes that `lane_fft` knows; other libraries like the same lengths
SHORTEST = 64  # below, a transform takes no time
LONGEST = 1.07  # of the length asked for
SAME_CACHE_SET = 1.6  # measured: strides of large powers of two push each other out of the cache


def factors(n: int) -> tuple[int, ...] | None:
    """The radices whose product is n; None if it has another prime factor."""
    found = []
    for radix in RADICES:
        while n % radix == 0:
            n //= radix
            found.append(radix)
    return tuple(found) if n == 1 else None


def fast_length(n: int) -> int:
    """The length at or little above n that is fastest to transform, even if n is; n itself where there is none."""
    if n < SHORTEST:
        return n
    step = 2 if n % 2 == 0 else 1
    costs = {}
    for length in range(n, math.floor(LONGEST * n) + 1, step):
        passes = factors(length)
        if passes is not None:
            costs[length] = length * len(passes) * (SAME_CACHE_SET if length % 256 == 0 else 1)
    return min(costs, key=costs.__getitem__, default=n)
