"""Results as tables for a person."""

from __future__ import annotations

from rich import box
from rich.table import Table

from knerve.bench.methods import Setting
from knerve.bench.results import CALIBRATION, CaseResult, MethodResult, Spread
from knerve.bench.search import WITHIN

NONE = "-"
HEADINGS = (
    *("whole slice (s)", "x ours", "CPU (s)", "x ours", "calibration (s)", "x ours"),
    *("peak (MB)", "NRMSE", "SSIM", "runs"),
)


def results_table(result: CaseResult) -> Table:
    """One case: a row a method, ratios over the reference."""
    table = Table(title=result.case.words(), title_justify="left", box=box.SIMPLE)
    table.add_column("method")
    table.add_column("weight, iterations")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for each in result.methods:
        table.add_row(*(_row(each, result.ours) if each.runs else _problem_row(each)))
    for name, reason in result.skipped.items():
        table.add_row(name, f"skipped: {reason}", *[NONE] * len(HEADINGS))
    return table


def stages_table(result: CaseResult) -> Table:
    """Where our time goes: medians of each stage, in seconds."""
    own = [each for each in result.measured if each.method.ours]
    names = list(dict.fromkeys(name for each in own for name in each.stages))
    table = Table(title=f"{result.case.name}: stages of knerve (s, medians)", title_justify="left", box=box.SIMPLE)
    table.add_column("stage")
    for each in own:
        table.add_column(each.method.label, justify="right")
    for name in names:
        spreads = [each.stage(name) for each in own]
        table.add_row(name, *(NONE if spread is None else f"{spread.median:.3f}" for spread in spreads))
    return table


def counted_lines(result: CaseResult) -> tuple[str, ...]:
    """Our quality beside the best peer's, what each method's time contains, and the problems met."""
    counted = tuple(f"{each.method.label}, {each.version}: {each.method.counted}." for each in result.measured)
    remarks = tuple(f"{each.method.label}: {each.remark}" for each in result.methods if each.remark)
    failures = tuple(f"Failed: {each.problem}" for each in result.methods if each.problem)
    quality = quality_line(result)
    return (*((quality,) if quality else ()), *counted, *remarks, *failures)


def quality_line(result: CaseResult) -> str | None:
    """Our error beside the lowest of the peers: speed at a higher error is not the same thing."""
    peers = [each for each in result.measured if not each.method.ours]
    if result.ours is None or not peers:
        return None
    best = min(peers, key=lambda each: each.nrmse)
    ratio = result.ours.nrmse / best.nrmse
    line = f"NRMSE of {result.ours.method.label}: {ratio:.3f} times that of {best.method.label}, the best peer."
    return (
        line
        if ratio <= WITHIN
        else f"Warning: {line} More than {WITHIN:g}: the ratios of time are not at equal quality."
    )


def _row(each: MethodResult, ours: MethodResult | None) -> tuple[str, ...]:
    calibration = each.stage(CALIBRATION)
    our_calibration = ours.stage(CALIBRATION) if ours else None
    return (
        each.method.label,
        _setting_words(each.setting),
        _spread_words(each.seconds),
        _ratio_words(each.seconds, ours.seconds if ours else None),
        f"{each.cpu_seconds.median:.2f}",
        _ratio_words(each.cpu_seconds, ours.cpu_seconds if ours else None),
        NONE if calibration is None else _spread_words(calibration),
        _ratio_words(calibration, our_calibration),
        NONE if each.peak_bytes is None else f"{each.peak_bytes / 1e6:.0f}",
        f"{each.nrmse:.4f}",
        f"{each.ssim:.3f}",
        str(len(each.runs)),
    )


def _problem_row(each: MethodResult) -> tuple[str, ...]:
    return (each.method.label, "failed, see below", *[NONE] * (len(HEADINGS) - 1), "0")


def _setting_words(setting: Setting | None) -> str:
    return "automatic" if setting is None else f"{setting.weight:.3g}, {setting.iterations}"


def _spread_words(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f}-{spread.most:.2f})"


def _ratio_words(theirs: Spread | None, ours: Spread | None) -> str:
    return NONE if theirs is None or ours is None or ours.median == 0 else f"{theirs.median / ours.median:.1f}"
