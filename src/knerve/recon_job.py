"""What `knerve recon` does, from the raw file to the last word."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knerve.datasets.wording import counted
from knerve.recon.errors import SettingsError
from knerve.recon.settings import Settings
from knerve.start_up import import_in_background, quick_imports, reuse_freed_memory
from knerve.terminal import Terminal, facts_table

if TYPE_CHECKING:
    from knerve.recon.images import ImageSeries
    from knerve.recon.learned.maps.results import TrustMaps

NOT_ISMRMRD = (".cfl", ".hdr", ".dat")


def reconstruct_file(
    talk: Terminal,
    raw: Path,
    out: Path,
    settings: Settings,
    *,
    group: str | None,
    formats: frozenset[str],
    complex_images: bool,
    stream: bool,
    maps: bool = False,
) -> None:
    """Read, reconstruct, write, and say what was done.

    Args:
        talk: to the user.
        raw: the file, or a session that `knerve serve` kept.
        out: folder for images and report.
        settings: every choice.
        group: HDF5 group of the raw data.
        formats: of the images; none for the usual ones.
        complex_images: whether to write these too.
        stream: whether to take the readouts one by one.
        maps: whether to make trust maps of the images too.

    Raises:
        KnerveError: the file cannot be read, reconstructed or written.
    """
    from knerve.datasets.output_formats import DEFAULT_FORMATS, check_output

    formats = formats or DEFAULT_FORMATS
    check_output(out, formats)  # now, not after minutes of work
    talk.step(f"Reading {raw}")
    reuse_freed_memory()
    with quick_imports():
        from knerve.datasets.reading import read_raw
        from knerve.gpu.devices import choose_device, cpu_threads
        from knerve.recon.pipeline import reconstruct
    try:
        choose_device(settings.device)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    started = time.perf_counter()
    images = _streamed(talk, raw, settings, group) if stream else None
    if images is None:
        with _whole_file(raw) as file:
            scan = read_raw(file, group=group)
        seconds = {"read": time.perf_counter() - started}
        talk.notes(scan.notes)
        import_in_background("knerve.datasets.saving")
        with talk.slices(f"Reconstructing ({settings.method})") as on_slices_done:
            images = reconstruct(scan, settings, on_slices_done)
        images = replace(images, seconds=seconds | images.seconds)
    talk.notes(images.notes)
    trust = _trust_maps(talk, raw, settings, group, images) if maps else None
    if trust is not None:
        images = replace(images, notes=images.notes + trust.notes)
    talk.step(f"Writing {out}")
    started = time.perf_counter()
    from knerve.datasets.saving import save_images

    with cpu_threads(settings.threads):
        save_images(images, out, formats=formats, complex_images=complex_images, source=raw.name, trust=trust)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    report["seconds"]["save"] = time.perf_counter() - started
    talk.notes(tuple(report["notes"]))
    talk.answer({"out": out} | report, facts_table(_summary(report, out)), report["research_use"])


def _trust_maps(
    talk: Terminal, raw: Path, settings: Settings, group: str | None, images: ImageSeries
) -> TrustMaps | None:
    """How far the images can be trusted, from the raw data once more; of linear methods the noise map alone."""
    from knerve.datasets.reading import read_raw
    from knerve.recon.learned.maps.captions import noise_alone
    from knerve.recon.learned.maps.trust_maps import METHODS_WITH_MAPS, trust_maps

    if settings.method not in METHODS_WITH_MAPS:
        return None if images.noise_level is None or images.is_3d else noise_alone(images.noise_level)
    with _whole_file(raw) as file:
        scan = read_raw(file, group=group)
    with talk.slices("Trust maps, about ten reconstructions each") as on_slices_done:
        trust = trust_maps(scan, settings, on_slices_done)
    talk.notes(trust.notes)
    return trust


def _streamed(talk: Terminal, raw: Path, settings: Settings, group: str | None) -> ImageSeries | None:
    """The images by the fast path; None, and why, where the scan must be there as a whole."""
    if raw.suffix in NOT_ISMRMRD:
        talk.notes((f"Reconstructed as a whole: --stream takes ISMRMRD files, not {raw.suffix}.",))
        return None
    from knerve.recon.stream_errors import NotStreamableError
    from knerve.server.streamed_file import reconstruct_streamed

    try:
        with _whole_file(raw) as file, talk.slices(f"Streaming ({settings.method})") as on_slices_done:
            return reconstruct_streamed(file, settings, group, on_slices_done)
    except NotStreamableError as why:
        talk.notes((f"Reconstructed as a whole, not while it is read: {why}.",))
        return None


def _whole_file(raw: Path) -> AbstractContextManager[Path]:
    """The file itself; of a session of `knerve serve`, its folder or its journal, what the server received."""
    if raw.suffix != ".journal" and not (raw / "stream.journal").is_file():
        return nullcontext(raw)
    from knerve.server.spooled_scan import raw_file_of

    return raw_file_of(raw)


def _summary(report: Mapping[str, Any], out: Path) -> dict[str, str]:
    """What was made where, in which quality, in which time: the last words of `knerve recon`."""
    snr, noise, seconds = report["snr"], report["noise"], report["seconds"]
    files = [name for name in report["files"] if "/" not in name]
    folders = Counter(name.partition("/")[0] for name in report["files"] if "/" in name)
    if snr["median_snr"] is None:
        quality = (
            f"signal {snr['median_signal']:.3g} times the noise of a fully sampled pixel (no SNR map was asked for)"
        )
    else:
        quality = f"{snr['median_snr']:.3g} (median in the object)"
        if snr["g_factor_median"] is not None:
            quality += f", g-factor {snr['g_factor_median']:.3g}"
    trust = {"maps": _trust_words(report["trust"])} if "trust" in report else {}
    return {
        "images": f"{report['scan']['n_images']} of {' x '.join(map(str, report['geometry']['matrix']))}",
        "method": f"{report['method']}, acceleration {report['acceleration']:.3g}",
        "noise": f"from {noise['source']}, largest correlation of two coils {noise['largest_correlation']:.2g}",
        "SNR": quality,
        "seconds": ", ".join(f"{stage.replace('_', ' ')} {value:.2f}" for stage, value in seconds.items()),
        "seconds in all": f"{sum(seconds.values()):.1f}",
        **trust,
        "written to": f"{out}/: "
        + ", ".join([*files, *(f"{folder}/ ({counted(n, 'file')})" for folder, n in folders.items())]),
    }


def _trust_words(trust: Mapping[str, Any]) -> str:
    """What the maps say in one line, and what they took."""
    return f"{trust['verdict']} Made in {sum(trust['seconds'].values()):.1f} s."
