"""One figure: time against error, a panel a case; ours are filled, the others open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from knerve.bench.results import CaseResult, MethodResult

MARKERS = "osD^vPX*<>hp"
COLOURS = ("tab:blue", "tab:cyan", "tab:green", "tab:purple", "tab:brown", "tab:olive", "tab:pink", "tab:orange")
OURS = "tab:red"
Style = tuple[str, str, str]  # colour, marker, filling


def plot_png(results: Sequence[CaseResult], remark: str) -> bytes:
    """The figure as PNG; `remark` stands below."""
    png = BytesIO()
    draw(results, remark).savefig(png, format="png", dpi=120)
    return png.getvalue()


def draw(results: Sequence[CaseResult], remark: str) -> Figure:
    """The figure, not yet written."""
    figure = Figure(figsize=(1 + 6.5 * len(results), 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    styles = styles_of(results)
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for axes, result in zip(panels, results, strict=True):
        _draw_case(axes, result, styles)
    shown = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if shown:
        figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(remark, fontsize="small", color="0.3")
    return figure


def styles_of(results: Sequence[CaseResult]) -> dict[str, Style]:
    """The same style for a method in all panels: ours red and filled, the others in colours of their own."""
    methods = {each.method.name: each.method for result in results for each in result.measured}.values()
    ours = [method.name for method in methods if method.ours]
    theirs = [method.name for method in methods if not method.ours]
    styles = {name: (OURS, MARKERS[i % len(MARKERS)], "full") for i, name in enumerate(ours)}
    return styles | {
        name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], "none") for i, name in enumerate(theirs)
    }


def _draw_case(axes: Axes, result: CaseResult, styles: Mapping[str, Style]) -> None:
    for each in result.measured:
        _draw_method(axes, each, styles[each.method.name])
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * max((each.nrmse for each in result.measured), default=1.0))
    axes.margins(x=0.1)
    axes.grid(which="both", color="0.92")
    axes.set_axisbelow(True)
    axes.set(
        title=f"{result.case.name}: {result.case.n_lines} of {result.case.n_phase_encodes} lines",
        xlabel="seconds a slice, calibration included (median, least to most)",
        ylabel="NRMSE in the object",
    )


def _draw_method(axes: Axes, each: MethodResult, style: Style) -> None:
    seconds, (colour, marker, filling) = each.seconds, style
    axes.errorbar(
        [seconds.median],
        [each.nrmse],
        xerr=[[seconds.median - seconds.least], [seconds.most - seconds.median]],
        fmt=marker,
        fillstyle="full" if filling == "full" else "none",
        color=colour,
        markersize=8,
        capsize=3,
        label=each.method.label,
    )
