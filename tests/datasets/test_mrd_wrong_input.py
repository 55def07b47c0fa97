"""Broken, hostile and unsupported MRD files: each is refused with words that say what came and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ismrmrd.hdf5 import acquisition_dtype

from knerve.datasets.mrd_file import read_mrd
from knerve.datasets.mrd_header import parse_header
from knerve.recon.errors import RawDataError, UnsupportedError

WriteScan = Callable[..., Path]
HeaderXml = Callable[..., str]


def lines(n: int = 6, n_coils: int = 2, **members: Any) -> list[dict[str, Any]]:
    return [{"samples": np.ones((n_coils, 8)), "kspace_encode_step_1": k, **members} for k in range(n)]


def refuse(path: Path, *words: str, group: str | None = None, kind: type[RawDataError] = RawDataError) -> None:
    with pytest.raises(kind) as caught:
        read_mrd(path, group)
    for word in words:
        assert re.search(word, str(caught.value)), str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere.h5", "nowhere.h5 is not there", "ISMRMRD HDF5 file was expected")
    refuse(tmp_path, "or is a folder")


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    path.write_text("certainly no HDF5" * 100)
    refuse(path, "scan.h5 is not an HDF5 file")
    path.write_bytes(b"")
    refuse(path, r"scan.h5 is empty \(0 bytes\)")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_truncated_file(write_scan: WriteScan, kept: float) -> None:
    path = write_scan(lines())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refuse(path, "begins as an HDF5 file but cannot be opened", "damaged or cut short. Copy it again")


@pytest.mark.parametrize(
    ("mark", "words"), [(b"GCOL", "'dataset/xml' cannot be read"), (b"SNOD", "scan.h5 cannot be read")]
)
def test_damaged_inside(write_scan: WriteScan, mark: bytes, words: str) -> None:
    """A file of the right length in which blocks were overwritten, as an aborted copy leaves it."""
    path = write_scan(lines())
    path.write_bytes(path.read_bytes().replace(mark, bytes(4)))
    refuse(path, words, "the file is damaged or cut short. Copy it again")


def test_no_such_group(write_scan: WriteScan) -> None:
    path = write_scan(lines(), group="monday")
    refuse(path, "scan.h5 has no group 'tuesday'; groups with raw data: monday", group="tuesday")


def test_group_without_raw_data(write_scan: WriteScan) -> None:
    path = write_scan(lines())
    with h5py.File(path, "a") as file:
        file["images/image_0"] = np.zeros(3)
    refuse(path, "Group 'images' of scan.h5 holds 'image_0', but raw data need 'xml' and 'data'", group="images")


def test_several_groups_need_a_choice(write_scan: WriteScan) -> None:
    write_scan(lines(), group="monday")
    path = write_scan(lines(), group="tuesday")
    refuse(path, "several raw data sets, in groups monday, tuesday: say which group")


def test_file_without_raw_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kspace"] = np.zeros(3)
    refuse(
        tmp_path / "other.h5", r"other.h5 holds no MRD raw data \(a group with 'xml' and 'data'\); it holds 'kspace'"
    )


def test_empty_dataset(write_scan: WriteScan) -> None:
    refuse(write_scan([]), "'dataset/data' is empty: the file holds a header but no readouts")


def test_data_that_are_no_readouts(write_scan: WriteScan) -> None:
    path = write_scan(lines())
    with h5py.File(path, "a") as file:
        del file["dataset/data"]
        file["dataset/data"] = np.zeros((4, 4))
    refuse(
        path,
        r"'dataset/data' has shape \(4, 4\) and members none; a list of readouts with 'head' and 'data' was expected",
    )


def test_heads_without_what_placement_needs(write_scan: WriteScan) -> None:
    head = np.dtype(
        [("flags", "<u8"), ("active_channels", "<u2"), ("number_of_samples", "<u2"), ("idx", [("slice", "<u2")])]
    )
    dtype = np.dtype([("head", head), ("data", acquisition_dtype["data"])])
    refuse(write_scan(lines(), dtype=dtype), "The heads in 'dataset/data' have no idx.kspace_encode_step_1")


def test_samples_that_are_not_floating_point(write_scan: WriteScan) -> None:
    dtype = np.dtype([("head", acquisition_dtype["head"]), ("data", h5py.vlen_dtype(np.int16))])
    refuse(write_scan(lines(), dtype=dtype), "Samples in 'dataset/data' are stored as int16", kind=UnsupportedError)


def test_nan_and_infinite_samples_are_counted(write_scan: WriteScan) -> None:
    readouts = lines()
    broken, very_broken = np.ones((2, 8)), np.ones((2, 8))
    broken[0, 3], very_broken[:, 4] = np.nan, np.inf
    readouts[2]["samples"], readouts[4]["samples"] = broken, very_broken
    refuse(write_scan(readouts), "NaN or infinite: 3 samples in 2 readouts, the first in readout 2")


def test_nan_in_noise_is_refused_but_not_in_what_is_left_out(write_scan: WriteScan) -> None:
    bad = np.full((2, 8), np.nan)
    refuse(write_scan([{"samples": bad, "flags": (19,)}, *lines()]), "16 samples in 1 readout, the first in readout 0")
    assert read_mrd(write_scan([{"samples": bad, "flags": (23,)}, *lines()], name="navigator.h5")).n_coils == 2


def test_channel_count_changing_midway(write_scan: WriteScan) -> None:
    refuse(write_scan([*lines(3), *lines(2, n_coils=1)]), "Readout 3 has 1 channels, those before it have 2")


def test_no_channels(write_scan: WriteScan) -> None:
    refuse(write_scan(lines(active_channels=0)), "0 active channels")


@pytest.mark.parametrize(("member", "value", "expected"), [("number_of_samples", 9, 36), ("active_channels", 3, 48)])
def test_head_and_samples_that_disagree(write_scan: WriteScan, member: str, value: int, expected: int) -> None:
    path = write_scan(
        [*lines(1), *lines(1, **{member: value})] if member == "number_of_samples" else lines(2, **{member: value})
    )
    first = 1 if member == "number_of_samples" else 0
    refuse(path, f"Readout {first} holds 32 values, but its head says .* complex samples, {expected} values")


def test_line_outside_the_matrix(write_scan: WriteScan) -> None:
    words = "Readout 6 has kspace_encode_step_1 6; with the centre at 3 that is position 6 of an encoded matrix of 6"
    refuse(write_scan(lines(7)), words)


def test_unknown_encoding_space(write_scan: WriteScan) -> None:
    refuse(write_scan(lines(encoding_space_ref=2)), "Readout 0 names encoding space 2, but the header has only 1")


def test_noise_only(write_scan: WriteScan) -> None:
    readouts = [*lines(4, flags=(19,)), *lines(2, flags=(23,))]
    refuse(write_scan(readouts), "None of the 6 readouts holds image data: 4 noise, 2 navigation")


@pytest.mark.parametrize("flag", [53, 54, 55, 56])
def test_compressed_readouts(write_scan: WriteScan, flag: int) -> None:
    path = write_scan([*lines(2), *lines(1, flags=(flag,))])
    refuse(path, rf"Readout 2 is compressed \(flag {flag}\)", "without compression", kind=UnsupportedError)


@pytest.mark.parametrize(
    ("trajectory", "why"),
    [
        ("radial", "radial readouts need gridding"),
        ("spiral", "spiral readouts need gridding"),
        ("GoldenAngle", "golden-angle radial readouts need gridding"),
        ("epi", "echo-planar readouts need ghost correction"),
        ("other", "nobody knows how to place"),
    ],
)
def test_trajectories_that_are_not_cartesian(
    write_scan: WriteScan, header_xml: HeaderXml, encoding_xml: HeaderXml, trajectory: str, why: str
) -> None:
    path = write_scan(lines(), header_xml(encoding_xml(trajectory=f"<trajectory>{trajectory}</trajectory>")))
    refuse(path, f"The trajectory is '{trajectory.lower()}'", "'cartesian' scans only", why, kind=UnsupportedError)


def test_absurd_matrix(write_scan: WriteScan, header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    huge = encoding_xml(matrix=(65535, 65535, 1), recon_matrix=None, centres=(30000, 0))
    words = r"1 image x 3 coils x 1 x 65535 x 65535 samples take 96.0 GiB, more than 64 GiB"
    refuse(write_scan(lines(n_coils=3), header_xml(huge)), words)
    beyond = encoding_xml(matrix=(70000, 6, 1), recon_matrix=None)
    refuse(write_scan(lines(), header_xml(beyond), name="b.h5"), "matrix sizes of 1 to 65535", "matrixSize/x is 70000")


@pytest.mark.parametrize(
    ("matrix", "came"),
    [(("x", 6, 1), "x is x"), ((8, 0, 1), "y is 0"), ((8, -6, 1), "y is -6"), ((8.5, 6, 1), "x is 8.5")],
)
def test_unusable_matrix_sizes(
    header_xml: HeaderXml, encoding_xml: HeaderXml, matrix: tuple[Any, ...], came: str
) -> None:
    with pytest.raises(
        RawDataError, match=rf"encoding 0, encodedSpace\) must give matrix sizes of 1 to 65535 .*matrixSize/{came}"
    ):
        parse_header(header_xml(encoding_xml(matrix=matrix)))


def test_unusable_field_of_view(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    with pytest.raises(RawDataError, match=r"positive fields of view in mm; .*fieldOfView_mm/y is nan"):
        parse_header(header_xml(encoding_xml(fov=(80, "nan", 5))))
    with pytest.raises(RawDataError, match=r"encoding 0, reconSpace.* fieldOfView_mm/x is 0"):
        parse_header(header_xml(encoding_xml(recon_fov=(0, 60, 5))))


def test_header_without_encoding(write_scan: WriteScan, header_xml: HeaderXml) -> None:
    refuse(write_scan(lines(), header_xml("<encodings/>")), "The header has no 'encoding' element")
    refuse(
        write_scan(lines(), header_xml("<encoding/>"), name="b.h5"), "Encoding 0 of the header has no 'encodedSpace'"
    )


@pytest.mark.parametrize("text", ["Dummy XML header", "<ismrmrdHeader><encoding>", "[1, 2]"])
def test_header_that_is_not_xml(write_scan: WriteScan, text: str) -> None:
    refuse(write_scan(lines(), text), "not well-formed XML", re.escape(f"begins with {text[:10]!r}"[:-1]))


def test_empty_header(write_scan: WriteScan) -> None:
    refuse(write_scan(lines(), ""), "The header is empty; an ISMRMRD XML header was expected")


BOMB = '<!DOCTYPE h [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><h>&c;</h>'
EXTERNAL = '<!DOCTYPE h SYSTEM "file:///etc/hostname"><h/>'


@pytest.mark.parametrize("text", [BOMB, EXTERNAL, "<!DOCTYPE h><h/>"])
def test_dtd_and_entities_are_refused(write_scan: WriteScan, text: str) -> None:
    refuse(
        write_scan(lines(), text), r"The header holds a DTD or entity \(DTDForbidden\)", "can be an attack; remove it"
    )
