"""Images as a classic DICOM MR series: one single-frame file a slice, marked derived, on the scanner's geometry."""

from __future__ import annotations

import copy
import hashlib
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from knerve.datasets.dicom_method import describe_method
from knerve.datasets.dicom_values import (
    UNPAIRED_BODY_PARTS,
    code,
    date_value,
    decimal,
    decimals,
    derived_uid,
    given_uid,
    person_name,
    text,
    time_value,
)
from knerve.datasets.display_window import window_in_words
from knerve.datasets.map_series import MapLabel
from knerve.datasets.plane_series import PlaneSeries
from knerve.datasets.provenance import comments, how_made, series_description, software_version
from knerve.datasets.slice_planes import Plane
from knerve.recon.images import ImageSeries
from knerve.recon.scan import ScanHeader

_PATIENT_POSITIONS = ("HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL")
_SCANNING_SEQUENCE = {
    **dict.fromkeys(("spinecho", "turbospinecho", "fastspinecho", "se", "tse", "fse", "haste"), "SE"),
    **dict.fromkeys(("gradientecho", "flash", "gre", "spgr", "ssfp", "truefisp", "bssfp"), "GR"),
    "epi": "EP",
}
FIRST_MAP_SERIES = 9000  # far from the scanner's own numbers
_RESEARCH_MODE = "RM"  # DICOM's word for a sequence that its own terms do not name


def write_dicom(series: PlaneSeries, folder: Path, label: MapLabel | None = None) -> tuple[Path, ...]:
    """Write `slice_000.dcm`, ... into the new folder `folder`, in the order of the `slice` axis; returns the files.

    Pixels are uint16; times RescaleSlope they are magnitude in SNR units, or what `label` says of a map. Identifiers depend
    on the images and their header alone: writing the same images again gives the same files.
    """
    folder.mkdir(parents=True)
    images = series.images
    slope = decimals(float(series.pixels.max()) / 65535 or 1.0)[0]
    shared = _series_dataset(images, _identify(images, series.pixels))
    _describe_pixels(shared, images, float(slope), series.window_top)
    if label is not None:
        _describe_map(shared, label)
    written = []
    for number, (plane, values) in enumerate(zip(series.planes, series.pixels, strict=True), start=1):
        instance = _copied(shared)
        _describe_instance(instance, images, plane, number)
        instance.PixelData = np.rint(np.clip(values / float(slope), 0, 65535)).astype("<u2").tobytes()
        path = folder / f"slice_{number - 1:03d}.dcm"
        path.write_bytes(_encoded(instance))
        written.append(path)
    return tuple(written)


def _copied(shared: Dataset) -> Dataset:
    """A data set with the same elements, themselves shared: what is then set must be new, not one of them."""
    instance = Dataset()
    instance.update(shared)
    instance.file_meta = copy.deepcopy(shared.file_meta)
    return instance


def _encoded(instance: Dataset) -> bytes:
    """Encode one file in memory: pydicom rewords the error of a full disk and so hides what it was."""
    buffer = io.BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Identity:
    study: UID
    series: UID
    frame_of_reference: UID


def _identify(images: ImageSeries, magnitude: NDArray[np.float32]) -> _Identity:
    """The scanner's own identifiers where the header has them, else derived from what tells scans apart."""
    header = images.header
    content = hashlib.sha256(np.ascontiguousarray(magnitude).data).hexdigest()
    named = (header.study_id, header.accession_number, header.study_date)
    study = given_uid(header.study_instance_uid) or derived_uid(
        "study", *((header.patient_id, header.study_time, *named) if any(named) else (content,))
    )
    scan = (study, asdict(header), images.frames, images.grid)
    return _Identity(
        study=study,
        series=derived_uid("series", *scan, images.method, images.settings, content),
        frame_of_reference=given_uid(header.frame_of_reference_uid) or derived_uid("frame of reference", *scan),
    )


