"""The header of an MRD version 2 stream as the XML of version 1, which everything behind the door reads.

Both hold the same fields; version 2 writes their names and a few values another way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
NAMES = {
    "patientWeightKg": "patientWeight_kg",
    "patientHeightM": "patientHeight_m",
    "systemFieldStrengthT": "systemFieldStrength_T",
    "h1resonanceFrequencyHz": "H1resonanceFrequency_Hz",
    "fieldOfViewMm": "fieldOfView_mm",
    "tR": "TR",
    "tE": "TE",
    "tI": "TI",
    "flipAngleDeg": "flipAngle_deg",
    "sequenceType": "sequence_type",
    "echoSpacing": "echo_spacing",
    "deltaKz": "deltaKz",
    "multibandFactor": "multiband_factor",
}
STEP, USER = re.compile(r"kspaceEncodingStep(\d)"), re.compile(r"user(\d)")
UPPER_CASE = ("patientPosition", "patientGender")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_of(header: Mapping[str, Any]) -> bytes:
    """The XML of a header as `yardl` reads it."""
    root = Element("ismrmrdHeader", xmlns=NAMESPACE)
    _fill(root, header)
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def _fill(parent: Element, record: Mapping[str, Any]) -> None:
    for name, values in record.items():
        for value in values if isinstance(values, list) else [values]:
            if value is None:
                continue
            child = SubElement(parent, _name(name))
            if isinstance(value, Mapping):
                _fill(child, value)
            else:
                text = NOT_XML.sub("", str(value))
                child.text = text.upper() if name in UPPER_CASE else text


def _name(name: str) -> str:
    if step := STEP.fullmatch(name):
        return f"kspace_encoding_step_{step[1]}"
    if user := USER.fullmatch(name):
        return f"user_{user[1]}"
    return NAMES.get(name, name)
