"""Which scans may share what was found out about their coils."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knerve.datasets.mrd_hdf5 import HEAD
from knerve.recon.scan import ScanHeader
from knerve.server.same_place import identity_of_patient, where_it_lies

HEADER = ScanHeader(patient_id="17", patient_name="Doe^Jane", study_instance_uid="1.2.3", patient_position="FFS")


@pytest.mark.parametrize(
    "name",
    [
        "patient_id",
        "patient_name",
        "patient_birth_date",
        "study_instance_uid",
        "patient_position",
        "frame_of_reference_uid",
    ],
)
def test_whatever_differs_makes_another_patient(name: str) -> None:
    assert identity_of_patient(HEADER) == identity_of_patient(replace(HEADER, series_description="second"))
    assert identity_of_patient(HEADER) != identity_of_patient(replace(HEADER, **{name: "other"}))


def test_nameless_scans_are_nobodys() -> None:
    assert identity_of_patient(ScanHeader(patient_position="FFS", study_id="1")) is None
    assert identity_of_patient(ScanHeader(study_instance_uid="1.2.3")) is not None


@pytest.mark.parametrize(
    ("name", "change", "is_same"),
    [
        ("position", 0.001, True),
        ("position", 0.1, False),
        ("patient_table_position", 1.0, False),
        ("read_dir", 0.01, False),
        ("slice_dir", np.nan, True),  # a header that does not say
    ],
)
def test_places_differ_where_slices_do(name: str, change: float, is_same: bool) -> None:
    head = np.zeros(1, HEAD)
    head["position"] = 10.0, -20.0, 30.0
    other = head.copy()
    other[name] += np.float32(change)
    assert (where_it_lies(head) == where_it_lies(other)) is is_same
