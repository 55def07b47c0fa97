"""Streams of MRD version 2, made and read with `mrd-python`: a client that shares no code with our server."""

from __future__ import annotations

import io
from collections.abc import Iterable

import mrd
import numpy as np

from knerve.datasets.mrd_header import parse_header
from knerve.recon.scan import Vector
from knerve.server.messages import Acquisition

NUMBERS = (
    "scan_counter",
    "acquisition_time_stamp",
    "discard_pre",
    "discard_post",
    "center_sample",
    "encoding_space_ref",
)
DIRECTIONS = ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")


def header_of(xml: bytes) -> mrd.Header:
    """The header of a scan, as far as its reconstruction needs it."""
    known = parse_header(xml)
    encoding, grid = known.encodings[0], known.encodings[0].grid
    limits = mrd.EncodingLimitsType(
        kspace_encoding_step_1=_limit(grid.encoded_matrix[1], encoding.centre_line),
        kspace_encoding_step_2=_limit(grid.encoded_matrix[2], encoding.centre_partition),
        **{name: _limit(n, 0) for name, n in encoding.announced.items()},
    )
    factors = mrd.AccelerationFactorType(
        kspace_encoding_step_1=int(encoding.acceleration[0]), kspace_encoding_step_2=int(encoding.acceleration[1])
    )
    mode = mrd.CalibrationMode[encoding.calibration_mode.upper()] if encoding.calibration_mode else None
    return mrd.Header(
        measurement_information=mrd.MeasurementInformationType(
            measurement_id=known.scan_header.measurement_id, patient_position=mrd.PatientPosition.H_FS
        ),
        acquisition_system_information=mrd.AcquisitionSystemInformationType(
            relative_receiver_noise_bandwidth=known.relative_noise_bandwidth
        ),
        experimental_conditions=mrd.ExperimentalConditionsType(
            h1resonance_frequency_hz=int(known.scan_header.resonance_frequency_hz or 0)
        ),
        encoding=[
            mrd.EncodingType(
                encoded_space=_space(grid.encoded_matrix, grid.encoded_fov_mm),
                recon_space=_space(grid.recon_matrix, grid.recon_fov_mm),
                encoding_limits=limits,
                trajectory=mrd.Trajectory.CARTESIAN,
                parallel_imaging=mrd.ParallelImagingType(acceleration_factor=factors, calibration_mode=mode),
                echo_train_length=encoding.echo_train_length,
            )
        ],
    )


def item_of(readout: Acquisition) -> mrd.StreamItem:
    """A readout as version 2 has it."""
    counters = readout.head["idx"]
    idx = {name: int(counters[name]) for name in counters.dtype.names if name != "user"}
    head = mrd.AcquisitionHeader(
        flags=mrd.AcquisitionFlags(int(readout.head["flags"])),
        idx=mrd.EncodingCounters(**idx, user=counters["user"].tolist()),
        measurement_uid=int(readout.head["measurement_uid"]),
        sample_time_us=float(readout.head["sample_time_us"]),
        physiology_time_stamp=readout.head["physiology_time_stamp"].tolist(),
        user_int=readout.head["user_int"].tolist(),
        user_float=readout.head["user_float"].tolist(),
        **{name: int(readout.head[name]) for name in NUMBERS},
        **{name: readout.head[name].astype(np.float32) for name in DIRECTIONS},
    )
    trajectory = np.ascontiguousarray(readout.trajectory.T, np.float32)
    return mrd.StreamItem.Acquisition(mrd.Acquisition(head=head, data=readout.samples, trajectory=trajectory))


def stream_of(header: mrd.Header | None, items: Iterable[mrd.StreamItem]) -> bytes:
    """The whole stream of a client."""
    out = io.BytesIO()
    with mrd.BinaryMrdWriter(out) as writer:
        writer.write_header(header)
        writer.write_data(iter(items))
    return out.getvalue()


def images_of(answer: bytes) -> tuple[mrd.Header | None, list[mrd.Image[np.float32]]]:
    """Header and images of a server's stream."""
    with mrd.BinaryMrdReader(io.BytesIO(answer)) as reader:
        return reader.read_header(), [item.value for item in reader.read_data()]


def _limit(n: int, centre: int) -> mrd.LimitType:
    return mrd.LimitType(minimum=0, maximum=n - 1, center=centre)


def _space(matrix: tuple[int, int, int], fov_mm: Vector) -> mrd.EncodingSpaceType:
    return mrd.EncodingSpaceType(
        matrix_size=mrd.MatrixSizeType(x=matrix[0], y=matrix[1], z=matrix[2]),
        field_of_view_mm=mrd.FieldOfViewMm(x=fov_mm[0], y=fov_mm[1], z=fov_mm[2]),
    )
