"""report.json is strict and free of patient data; report.html stands alone and escapes what strangers wrote."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from knerve.datasets.plane_series import plane_series
from knerve.datasets.report import plain_values, report_data, report_json
from knerve.datasets.report_figures import report_figures
from knerve.datasets.report_page import report_page
from knerve.datasets.snr_summary import snr_summary
from knerve.recon.images import RESEARCH_USE, ImageSeries, NoiseReport
from knerve.recon.scan import Frame, Grid, ScanHeader
from knerve.recon.settings import Settings

EVIL = '<script>alert("k")</script>$title'


def _series(n_slices: int = 3) -> ImageSeries:
    """A bright square of signal 60 in noise level 1.5 within air at noise level 3, R = 2.25."""
    values = np.full((n_slices, 40, 30), 0.5)
    values[:, 10:30, 5:25] = 60.0
    noise_level = np.full(values.shape, 3.0)
    noise_level[values > 1] = 1.5
    return ImageSeries(
        image=torch.tensor(values, dtype=torch.complex64),
        frames=tuple(
            Frame(slice=index, position_mm=(0.0, 0.0, 3.0 * index), geometry_known=True) for index in range(n_slices)
        ),
        grid=Grid((60, 40, 1), (48.0, 40.0, 3.0), (30, 40, 1), (24.0, 40.0, 3.0)),
        header=ScanHeader(patient_name="Doe^Jane", patient_id="P-007", protocol_name="pd_tse"),
        method="cs",
        noise=NoiseReport("noise readouts", 4096, (1e-6, 2e-6), 0.25),
        acceleration=2.25,
        noise_level=torch.tensor(noise_level, dtype=torch.float32),
        settings=Settings().as_dict(),
        seconds={"prewhiten": 0.1, "solve": 2.0},
        notes=("partial Fourier: 62 % of the lines",),
    )


def _report(images: ImageSeries, **options: object) -> dict[str, object]:
    series = plane_series(images)
    return report_data(series, snr_summary(series), **options)


def _page(images: ImageSeries, source: str = "") -> str:
    return report_page(_report(images, source=source), report_figures(plane_series(images)))


def test_report_tells_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report_json(_report(_series(), source="/home/doe/raw.h5", notes=("more",), files=["b", "a"])))
    report = json.loads(path.read_text())
    assert report["knerve_report"] == 1
    assert report["research_use"] == RESEARCH_USE
    assert report["source"] == "raw.h5"
    assert report["method"] == "cs"
    assert report["settings"]["regularisation"] == 1.0
    assert report["acceleration"] == 2.25
    assert report["seconds"] == {"prewhiten": 0.1, "solve": 2.0}
    assert report["notes"] == ["partial Fourier: 62 % of the lines", "more"]
    assert report["files"] == ["a", "b"]
    assert report["noise"]["standard_deviation_per_coil"] == [1e-6, 2e-6]
    assert report["geometry"]["matrix"] == [30, 40, 1]
    assert report["geometry"]["pixel_mm"] == [pytest.approx(0.8), 1.0]
    assert report["geometry"]["spacing_between_mm"] == pytest.approx(3.0)
    assert report["geometry"]["slices"][2]["location_mm"] == pytest.approx(6.0)
    assert report["versions"]["knerve"]


def test_signal_to_noise_in_the_object() -> None:
    snr = snr_summary(plane_series(_series()))
    assert snr["object_fraction"] == pytest.approx(400 / 1200)
    assert snr["median_snr"] == pytest.approx(40.0)
    assert snr["noise_level_median"] == pytest.approx(1.5)
    assert snr["g_factor_median"] == pytest.approx(1.0)
    assert snr["g_factor_95th"] == pytest.approx(1.0)


def test_zero_filled_images_have_no_g_factor() -> None:
    snr = snr_summary(plane_series(replace(_series(), method="zero-filled")))
    assert snr["median_snr"] == pytest.approx(40.0)
    assert snr["g_factor_median"] is None


def test_without_a_map_of_the_noise() -> None:
    images = replace(_series(), noise_level=None)
    snr = snr_summary(plane_series(images))
    assert (snr["median_signal"], snr["median_snr"], snr["g_factor_median"]) == (60.0, None, None)
    page = _page(images)
    assert "Local SNR" not in page
    assert "Median signal" in page


def test_empty_images_have_no_object() -> None:
    images = replace(_series(), image=torch.zeros(3, 40, 30, dtype=torch.complex64))
    assert snr_summary(plane_series(images))["median_snr"] is None
    assert "unknown" in _page(images)


def test_patient_and_folders_stay_out() -> None:
    for source in ("/home/doe/raw.h5", "C:\\doe\\raw.h5"):
        for text in (report_json(_report(_series(), source=source)), _page(_series(), source)):
            assert "doe" not in text.lower()
            assert "P-007" not in text
            assert "raw.h5" in text


def test_json_is_strict() -> None:
    images = replace(_series(), seconds={"solve": math.nan}, settings={"weight": math.inf, "place": Path("x")})
    text = report_json(_report(images))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    report = json.loads(text, parse_constant=refuse)
    assert report["seconds"] == {"solve": None}
    assert report["settings"] == {"weight": None, "place": "x"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        report_json({"snr": math.nan})


def test_plain_values() -> None:
    assert plain_values({"a": (1, True, None, np.float32(0.5).item())}) == {"a": [1, True, None, 0.5]}


class _Requests(HTMLParser):
    """Collects every address that a page asks for, and its open tags."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_page_stands_alone() -> None:
    page = _page(_series(), source="raw.h5")
    parser = _Requests()
    parser.feed(page)
    assert len(parser.addresses) == 3 + 3
    assert all(address.startswith("data:image/png;base64,") for address in parser.addresses)
    assert not {"script", "link", "iframe", "object"} & set(parser.tags)
    assert re.search(r"url\(|@import|https?:", page) is None
    assert RESEARCH_USE in page
    assert "prefers-color-scheme: dark" in page


def test_strangers_words_are_escaped() -> None:
    images = _series()
    images = replace(
        images,
        header=ScanHeader(protocol_name=EVIL, sequence_name=EVIL, vendor=EVIL),
        method=EVIL,
        settings={EVIL: EVIL},
        seconds={EVIL: 1.0},
        notes=(EVIL,),
        noise=NoiseReport(EVIL, 1, (1.0,), 0.0),
    )
    parser = _Requests()
    page = _page(images, source="<script>$title")
    parser.feed(page)
    assert "script" not in parser.tags
    assert "<script" not in page


def test_many_slices_show_a_selection() -> None:
    page = _page(replace(_series(60), noise_level=None))
    assert page.count("<figure>") == 24
    assert "24 of 60 slices" in page


def test_unknown_geometry_is_said() -> None:
    images = _series()
    page = _page(replace(images, frames=tuple(Frame(slice=index) for index in range(3))))
    assert "Place in the patient" in page
    assert "towards" not in page
