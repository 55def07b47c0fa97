"""The report as a page for people: `report.html`, self-contained, with the images in it and no request to anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from knerve.datasets.report_figures import ReportFigures

_UNKNOWN = "unknown"


def report_page(report: Mapping[str, Any], figures: ReportFigures, trust: str = "") -> str:
    """The HTML text for the `report_data` of a series and its figures; everything from the raw file's header is escaped.

    Args:
        report: the numbers.
        figures: the images.
        trust: the section of `trust_section`, if maps were made.
    """
    room = files("knerve.datasets")
    return Template(room.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        style=room.joinpath("report.css").read_text(encoding="utf-8"),
        title=escape(report["source"] or "Reconstructed images"),
        subtitle=escape(f"reconstructed by knerve {report['versions']['knerve']}, {_moment(report['created'])}"),
        research_use=escape(report["research_use"]),
        facts=_facts(report),
        notes=_notes(report["notes"]),
        pictures=figures.pictures,
        window=escape(figures.caption),
        maps=figures.maps,
        trust=trust,
        noise=_noise(report["noise"]),
        time=_time(report["seconds"]),
        geometry=_geometry(report["geometry"]),
        settings=_settings(report["settings"]),
        footer=escape(", ".join(f"{name} {number}" for name, number in report["versions"].items())),
    )


def _facts(report: Mapping[str, Any]) -> str:
    geometry, snr = report["geometry"], report["snr"]
    nx, ny, nz = geometry["matrix"]
    dx, dy = geometry["pixel_mm"]
    known_snr = snr["median_snr"] is not None
    signal = snr["median_snr"] if known_snr else snr["median_signal"]
    rows = [
        ("Method", report["method"], ""),
        ("Volumes" if report["scan"]["is_3d"] else "Images", str(report["scan"]["n_images"]), ""),
        ("Matrix", f"{nx} × {ny}" + (f" × {nz}" if nz > 1 else ""), ""),
        ("Voxel", f"{dx:.3g} × {dy:.3g} × {geometry['thickness_mm']:.3g}", "mm"),
        ("Acceleration", _number(report["acceleration"]), ""),
        ("Median SNR" if known_snr else "Median signal", _number(signal), "" if known_snr else "SNR units"),
    ]
    if snr["g_factor_median"] is not None:
        factors = f"{_number(snr['g_factor_median'])} · {_number(snr['g_factor_95th'])}"
        rows.append(("g-factor, median · 95th", factors, ""))
    if report["seconds"]:
        rows.append(("Reconstruction", _number(sum(filter(None, report["seconds"].values()))), "s"))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
        for name, value, unit in rows
    )


def _notes(notes: list[str]) -> str:
    if not notes:
        return ""
    return "<section><h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul></section>"


def _noise(noise: Mapping[str, Any]) -> str:
    deviations = [value or 0.0 for value in noise["standard_deviation_per_coil"]]
    largest = max(deviations, default=0.0)
    bars = "".join(
        f'<i style="height: {100 * value / largest:.1f}%" title="coil {coil}: {value:.4g}"></i>'
        for coil, value in enumerate(deviations)
        if largest > 0
    )
    facts = _table(
        [
            ("Source", noise["source"]),
            ("Samples", f"{noise['n_samples']:,}"),
            ("Largest correlation of two coils", _number(noise["largest_correlation"])),
        ]
    )
    if not bars:
        return facts
    caption = f"Standard deviation per coil in raw units, {min(deviations):.3g} to {largest:.3g}"
    return f'{facts}<div class="coils">{bars}</div><p class="soft">{escape(caption)}</p>'


def _time(seconds: Mapping[str, float | None]) -> str:
    longest = max((value or 0.0 for value in seconds.values()), default=0.0) or 1.0
    rows = "".join(
        f"<tr><th>{escape(stage.replace('_', ' '))}</th>"
        f'<td class="bar"><i style="width: {100 * (value or 0) / longest:.1f}%"></i></td>'
        f'<td class="number">{value or 0:.2f} s</td></tr>'
        for stage, value in seconds.items()
    )
    return f"<table>{rows}</table>" if rows else '<p class="soft">No stage was timed.</p>'


def _geometry(geometry: Mapping[str, Any]) -> str:
    first = geometry["slices"][0]
    rows = [
        ("Field of view", " × ".join(f"{size:.4g}" for size in geometry["field_of_view_mm"]) + " mm"),
        ("Slice thickness", f"{geometry['thickness_mm']:.4g} mm"),
        ("Distance between slices", f"{_number(geometry['spacing_between_mm'])} mm"),
        ("Centre of the first slice", ", ".join(f"{value:.2f}" for value in first["position_mm"]) + " mm (LPS)"),
        ("Left to right in the image", f"towards {first['row_direction']}"),
        ("Top to bottom in the image", f"towards {first['column_direction']}"),
    ]
    if geometry["spacing_between_mm"] is None:
        rows.pop(2)
    if not geometry["known"]:
        rows[-3:] = [("Place in the patient", _UNKNOWN)]
    return _table(rows)


def _settings(settings: Mapping[str, object]) -> str:
    return "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_words(value))}</dd></div>"
        for name, value in settings.items()
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        + "</table>"
    )


def _moment(iso_time: str) -> str:
    return datetime.fromisoformat(iso_time).strftime("%Y-%m-%d %H:%M UTC")


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.3g}"


def _words(value: object) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
