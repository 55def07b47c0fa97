"""What the page is told, as JSON; pixels it asks for one by one.

No patient is named. Where scans share a frame of reference they bear the same short mark in its place.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256

from knerve.server.bulletin import Bulletin, ScanNews
from knerve.server.live.health import Health
from knerve.server.picture import Picture

MARK_LETTERS = 8


def told(bulletin: Bulletin, health: Health, boot: str) -> str:
    """Everything but the pixels.

    Args:
        bulletin: what sessions reported.
        health: of the server.
        boot: another one each time the server starts: numbers of scans and pictures begin anew then.
    """
    scans = [_scan(news) for news in bulletin.scans()]
    return json.dumps({"boot": boot, "health": asdict(health), "scans": scans}, separators=(",", ":"))


def _scan(news: ScanNews) -> dict[str, object]:
    outline = news.outline
    reference = outline.frame_of_reference
    return {
        "number": news.number,
        "protocol": outline.protocol,
        "slices": outline.n_slices,
        "expected": outline.expected_s,
        "frame": sha256(reference.encode()).hexdigest()[:MARK_LETTERS] if reference else "",
        "state": news.state,
        "began": news.began,
        "age": round(news.age_s, 3),
        "readouts": news.n_readouts,
        "progress": [(round(seconds, 2), n) for seconds, n in news.progress],
        "calibrated": _rounded(news.calibrated_s),
        "received": _rounded(news.received_s),
        "ended": _rounded(news.ended_s),
        "unshown": news.n_unshown,
        "words": news.words,
        "pictures": [_picture(picture) for picture in news.pictures],
    }


def _picture(picture: Picture) -> dict[str, object]:
    series, contrast, set_number, phase, slice_number = picture.place
    nz, ny, nx = picture.image.pixels.shape[1:]
    return {
        "number": picture.number,
        "series": [series, contrast, set_number, phase],
        "slice": slice_number,
        "name": picture.series_name,
        "label": picture.label,
        "map": picture.is_map,
        "arrived": round(picture.arrived_s, 3),
        "size": [nx, ny, nz],
        "spacing": picture.spacing_mm,
        "planes": [asdict(plane) for plane in picture.planes],
        "window": picture.window,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
