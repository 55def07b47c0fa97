"""The demo's page: the nerves beside the truth, the whole slice, the errors, and the time beside the scan's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from knerve.datasets.wording import counted
from knerve.demo_figures import CROP_MM, ERROR_WHITE, SHORT, Figures
from knerve.demo_scores import TRUTH, NerveScore, Scores, method_name
from knerve.recon.images import RESEARCH_USE

FIGURES_FOLDER = "figures"
ANATOMY = "anatomy"  # in the name of the picture that shows where a nerve is
READ, SAVE = "read the raw file", "save"  # what a user waits for beside the reconstruction


@dataclass(frozen=True)
class Outcome:
    """What the demo has to tell.

    Attributes:
        figures: the truth and every method.
        scores: of every method.
        best: the method whose images are saved.
        scan_s: what the scanner would have taken.
        acceleration: grid lines over lines sampled.
        seconds: of every step, by name, {"wall": ..., "cpu": ...}.
        stages: seconds of the best method's stages.
    """

    figures: Figures
    scores: Scores
    best: str
    scan_s: float
    acceleration: float
    seconds: Mapping[str, Mapping[str, float]]
    stages: Mapping[str, float]

    @property
    def n_slices(self) -> int:
        """Of the scan."""
        return len(self.figures.truth.image)

    @property
    def waiting_s(self) -> float:
        """From the raw file to the written images of the best method."""
        return sum(self.seconds[step]["wall"] for step in (READ, self.best, SAVE))


def whole_file(series: str) -> str:
    """Picture of the whole slice."""
    return f"{FIGURES_FOLDER}/slice-{series}.png"


def error_file(series: str) -> str:
    """Picture of its error."""
    return f"{FIGURES_FOLDER}/error-{series}.png"


def crop_file(name: str, series: str) -> str:
    """Picture of the surroundings of a nerve."""
    return f"{FIGURES_FOLDER}/{name}-{series}.png"


def headings(scores: Scores) -> dict[str, str]:
    """What stands above the truth's and each method's pictures."""
    return {TRUTH: method_name(TRUTH)} | {
        method: f"{method_name(method)}, error {_percent(error)}" for method, error in scores.nrmse.items()
    }


def sheet_words(outcome: Outcome) -> list[str]:
    """Explanation of the comparison sheet, line by line."""
    places = [
        f"{SHORT.get(name, name)}: {name}, slice {nerve.view.slice}" for name, nerve in outcome.scores.nerves.items()
    ]
    return [
        "A simulated knee, not a patient's.",
        f"Scan of {outcome.scan_s:.0f} s, R = {outcome.acceleration:.2g}.",
        "",
        f"Top: coronal slice {outcome.figures.slice}.",
        f"Middle: genicular nerves, {CROP_MM:g} mm:",
        *places,
        "",
    ]


def demo_page(outcome: Outcome) -> str:
    """The HTML text."""
    scores, best = outcome.scores, outcome.best
    return Template(files("knerve").joinpath("demo.html").read_text(encoding="utf-8")).substitute(
        style=files("knerve.datasets").joinpath("report.css").read_text(encoding="utf-8"),
        research_use=escape(RESEARCH_USE),
        facts=_facts(outcome),
        nerves="".join(_nerve(name, nerve) for name, nerve in scores.nerves.items()),
        missing=_missing(scores.missing),
        crop_mm=f"{CROP_MM:g}",
        table=_table(scores),
        slice=outcome.figures.slice,
        whole="".join(_figure(whole_file(series), heading) for series, heading in headings(scores).items()),
        errors="".join(
            _figure(error_file(method), f"{method_name(method)}: {_percent(error)}")
            for method, error in scores.nrmse.items()
        ),
        error_white=f"{ERROR_WHITE:.0%}",
        stages=_bars(_waiting(outcome)),
        steps=_steps(outcome.seconds),
        best=escape(method_name(best)),
        scan_s=f"{outcome.scan_s:.0f}",
        slices=counted(outcome.n_slices, "slice"),
        waiting_s=_seconds(outcome.waiting_s),
    )


def _facts(outcome: Outcome) -> str:
    best, scores = outcome.best, outcome.scores
    kept = [nerve.recovered[best] for nerve in scores.nerves.values()]
    facts = {
        "Scan": f"{outcome.scan_s:.0f} s, {counted(outcome.n_slices, 'slice')}",
        "Pixel": " × ".join(f"{size:.2f}" for size in outcome.figures.truth.pixel_mm) + " mm",
        "Acceleration": f"{outcome.acceleration:.3g}",
        "Raw file to images": _seconds(outcome.waiting_s),
        f"{method_name(best)}: error": _percent(scores.nrmse[best]),
    }
    if kept:
        facts[f"{method_name(best)}: contrast of the nerves kept"] = (
            f"{100 * min(kept):.0f} to {_whole_percent(max(kept))}"
        )
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _nerve(name: str, nerve: NerveScore) -> str:
    """One nerve: the truth and every method side by side."""
    view = nerve.view
    about = (
        f"{nerve.diameter_mm:.2f} mm thick; slice {view.slice}, {view.from_target_mm:.0f} mm from where a needle goes"
    )
    pictures = _figure(crop_file(name, ANATOMY), "Where it is") + "".join(
        _figure(crop_file(name, series), method_name(series), f"contrast {_whole_percent(contrast)}")
        for series, contrast in nerve.contrast.items()
    )
    return (
        f"<article><h3>{escape(name.capitalize())} genicular nerve ({escape(SHORT.get(name, name))})</h3>"
        f'<p class="soft">{escape(about)}</p><div class="row">{pictures}</div></article>'
    )


def _missing(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f'<p class="soft">Not in these slices: {escape(", ".join(names))}. The scan of 15 slices holds all four.</p>'


def _table(scores: Scores) -> str:
    """Contrast of every nerve in the truth and in each method, and the part that is recovered."""
    head = "".join(f'<th class="number">{escape(method_name(series))}</th>' for series in (TRUTH, *scores.nrmse))
    rows = "".join(f"<tr><th>{escape(name)}</th>{_cells(nerve)}</tr>" for name, nerve in scores.nerves.items())
    return f'<div class="wide"><table><thead><tr><th>Nerve</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(nerve: NerveScore) -> str:
    return "".join(
        f'<td class="number">{_whole_percent(contrast)}'
        + (
            f' <span class="soft">({_whole_percent(nerve.recovered[series])})</span>'
            if series in nerve.recovered
            else ""
        )
        + "</td>"
        for series, contrast in nerve.contrast.items()
    )


def _waiting(outcome: Outcome) -> dict[str, float]:
    """Seconds from the raw file to the written images, by stage."""
    seconds = outcome.seconds
    return {"read": seconds[READ]["wall"], **outcome.stages, "save": seconds[SAVE]["wall"]}


def _bars(seconds: Mapping[str, float]) -> str:
    longest = max(seconds.values()) or 1.0
    return "".join(
        f'<tr><th>{escape(stage)}</th><td class="bar"><i style="width: {100 * value / longest:.1f}%"></i></td>'
        f'<td class="number">{value:.2f} s</td></tr>'
        for stage, value in seconds.items()
    )


def _steps(seconds: Mapping[str, Mapping[str, float]]) -> str:
    rows = {name: (step["wall"], step["cpu"]) for name, step in seconds.items()}
    rows["in all"] = (sum(wall for wall, _ in rows.values()), sum(cpu for _, cpu in rows.values()))
    return "".join(
        f'<tr><th>{escape(_step_name(name))}</th><td class="number">{wall:.1f} s</td><td class="number">{cpu:.1f} s</td></tr>'
        for name, (wall, cpu) in rows.items()
    )


def _step_name(name: str) -> str:
    return f"reconstruct, {method_name(name)}" if method_name(name) != name else name


def _figure(file: str, heading: str, words: str = "") -> str:
    caption = f"<b>{escape(heading)}</b>" + (f"<br>{escape(words)}" if words else "")
    return f'<figure><img src="{escape(file)}" alt="{escape(heading)}" loading="lazy"><figcaption>{caption}</figcaption></figure>'


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _whole_percent(part: float) -> str:
    return f"{100 * part:.0f} %".replace("-", "−")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
