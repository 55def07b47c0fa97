"""What was done and what came out, as one strict JSON document: `report.json`."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.provenance import plain_text, software_version
from knerve.datasets.slice_planes import Plane, direction_letters
from knerve.datasets.staged_output import FILES_KEY, MARKER_KEY
from knerve.recon.images import RESEARCH_USE, ImageSeries

if TYPE_CHECKING:
    from knerve.recon.learned.maps.results import TrustMaps

REPORT_VERSION = 1
_PACKAGES = ("knerve", "torch", "numpy", "h5py", "pydicom")


def report_data(
    series: PlaneSeries,
    snr: Mapping[str, object],
    *,
    source: str = "",
    notes: tuple[str, ...] = (),
    files: Iterable[str] = (),
    trust: TrustMaps | None = None,
) -> dict[str, object]:
    """Everything a physicist would ask about this reconstruction, as plain names, numbers and lists.

    Holds no patient data; of `source` only the file name. `snr` is the series' `snr_summary`; `notes` are added to those of
    the images; `trust`, if maps were made, adds its numbers.
    """
    images = series.images
    document: dict[str, object] = {
        MARKER_KEY: REPORT_VERSION,
        "research_use": RESEARCH_USE,
        "source": plain_text(re.split(r"[\\/]", source)[-1]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: software_version(name) for name in _PACKAGES},
        "method": images.method,
        "settings": plain_values(images.settings),
        "acceleration": plain_values(images.acceleration),
        "scan": _scan(images),
        "geometry": _geometry(series),
        "noise": _noise(images),
        "snr": plain_values(snr),
        "seconds": plain_values(images.seconds),
        "notes": [plain_text(note) for note in (*images.notes, *notes)],
        FILES_KEY: sorted(files),
    }
    if trust is not None and trust.slices:
        document["trust"] = {
            "verdict": trust.verdict,
            "slices": plain_values([each.as_dict() for each in trust.slices]),
            "seconds": plain_values(dict(trust.seconds)),
        }
    return document


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


def _geometry(series: PlaneSeries) -> dict[str, object]:
    images, first = series.images, series.planes[0]
    ny, nx = images.image.shape[-2:]
    return {
        "known": all(frame.geometry_known for frame in images.frames),
        "matrix": [nx, ny, images.image.shape[1] if images.is_3d else 1],
        "field_of_view_mm": plain_values(images.grid.recon_fov_mm),
        "pixel_mm": plain_values(first.spacing_mm),
        "thickness_mm": plain_values(first.thickness_mm),
        "spacing_between_mm": plain_values(first.spacing_between_mm),
        "slices": [_place(plane) for plane in series.planes if plane.partition == 0],
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
