"""MRD headers of tidy and of careless writers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from knerve.datasets.mrd_header import parse_header
from knerve.recon.scan import Grid

HeaderXml = Callable[..., str]

FULL = """
<version>15</version>
<subjectInformation><patientName>Doe^Jane</patientName><patientWeight_kg>61.5</patientWeight_kg><patientID>7</patientID>
<patientBirthdate>1980-02-29</patientBirthdate><patientGender>f</patientGender></subjectInformation>
<studyInformation><studyDate>20261121</studyDate><studyTime>14:05:59.25</studyTime><studyID>9</studyID>
<accessionNumber>123456789012</accessionNumber><studyInstanceUID>1.2.3</studyInstanceUID></studyInformation>
<measurementInformation><measurementID>m1</measurementID><patientPosition>hfs</patientPosition>
<initialSeriesNumber>4</initialSeriesNumber><protocolName>nerve</protocolName>
<frameOfReferenceUID>1.2.4</frameOfReferenceUID></measurementInformation>
<acquisitionSystemInformation><systemVendor>V</systemVendor><systemFieldStrength_T>2.9</systemFieldStrength_T>
<relativeReceiverNoiseBandwidth>0.8</relativeReceiverNoiseBandwidth></acquisitionSystemInformation>
<experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>
<sequenceParameters><TR>2500</TR><TE>30</TE><TE>60</TE><flipAngle_deg>90</flipAngle_deg></sequenceParameters>
<somethingNew><TR>1</TR></somethingNew>
"""


def test_a_full_header_is_read_without_a_note(header_xml: HeaderXml) -> None:
    header = parse_header(header_xml(extra=FULL))
    scan = header.scan_header
    assert (scan.patient_name, scan.patient_sex, scan.patient_weight_kg) == ("Doe^Jane", "F", 61.5)
    assert (scan.patient_birth_date, scan.study_date, scan.study_time) == ("1980-02-29", "2026-11-21", "14:05:59")
    assert (scan.accession_number, scan.study_instance_uid) == ("123456789012", "1.2.3")
    assert (scan.frame_of_reference_uid, scan.initial_series_number) == ("1.2.4", 4)
    assert (scan.patient_position, scan.field_strength_t) == ("HFS", 2.9)
    assert (scan.tr_ms, scan.te_ms, scan.ti_ms, scan.flip_angle_deg) == ((2500.0,), (30.0, 60.0), (), (90.0,))
    assert header.relative_noise_bandwidth == 0.8
    assert header.encodings[0].grid == Grid((8, 6, 1), (80.0, 60.0, 5.0), (4, 6, 1), (40.0, 60.0, 5.0))
    assert (header.encodings[0].centre_line, header.encodings[0].centre_partition) == (3, 0)
    assert header.notes == ()


def test_namespace_and_version_do_not_matter(header_xml: HeaderXml) -> None:
    assert parse_header(header_xml(namespace="")) == parse_header(header_xml())
    assert parse_header(header_xml(extra="<version>99</version>")) == parse_header(header_xml())


def test_text_after_a_nul_is_ignored(header_xml: HeaderXml) -> None:
    text = header_xml()
    assert parse_header(text + "\0") == parse_header(text)
    assert parse_header(text.encode() + b"\0\0rubbish\xff") == parse_header(text)


def test_whole_numbers_may_look_like_floats(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    header = parse_header(
        header_xml(encoding_xml(matrix=("256.0", " 6 ", 1), fov=(512, 60, 5), recon_matrix=("20.0", 6, 1)))
    )
    assert header.encodings[0].grid.encoded_matrix == (256, 6, 1)


def test_enums_may_come_in_any_case(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    encoding = encoding_xml(trajectory="<trajectory>CARTESIAN</trajectory>", calibration="Embedded")
    read = parse_header(header_xml(encoding)).encodings[0]
    assert (read.trajectory, read.calibration_mode) == ("cartesian", "embedded")


def test_missing_limits_put_the_centre_in_the_middle_and_say_so(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    header = parse_header(header_xml(encoding_xml(matrix=(8, 6, 4), centres=None)))
    assert (header.encodings[0].centre_line, header.encodings[0].centre_partition) == (3, 2)
    assert "gives no centre of kspace_encoding_step_1; the middle of the matrix, 3, was taken" in header.notes[0]
    assert "kspace_encoding_step_2; the middle of the matrix, 2," in header.notes[1]


def test_missing_recon_space_trajectory_and_thickness_are_assumed_and_told(
    header_xml: HeaderXml, encoding_xml: HeaderXml
) -> None:
    header = parse_header(header_xml(encoding_xml(fov=(80, 60, 0), recon_matrix=None, trajectory="")))
    encoding = header.encodings[0]
    assert encoding.trajectory == "cartesian"
    assert encoding.grid.recon_matrix == encoding.grid.encoded_matrix
    assert encoding.grid.encoded_fov_mm[2] == 1.0
    for words in ("no reconSpace", "names no trajectory", "no slice thickness; 1 mm was assumed"):
        assert any(words in note for note in header.notes), words


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("<sequenceParameters><TE>short</TE></sequenceParameters>", "TE is 'short', not a number"),
        ("<sequenceParameters><TE>INF</TE></sequenceParameters>", "TE is 'INF', not a number"),
        (
            "<measurementInformation><patientPosition>up</patientPosition></measurementInformation>",
            "patientPosition is 'up', none of HFS",
        ),
        (
            "<measurementInformation><initialSeriesNumber>1.5</initialSeriesNumber></measurementInformation>",
            "not a whole number",
        ),
        ("<studyInformation><studyDate>today</studyDate></studyInformation>", "studyDate is 'today', not a date like"),
        ("<studyInformation><studyTime>noon</studyTime></studyInformation>", "studyTime is 'noon', not a time like"),
        (
            "<acquisitionSystemInformation><relativeReceiverNoiseBandwidth>0</relativeReceiverNoiseBandwidth>"
            "</acquisitionSystemInformation>",
            "relativeReceiverNoiseBandwidth of 0 is not plausible",
        ),
    ],
)
def test_unreadable_optional_values_are_ignored_and_told(header_xml: HeaderXml, extra: str, words: str) -> None:
    header = parse_header(header_xml(extra=extra))
    assert len(header.notes) == 1
    assert words in header.notes[0]
    assert header.scan_header == parse_header(header_xml()).scan_header
    assert header.relative_noise_bandwidth is None


def test_latin_1_text_is_read_and_told(header_xml: HeaderXml) -> None:
    xml = header_xml(extra="<subjectInformation><patientName>Müller</patientName></subjectInformation>")
    xml = xml.replace('<?xml version="1.0"?>\n', "")
    header = parse_header(xml.encode("latin-1"))
    assert header.scan_header.patient_name == "Müller"
    assert header.notes == ("The header is not UTF-8 text; it was read as Latin-1.",)


def test_oversampling_that_contradicts_itself_is_told(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    header = parse_header(header_xml(encoding_xml(recon_fov=(80, 60, 5))))
    assert "readout oversampling is 2 by matrix but 1 by field of view" in header.notes[0]


def test_numbers_of_images_that_the_header_announces(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    limits = "<slice><minimum>1</minimum><maximum>12</maximum><center>0</center></slice><set><maximum>1</maximum></set>"
    assert parse_header(header_xml(encoding_xml(limits=limits))).encodings[0].announced == {"slice": 12, "set": 2}


def test_every_encoding_is_read(header_xml: HeaderXml, encoding_xml: HeaderXml) -> None:
    header = parse_header(header_xml(encoding_xml(), encoding_xml(matrix=(8, 4, 1), calibration="separate")))
    assert [encoding.grid.encoded_matrix[1] for encoding in header.encodings] == [6, 4]
    assert [encoding.is_calibration for encoding in header.encodings] == [False, True]
