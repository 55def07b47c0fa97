"""When two scans are of the same patient in the same place: only then may the second use what the first knew of its coils."""

from __future__ import annotations

import numpy as np

from knerve.datasets.mrd_hdf5 import Heads
from knerve.recon.scan import ScanHeader

Identity = tuple[str, ...]
Where = tuple[int, ...]
STEPS_PER_MM = 100  # slices lie at the same place if they do so within about a hundredth of a millimetre
STEPS_PER_UNIT_VECTOR = 10_000


def identity_of_patient(header: ScanHeader) -> Identity | None:
    """Whatever would differ for another patient, study, position in the magnet, or scanner; None for a nameless scan."""
    if not (header.patient_id or header.study_instance_uid):
        return None
    return (
        header.patient_id,
        header.patient_name,
        header.patient_birth_date,
        header.study_instance_uid,
        header.study_id,
        header.accession_number,
        header.patient_position,
        header.frame_of_reference_uid,
        header.device_serial_number,
        header.station,
    )


def where_it_lies(head: Heads) -> Where:
    """Position and directions of the slice of a readout, (1,) of dtype `HEAD`, in steps too small to matter."""
    places = np.concatenate([head[name][0] for name in ("position", "patient_table_position")])
    directions = np.concatenate([head[name][0] for name in ("read_dir", "phase_dir", "slice_dir")])
    steps = np.concatenate([np.asarray(places) * STEPS_PER_MM, np.asarray(directions) * STEPS_PER_UNIT_VECTOR])
    return tuple(int(step) for step in np.nan_to_num(np.round(steps)))