def _series_dataset(images: ImageSeries, identity: _Identity) -> Dataset:
    """All that the files of the series share, pixels aside."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = MRImageStorage
    ds.StudyInstanceUID = identity.study
    ds.SeriesInstanceUID = identity.series
    ds.FrameOfReferenceUID = identity.frame_of_reference
    ds.PositionReferenceIndicator = ""
    _describe_patient(ds, images.header)
    _describe_study(ds, images.header)
    _describe_scanner(ds, images.header)
    _describe_sequence(ds, images)
    describe_method(ds, images)
    ds.SeriesNumber = images.header.initial_series_number or 1
    ds.SeriesDescription = text(series_description(images, 64), "LO")
    ds.ImageType = ["DERIVED", "PRIMARY", "M"]
    ds.DerivationDescription = text(how_made(images), "ST")
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    return ds


def _describe_patient(ds: Dataset, header: ScanHeader) -> None:
    ds.PatientName = person_name(header.patient_name)
    ds.PatientID = text(header.patient_id, "LO")
    ds.PatientBirthDate = date_value(header.patient_birth_date)
    ds.PatientSex = header.patient_sex if header.patient_sex in ("M", "F", "O") else ""
    if header.patient_weight_kg is not None:
        ds.PatientWeight = decimal(header.patient_weight_kg)
    ds.PatientPosition = header.patient_position if header.patient_position in _PATIENT_POSITIONS else ""


def _describe_study(ds: Dataset, header: ScanHeader) -> None:
    ds.StudyDate = date_value(header.study_date)
    ds.StudyTime = time_value(header.study_time)
    ds.StudyID = text(header.study_id, "SH")
    ds.AccessionNumber = text(header.accession_number, "SH")
    ds.ReferringPhysicianName = person_name(header.referring_physician)
    ds.StudyDescription = text(header.study_description, "LO")
    ds.SeriesDate = date_value(header.series_date)
    ds.SeriesTime = time_value(header.series_time)
    ds.BodyPartExamined = code(header.body_part)
    if ds.BodyPartExamined not in UNPAIRED_BODY_PARTS:
        ds.Laterality = ""  # raw data do not say which side


def _describe_scanner(ds: Dataset, header: ScanHeader) -> None:
    ds.Modality = "MR"
    ds.Manufacturer = text(header.vendor, "LO")
    ds.ManufacturerModelName = text(header.model, "LO")
    ds.InstitutionName = text(header.institution, "LO")
    ds.StationName = text(header.station, "SH")
    ds.DeviceSerialNumber = text(header.device_serial_number or header.device_id, "LO")
    ds.SoftwareVersions = text(f"knerve {software_version()}", "LO")
    ds.MagneticFieldStrength = decimal(header.field_strength_t)
    if header.resonance_frequency_hz is not None:
        ds.ImagingFrequency = decimal(header.resonance_frequency_hz / 1e6)


def _describe_sequence(ds: Dataset, images: ImageSeries) -> None:
    header = images.header
    kind = "".join(character for character in header.sequence_type.lower() if character.isalnum())
    inverted = any(ti > 0 for ti in header.ti_ms)
    scanning = _SCANNING_SEQUENCE.get(kind, _RESEARCH_MODE)
    ds.ScanningSequence = [scanning, "IR"] if inverted else scanning
    ds.SequenceVariant = "SK" if (header.echo_train_length or 0) > 1 else "NONE"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "3D" if images.is_3d else "2D"
    ds.SequenceName = text(header.sequence_name, "SH")
    ds.ProtocolName = text(header.protocol_name, "LO")
    ds.EchoTrainLength = header.echo_train_length
    ds.InPlanePhaseEncodingDirection = "COL"
    if header.sample_time_us:
        ds.PixelBandwidth = decimal(1e6 / (header.sample_time_us * images.grid.encoded_matrix[0]))


def _describe_pixels(ds: Dataset, images: ImageSeries, slope: float, top: float) -> None:
    ds.Rows, ds.Columns = images.image.shape[-2:]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    ds.RescaleIntercept, ds.RescaleSlope = decimals(0.0, slope)
    ds.RescaleType = "US"
    ds.WindowCenter, ds.WindowWidth = decimals(top / 2, top)
    ds.WindowCenterWidthExplanation = text(window_in_words(top), "LO")


def _describe_map(ds: Dataset, label: MapLabel) -> None:
    """Turn the description of the images into that of a map of them."""
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.SeriesNumber = FIRST_MAP_SERIES + 100 * int(ds.SeriesNumber) + label.number
    ds.SeriesDescription = text(f"knerve map: {label.title}", "LO")
    ds.DerivationDescription = text(f"Map of {label.window}. {ds.DerivationDescription}", "ST")
    ds.WindowCenterWidthExplanation = text(label.unit, "LO")


def _describe_instance(ds: Dataset, images: ImageSeries, plane: Plane, number: int) -> None:
    """Identity, place and contrast of one file."""
    frame, header = plane.frame, images.header
    dx, dy = plane.spacing_mm
    ds.SOPInstanceUID = derived_uid("instance", ds.SeriesInstanceUID, number)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber = number
    ds.AcquisitionNumber = frame.repetition + 1
    ds.ImagePositionPatient = decimals(*plane.corner_mm)
    ds.ImageOrientationPatient = decimals(*plane.row_dir, *plane.column_dir)
    ds.PixelSpacing = decimals(dy, dx)  # between rows first
    ds.SliceThickness = decimal(plane.thickness_mm or None)
    if plane.spacing_between_mm is not None:
        ds.SpacingBetweenSlices = decimal(plane.spacing_between_mm)
    ds.SliceLocation = decimal(plane.location_mm)
    ds.EchoNumbers = frame.contrast + 1
    ds.EchoTime = decimal(_of_contrast(header.te_ms, frame.contrast))
    ds.RepetitionTime = decimal(_of_contrast(header.tr_ms, frame.contrast))
    if "IR" in ds.ScanningSequence:
        ds.InversionTime = decimal(_of_contrast(header.ti_ms, frame.contrast))
    flip_angle_deg = _of_contrast(header.flip_angle_deg, frame.contrast)
    if flip_angle_deg is not None:
        ds.FlipAngle = decimal(flip_angle_deg)
    ds.ImageComments = text(comments(images, geometry_known=frame.geometry_known), "LT")


def _of_contrast(values: tuple[float, ...], contrast: int) -> float | None:
    """The value of one contrast; a single value holds for all."""
    if len(values) == 1:
        return values[0]
    return values[contrast] if contrast < len(values) else None
