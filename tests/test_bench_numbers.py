"""The benchmark's arithmetic: scores, searches, medians, ratios, history, what is told."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table

from knerve.bench.cases import CASES, find_cases
from knerve.bench.errors import BenchError, MethodFailedError
from knerve.bench.history import WHOLE, Entry, entries_of, from_lines, history_tables, to_lines
from knerve.bench.known_searches import KnownSearches
from knerve.bench.methods import Measured, Method, Search, Setting
from knerve.bench.plot import draw, plot_png
from knerve.bench.registry import OWN, PEERS, find_peers
from knerve.bench.results import CaseResult, MethodResult, Spread
from knerve.bench.rounds import Run
from knerve.bench.score import Score, nrmse, score, similarity
from knerve.bench.search import Point, chosen_from, search
from knerve.bench.source import Truth, filled
from knerve.bench.table import counted_lines, quality_line, results_table, stages_table


@pytest.fixture
def truth() -> Truth:
    generator = np.random.default_rng(0)
    magnitude = generator.uniform(1, 2, (24, 20)).astype(np.float32)
    inside = np.zeros((24, 20), bool)
    inside[4:20, 3:17] = True
    return Truth(magnitude, inside)


def method(name: str, *, ours: bool = False) -> Method:
    return Method(
        name=name,
        home="nowhere",
        label=name.upper(),
        counted="everything",
        start=lambda _files, _threads: pytest.fail("no worker is started here"),
        missing=lambda: None,
        version=lambda: "1.0",
        search=None if ours else Search(name, 0.01),
        ours=ours,
    )


def result(name: str, seconds: Sequence[float], *, ours: bool = False, **more: object) -> MethodResult:
    runs = tuple(
        Run(Measured(s, 2 * s, {"calibration": s / 4, "solve": 3 * s / 4}, 10**8), Score(0.05, 0.9), 1.5)
        for s in seconds
    )
    found = MethodResult(method(name, ours=ours), "1.0", runs)
    return replace(found, **more) if ours else replace(found, setting=Setting(0.004, 30), **more)


def shown(*tables: Table) -> str:
    out = StringIO()
    console = Console(file=out, width=300)
    for table in tables:
        console.print(table)
    return out.getvalue()


def test_nrmse_ignores_a_real_scale_and_what_lies_outside(truth: Truth) -> None:
    image = 7 * truth.magnitude
    image[~truth.inside] = 1e6
    assert nrmse(image, truth) < 1e-6
    error = np.zeros_like(truth.magnitude)
    error[truth.inside] = np.random.default_rng(1).normal(size=int(truth.inside.sum()))
    expected = truth.magnitude[truth.inside].astype(np.float64)
    difference = error[truth.inside] - expected * (error[truth.inside] @ expected) / (expected @ expected)
    difference *= 0.1 * np.linalg.norm(expected) / np.linalg.norm(difference)
    wrong = truth.magnitude.copy()
    wrong[truth.inside] += difference
    # the error is orthogonal to the truth: the best scale is 1 / (1 + 0.1²), and what is left is 0.1 / √(1 + 0.1²)
    assert nrmse(3 * wrong, truth) == pytest.approx(0.1 / math.sqrt(1.01), rel=1e-4)


def test_similarity_is_the_formula_of_the_paper(truth: Truth) -> None:
    generator = np.random.default_rng(2)
    image = truth.magnitude + generator.normal(0, 0.2, truth.magnitude.shape).astype(np.float32)
    found = similarity(torch.from_numpy(image), torch.from_numpy(truth.magnitude), data_range=1.0)[12, 10]
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = (values[7:18, 5:16].astype(float) for values in (image, truth.magnitude))
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy, cov = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum(), (window * (x - mx) * (y - my)).sum()
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    assert score(2 * truth.magnitude, truth).ssim == pytest.approx(1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image: image[:-1], r"shape \(23, 20\), but the case \(24, 20\)"),
        (lambda image: np.where(image > 1.9, np.nan, image).astype(np.float32), "NaN or infinite"),
        (lambda image: np.where(np.arange(20) > 8, 0, image).astype(np.float32), "not that of the object: NRMSE"),
    ],
)
def test_images_that_are_none_are_refused(truth: Truth, spoil: object, words: str) -> None:
    assert callable(spoil)
    with pytest.raises(MethodFailedError, match=words):
        score(spoil(truth.magnitude), truth)


def test_the_object_is_filled_between_its_bright_pixels() -> None:
    ring = np.zeros((9, 9), bool)
    ring[2:7, 2:7] = True
    ring[4, 4] = False
    ring[0, 8] = True  # a lone pixel has no neighbours on both sides of the others
    inside = filled(ring)
    assert inside[4, 4]
    assert inside[2:7, 2:7].all()
    assert not inside[0, 0]
    assert not inside[8].any()


def error_of_setting(weight: float, iterations: int) -> float:
    """Lowest at weight 0.0113; falls with the iterations."""
    return 0.05 * (1 + 0.2 * math.log2(weight / 0.0113) ** 2) * (1 + math.exp(-iterations / 7))


@pytest.mark.parametrize("start", [0.0005, 0.004, 0.2])
def test_search_finds_the_best_weight_and_the_fewest_iterations(start: float) -> None:
    asked: list[float] = []

    def curve(weight: float, iterations: Sequence[int]) -> np.ndarray:
        asked.append(weight)
        return np.array([error_of_setting(weight, n) for n in iterations])

    found = search(curve, float, start, quick=False)
    assert abs(math.log2(found.setting.weight / 0.0113)) <= 0.26
    assert found.best.nrmse == min(point.nrmse for point in found.points)
    assert found.chosen.nrmse <= 1.01 * found.best.nrmse
    same_weight = [point for point in found.points if point.weight == found.chosen.weight]
    assert not [p for p in same_weight if p.iterations < found.chosen.iterations and p.nrmse <= 1.01 * found.best.nrmse]
    iterations = {point.iterations for point in found.points}
    assert 60 in iterations, "more iterations helped"
    assert 200 not in iterations, "more iterations no longer helped"
    assert found.chosen.iterations == 35, "between 30 and 40"

    n_careful = len(asked)
    asked.clear()
    quick = search(curve, float, start, quick=True)
    assert abs(math.log2(quick.setting.weight / 0.0113)) <= 0.51
    assert len(asked) < n_careful


def test_stopping_early_may_be_the_best() -> None:
    points = [Point(0.1, 10, 0.0504), Point(0.1, 60, 0.07), Point(0.2, 100, 0.05), Point(0.2, 10, 0.09)]
    assert chosen_from(points).setting == Setting(0.1, 10)


def test_searches_are_known_only_for_the_same_data_version_and_care() -> None:
    found = chosen_from([Point(0.1, 10, 0.05), Point(0.2, 20, 0.06)])
    known = KnownSearches({})
    known.keep("R3", "bart", found, data="a", version="1", quick=True)
    known = KnownSearches(json.loads(json.dumps(known.as_dict())))
    assert known.find("R3", "bart", data="a", version="1", quick=True) == found
    assert known.find("R3", "bart", data="a", version="1", quick=False) is None
    assert known.find("R3", "bart", data="b", version="1", quick=True) is None
    assert known.find("R3", "bart", data="a", version="2", quick=True) is None
    assert known.find("R6", "bart", data="a", version="1", quick=True) is None
    older = KnownSearches({"R3/bart": {**known.as_dict()["R3/bart"], "search": 0}})
    assert older.find("R3", "bart", data="a", version="1", quick=True) is None


def test_ratios_are_of_medians_over_ours() -> None:
    case = CaseResult(
        CASES["R3"], "us", (result("us", [1, 2, 9], ours=True), result("them", [30, 10, 20])), {"gone": "not here"}
    )
    assert case.ours is not None
    assert case.ours.seconds == Spread(2, 1, 9)
    document = json.loads(json.dumps(case.as_dict(), allow_nan=False))
    assert [each["times_reference"] for each in document["methods"]] == [1, 10]
    assert document["methods"][0]["setting"] == "automatic defaults"
    assert document["methods"][1]["setting"] == {"weight": 0.004, "iterations": 30}
    assert [run["measured"]["seconds"] for run in document["methods"][1]["runs"]] == [30, 10, 20]
    told = shown(results_table(case), stages_table(case))
    assert "20.00 (10.00-30.00)" in told
    assert "10.0" in told
    assert "skipped: not here" in told
    assert "0.500" in told, "our median calibration"


@pytest.mark.parametrize(
    ("theirs", "word"), [(0.0496, "NRMSE of US: 1.008 times"), (0.045, "Warning: NRMSE of US: 1.111")]
)
def test_speed_at_a_higher_error_is_told(theirs: float, word: str) -> None:
    ours, them = result("us", [1], ours=True), result("them", [9])
    them = replace(them, runs=tuple(replace(run, score=Score(theirs, 0.9)) for run in them.runs))
    assert counted_lines(CaseResult(CASES["R3"], "us", (ours, them), {}))[0].startswith(word)
    assert quality_line(CaseResult(CASES["R3"], "us", (ours,), {})) is None


def test_methods_without_runs_are_told_not_hidden() -> None:
    failed = result("them", [], problem="them: its process ended: bang")
    capped = result("slow", [200.0], remark="1 of 5 runs: those took longer than the cap of 120 s.")
    case = CaseResult(CASES["R3"], "us", (failed, capped), {})
    assert case.ours is None
    assert "failed, see below" in shown(results_table(case))
    lines = counted_lines(case)
    assert "Failed: them: its process ended: bang" in lines
    assert any("cap of 120 s" in line for line in lines)
    json.dumps(case.as_dict(), allow_nan=False)


def test_plot_shows_time_on_a_log_axis_and_every_method_once() -> None:
    cases = [
        CaseResult(CASES[name], "us", (result("us", [1, 2], ours=True), result("them", [20])), {})
        for name in ("R3", "R6")
    ]
    figure = draw(cases, "machine")
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["US", "THEM"]
    assert plot_png(cases, "machine").startswith(b"\x89PNG")
    assert plot_png([CaseResult(CASES["R3"], "us", (), {})], "nothing was measured").startswith(b"\x89PNG")


def entry(commit: str | None, whole: float, **more: object) -> Entry:
    plain = Entry("2026-01-01T00:00:00+00:00", commit, "CPU", 2, "R3", "knerve-cs", {WHOLE: whole, "solve": whole / 2})
    return replace(plain, **more)


def test_history_compares_each_commit_with_the_one_before() -> None:
    entries = [entry("aaa", 2.0), entry("aaa", 1.0), entry("bbb", 0.25), entry(None, 0.5), entry("ccc", 3.0, threads=1)]
    read_back = from_lines(to_lines(entries), "history.jsonl")
    assert read_back == tuple(entries)
    two_threads, one_thread = history_tables(read_back)
    told = shown(two_threads)
    assert "aaa" in told
    assert "no commit" in told
    assert "1.000" in told, "the least of two benchmarks of one commit"
    assert "0.250 (0.25)" in told
    assert "0.500 (2.00)" in told
    assert "2.000" not in told
    assert "3.000" in shown(one_thread), "another number of threads is another series"


def test_history_keeps_our_own_least_times() -> None:
    case = CaseResult(CASES["R3"], "us", (result("us", [2, 1, 9], ours=True), result("them", [20])), {})
    (kept,) = entries_of([case], created="now", commit="aaa", processor="CPU", threads=2)
    assert kept.method == "us"
    assert kept.seconds == {WHOLE: 1, "calibration": 0.25, "solve": 0.75}


@pytest.mark.parametrize("line", ["{", "[]", '{"commit": "aaa"}'])
def test_a_damaged_history_is_refused(line: str) -> None:
    with pytest.raises(BenchError, match=r"Line 2 of history\.jsonl is no line of our history"):
        from_lines(to_lines([entry("aaa", 1.0)]) + line, "history.jsonl")


def test_cases_and_peers_are_found_by_name() -> None:
    assert [case.name for case in find_cases(["R6", "R3", "R6"])] == ["R6", "R3"]
    assert CASES["R3"].n_lines == 184
    assert CASES["R6"].n_lines == 92
    with pytest.raises(ValueError, match="no case is called 'R5'; choose of R2, R3"):
        find_cases(["R3", "R5"])
    assert [peer.name for peer in find_peers(["bart-cc8", "bart", "bart"])] == ["bart-cc8", "bart"]
    assert find_peers(["none"]) == ()
    assert len(find_peers(["available"])) == len(PEERS)
    for wrong in (["matlab"], ["bart", "available"], [""]):
        with pytest.raises(ValueError, match=r"no peer is called .* choose of bart, bart-tuned"):
            find_peers(wrong)
    names = [each.name for each in (*OWN, *PEERS.values())]
    assert len(names) == len(set(names))
    assert OWN[0].name == "knerve-cs"
    assert all(each.ours for each in OWN)
    assert all(each.search is not None for each in PEERS.values())
