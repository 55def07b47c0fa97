"""knerve: from raw k-space to nerve-visible images, inside the needle's time.

    import knerve

    scan = knerve.read("raw.h5")
    images = knerve.reconstruct(scan, method="cs")
    knerve.save(images, "out")

Research software, not a medical device.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch loads its OpenMP: threads that wait spin a little and then sleep. Spinning on (the default) makes a busy machine
# many times slower, sleeping at once (OMP_WAIT_POLICY=PASSIVE) makes a quiet one twice as slow.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

if TYPE_CHECKING:
    from knerve.datasets.description import ScanDescription
    from knerve.datasets.scan_plane import Anatomy
    from knerve.datasets.simulate import SimulatedScan
    from knerve.datasets.simulation_settings import SimulationSettings
    from knerve.recon.errors import KnerveError
    from knerve.recon.images import ImageSeries
    from knerve.recon.scan import RawScan
    from knerve.recon.settings import Method, Settings
    from knerve.sequences.protocol import Protocol

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """Find a public name when it is first asked for: `import knerve` must not wait for torch."""
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("knerve")
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'knerve' has no attribute {name!r}; public names: {', '.join(__all__)}.")


__all__ = [
    "ImageSeries",
    "KnerveError",
    "Protocol",
    "RawScan",
    "Settings",
    "SimulationSettings",
    "__version__",
    "describe",
    "read",
    "reconstruct",
    "save",
    "simulate",
]

_HOMES = {
    "ImageSeries": "knerve.recon.images",
    "KnerveError": "knerve.recon.errors",
    "Protocol": "knerve.sequences.protocol",
    "RawScan": "knerve.recon.scan",
    "Settings": "knerve.recon.settings",
    "SimulationSettings": "knerve.datasets.simulation_settings",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def read(path: str | Path, *, group: str | None = None) -> RawScan:
    """Read one raw file of any format that knerve knows.

    Args:
        path: ISMRMRD/MRD or fastMRI `.h5`, BART `.cfl`, Siemens `.dat`.
        group: HDF5 group or measurement to read where a file holds several.

    Raises:
        RawDataError: the file cannot be read or placed in k-space.
    """
    from knerve.datasets.reading import read_raw

    return read_raw(Path(path), group=group)


def reconstruct(scan: RawScan, method: Method | None = None, *, settings: Settings | None = None) -> ImageSeries:
    """Turn raw k-space into images: with the defaults, with one `method`, or with full `settings`.

    Raises:
        SettingsError: both `method` and `settings` were given, or the settings do not suit the scan.
        CalibrationError: the scan holds no usable coil calibration.
    """
    from knerve.recon.errors import SettingsError
    from knerve.recon.pipeline import reconstruct as run
    from knerve.recon.settings import Settings

    if method is not None and settings is not None:
        raise SettingsError(
            f"method={method!r} and settings=... were both given; say Settings(method={method!r}, ...)."
        )
    if settings is None:
        settings = Settings() if method is None else Settings(method=method)
    return run(scan, settings)


def describe(scan: RawScan) -> ScanDescription:
    """Tell what is in a scan: geometry, sampling, acceleration, calibration, noise, problems."""
    from knerve.datasets.description import describe as tell

    return tell(scan)


def save(images: ImageSeries, directory: str | Path, *, formats: frozenset[str] | None = None) -> tuple[Path, ...]:
    """Write images and their report into a new or empty folder, or over an earlier knerve output; returns the files.

    Args:
        images: what to save.
        directory: where to.
        formats: of "mrd", "dicom", "png", "nifti"; None writes the first three.

    Raises:
        OutputError: the folder cannot be written, or holds files of others.
    """
    from knerve.datasets.output_formats import DEFAULT_FORMATS
    from knerve.datasets.saving import save_images

    return save_images(images, directory, formats=DEFAULT_FORMATS if formats is None else formats)


def simulate(
    protocol: Protocol | str,
    path: str | Path,
    *,
    anatomy: Anatomy | None = None,
    settings: SimulationSettings | None = None,
) -> SimulatedScan:
    """Scan the digital knee, or another anatomy, with a protocol: an ISMRMRD raw file, and the truth beside it.

    Args:
        protocol: or the name of a preset, or of a TOML file.
        path: raw file to write; the truth goes to `<stem>-truth.h5` beside it.
        anatomy: what lies in the scanner; None is the digital knee of the settings' seed.
        settings: coils, noise, imperfections, place; None takes the defaults.

    Raises:
        ProtocolError: there is no such protocol, or it is not a valid one.
        SettingsError: the settings do not fit the scan.
        OutputError: the files cannot be written.
    """
    from knerve.datasets.knee import digital_knee
    from knerve.datasets.simulate import simulate as run
    from knerve.datasets.simulation_settings import SimulationSettings
    from knerve.sequences.protocol import Protocol

    settings = SimulationSettings() if settings is None else settings
    protocol = Protocol.load(protocol) if isinstance(protocol, str) else protocol
    anatomy = digital_knee(seed=settings.seed) if anatomy is None else anatomy
    return run(protocol, anatomy, Path(path), settings=settings)
