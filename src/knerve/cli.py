"""The command line: one verb a job; exit 0 done, 1 failed with a clear error, 2 wrong usage."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from knerve.bench.command import register as register_bench_command
from knerve.denoise_command import register as register_denoise_command
from knerve.recon.errors import SettingsError
from knerve.recon.settings import Compression, Settings, SnrMap
from knerve.recon_job import reconstruct_file
from knerve.serve_commands import register as register_serve_commands
from knerve.simulate_command import register as register_simulate_command
from knerve.terminal import facts_table, terminal, to_json
from knerve.train_command import register as register_train_command

MethodOrAuto = Literal["auto", "zero-filled", "sense", "cs", "dl"]
Device = Literal["auto", "cpu", "cuda"]
MAX_SEED = 2**63 - 1  # what torch takes
AUTO_REASON = (
    "auto chose cs: compressed sensing with weights calibrated on the noise. The learned method dl has to be asked for "
    "until it is better in every case."
)


class Format(StrEnum):
    """File formats of the images; typer takes an enumeration where an option may be repeated."""

    MRD = "mrd"
    DICOM = "dicom"
    PNG = "png"
    NIFTI = "nifti"


app = typer.Typer(
    name="knerve",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # a traceback must not print a patient's name
)

protocol_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at a protocol before it is scanned.")
app.add_typer(protocol_app, name="protocol")

RawFile = Annotated[
    Path,
    typer.Argument(
        metavar="RAW", help="ISMRMRD/MRD or fastMRI .h5, BART .cfl, Siemens .dat; recon: a kept session too."
    ),
]
Group = Annotated[str | None, typer.Option(help="HDF5 group to read where a file holds several.", metavar="NAME")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"knerve {version('knerve')}")
        raise typer.Exit


@app.callback()
def front_door(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From raw MRI k-space to images. Research use only, not a medical device."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("knerve-demo"),
    slices: Annotated[int, typer.Option(min=1, help="Slices to scan; fewer are quicker.")] = 15,
    seed: Annotated[int, typer.Option(help="Of the knee and of the noise.", min=0, max=MAX_SEED)] = 0,
    as_json: AsJson = False,
) -> None:
    """Simulate a scan of a knee, reconstruct it with every method, show the nerves beside the truth."""
    with terminal(as_json) as talk:
        from knerve.demo import run_demo  # here, so that --help does not wait for torch

        run_demo(talk, out, n_slices=slices, seed=seed)


@app.command()
def recon(
    raw: RawFile,
    out: Annotated[Path, typer.Option(help="Folder for the images and the report.")],
    method: Annotated[
        MethodOrAuto, typer.Option(help="auto takes the best that suits the scan, and says which.")
    ] = "auto",
    device: Annotated[Device, typer.Option(help="Where the arithmetic runs.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; else the machine's default.")] = None,
    coils: Annotated[int | None, typer.Option(min=1, help="Virtual coils to keep; else by signal energy.")] = None,
    compression: Annotated[Compression, typer.Option(help="How coils are compressed.")] = Settings.compression,
    map_sets: Annotated[int | None, typer.Option(min=1, max=2, help="Sets of coil maps; else the data decide.")] = None,
    regularisation: Annotated[
        float, typer.Option(min=0, help="Times the automatic weight of cs.")
    ] = Settings.regularisation,
    snr_map: Annotated[SnrMap, typer.Option(help="How noise amplification is mapped.")] = Settings.snr_map,
    iterations: Annotated[int, typer.Option(min=1, help="At most, of sense and cs.")] = Settings.max_iterations,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0, max=MAX_SEED)] = Settings.seed,
    group: Group = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="mrd, dicom, png or nifti; repeat for several. Without it the first three.",
        ),
    ] = None,
    complex_images: Annotated[bool, typer.Option("--complex", help="Write complex images to images.h5 too.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Take ISMRMRD readouts one by one, as `knerve serve` does.")
    ] = False,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps", help="Maps of how far to trust images of cs and dl (ten times the work); of others the noise."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Reconstruct one raw file and write the images where --out says."""
    try:
        settings = Settings(
            method="cs" if method == "auto" else method,
            device=device,
            threads=threads,
            virtual_coils=coils,
            compression=compression,
            map_sets=cast("Literal[1, 2] | None", map_sets),  # typer has checked the range
            regularisation=regularisation,
            snr_map=snr_map,
            max_iterations=iterations,
            seed=seed,
        )
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    with terminal(as_json) as talk:
        if method == "auto":
            talk.step(AUTO_REASON)
        reconstruct_file(
            talk,
            raw,
            out,
            settings,
            group=group,
            formats=frozenset(map(str, formats or ())),
            complex_images=complex_images,
            stream=stream,
            maps=maps,
        )


