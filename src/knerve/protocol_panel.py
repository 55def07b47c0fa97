"""What `knerve protocol show` prints: the lines of a scanner's console, and below them what no console prints.

Every line says where its numbers come from: the paper, our reconstruction of it, memory, or a calculation from those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from knerve.sequences.evaluation import Evaluation, TissueResult
from knerve.sequences.fat import FAT_WATER_PPM
from knerve.sequences.protocol import Protocol
from knerve.sequences.provenance import Origin
from knerve.sequences.quantities import shown, shown_name, split_unit
from knerve.sequences.tissues import FLAG_MEANING, tissue

WIDTH = 118  # columns
CALCULATED = "calculated"
NO_CLEARANCE = "A calculation for research, not a safety clearance: the scanner's own monitors decide."
ORIGIN_WORDS: dict[Origin, str] = {
    "paper": "paper",
    "reconstruction": "our reconstruction",
    "memory": "from memory",
    "not stated": "not stated",
}
Row = tuple[str, str, str]


def as_document(protocol: Protocol, evaluation: Evaluation) -> dict[str, object]:
    """The evaluation for programs, with the origin of every field of the protocol."""
    return {
        "research_use": NO_CLEARANCE,
        "description": protocol.description,
        "source": protocol.provenance.source,
        "scan_time_stated_s": protocol.provenance.scan_time_s,
        "origin": {name: protocol.provenance.origin_of(name) for name in _field_names(protocol)},
    } | evaluation.as_dict()


def panel(protocol: Protocol, evaluation: Evaluation) -> Panel:
    """The whole panel."""
    parts: list[RenderableType] = [
        _rows(_console_rows(protocol, evaluation)),
        Rule("What no console prints", style="dim"),
        _tissue_table(protocol, evaluation),
        _rows(_hidden_rows(evaluation)),
        Rule("Exposure and gradients", style="dim"),
        _check_table(evaluation),
        Text(f"\n{NO_CLEARANCE}", style="yellow"),
        Text(_provenance(protocol), style="dim"),
    ]
    title = ": ".join(part for part in (protocol.name, protocol.description) if part)
    return Panel(Group(*parts), title=Text(title, style="bold"), width=WIDTH, box=box.ROUNDED)


def _console_rows(protocol: Protocol, evaluation: Evaluation) -> Iterator[Row]:
    geometry, train, schedule, time = protocol.geometry, protocol.echo_train, protocol.schedule, evaluation.time
    under = protocol.undersampling
    yield "Total scan duration", _duration(time.total_s), _stated_time(protocol)
    nerve = evaluation.tissue("nerve")
    yield "Rel. SNR (nerve)", f"{100 * nerve.relative_snr:.0f} % of navigate, before g-factor", CALCULATED
    yield _row(protocol, "TR", f"{1000 * schedule.repetition_time_s:g} ms", "schedule.repetition_time_s")
    least_ms = 1000 * time.slices_per_package * time.shot_s
    yield "Min. TR", f"{least_ms:.0f} ms for {time.slices_per_package} slices per package", CALCULATED
    equivalent = "-" if nerve.equivalent_echo_time_s is None else f"{1000 * nerve.equivalent_echo_time_s:.1f}"
    yield "TEeff / TEequiv (nerve)", f"{1000 * evaluation.echo_time_s:.2f} / {equivalent} ms", CALCULATED
    yield _row(
        protocol,
        "TSE factor, spacing / shot",
        f"{train.echo_train_length}, {1000 * train.echo_spacing_s:g} / {1000 * time.shot_s:.1f} ms, order {train.order}",
        "echo_train.echo_train_length",
        "echo_train.echo_spacing_s",
        "echo_train.order",
    )
    yield _row(
        protocol,
        "Refocusing",
        f"{train.refocusing_train}, {train.refocusing_angle_deg:g} degrees",
        "echo_train.refocusing_train",
        "echo_train.refocusing_angle_deg",
    )
    n_read = round(geometry.field_of_view_read_m / geometry.voxel_read_m)
    yield "ACQ matrix M x P", f"{n_read} x {time.n_lines_image} ({time.n_lines_full} with oversampling)", CALCULATED
    yield _row(
        protocol,
        "ACQ voxel MPS",
        f"{_mm(geometry.voxel_read_m)} x {_mm(geometry.voxel_phase_m)} x {_mm(geometry.slice_thickness_m)} mm",
        "geometry.voxel_read_m",
        "geometry.voxel_phase_m",
        "geometry.slice_thickness_m",
    )
    yield _row(
        protocol,
        "Slices, gap, packages",
        f"{geometry.n_slices} {geometry.orientation}, {_mm(geometry.slice_gap_m)} mm, {schedule.packages}",
        "geometry.orientation",
        "geometry.n_slices",
        "geometry.slice_gap_m",
        "schedule.packages",
    )
    yield _row(
        protocol,
        "WFS / BW",
        f"{evaluation.fat.read_px:.2f} px / {train.pixel_bandwidth_hz:g} Hz per pixel",
        "echo_train.pixel_bandwidth_hz",
    )
    asked, net, image = time.acceleration_asked, time.acceleration_net, time.acceleration_image
    yield _row(protocol, "Acceleration asked", f"{asked:g}", "undersampling.acceleration")
    yield "Acceleration net / image", f"{net:.2f} / {image:.2f} ({time.n_lines} lines read)", CALCULATED
    yield _row(
        protocol,
        "NSA, half scan, oversampling",
        f"{schedule.averages} ({under.averages_as}), {under.half_scan:g}, {100 * geometry.phase_oversampling:.0f} %",
        "schedule.averages",
        "undersampling.half_scan",
        "geometry.phase_oversampling",
    )
    yield _row(protocol, "Fat suppression", _fat_suppression(protocol), *_fat_fields(protocol))
    b1_rms = evaluation.b1_rms_ut
    if b1_rms is None:
        yield "B1+rms", "not evaluated", ""
    else:
        yield "B1+rms", f"{b1_rms:.2f} µT over TR", CALCULATED
    yield "RF energy of the train", f"{100 * evaluation.relative_rf_energy:.0f} % of 180 degrees throughout", CALCULATED


def _hidden_rows(evaluation: Evaluation) -> Iterator[Row]:
    fat, quality = evaluation.fat, evaluation.pattern
    yield "Contrast nerve / fat", _ratio(evaluation.nerve_to_fat), CALCULATED
    if evaluation.fat_null_s is not None:
        yield "Inversion time that nulls fat", f"{evaluation.fat_null_s * 1e3:.1f} ms", CALCULATED
    yield "Contrast nerve / muscle", _ratio(evaluation.nerve_to_muscle), CALCULATED
    yield (
        "Fat shift at the nerve",
        f"{fat.read_mm:.2f} mm read, {fat.slice_mm:.2f} mm slice ({fat.slice_refocused_mm:.2f} refocused)",
        f"{CALCULATED}, {FAT_WATER_PPM} ppm",
    )
    yield (
        "Pattern: peak interference",
        f"{quality.peak_interference:.3f} of the point",
        f"{CALCULATED}, our pattern",
    )
    yield (
        "Pattern: largest gap",
        f"{quality.largest_gap} lines, {quality.largest_gap_without_a_shot} when the worst shot is lost",
        CALCULATED,
    )
    echoes, shots = quality.lines_per_echo, quality.lines_per_shot
    balance = f"{min(echoes)} to {max(echoes)} lines per echo, {shots[0]} to {shots[1]} per shot"
    yield "Pattern: balance", balance, CALCULATED


def _tissue_table(protocol: Protocol, evaluation: Evaluation) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("tissue")
    for heading in (
        "T1 / T2 (ms)",
        "signal (M0)",
        "TEequiv (ms)",
        "effective voxel (mm)",
        "side lobes",
        "rel. SNR",
    ):
        table.add_column(heading, justify="right")
    for each in evaluation.tissues:
        times = tissue(each.name)
        table.add_row(
            each.name.replace("_", " "),
            f"{times.t1_ms.value:g} {times.t1_ms.flag} / {times.t2_ms.value:g} {times.t2_ms.flag}",
            f"{each.signal:.3f}",
            "-" if each.equivalent_echo_time_s is None else f"{1000 * each.equivalent_echo_time_s:.1f}",
            _voxel(each),
            f"{100 * each.side_lobe_energy:.0f} %",
            f"{each.relative_snr:.2f}",
        )
    flags = ", ".join(f"{flag} {meaning}" for flag, meaning in FLAG_MEANING.items())
    note = (
        f"Effective voxel: full widths at half maximum, read x phase x slice, nominal slice "
        f"{_mm(protocol.geometry.slice_thickness_m)} mm; without decay 1.207 nominal voxels and 10 % side lobes. "
        f"Rel. SNR: navigate = 1. Relaxation times: {flags}. "
        f"Echoes: {evaluation.model}; slices as if alone, no magnetisation transfer, no decay during one readout."
    )
    return Group(table, Text(f"{note}\n", style="dim"))


def _check_table(evaluation: Evaluation) -> Table:
    styles = {"pass": "green", "fail": "bold red", "not evaluated": "yellow"}
    table = Table.grid(padding=(0, 2))
    for each in evaluation.checks:
        value = "-" if each.value is None else f"{each.value:.3g}"
        limit = "no limit" if each.limit is None else f"limit {each.limit:g}"
        table.add_row(
            Text(f"{each.name}, {each.unit}"),
            Text(value),
            Text(limit),
            Text(each.verdict, style=styles[each.verdict]),
            Text(each.note, style="dim"),
        )
    return table


def _rows(rows: Iterator[Row]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=28)
    for name, value, origin in rows:
        table.add_row(Text(name, style="bold"), Text(value), Text(origin, style="dim"))
    return table


def _row(protocol: Protocol, name: str, value: str, *field_names: str) -> Row:
    """A line whose numbers the protocol says; several origins are all named, what is from memory with its range."""
    origins = dict.fromkeys(ORIGIN_WORDS[protocol.provenance.origin_of(field)] for field in field_names)
    ranges = [
        f"{shown(each.low, each.field)} to {shown(each.high, each.field)} {split_unit(shown_name(each.field))[1]}"
        for each in protocol.provenance.memory
        if each.field in field_names
    ]
    return name, value, ", ".join(origins) + (f" ({'; '.join(ranges)})" if ranges else "")


def _stated_time(protocol: Protocol) -> str:
    stated_s = protocol.provenance.scan_time_s
    return CALCULATED if stated_s is None else f"{CALCULATED}; the source says {stated_s:g} s"


def _provenance(protocol: Protocol) -> str:
    if not protocol.provenance.source:
        return "The protocol does not say where its numbers come from."
    origins = [protocol.provenance.origin_of(name) for name in _field_names(protocol)]
    counts = ", ".join(f"{origins.count(each)} {words}" for each, words in ORIGIN_WORDS.items() if each in origins)
    return f"Source: {protocol.provenance.source}. Of {len(origins)} numbers and choices: {counts}."


def _field_names(protocol: Protocol) -> list[str]:
    sections = ("geometry", "echo_train", "schedule", "undersampling", "pulses", "fat_suppression", "system")
    return [f"{section}.{each.name}" for section in sections for each in fields(getattr(protocol, section))]


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s ({int(seconds // 60)}:{seconds % 60:04.1f})"


def _fat_suppression(protocol: Protocol) -> str:
    fat = protocol.fat_suppression
    return fat.method if fat.inversion_time_s is None else f"{fat.method}, TI {1000 * fat.inversion_time_s:g} ms"


def _fat_fields(protocol: Protocol) -> tuple[str, ...]:
    names = ("fat_suppression.method", "fat_suppression.inversion_time_s")
    return names[:1] if protocol.fat_suppression.inversion_time_s is None else names


def _voxel(result: TissueResult) -> str:
    across = "?" if result.fwhm_slice_mm is None else f"{result.fwhm_slice_mm:.2f}"
    return f"{result.fwhm_read_mm:.2f} x {result.fwhm_phase_mm:.2f} x {across}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} (ratio of signals)"


def _mm(metres: float) -> str:
    return f"{1000 * metres:g}"
