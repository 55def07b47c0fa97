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
        ({"kernel_width": 4.5}, "kernel_width is 4.5; it must be a whole number"),
        ({"virtual_coils": True}, "virtual_coils is True; it must be a whole number"),
        ({"regularisation": "1"}, "regularisation is '1'; it must be a number"),
        ({"seed": 2**70}, "seed is 1180591620717411303424; it must lie between"),
        ({"calibration_width": 4}, "calibration_width is 4; it must lie between 6 and"),
        ({"threads": 100000}, "threads is 100000; it must lie between 1 and 1024"),
    ],
)
def test_unusable_values_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        Settings(**changes)


def test_settings_are_plain_values():
    values = Settings().as_dict()
    assert values["method"] == "cs"
    assert values["regularisation"] == 1.0
