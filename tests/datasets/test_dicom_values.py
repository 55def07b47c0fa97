"""Text, dates, numbers and identifiers fit what DICOM holds."""

from knerve.datasets.dicom_values import date_value, decimal, given_uid, person_name, text, time_value


def test_values_fit_their_representation() -> None:
    assert text("  a\\b\nc\x00d ", "LO") == "a/b cd"
    assert text("ü" * 90, "SH") == "ü" * 8
    assert text("a" * 15 + "ü", "SH") == "a" * 15
    assert person_name("山" * 30 + "=second") == "山" * 21
    assert person_name("Yamada^Tarou=山田^太郎=") == "Yamada^Tarou=山田^太郎"
    assert person_name("a^b^c^d^e^f") == "a^b^c^d^e"


def test_dates_and_times() -> None:
    assert (date_value("2019-03-14"), date_value("yesterday"), date_value("")) == ("20190314", "", "")
    assert (time_value("22:34:35"), time_value("22:34:35.25"), time_value("soon")) == ("223435", "223435.250000", "")


def test_numbers_and_identifiers() -> None:
    assert len(str(decimal(-1 / 3 * 1e-7))) <= 16
    assert decimal(float("nan")) is None
    assert given_uid("1.2.840.10008") == "1.2.840.10008"
    assert [given_uid(value) for value in ("", "1.02", "abc", "1." + "2" * 70)] == [None] * 4
