"""Scan after scan in one process: the second uses the coils of the first, and images are refined; all of it is labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydicom import dcmread

from knerve.datasets.demo_scan import write_demo_scan
from knerve.recon.stream_reuse import REUSED
from knerve.server.desk import Desk
from knerve.server.job import PREVIEW_SERIES, REFINED_SERIES, Job
from knerve.server.journal import JournalWriter
from knerve.server.messages import Close, ConfigFile, Header, Image, Message
from knerve.server.picture import Picture
from knerve.server.replay import readouts_of
from knerve.server.spool import SessionFolder, Spool
from knerve.server.wire import encode
from knerve.server.workers import Workers

Ask = Callable[..., list[Message]]
OF_SCAN_BEFORE = "coil_sensitivities=of the previous scan"


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, scan: list[Message]) -> Iterator[Workers]:
    """One process, warm."""
    folder = SessionFolder(tmp_path_factory.mktemp("nothing"))
    with JournalWriter(folder.journal) as journal:
        journal.append(encode(scan[1]))
    with closing(Workers(1)) as workers:
        list(workers.run(Job(str(folder.path), "default", wants_images=False)))
        yield workers


@pytest.fixture
def desk(tmp_path: Path, workers: Workers, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with closing(Spool(tmp_path / "spool")) as spool:
        reuses_coils = getattr(request, "param", True)
        yield Desk(spool, workers.run, read_along=workers.read_along, reuses_coils=reuses_coils)


def images_of(answer: list[Message], series: int = 0) -> list[Image]:
    return [m for m in answer if isinstance(m, Image) and m.head["image_series_index"] == series]


def of_patient(scan: list[Message], name: bytes) -> list[Message]:
    assert isinstance(scan[1], Header)
    assert b"KNERVE-DEMO" in scan[1].xml
    return [scan[0], Header(scan[1].xml.replace(b"KNERVE-DEMO", name)), *scan[2:]]


def test_the_second_scan_of_a_patient_uses_coils_of_the_first(ask: Ask, scan: list[Message], words_of) -> None:
    first, second = (ask(*of_patient(scan, b"one")) for _ in range(2))
    assert REUSED not in words_of(first)
    assert REUSED in words_of(second)
    assert len(images_of(second)) == 2
    assert all(OF_SCAN_BEFORE in image.attributes for image in images_of(second))
    assert not any(OF_SCAN_BEFORE in image.attributes for image in images_of(first))
    other = ask(*of_patient(scan, b"two"))
    assert REUSED not in words_of(other)
    assert REUSED not in words_of(ask(*of_patient(scan, b"one")))  # the other patient's scan wiped the memory


@pytest.mark.parametrize("desk", [False], indirect=True)
def test_it_can_be_told_not_to(ask: Ask, scan: list[Message], words_of) -> None:
    for _ in range(2):
        assert REUSED not in words_of(ask(*of_patient(scan, b"three")))


def test_refined_images_come_behind_those_of_compressed_sensing(desk: Desk, ask: Ask, tmp_path: Path, words_of) -> None:
    raw = tmp_path / "knee.h5"
    write_demo_scan(raw, n_slices=2, matrix=(112, 100), n_coils=6, n_calibration=24, acceleration=2)
    with h5py.File(raw) as file:
        xml = file["dataset/xml"][0]
    answer = ask(ConfigFile("dl"), Header(xml), *readouts_of(raw, "dataset"), Close())
    previews, refined = images_of(answer, PREVIEW_SERIES), images_of(answer, REFINED_SERIES)
    assert images_of(answer) == []
    order = [(int(m.head["slice"]), int(m.head["image_series_index"])) for m in answer if isinstance(m, Image)]
    for number in range(2):
        assert order.index((number, PREVIEW_SERIES)) < order.index((number, REFINED_SERIES))
    for images, name in ((previews, "knerve cs"), (refined, "knerve dl")):
        assert len(images) == 2
        assert [Picture(1, image, 0.0).series_name for image in images] == [name, name]
        assert [Picture(1, image, 0.0).label for image in images] == ["", ""]
    assert not np.array_equal(previews[0].pixels, refined[0].pixels)
    (folder,) = desk.spool.sessions()
    assert "2 images made" in words_of(answer)
    files = {path.name: dcmread(path) for path in sorted(folder.dicom.iterdir())}
    assert list(files) == [f"{kind}slice_00{n}.dcm" for kind in ("preview_", "") for n in range(2)]
    for name, found in files.items():
        is_preview = name.startswith("preview")
        assert found.SeriesDescription.endswith("knerve cs" if is_preview else "knerve dl")
        assert found.SeriesNumber == (5 if is_preview else 502)  # the scanner's is 5
    assert len({found.SeriesInstanceUID for found in files.values()}) == 2
    assert len({found.SOPInstanceUID for found in files.values()}) == 4


def test_what_the_network_refuses_is_not_called_refined(ask: Ask, scan: list[Message], words_of) -> None:
    answer = ask(ConfigFile("dl"), *scan[1:])  # images too small for it
    assert "the network was not used" in words_of(answer)
    for series in (PREVIEW_SERIES, REFINED_SERIES):
        images = images_of(answer, series)
        assert [Picture(1, image, 0.0).series_name for image in images] == ["knerve cs", "knerve cs"]
