from __future__ import annotations

from knerve.recon.learned.notes import held_back_note, one_of_a_kind, replaced_note
from knerve.recon.learned.trust import DataFit, complaint


def contradiction(chi_square: float) -> str:
    text = complaint(DataFit(chi_square, 1.0), DataFit(1.0, 1.0))
    assert text is not None
    return replaced_note(text)


def test_of_all_slices_the_one_where_most_was_held_back_is_told() -> None:
    notes = [held_back_note(share) for share in (0.0003, 0.0123, 0.004)]
    assert one_of_a_kind(["first", *notes, "last", "first"]) == ("first", notes[1], "last")


def test_of_images_that_contradict_their_data_the_worst_is_told() -> None:
    line = complaint(DataFit(1.0, 7.0), DataFit(1.0, 1.0))
    noisy = complaint(DataFit(0.2, 0.2), DataFit(1.0, 1.0))
    assert line is not None
    assert noisy is not None
    notes = [contradiction(1.3), replaced_note(line), contradiction(2.6), replaced_note(noisy)]
    assert one_of_a_kind(notes) == (notes[2], notes[1], notes[3])


def test_other_notes_stay() -> None:
    notes = ("the network was not used: a.", "the network was not used: b.")
    assert one_of_a_kind(notes) == notes
