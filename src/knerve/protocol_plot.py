"""One figure of a protocol: its echo train, the signal along ky, the point spread functions and the sampling pattern."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from knerve.sequences.blur import NOT_SAMPLED, point_spread, signal_along_ky
from knerve.sequences.evaluation import Evaluation
from knerve.sequences.protocol import Protocol

SHOWN_VOXELS = 5  # of the point spread, to either side


def save_plot(protocol: Protocol, evaluation: Evaluation, path: Path) -> None:
    """Draw the figure and write it as PNG."""
    figure = draw(protocol, evaluation)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=120)
    path.write_bytes(png.getvalue())


def draw(protocol: Protocol, evaluation: Evaluation) -> Figure:
    """The figure, not yet written."""
    figure = Figure(figsize=(12, 10), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 2, height_ratios=(1, 1.4, 1.2))
    _draw_angles(figure.add_subplot(grid[0, 0]), evaluation)
    _draw_echoes(figure.add_subplot(grid[1, 0]), protocol, evaluation)
    _draw_signal(figure.add_subplot(grid[0, 1]), evaluation)
    _draw_spread(figure.add_subplot(grid[1, 1]), protocol, evaluation)
    _draw_pattern(figure.add_subplot(grid[2, :]), evaluation)
    time = evaluation.time
    figure.suptitle(
        f"{protocol.name}: {time.total_s:.1f} s, TE {1000 * evaluation.echo_time_s:.1f} ms, "
        f"acceleration {time.acceleration_asked:g} asked, {time.acceleration_net:.2f} net, {time.acceleration_image:.2f} image"
    )
    return figure


def _draw_angles(axes: Axes, evaluation: Evaluation) -> None:
    angles = evaluation.refocusing_deg
    axes.bar(range(1, len(angles) + 1), angles, color="0.6")
    axes.set(title="Refocusing angles", xlabel="echo", ylabel="degrees")


def _draw_echoes(axes: Axes, protocol: Protocol, evaluation: Evaluation) -> None:
    spacing_ms = 1000 * protocol.echo_train.echo_spacing_s
    for each in evaluation.tissues:
        times_ms = spacing_ms * np.arange(1, len(each.echoes) + 1)
        axes.plot(times_ms, each.echoes, marker=".", label=each.name.replace("_", " "))
    axes.axvline(1000 * evaluation.echo_time_s, color="0.5", linestyle=":")
    axes.set(title="Echoes in the steady state (dotted: ky = 0)", xlabel="time after excitation (ms)", ylabel="M0")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")


def _draw_signal(axes: Axes, evaluation: Evaluation) -> None:
    lines = np.arange(len(evaluation.echo_of_line)) - len(evaluation.echo_of_line) // 2
    for each in evaluation.tissues:
        signal = signal_along_ky(np.array([each.echoes]), np.array(evaluation.echo_of_line))[0]
        axes.plot(lines, np.abs(signal))
    axes.set(title="Signal along ky (unread lines as their neighbour)", xlabel="ky (lines)", ylabel="M0")
    axes.set_ylim(bottom=0)


def _draw_spread(axes: Axes, protocol: Protocol, evaluation: Evaluation) -> None:
    n_lines = len(evaluation.echo_of_line)
    extent_mm = 1000 * protocol.geometry.field_of_view_phase_m * (1 + protocol.geometry.phase_oversampling)
    voxel_mm = extent_mm / n_lines
    for each in evaluation.tissues:
        signal = signal_along_ky(np.array([each.echoes]), np.array(evaluation.echo_of_line))
        spread, step_voxels = point_spread(signal)
        magnitude = np.abs(spread[0])
        place_mm = (np.arange(len(magnitude)) - len(magnitude) // 2) * step_voxels * voxel_mm
        axes.plot(place_mm, magnitude / magnitude.max(), label=f"{each.fwhm_phase_mm:.2f} mm")
    axes.axhline(0.5, color="0.5", linestyle=":")
    axes.set_xlim(-SHOWN_VOXELS * voxel_mm, SHOWN_VOXELS * voxel_mm)
    axes.set(title="Point spread along the phase encodes, each at its own height", xlabel="mm")
    axes.legend(title="FWHM", fontsize="small")


def _draw_pattern(axes: Axes, evaluation: Evaluation) -> None:
    echo_of_line = np.array(evaluation.echo_of_line)
    read = np.flatnonzero(echo_of_line != NOT_SAMPLED)
    axes.vlines(read - len(echo_of_line) // 2, 0, echo_of_line[read] + 1, color="0.85", linewidth=0.8)
    axes.scatter(read - len(echo_of_line) // 2, echo_of_line[read] + 1, s=8)
    quality = evaluation.pattern
    axes.set(
        title=f"Sampling pattern: {quality.n_lines} of {len(echo_of_line)} lines, largest gap {quality.largest_gap}, "
        f"peak interference {quality.peak_interference:.3f}",
        xlabel="ky (lines)",
        ylabel="echo that reads it",
    )
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
