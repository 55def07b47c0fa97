"""Which scans the network was trained for. Outside of that, compressed sensing is used, and the user is told why."""

from __future__ import annotations

import torch
from torch import Tensor

from knerve.recon.encoding import CartesianEncoding
from knerve.recon.regularisation import largest_count, typical_signal
from knerve.recon.transform_length import own_lines

SAMPLED = (1 / 8, 0.7)  # of all lines: accelerations of 1.4 to 8
SIGNAL = (5.0, 400.0)  # typical signal over noise where every line is read
FEWEST_PIXELS = 96
REGULAR = 0.9  # of the gaps between lines outside of the centre are alike
FEWEST_GAPS = 8  # that tell
MOST_REGULAR = 4  # lines from one to the next
BESIDE = 8  # one over the part of k-space on either side of its full centre, where most of the aliasing comes from
MOST_APART = 6.5  # lines from one to the next there, on average
FEW_COILS, MOST_WITH_FEW = 2, 2.2  # virtual coils, acceleration


def outside_domain(encoding: CartesianEncoding, right_side: Tensor) -> str | None:
    """Why the network does not know such a batch of slices; None if it does."""
    if encoding.counts.ndim != 2:
        return "it was trained on 2-D slices, and this is a 3-D scan"
    if encoding.imaginary_penalty:
        return "it was trained on whole k-space, and this is partial Fourier"
    if encoding.maps.shape[2] > 1:
        return "it was trained with one set of coil sensitivities, and these slices need two"
    if min(encoding.image_shape[1], encoding.image_shape[-1]) < FEWEST_PIXELS:
        return f"it was trained on images of at least {FEWEST_PIXELS} pixels along each side"
    fraction = encoding.sampled_fraction
    if float(fraction.min()) < SAMPLED[0] or float(fraction.max()) > SAMPLED[1]:
        return (
            f"it was trained for accelerations of {1 / SAMPLED[1]:.2g} to {1 / SAMPLED[0]:.2g}, "
            f"and this is {1 / float(fraction.min()):.3g}"
        )
    own = own_lines(encoding.counts.shape[1], encoding.added_lines)
    step = max(_regular_step(counts > 0) for counts in encoding.counts[:, own])
    if step > MOST_REGULAR:
        return f"of regular lines it does well with every {MOST_REGULAR}th, and here it is every {step}th"
    apart = max(_apart_beside_centre(counts > 0) for counts in encoding.counts[:, own])
    if apart > MOST_APART:
        return f"beside the centre of k-space it does well with every {MOST_APART:g}th line, and here it is every {apart:.3g}th"
    n_coils = int((encoding.maps != 0).flatten(4).any(-1).any(1).sum(-1).amin())
    if n_coils <= FEW_COILS and float(fraction.min()) < 1 / MOST_WITH_FEW:
        return (
            f"of {n_coils} independent coils it was trained up to accelerations of {MOST_WITH_FEW:g}, "
            f"and this is {1 / float(fraction.min()):.3g}"
        )
    averages = largest_count(encoding).flatten()
    signal = typical_signal(right_side) / averages.sqrt()
    if float(signal.min()) < SIGNAL[0] or float(signal.max()) > SIGNAL[1]:
        return (
            f"it was trained on signals {SIGNAL[0]:g} to {SIGNAL[1]:g} times the noise, "
            f"and here it is {float(signal.min()):.3g} to {float(signal.max()):.3g}"
        )
    return None


def _apart_beside_centre(sampled: Tensor) -> float:
    """How far lines of `sampled (ky)`, bool, are from each other on average next to the longest run of them."""
    lines = torch.nonzero(sampled).flatten()
    ends = torch.nonzero(torch.cat([lines.diff() > 1, torch.ones_like(lines[:1], dtype=torch.bool)])).flatten()
    lengths = ends.diff(prepend=torch.full_like(ends[:1], -1))
    longest = int(lengths.argmax())
    last = int(lines[ends[longest]])
    first, reach = last - int(lengths[longest]) + 1, len(sampled) // BESIDE
    beside = torch.cat([sampled[max(0, first - reach) : first], sampled[last + 1 : last + 1 + reach]])
    return len(beside) / max(1, int(beside.sum()))


def _regular_step(sampled: Tensor) -> int:
    """How far the lines outside of the full centre of `sampled (ky)`, bool, are from each other, all alike; 0 if they are not."""
    lines = torch.nonzero(sampled).flatten()
    gaps = lines.diff()
    apart = torch.nonzero(gaps > 1).flatten()  # gaps; the centre lies between two of them, without any
    if len(apart) < FEWEST_GAPS:
        return 0
    runs = torch.cat([apart[:1], apart.diff() - 1, (len(gaps) - 1 - apart[-1:])])
    outside = len(gaps) - int(runs.amax())
    alike = gaps[apart].bincount()
    return int(alike.argmax()) if int(alike.amax()) >= REGULAR * outside else 0
