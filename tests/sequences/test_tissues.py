"""The tissue table: complete, inside its own ranges, and clear about what is only assumed."""

from __future__ import annotations

import pytest

from knerve.sequences.errors import ProtocolError
from knerve.sequences.tissues import FLAG_MEANING, knee_tissues, parse_tissues, relaxation_s, tissue

ENTRY = """
[tissue]
t1_ms = { value = 100, low = 90, high = 110, flag = "S", source = "somewhere" }
t2_ms = { value = 10, low = 9, high = 11, flag = "M", source = "somewhere" }
pd = { value = 0.5, low = 0.4, high = 0.6, flag = "?", source = "assumed" }
"""


def test_every_number_has_range_source_and_flag():
    table = knee_tissues()
    assert len(table) >= 12
    for entry in table.values():
        for known in (entry.t1_ms, entry.t2_ms, entry.pd):
            assert 0 < known.low <= known.value <= known.high
            assert known.low < known.high
            assert known.source
            assert known.flag in FLAG_MEANING


def test_what_was_never_measured_says_so():
    assert tissue("nerve").t1_ms.flag == "?"
    assert tissue("nerve").t2_ms.flag == "S"
    assert "Sollmann" in tissue("nerve").t2_ms.source


def test_fat_lies_below_water_and_ethanol_half_in_its_band():
    assert tissue("subcutaneous_fat").chemical_shift_ppm == tissue("marrow_fat").chemical_shift_ppm == -3.4
    assert tissue("ethanol").fat_like_fraction == 0.5
    assert tissue("muscle").fat_like_fraction == 0


def test_relaxation_times_in_seconds():
    t1_s, t2_s = relaxation_s([tissue("muscle"), tissue("nerve")])
    assert t1_s.tolist() == pytest.approx([1.42, 1.4])
    assert t2_s.tolist() == pytest.approx([0.0317, 0.0446])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("value = 100", "value = 120", r"tissue\.t1_ms is 120 in the range 90 to 110"),
        ('flag = "M"', 'flag = "X"', "has the flag 'X'; choose one of S, M, \\?"),
        ("value = 0.5,", 'value = "half",', "give numbers"),
        ("low = 9,", "", "needs exactly value, low, high, flag, source"),
        ("pd =", "density =", "needs \\['pd', 't1_ms', 't2_ms'\\]"),
        ("value = 10, low = 9, high = 11", "value = 200, low = 9, high = 210", "a T2 above its T1"),
        ("[tissue]", "[tissue", "not valid TOML"),
    ],
)
def test_a_wrong_table_is_refused(old, new, message):
    assert old in ENTRY
    with pytest.raises(ProtocolError, match=message):
        parse_tissues(ENTRY.replace(old, new))


def test_an_unknown_tissue_lists_the_known_ones():
    with pytest.raises(ProtocolError, match="no tissue 'brain'; choose one of muscle, cartilage"):
        tissue("brain")
