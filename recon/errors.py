"""What can go wrong, as one tree.

    KnerveError                 anything knerve refuses, with a message that says what came, what was expected, what to do
    ├── RawDataError            a raw file or stream that cannot be read or placed in k-space
    │   └── UnsupportedError    well-formed data of a kind that knerve does not reconstruct (a spiral trajectory, say)
    ├── CalibrationError        no usable coil calibration in the data
    ├── SettingsError           settings that contradict each other or the scan
    ├── OutputError             results that cannot be written
    └── OutOfMemoryError        the reconstruction needs more memory than there is

Every one of them reaches the command line as a single clear line and exit code 1.
"""


class KnerveError(Exception):
    """Base of every error that knerve raises on purpose."""


class RawDataError(KnerveError):
    """A raw file or stream that cannot be read or placed in k-space."""


class UnsupportedError(RawDataError):
    """Well-formed data of a kind that knerve does not reconstruct."""


class CalibrationError(KnerveError):
    """No usable coil calibration in the data."""


class SettingsError(KnerveError):
    """Settings that contradict each other or the scan."""


class OutOfMemoryError(KnerveError):
    """The reconstruction needs more memory than there is."""


class OutputError(KnerveError):
    """Results that cannot be written."""
