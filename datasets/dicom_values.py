"""Plain text and numbers as values that DICOM accepts: lengths, character sets, dates, unique identifiers."""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from datetime import date, time

from pydicom.uid import UID
from pydicom.valuerep import DSfloat

from knerve.datasets.provenance import plain_text

LONGEST = {"CS": 16, "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240}
# The standard's terms for parts without a side; every other part has one, known or not.
# fmt: off
UNPAIRED_BODY_PARTS = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "AORTA", "BACK", "BLADDER", "BRAIN", "CEREBELLUM", "CERVIX", "CHEST",
    "CHESTABDOMEN", "CHESTABDPELVIS", "CIRCLEOFWILLIS", "COCCYX", "COLON", "CORONARYARTERY", "CSPINE", "CTSPINE",
    "DUODENUM", "ESOPHAGUS", "FACE", "GALLBLADDER", "HEAD", "HEADNECK", "HEART", "ILEUM", "ILIUM", "JAW",
    "JEJUNUM", "LARYNX", "LIVER", "LSPINE", "LSSPINE", "MAXILLA", "MEDIASTINUM", "MOUTH", "NECK", "NECKCHEST",
    "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "NOSE", "PANCREAS", "PELVIS", "PENIS", "PHARYNX", "PROSTATE",
    "RECTUM", "SCALP", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "THYMUS", "THYROID",
    "TLSPINE", "TONGUE", "TRACHEA", "TSPINE", "URETER", "URETHRA", "UTERUS", "VAGINA", "VULVA", "WHOLEBODY",
})
# fmt: on
_UID_PATTERN = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "knerve")


def text(value: str, vr: str) -> str:
    """One line of text, cut to what the value representation `vr` holds; the backslash would separate values."""
    return _cut(plain_text(value).replace("\\", "/"), LONGEST[vr])


def person_name(value: str) -> str:
    """A person's name: up to three groups (=) of five components (^); whole groups are dropped before one is cut."""
    groups = [
        _cut("^".join(group.split("^")[:5]), LONGEST["PN"])
        for group in plain_text(value).replace("\\", "/").split("=")[:3]
    ]
    while len("=".join(groups).encode()) > LONGEST["PN"]:
        groups.pop()
    return "=".join(groups).rstrip("=")


def code(value: str) -> str:
    """A code string: upper-case letters, digits, space and underscore, at most 16."""
    return re.sub(r"[^A-Z0-9 _]", "_", plain_text(value).upper())[: LONGEST["CS"]].strip()


def _cut(value: str, longest: int) -> str:
    """At most `longest` bytes of UTF-8: the standard counts characters, but many readers count bytes."""
    return value.encode()[:longest].decode(errors="ignore").strip()


def date_value(value: str) -> str:
    """`2019-03-14` as `20190314`; empty where it is no date."""
    try:
        return date.fromisoformat(value.strip()).isoformat().replace("-", "")
    except ValueError:
        return ""


def time_value(value: str) -> str:
    """`22:34:35.5` as `223435.500000`, without fraction where there is none; empty where it is no time."""
    try:
        clock = time.fromisoformat(value.strip())
    except ValueError:
        return ""
    return clock.strftime("%H%M%S.%f" if clock.microsecond else "%H%M%S")


def decimal(value: float | None) -> DSfloat | None:
    """A number as a decimal string of at most 16 characters; None, an empty value, where unknown or not finite."""
    return DSfloat(value, auto_format=True) if value is not None and math.isfinite(value) else None


def decimals(*values: float) -> list[DSfloat]:
    """Finite numbers as decimal strings."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def given_uid(value: str) -> UID | None:
    """The identifier if DICOM accepts it, else None."""
    value = value.strip()
    return UID(value) if len(value) <= 64 and _UID_PATTERN.fullmatch(value) else None


def derived_uid(*names: object) -> UID:
    """The same identifier for the same names, always: below 2.25, where UUIDs live."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode("utf-8", "surrogatepass")).hexdigest()
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, digest).int}")