@app.command()
def info(raw: RawFile, group: Group = None, as_json: AsJson = False) -> None:
    """Tell what is in a raw file: geometry, sampling, calibration, noise, problems."""
    with terminal(as_json) as talk:
        from knerve.datasets.description import describe
        from knerve.datasets.reading import read_raw

        description = describe(read_raw(raw, group=group)).as_dict()
        talk.answer(description, facts_table(description))


@protocol_app.command()
def show(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="A preset's name, or a file that ends in .toml.")],
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw echo train, signal along ky, point spread and pattern."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a protocol does: time, contrast, effective voxel per tissue, fat, SNR, exposure, pattern."""
    if plot is not None and plot.suffix.lower() != ".png":
        raise typer.BadParameter(f"--plot writes PNG, not {plot.name!r}; give a name that ends in .png.")
    with terminal(as_json) as talk:
        from knerve.protocol_panel import as_document, panel
        from knerve.sequences.evaluation import evaluate
        from knerve.sequences.protocol import Protocol

        loaded = Protocol.load(protocol)
        evaluation = evaluate(loaded)
        if plot is not None:
            from knerve.protocol_plot import save_plot

            save_plot(loaded, evaluation, plot)
            talk.step(f"Wrote {plot}")
        talk.answer(as_document(loaded, evaluation), panel(loaded, evaluation))


@protocol_app.command()
def export(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="A preset's name, or a file that ends in .toml.")],
    out: Annotated[Path, typer.Option(metavar="FILE.seq", help="The Pulseq file to write.")],
    pulseq: Annotated[Literal["1.5", "1.4.1"], typer.Option(help="Version of the file format.")] = "1.5",
    as_json: AsJson = False,
) -> None:
    """Write a protocol as a Pulseq file for a research scanner. No safety clearance."""
    if out.suffix != ".seq":
        raise typer.BadParameter(f"--out writes Pulseq, not {out.name!r}; give a name that ends in .seq.")
    with terminal(as_json) as talk:
        from knerve.sequences.protocol import Protocol
        from knerve.sequences.pulseq_export import export as export_pulseq

        written = asdict(export_pulseq(Protocol.load(protocol), out, pulseq))
        talk.step(f"Wrote {out}")
        document = {"out": out} | written
        told = document | {"checks": {each["name"]: _check_words(each) for each in written["checks"]}}
        talk.answer(document, facts_table(told))


def _check_words(check: Mapping[str, Any]) -> str:
    """The verdict of one check, its quantity and its limit."""
    value = "-" if check["value"] is None else f"{check['value']:.4g} {check['unit']}"
    limit = "" if check["limit"] is None else f", limit {check['limit']:g}"
    note = f" ({check['note']})" if check["note"] else ""
    return f"{check['verdict']}: {value}{limit}{note}"


register_serve_commands(app)
register_bench_command(app)
register_simulate_command(app)
register_denoise_command(app)
register_train_command(app)


def main() -> None:
    """Run the command line; under --json wrong usage is told as a document too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill cleans up as Ctrl-C does
    try:
        app()
    except SystemExit as stop:
        usage = stop.__context__
        if "--json" in sys.argv and isinstance(usage, typer.TyperException):
            print(to_json({"error": {"kind": "Usage", "message": usage.format_message()}}))
        raise
