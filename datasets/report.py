"""What was done and what came out, as one strict JSON document: `report.json`."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.display_window import WINDOW_PERCENTILE, window_top
from knerve.datasets.provenance import plain_text, software_version
from knerve.datasets.slice_planes import Plane, direction_letters, pixels, planes
from knerve.datasets.staged_output import FILES_KEY, MARKER_KEY
from knerve.recon.images import RESEARCH_USE, ImageSeries

REPORT_VERSION = 1
OBJECT_FRACTION = 0.1  # of the grey window
OBJECT_SNR = 4.0  # air exceeds it in one pixel of 3000
_OBJECT_IN_WORDS = f"pixels above {OBJECT_FRACTION:.0%} of the grey window and above {OBJECT_SNR:g} times the noise"
_PACKAGES = ("knerve", "torch", "numpy", "h5py", "pydicom")


def report_data(
    images: ImageSeries, *, source: str = "", notes: tuple[str, ...] = (), files: Iterable[str] = ()
) -> dict[str, object]:
    """Everything a physicist would ask about this reconstruction, as plain names, numbers and lists.

    Holds no patient data; of `source` only the file name. `notes` are added to those of the images.
    """
    return {
        MARKER_KEY: REPORT_VERSION,
        "research_use": RESEARCH_USE,
        "source": plain_text(re.split(r"[\\/]", source)[-1]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: software_version(name) for name in _PACKAGES},
        "method": images.method,
        "settings": plain_values(images.settings),
        "acceleration": plain_values(images.acceleration),
        "scan": _scan(images),
        "geometry": _geometry(images),
        "noise": _noise(images),
        "snr": plain_values(snr_summary(images)),
        "seconds": plain_values(images.seconds),
        "notes": [plain_text(note) for note in (*images.notes, *notes)],
        FILES_KEY: sorted(files),
    }


def report_json(report: Mapping[str, object]) -> str:
    """The report as strict JSON text; NaN and infinity, which JSON does not know, are refused."""
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain_values(value: object) -> object:
    """The value as JSON holds it: numbers that are not finite become None, what JSON does not know becomes its name."""
    if isinstance(value, Mapping):
        return {str(name): plain_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return plain_text(str(value))


def object_mask(images: ImageSeries) -> NDArray[np.bool_]:
    """Pixels (plane, y, x) that belong to the imaged object rather than to air."""
    magnitude = pixels(images)
    snr = magnitude if images.snr is None else images.snr.cpu().numpy().reshape(magnitude.shape)
    mask: NDArray[np.bool_] = (magnitude > OBJECT_FRACTION * window_top(magnitude)) & (snr > OBJECT_SNR)
    return mask


def snr_summary(images: ImageSeries) -> dict[str, object]:
    """Median signal-to-noise ratio in the object, and there the noise level and g-factor = noise level / √R.

    Without a map of the noise only the signal level in SNR units is known, and the other values are None.
    """
    magnitude = pixels(images)
    inside = object_mask(images)
    summary: dict[str, object] = {
        "object": _OBJECT_IN_WORDS,
        "object_fraction": float(inside.mean()),
        "window_top": window_top(magnitude),
        "window_percentile": WINDOW_PERCENTILE,
        "median_signal": _percentile(magnitude[inside], 50),
        "median_snr": None,
        "noise_level_median": None,
        "g_factor_median": None,
        "g_factor_95th": None,
    }
    snr, noise_level = images.snr, images.noise_level
    if snr is not None and noise_level is not None:
        summary["median_snr"] = _percentile(snr.cpu().numpy().reshape(magnitude.shape)[inside], 50)
        level = noise_level.cpu().numpy().reshape(magnitude.shape)[inside]
        summary["noise_level_median"] = _percentile(level, 50)
        if images.method != "zero-filled":  # nothing was unfolded: no g-factor
            summary["g_factor_median"] = _percentile(level / images.acceleration**0.5, 50)
            summary["g_factor_95th"] = _percentile(level / images.acceleration**0.5, 95)
    return summary


def _percentile(values: NDArray[np.float32], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values.size else None


def _scan(images: ImageSeries) -> dict[str, object]:
    header = images.header
    return {
        "protocol": plain_text(header.protocol_name),
        "sequence": plain_text(header.sequence_name or header.sequence_type),
        "scanner": plain_text(f"{header.vendor} {header.model}"),
        "field_strength_t": plain_values(header.field_strength_t),
        "te_ms": plain_values(header.te_ms),
        "tr_ms": plain_values(header.tr_ms),
        "n_images": images.n_slices,
        "is_3d": images.is_3d,
        "counters": {
            name: 1 + max(getattr(frame, name) for frame in images.frames)
            for name in ("slice", "contrast", "phase", "repetition", "set")
        },
    }


def _geometry(images: ImageSeries) -> dict[str, object]:
    every = planes(images)
    first = every[0]
    ny, nx = images.image.shape[-2:]
    return {
        "known": all(frame.geometry_known for frame in images.frames),
        "matrix": [nx, ny, images.image.shape[1] if images.is_3d else 1],
        "field_of_view_mm": plain_values(images.grid.recon_fov_mm),
        "pixel_mm": plain_values(first.spacing_mm),
        "thickness_mm": plain_values(first.thickness_mm),
        "spacing_between_mm": plain_values(first.spacing_between_mm),
        "slices": [_place(plane) for plane in every if plane.partition == 0],
    }


def _place(plane: Plane) -> dict[str, object]:
    frame = plane.frame
    return {
        "slice": frame.slice,
        "contrast": frame.contrast,
        "phase": frame.phase,
        "repetition": frame.repetition,
        "set": frame.set,
        "position_mm": plain_values(frame.position_mm),
        "row_direction": _letters(plane, plane.row_dir),
        "column_direction": _letters(plane, plane.column_dir),
        "location_mm": plain_values(plane.location_mm),
    }


def _letters(plane: Plane, direction: NDArray[np.float64]) -> str | None:
    return direction_letters(direction) if plane.frame.geometry_known else None


def _noise(images: ImageSeries) -> dict[str, object]:
    noise = images.noise
    return {
        "source": noise.source,
        "n_samples": noise.n_samples,
        "standard_deviation_per_coil": plain_values(noise.standard_deviation),
        "largest_correlation": plain_values(noise.largest_correlation),
    }
