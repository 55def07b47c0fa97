"""What onlookers see of sessions, and how much of it is kept."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

import numpy as np
import pytest

from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.mrd_header import MrdHeader, parse_header
from knerve.datasets.plane_series import plane_series
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings
from knerve.server.bulletin import MOST_SCANS, NOBODY_LOOKS, Bulletin, Notice
from knerve.server.desk import Desk
from knerve.server.messages import Acquisition, Header, Message
from knerve.server.progress import MOST_POINTS, Progress
from knerve.server.scan_outline import Outline
from knerve.server.stream_delivery import Delivery

FALLBACK = 1


@pytest.fixture
def desk(desk: Desk) -> Desk:
    return replace(desk, bulletin=Bulletin())


@pytest.fixture
def header(scan: list[Message]) -> MrdHeader:
    assert isinstance(scan[1], Header)
    return parse_header(scan[1].xml)


@pytest.fixture
def readout(scan: list[Message]) -> np.void:
    (*_, last, _) = scan
    assert isinstance(last, Acquisition)
    return last.head


def _begun(bulletin: Bulletin, header: MrdHeader, readout: np.void, protocol: str = "navigate") -> Notice:
    notice = bulletin.notice()
    named = replace(header, scan_header=replace(header.scan_header, protocol_name=protocol))
    notice.header(named)
    notice.readout(readout)
    return notice


def test_a_session_is_seen_with_its_readouts_images_words_and_end(
    desk: Desk, scan: list[Message], ask, raw_file
) -> None:
    ask(*scan)
    (news,) = desk.bulletin.scans()
    assert news.state == "done"
    assert news.n_readouts == len(scan) - 3
    assert news.outline.n_slices == 2
    assert 0 <= news.calibrated_s <= news.received_s <= news.ended_s <= news.age_s
    assert news.progress[0][1] == 1
    assert "Research use only" in " ".join(news.words)
    laid_out = plane_series(reconstruct(read_mrd(raw_file), Settings(method="zero-filled")))
    assert len(news.pictures) == len(laid_out.planes)
    for picture, plane, pixels in zip(news.pictures, laid_out.planes, laid_out.pixels, strict=True):
        (shown,) = picture.planes
        np.testing.assert_allclose(shown.corner, plane.corner_mm, atol=1e-4)
        np.testing.assert_allclose((shown.row, shown.column), (plane.row_dir, plane.column_dir), atol=1e-12)
        np.testing.assert_allclose(shown.normal, plane.stack_dir, atol=1e-12)
        assert picture.spacing_mm[:2] == pytest.approx(plane.spacing_mm)
        assert picture.window == pytest.approx((laid_out.window_top / 2, laid_out.window_top), rel=1e-5)
        content, kind = picture.bytes_of(0)
        assert kind == "float32"
        np.testing.assert_allclose(np.frombuffer(content, "<f4").reshape(pixels.shape), pixels, rtol=1e-5)
        assert picture.series_name == "knerve zero-filled"
        assert picture.label == ""


def test_a_broken_off_session_is_seen_as_such(desk: Desk, scan: list[Message], ask) -> None:
    ask(*scan[:-1])
    (news,) = desk.bulletin.scans()
    assert news.state == "incomplete"
    assert "without CLOSE" in news.words[0]


def test_what_is_no_scan_is_not_seen(desk: Desk, scan: list[Message], ask) -> None:
    ask()
    ask(*scan[:2])
    assert desk.bulletin.scans() == ()


def test_a_newer_image_takes_the_place_of_the_older_one(header: MrdHeader, readout: np.void, make_image) -> None:
    bulletin = Bulletin()
    notice = _begun(bulletin, header, readout)
    notice.answer(make_image(3))
    (first,) = bulletin.scans()[0].pictures
    notice.answer(make_image(3, repetition=1))
    notice.answer(make_image(3, image_series_index=FALLBACK))
    (news,) = bulletin.scans()
    assert [(one.image.head["repetition"], one.place[0]) for one in news.pictures] == [(1, 0), (0, FALLBACK)]
    assert bulletin.picture(first.number) is None
    assert bulletin.picture(news.pictures[0].number) is news.pictures[0]
    assert notice.n_bytes == 2 * 12 * 16 * 4


@pytest.mark.parametrize(
    ("description", "series", "label"),
    [
        ("Navigating T2 TSE knerve cs", 0, ""),
        ("FALLBACK Navigating T2 TSE knerve zero-filled", 1, "FALLBACK"),
        ("Navigating T2 TSE knerve cs", 1, ""),  # what a network will refine
        ("INCOMPLETE (12 of 30 readouts) navigate knerve cs", 0, "INCOMPLETE (12 of 30 readouts)"),
        ("INCOMPLETE (12 readouts) knerve cs", 0, "INCOMPLETE (12 readouts)"),
        ("FALLBACK INCOMPLETE (12 readouts) x", 1, "FALLBACK, INCOMPLETE (12 readouts)"),
        ("fallback of mine, FALLBACKS", 0, ""),
    ],
)
def test_labels_are_found(description: str, series: int, label: str, header, readout, make_image) -> None:
    bulletin = Bulletin()
    _begun(bulletin, header, readout).answer(make_image(description=description, image_series_index=series))
    assert bulletin.scans()[0].pictures[0].label == label


def test_only_the_newest_two_of_a_protocol_stay(header: MrdHeader, readout: np.void) -> None:
    bulletin = Bulletin()
    for protocol in ("plan", "navigate", "navigate", "navigate"):
        _begun(bulletin, header, readout, protocol)
    assert [news.number for news in bulletin.scans()] == [4, 3, 1]
    for number in range(MOST_SCANS):
        _begun(bulletin, header, readout, f"other {number}")
    assert [news.number for news in bulletin.scans()] == [10, 9, 8, 7, 6, 5]


def test_memory_is_bounded(header: MrdHeader, readout: np.void, make_image) -> None:
    n_bytes = 12 * 16 * 4
    bulletin = Bulletin(most_bytes=3 * n_bytes)
    first, second = (_begun(bulletin, header, readout, name) for name in ("first", "second"))
    first.answer(make_image(0))
    second.answer(make_image(0))
    second.answer(make_image(1))
    assert [len(news.pictures) for news in bulletin.scans()] == [2, 1]
    second.answer(make_image(2))
    (news,) = bulletin.scans()
    assert len(news.pictures) == 3
    second.answer(make_image(3))
    first.answer(make_image(1))
    (news,) = bulletin.scans()
    assert (len(news.pictures), news.n_unshown) == (3, 1)
    second.answer(make_image(2, repetition=1))
    assert len(bulletin.scans()[0].pictures) == 3


def test_where_nobody_looks_nothing_is_kept(header: MrdHeader, readout: np.void, make_image) -> None:
    bulletin = Bulletin(NOBODY_LOOKS)
    notice = _begun(bulletin, header, readout)
    notice.answer(make_image())
    assert bulletin.scans() == ()
    assert notice.pictures == {}


def test_volumes_complex_and_unplaced_images(header: MrdHeader, readout: np.void, make_image) -> None:
    bulletin = Bulletin()
    notice = _begun(bulletin, header, readout)
    values = np.arange(4 * 2 * 3, dtype="<f8").reshape(4, 2, 3)
    notice.answer(make_image(0, values))
    notice.answer(make_image(1, (3 + 4j) * np.ones((1, 2, 3), "<c8"), image_type=5))
    notice.answer(make_image(2, read_dir=0))
    notice.answer(make_image(3, field_of_view=0))
    volume, complex_one, unplaced, unmeasured = bulletin.scans()[0].pictures
    depths = [np.dot(plane.corner, plane.normal) for plane in volume.planes]
    np.testing.assert_allclose(np.diff(depths), 3.0)
    assert depths[2] == pytest.approx(np.dot((10, -20, 30), volume.planes[0].normal), abs=1e-5)
    assert np.frombuffer(volume.bytes_of(3)[0], "<f4").tolist() == [18, 19, 20, 21, 22, 23]
    assert complex_one.is_map
    assert set(np.frombuffer(complex_one.bytes_of(0)[0], "<f4")) == {5}
    assert unplaced.planes == ()
    assert unplaced.spacing_mm is not None
    assert unmeasured.planes == ()
    assert unmeasured.spacing_mm is None


def test_many_sessions_report_at_once(header: MrdHeader, readout: np.void, make_image) -> None:
    bulletin = Bulletin()

    def session(number: int) -> None:
        notice = _begun(bulletin, header, readout, f"protocol {number}")
        for slice_number in range(50):
            notice.readout(readout)
            notice.answer(make_image(slice_number))

    threads = [Thread(target=session, args=(number,)) for number in range(MOST_SCANS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scans = bulletin.scans()
    assert [(news.n_readouts, len(news.pictures)) for news in scans] == [(51, 50)] * MOST_SCANS
    numbers = [picture.number for news in scans for picture in news.pictures]
    assert len(set(numbers)) == len(numbers)


def test_the_outline_tells_how_long_the_scan_takes(header: MrdHeader) -> None:
    (encoding,) = header.encodings
    echo_train = replace(
        header,
        encodings=(
            replace(
                encoding,
                grid=replace(encoding.grid, encoded_matrix=(1104, 485, 1)),
                acceleration=(3.0, 1.0),
                echo_train_length=15,
            ),
        ),
        scan_header=replace(header.scan_header, tr_ms=(3000.0,)),
    )
    assert Outline.of(echo_train).expected_s == 33.0
    assert Outline.of(replace(header, scan_header=replace(header.scan_header, tr_ms=()))).expected_s is None


def test_endless_names_and_words_are_cut(header: MrdHeader, readout: np.void) -> None:
    bulletin = Bulletin()
    _begun(bulletin, header, readout, "x" * 100_000).said("y" * 100_000)
    (news,) = bulletin.scans()
    assert len(news.outline.protocol) == 64
    assert len(news.words[0]) == 300


def test_a_curve_stays_short_and_keeps_its_beginning() -> None:
    progress = Progress()
    for n in range(100_000):
        progress.add(n / 10, n)
    assert MOST_POINTS / 3 < len(progress.points) <= MOST_POINTS
    assert progress.points[0] == (0, 0)
    assert progress.points[-1][0] > 9900
    assert progress.points == sorted(progress.points)


def test_a_frame_is_passed_on_before_it_is_looked_at(make_image) -> None:
    order = []

    class Watched:
        def __init__(self, name: str) -> None:
            self._name = name

        def put(self, _: object) -> None:
            order.append(self._name)

        answer = put

    delivery = Delivery(Watched("outbox"), Watched("notice"))
    delivery.take(make_image())
    assert order == ["outbox", "notice"]
    assert delivery.sent == (1,)
