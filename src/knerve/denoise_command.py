"""`knerve denoise`: the network of the reconstruction on images that exist already, with a report of what moved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from knerve.recon.errors import SettingsError
from knerve.terminal import Terminal, facts_table, terminal

if TYPE_CHECKING:
    from torch import Tensor

    from knerve.recon.images import ImageSeries
    from knerve.recon.learned.denoising import Denoised
    from knerve.recon.learned.maps.results import TrustMaps
    from knerve.recon.settings import Settings

FORMATS = frozenset({"mrd", "png"})
OF_MAGNITUDES = (
    "these are magnitude images, and the network knows complex ones: the part of the noise that they lost was drawn from a "
    "fixed seed, and taken out again."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(denoise)


def denoise(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="images.h5 of knerve recon, or a .npy array.")],
    out: Annotated[Path, typer.Option(help="Folder for the images and the report.")],
    noise_map: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Noise standard deviation per real part; else the one in images.h5."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the arithmetic runs.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; else the machine's default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")] = False,
) -> None:
    """Denoise images that have a noise map; no pixel moves more than 3.5 noise standard deviations."""
    with terminal(as_json) as talk:
        from knerve.recon.settings import Settings

        denoise_file(talk, image, out, Settings(device=device, threads=threads), noise_map=noise_map)


def denoise_file(talk: Terminal, image: Path, out: Path, settings: Settings, *, noise_map: Path | None) -> None:
    """Read, denoise, write, and say what moved.

    Args:
        talk: to the user.
        image: `images.h5` or `.npy`.
        out: folder for images and report.
        settings: device and threads.
        noise_map: `.npy`, or None for the one in `images.h5`.

    Raises:
        KnerveError: the file cannot be read, denoised or written.
    """
    from knerve.datasets.noisy_images import read_noisy_images
    from knerve.datasets.output_formats import check_output
    from knerve.datasets.saving import save_images
    from knerve.gpu.devices import choose_device, cpu_threads

    if out.resolve() == image.parent.resolve():
        raise SettingsError(f"--out {out} is the folder of {image.name}, and would be replaced; choose another folder.")
    check_output(out, FORMATS)
    try:
        device = choose_device(settings.device)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    talk.step(f"Reading {image}")
    noisy = read_noisy_images(image, noise_map)
    talk.notes(noisy.notes)
    with cpu_threads(settings.threads), talk.slices("Denoising") as on_slices_done:
        started = time.perf_counter()
        images, moved, facts = _denoised_series(noisy, settings, device.type, on_slices_done)
        images = replace(images, seconds={"denoise": time.perf_counter() - started})
        talk.notes(images.notes)
        talk.step(f"Writing {out}")
        is_complex = bool((noisy.image.imag != 0).any())
        save_images(images, out, formats=FORMATS, complex_images=is_complex, source=image.name, trust=moved)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    talk.answer({"out": out, "moved": facts} | report, facts_table(_words(facts, out)), report["research_use"])


def _denoised_series(
    noisy: ImageSeries, settings: Settings, device: str, on_slices_done: Callable[[int, int], None]
) -> tuple[ImageSeries, TrustMaps, dict[str, float]]:
    """The denoised images, maps of what moved, and the same in numbers."""
    import torch

    from knerve.recon.learned.denoising import denoised, residual_correlation
    from knerve.recon.learned.maps.captions import moved_maps

    assert noisy.noise_level is not None, "the reader refuses images without"
    found: list[Denoised] = []
    correlations = []
    for before, noise in zip(noisy.image, noisy.noise_level, strict=True):
        one = denoised(before.to(device), noise.to(device), settings)
        found.append(one)
        correlations.append(residual_correlation(before, one.image.cpu(), noise))
        on_slices_done(len(found), noisy.n_slices)
    moved, at_bound = (torch.stack([getattr(one, name).cpu() for one in found]) for name in ("moved", "at_bound"))
    facts = _facts(moved, at_bound, noisy.noise_level > 0, correlations)
    notes = noisy.notes + tuple(
        sorted({f"the network was not used: {one.unused}. Wavelet shrinkage alone." for one in found if one.unused})
    )
    if any(one.of_magnitude for one in found):
        notes += (OF_MAGNITUDES,)
    image = torch.stack([one.image.cpu() for one in found])
    images = replace(
        noisy, image=image, noise_level=None, notes=(*notes, _sentence(facts)), settings=settings.as_dict()
    )
    return images, moved_maps(moved, at_bound), facts


def _facts(moved: Tensor, at_bound: Tensor, known: Tensor, correlations: list[float]) -> dict[str, float]:
    values = moved[known]
    ordered = values[:: max(1, len(values) // 1_000_000)]
    return {
        "moved_median": float(ordered.median()),
        "moved_99th_percentile": float(ordered.quantile(0.99)),
        "at_bound_fraction": float(at_bound.sum() / known.sum()),
        "residual_correlation": sum(correlations) / len(correlations),
    }


def _sentence(facts: Mapping[str, float]) -> str:
    return (
        f"pixels moved by {facts['moved_median']:.2g} noise standard deviations (median), 99 % of them by at most "
        f"{facts['moved_99th_percentile']:.2g}; {100 * facts['at_bound_fraction']:.2g} % were held back at the bound. "
        f"What was taken out correlates by {facts['residual_correlation']:.2f} between neighbours: 0 is white noise, more is "
        "structure."
    )


def _words(facts: Mapping[str, float], out: Path) -> dict[str, str]:
    """The last words of `knerve denoise`."""
    return {"denoised": _sentence(facts), "written to": f"{out}/: images.h5, png/, report.html, report.json"}
