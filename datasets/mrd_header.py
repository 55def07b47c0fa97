"""The MRD (ISMRMRD) XML header, read with tolerance for what real writers get wrong.

Unknown elements are ignored, the namespace is optional, enums may come in any case, "256.0" counts as 256, and what is
missing takes a default that a note tells. Only one thing is truly needed: an encoding with its matrix and field of view.
Headers come from strangers, so DTDs and entities are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from knerve.datasets.xml_node import XmlNode
from knerve.recon.errors import RawDataError
from knerve.recon.scan import Grid, ScanHeader, Vector

IMAGE_COUNTERS = ("repetition", "set", "phase", "contrast", "slice")  # each combination is one image; slowest first
CALIBRATION_MODES = ("embedded", "interleaved", "separate", "external", "other")
PATIENT_POSITIONS = ("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL")
LARGEST_MATRIX = 65535  # line numbers are 16-bit
UNKNOWN_THICKNESS_MM = 1.0


@dataclass(frozen=True)
class Encoding:
    """One `encoding` element; readouts name theirs by its index.

    Attributes:
        grid: matrices and fields of view.
        centre_line: the kspace_encode_step_1 at the centre of k-space.
        centre_partition: the kspace_encode_step_2 at the centre of k-space.
        announced: how many slices, contrasts, phases, repetitions and sets the header promises, where it does.
        trajectory: lower case: "cartesian", "radial", ...
        acceleration: along ky and kz, as the header claims.
        calibration_mode: "embedded", "interleaved", "separate", "external", "other" or empty.
        echo_train_length: None where not given.
    """

    grid: Grid
    centre_line: int
    centre_partition: int
    announced: Mapping[str, int] = field(default_factory=dict)
    trajectory: str = "cartesian"
    acceleration: tuple[float, float] = (1.0, 1.0)
    calibration_mode: str = ""
    echo_train_length: int | None = None

    @property
    def is_calibration(self) -> bool:
        """Whether calibration lines of this encoding were acquired apart from the imaging lines."""
        return self.calibration_mode in ("separate", "external")


@dataclass(frozen=True)
class MrdHeader:
    """What the reader needs of a header, and what images carry onwards.

    `relative_noise_bandwidth` is relativeReceiverNoiseBandwidth, None where not given; `notes` tell every default taken.
    """

    encodings: tuple[Encoding, ...]
    scan_header: ScanHeader
    relative_noise_bandwidth: float | None = None
    notes: tuple[str, ...] = ()


def parse_header(xml: str | bytes) -> MrdHeader:
    """Read an MRD header as it stands in a file or comes over the wire (text after the first NUL is ignored).

    Raises:
        RawDataError: not XML, a DTD or entity inside, or no encoding with matrix sizes and fields of view.
    """
    notes: list[str] = []
    root = XmlNode(_parse(_as_text(xml, notes)), notes)
    encodings = tuple(_encoding(node, index) for index, node in enumerate(root.children("encoding")))
    if not encodings:
        raise RawDataError(
            "The header has no 'encoding' element: without matrix size and field of view readouts cannot be placed. "
            "Export the raw data again with a complete ISMRMRD header."
        )
    bandwidth = root.child("acquisitionSystemInformation").number("relativeReceiverNoiseBandwidth")
    if bandwidth is not None and not 0.1 <= bandwidth <= 10:
        notes.append(f"Header: a relativeReceiverNoiseBandwidth of {bandwidth:g} is not plausible and was ignored.")
        bandwidth = None
    return MrdHeader(encodings, scan_header(root, encodings[0]), bandwidth, tuple(dict.fromkeys(notes)))


def scan_header(root: XmlNode, encoding: Encoding) -> ScanHeader:
    """Patient, study and sequence of a parsed header, as images carry them onwards."""
    subject, study = root.child("subjectInformation"), root.child("studyInformation")
    measurement, system = root.child("measurementInformation"), root.child("acquisitionSystemInformation")
    sequence = root.child("sequenceParameters")
    return ScanHeader(
        patient_name=subject.text("patientName"),
        patient_id=subject.text("patientID"),
        patient_birth_date=subject.date("patientBirthdate"),
        patient_sex=subject.choice("patientGender", ("M", "F", "O")),
        patient_weight_kg=subject.number("patientWeight_kg"),
        patient_position=measurement.choice("patientPosition", PATIENT_POSITIONS),
        study_date=study.date("studyDate"),
        study_time=study.time("studyTime"),
        study_id=study.text("studyID"),
        study_instance_uid=study.text("studyInstanceUID"),
        accession_number=study.text("accessionNumber"),
        referring_physician=study.text("referringPhysicianName"),
        study_description=study.text("studyDescription"),
        body_part=study.text("bodyPartExamined"),
        series_date=measurement.date("seriesDate"),
        series_time=measurement.time("seriesTime"),
        series_description=measurement.text("seriesDescription"),
        series_instance_uid_root=measurement.text("seriesInstanceUIDRoot"),
        frame_of_reference_uid=measurement.text("frameOfReferenceUID"),
        measurement_id=measurement.text("measurementID"),
        initial_series_number=measurement.integer("initialSeriesNumber"),
        protocol_name=measurement.text("protocolName"),
        sequence_name=measurement.text("sequenceName"),
        sequence_type=sequence.text("sequence_type"),
        institution=system.text("institutionName"),
        station=system.text("stationName"),
        vendor=system.text("systemVendor"),
        model=system.text("systemModel"),
        device_id=system.text("deviceID"),
        device_serial_number=system.text("deviceSerialNumber"),
        field_strength_t=system.number("systemFieldStrength_T"),
        resonance_frequency_hz=root.child("experimentalConditions").number("H1resonanceFrequency_Hz"),
        tr_ms=sequence.numbers("TR"),
        te_ms=sequence.numbers("TE"),
        ti_ms=sequence.numbers("TI"),
        flip_angle_deg=sequence.numbers("flipAngle_deg"),
        echo_spacing_ms=sequence.numbers("echo_spacing"),
        echo_train_length=encoding.echo_train_length,
        acceleration_asked=encoding.acceleration,
        calibration_mode=encoding.calibration_mode,
    )


def _as_text(xml: str | bytes, notes: list[str]) -> str:
    if isinstance(xml, str):
        return xml.split("\0", 1)[0].strip()
    xml = xml.split(b"\0", 1)[0]
    try:
        return xml.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        notes.append("The header is not UTF-8 text; it was read as Latin-1.")
        return xml.decode("latin-1").strip()


def _parse(text: str) -> Element:
    if not text:
        raise RawDataError("The header is empty; an ISMRMRD XML header was expected. Export the raw data again.")
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise RawDataError(
            f"The header holds a DTD or entity ({type(error).__name__}), which no MRD header needs and which can be an "
            "attack; remove it from the XML."
        ) from error
    except ParseError as error:
        raise RawDataError(
            f"The header is not well-formed XML ({error}); it begins with {text[:40]!r}. An ISMRMRD XML header was expected."
        ) from error
    return root


def _encoding(node: XmlNode, index: int) -> Encoding:
    encoded = node.child("encodedSpace")
    if not encoded:
        raise RawDataError(
            f"Encoding {index} of the header has no 'encodedSpace': matrix and field of view are needed."
        )
    matrix, fov = _space(encoded, f"encoding {index}, encodedSpace")
    recon_matrix, recon_fov = matrix, fov
    if recon := node.child("reconSpace"):
        recon_matrix, recon_fov = _space(recon, f"encoding {index}, reconSpace")
    else:
        node.note(f"Header: encoding {index} has no reconSpace; images take the encoded matrix and field of view.")
    oversampling = (matrix[0] / recon_matrix[0], fov[0] / recon_fov[0])
    if not math.isclose(*oversampling, rel_tol=0.02):
        node.note(
            f"Header: readout oversampling is {oversampling[0]:.3g} by matrix but {oversampling[1]:.3g} by field of view; "
            "the field of view was believed, images are interpolated."
        )
    parallel = node.child("parallelImaging")
    factors = parallel.child("accelerationFactor")
    factor_y, factor_z = factors.number("kspace_encoding_step_1"), factors.number("kspace_encoding_step_2")
    trajectory = node.text("trajectory").lower()
    if not trajectory:
        node.note(f"Header: encoding {index} names no trajectory; Cartesian was assumed.")
    return Encoding(
        grid=Grid(matrix, fov, recon_matrix, recon_fov),
        centre_line=_centre(node, index, "kspace_encoding_step_1", matrix[1]),
        centre_partition=_centre(node, index, "kspace_encoding_step_2", matrix[2]),
        announced=_announced(node.child("encodingLimits")),
        trajectory=trajectory or "cartesian",
        acceleration=(factor_y or 1.0, factor_z or 1.0),
        calibration_mode=parallel.choice("calibrationMode", CALIBRATION_MODES),
        echo_train_length=node.integer("echoTrainLength"),
    )


def _space(node: XmlNode, where: str) -> tuple[tuple[int, int, int], Vector]:
    """Matrix and field of view (mm) of `encodedSpace` or `reconSpace`; only z may be missing."""
    matrix_node, fov_node = node.child("matrixSize"), node.child("fieldOfView_mm")
    matrix = [matrix_node.integer(axis) for axis in "xyz"]
    if matrix[2] is None:
        node.note(f"Header: {where} gives no matrixSize z; 1 was assumed.")
        matrix[2] = 1
    fov = [fov_node.number(axis) for axis in "xyz"]
    if not fov[2]:
        node.note(f"Header: {where} gives no slice thickness; {UNKNOWN_THICKNESS_MM:g} mm was assumed.")
        fov[2] = UNKNOWN_THICKNESS_MM
    sizes = [n for n in matrix if n is not None and 1 <= n <= LARGEST_MATRIX]
    lengths = [mm for mm in fov if mm is not None and mm > 0]
    if len(sizes) < 3 or len(lengths) < 3:
        came = [
            f"{name}/{axis} is {child.text(axis) or 'missing'}"
            for name, child in (("matrixSize", matrix_node), ("fieldOfView_mm", fov_node))
            for axis in "xyz"
        ]
        raise RawDataError(
            f"The header ({where}) must give matrix sizes of 1 to {LARGEST_MATRIX} and positive fields of view in mm; "
            f"{', '.join(came)}. Correct the header."
        )
    return (sizes[0], sizes[1], sizes[2]), (lengths[0], lengths[1], lengths[2])


def _centre(node: XmlNode, index: int, step: str, size: int) -> int:
    """The value of this phase-encode counter that lies at the centre of k-space."""
    centre = node.child("encodingLimits").child(step).integer("center")
    if centre is None and size > 1:
        node.note(
            f"Header: encoding {index} gives no centre of {step}; the middle of the matrix, {size // 2}, was taken."
        )
    return size // 2 if centre is None else centre


def _announced(limits: XmlNode) -> dict[str, int]:
    announced = {}
    for name in IMAGE_COUNTERS:
        first, last = limits.child(name).integer("minimum"), limits.child(name).integer("maximum")
        if last is not None:
            announced[name] = last - (first or 0) + 1
    return announced
