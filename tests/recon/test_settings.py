"""Settings refuse what no reconstruction can use."""

import pytest

from knerve.recon.errors import SettingsError
from knerve.recon.settings import Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method is 'magic'; choose one of zero-filled, sense, cs"),
        ({"virtual_coils": 0}, "virtual_coils is 0; it must lie between 1 and"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"retained_energy": 1.5}, "retained_energy is 1.5; it must lie between 0.5 and 1.0"),
        ({"wavelet": "sym8"}, "wavelet is 'sym8'"),
        ({"map_sets": 3}, "map_sets is 3; choose one of 1, 2"),
        ({"device": "tpu"}, "device is 'tpu'"),
    ],
)
def test_unusable_values_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        Settings(**changes)


def test_settings_are_plain_values():
    values = Settings().as_dict()
    assert values["method"] == "cs"
    assert values["regularisation"] == 1.0
