"""A bar chart of one value per phase-encode line with a gate, as inline SVG that follows the page's colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 1000, 170, 36, 22, 8
LARGEST = 3.0  # times the gate: higher bars are cut


def line_chart(values: NDArray[np.float32], sampled: NDArray[np.bool_], gate: float) -> str:
    """The chart.

    Args:
        values: one a line, (line).
        sampled: lines that have a bar, (line).
        gate: drawn as a broken line; bars above it stand out.
    """
    highest = min(max(float(values[sampled].max()), 1.2 * gate), LARGEST * gate)
    plot_height, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT) / len(values)

    def y(value: float) -> float:
        return TOP + plot_height * (1 - min(value, highest) / highest)

    bars = "".join(
        f'<rect class="{"beyond" if values[i] > gate else "line"}" x="{LEFT + i * step:.1f}" y="{y(float(values[i])):.1f}" '
        f'width="{max(0.7, 0.8 * step):.2f}" height="{TOP + plot_height - y(float(values[i])):.1f}"/>'
        for i in np.flatnonzero(sampled)
    )
    marks = "".join(
        f'<line class="{name}" x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for name, value in (("axis", 0.0), ("axis", 1.0), ("gate", gate))
    )
    middle = LEFT + (len(values) // 2 + 0.5) * step
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="chi-square of every line">{bars}{marks}'
        f'<text x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">ky = 0</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 5}">ky</text></svg>'
    )
