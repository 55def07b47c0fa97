"""A Siemens protocol in knerve's terms: matrices, fields of view, patient, study and sequence.

Encoded and reconstructed space follow the usual conversion to ISMRMRD: readout oversampling and phase oversampling belong to
the encoded space; the reconstructed pixel is square, as the scanner would make it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knerve.recon.errors import RawDataError, UnsupportedError
from knerve.recon.scan import Grid, ScanHeader

CARTESIAN = 1
THREE_D = 4
INTEGRATED_REFERENCE = 2
SEX = {1: "F", 2: "M", 3: "O"}
TRAJECTORIES = {1: "Cartesian", 2: "radial", 4: "spiral", 8: "PROPELLER (BLADE)"}


class Protocol:
    """Values of a parsed protocol by their path; a missing or unreadable one is the default."""

    def __init__(self, sections: dict[str, Any]) -> None:
        self._sections = sections

    def _find(self, path: str) -> object:
        place: object = self._sections
        for name in path.split("."):
            if isinstance(place, list):
                place = place[int(name)] if int(name) < len(place) else None
            else:
                place = place.get(name) if isinstance(place, dict) else None
        return place

    def number(self, *paths: str, default: float = 0.0) -> float:
        """The first of these paths that holds a number."""
        for path in paths:
            value = self._find(path)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
            if isinstance(value, str) and value.lower().startswith("0x"):
                return float(int(value, 16))
        return default

    def text(self, *paths: str) -> str:
        """The first of these paths that holds a text that is not empty."""
        values = (self._find(path) for path in paths)
        return next((value.strip('" ') for value in values if isinstance(value, str) and value.strip('" ')), "")

    def numbers(self, path: str, count: int, scale: float = 1.0) -> tuple[float, ...]:
        """The first `count` numbers of a list."""
        value = self._find(path)
        listed = value if isinstance(value, list) else []
        return tuple(float(v) * scale for v in listed[:count] if isinstance(v, (int, float)))

    def unsupported(self) -> Iterator[str]:
        """What this protocol asks for that knerve does not reconstruct."""
        trajectory = int(self.number("MeasYaps.sKSpace.ucTrajectory", default=CARTESIAN))
        if trajectory != CARTESIAN:
            yield f"a {TRAJECTORIES.get(trajectory, 'non-Cartesian')} trajectory"
        if self.number("MeasYaps.sFastImaging.lEPIFactor", default=1) > 1:
            yield "echo-planar imaging (needs ghost correction)"
        if self.number("Meas.alRegridMode.0", default=1) > 1:
            yield "readouts sampled on gradient ramps"
        if self.number("MeasYaps.sSliceAcceleration.lMultiBandFactor", default=1) > 1:
            yield "simultaneous multi-slice excitation"


def require_supported(protocol: Protocol, source: str) -> None:
    """Refuse by name what knerve does not reconstruct.

    Raises:
        UnsupportedError: the protocol asks for it.
    """
    reasons = list(protocol.unsupported())
    if reasons:
        raise UnsupportedError(
            f"{source} holds {' and '.join(reasons)}; knerve reconstructs Cartesian scans line by line."
        )


def is_3d(protocol: Protocol) -> bool:
    """Whether partitions are phase encoded."""
    return protocol.number("MeasYaps.sKSpace.ucDimension", default=2) == THREE_D


def grid_of(protocol: Protocol, n_samples: int, n_lines: int, n_partitions: int) -> Grid:
    """Encoded and reconstructed space.

    Args:
        protocol: protocol of the measurement.
        n_samples: samples of a readout, used where the protocol gives no oversampling.
        n_lines: smallest symmetric matrix that holds every phase-encode line acquired.
        n_partitions: the same for partitions.

    Raises:
        RawDataError: the protocol lacks the base resolution or the field of view.
    """
    base = int(protocol.number("MeasYaps.sKSpace.lBaseResolution"))
    read_mm = protocol.number("MeasYaps.sSliceArray.asSlice.0.dReadoutFOV", "Meas.ReadFoV")
    phase_mm = protocol.number("MeasYaps.sSliceArray.asSlice.0.dPhaseFOV", "Meas.PhaseFoV")
    thick_mm = protocol.number("MeasYaps.sSliceArray.asSlice.0.dThickness", default=1.0)
    if min(base, read_mm, phase_mm) <= 0:
        raise RawDataError(
            f"the protocol gives no matrix and field of view (base resolution {base}, {read_mm:g} x {phase_mm:g} mm): "
            "the file is damaged, or not an imaging measurement."
        )
    oversampling = protocol.number("Dicom.flReadoutOSFactor", "Meas.flReadoutOSFactor") or max(
        1, round(n_samples / base)
    )
    over_y = 1 + protocol.number("MeasYaps.sKSpace.dPhaseOversamplingForDialog", "Meas.flPhaseOS")
    over_z = 1 + protocol.number("MeasYaps.sKSpace.dSliceOversamplingForDialog", "Meas.flSliceOS")
    recon_y = max(1, round(base * phase_mm / read_mm))
    encoded_y = max(_even(recon_y * over_y), n_lines)
    recon_z = encoded_z = 1
    if is_3d(protocol):
        recon_z = max(1, int(protocol.number("MeasYaps.sKSpace.lImagesPerSlab", default=n_partitions)))
        encoded_z = max(int(protocol.number("MeasYaps.sKSpace.lPartitions")), round(recon_z * over_z), n_partitions)
    else:
        over_z = 1.0
    return Grid(
        encoded_matrix=(round(base * oversampling), encoded_y, encoded_z),
        encoded_fov_mm=(read_mm * oversampling, phase_mm * over_y, thick_mm * over_z),
        recon_matrix=(base, recon_y, recon_z),
        recon_fov_mm=(read_mm, phase_mm, thick_mm),
    )


def header_of(protocol: Protocol, n_contrasts: int) -> ScanHeader:
    """What images carry onwards; TWIX files keep no DICOM study identifiers."""
    return ScanHeader(
        patient_name=protocol.text("Dicom.tPatientName", "Meas.tPatientName"),
        patient_id=protocol.text("Config.PatientID", "Meas.PatientID"),
        patient_birth_date=_date(protocol.text("Config.PatientBirthDay", "Meas.PatientBirthDay")),
        patient_sex=SEX.get(int(protocol.number("Dicom.lPatientSex", "Meas.lPatientSex")), ""),
        patient_weight_kg=protocol.number("Dicom.flUsedPatientWeight", "Meas.flUsedPatientWeight") or None,
        patient_position=protocol.text("Dicom.tPatientPosition", "Meas.tPatientPosition", "Meas.PatientPosition"),
        study_description=protocol.text("Meas.tStudyDescription"),
        body_part=protocol.text("Dicom.tBodyPartExamined", "Meas.tBodyPartExamined"),
        series_description=protocol.text("MeasYaps.tProtocolName", "Meas.tProtocolName"),
        frame_of_reference_uid=protocol.text("Meas.tFrameOfReference", "Config.FrameOfReference"),
        protocol_name=protocol.text("MeasYaps.tProtocolName", "Meas.tProtocolName"),
        sequence_name=protocol.text("MeasYaps.tSequenceFileName", "Meas.tSequenceFileName"),
        sequence_type=protocol.text("Dicom.tScanningSequence"),
        institution=protocol.text("Dicom.InstitutionName", "Meas.InstitutionName"),
        vendor=protocol.text("Dicom.Manufacturer") or "SIEMENS",
        model=protocol.text("Dicom.ManufacturersModelName"),
        device_serial_number=_serial(protocol),
        field_strength_t=protocol.number("Dicom.flMagneticFieldStrength", "Meas.flMagneticFieldStrength") or None,
        resonance_frequency_hz=protocol.number("Dicom.lFrequency", "Meas.lFrequency") or None,
        tr_ms=protocol.numbers("MeasYaps.alTR", 1, 1e-3),
        te_ms=protocol.numbers("MeasYaps.alTE", n_contrasts, 1e-3),
        flip_angle_deg=protocol.numbers("MeasYaps.adFlipAngleDegree", 1),
        echo_train_length=int(protocol.number("MeasYaps.sFastImaging.lTurboFactor")) or None,
        acceleration_asked=(
            max(1.0, protocol.number("MeasYaps.sPat.lAccelFactPE", default=1)),
            max(1.0, protocol.number("MeasYaps.sPat.lAccelFact3D", default=1)),
        ),
        calibration_mode=_calibration_mode(protocol),
        sample_time_us=dwell_time_us(protocol) or None,
    )


def dwell_time_us(protocol: Protocol) -> float:
    """Time between samples as acquired, readout oversampling included; 0 if the protocol does not say."""
    return protocol.number("MeasYaps.sRXSPEC.alDwellTime.0") / 1000


def has_integrated_reference(protocol: Protocol) -> bool:
    """Whether reference lines come from the imaging echoes themselves, so that they are data like any other line."""
    return int(protocol.number("MeasYaps.sPat.ucRefScanMode")) == INTEGRATED_REFERENCE


def _calibration_mode(protocol: Protocol) -> str:
    if protocol.number("MeasYaps.sPat.lAccelFactPE", default=1) <= 1:
        return ""
    return "embedded" if has_integrated_reference(protocol) else "separate"


def _serial(protocol: Protocol) -> str:
    number = protocol.number("Dicom.DeviceSerialNumber")
    return str(int(number)) if number else protocol.text("Dicom.DeviceSerialNumber")


def _date(digits: str) -> str:
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if len(digits) == 8 and digits.isdecimal() else ""


def _even(value: float) -> int:
    return 2 * round(value / 2)
