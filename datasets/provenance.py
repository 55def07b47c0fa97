"""How an image was made, in the words that every format carries beside the pixels."""

from __future__ import annotations

import unicodedata
from importlib.metadata import PackageNotFoundError, version

from knerve.recon.images import RESEARCH_USE, ImageSeries

GEOMETRY_UNKNOWN = (
    "Geometry unknown: the raw data carry no directions; orientation and slice positions are placeholders."
)
_METHOD_IN_WORDS = {
    "zero-filled": "zero-filled Fourier reconstruction with combined coils",
    "sense": "SENSE, least-squares parallel imaging",
    "cs": "compressed sensing, wavelet-regularised parallel imaging",
    "dl": "compressed sensing refined by a trained network within bounds",
    "denoise": "denoised by a trained network within bounds",
}


def software_version(package: str = "knerve") -> str:
    """Installed version of a package, or "unknown" where it runs without being installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def how_made(images: ImageSeries) -> str:
    """Method, acceleration, noise source and settings, as one paragraph."""
    method = _METHOD_IN_WORDS.get(images.method, images.method)
    settings = ", ".join(f"{name}={value}" for name, value in images.settings.items())
    return (
        f"knerve {software_version()}: {method} ({images.method}), acceleration {images.acceleration:.3g}, "
        f"SNR units, noise from {images.noise.source}." + (f" Settings: {settings}." if settings else "")
    )


def comments(images: ImageSeries, *, geometry_known: bool) -> str:
    """What must stand beside the image wherever it goes: research use, how it was made, what is not known."""
    parts = [RESEARCH_USE, how_made(images)]
    if not geometry_known:
        parts.insert(1, GEOMETRY_UNKNOWN)
    return " ".join(parts)


def series_description(images: ImageSeries, longest: int) -> str:
    """The scanner's name of the series and our method, at most `longest` characters; the method is never cut."""
    suffix = f"knerve {images.method}"
    name = plain_text(images.header.series_description or images.header.protocol_name)
    return f"{name[: longest - len(suffix) - 1].rstrip()} {suffix}".strip()


def method_keys(images: ImageSeries) -> dict[str, object]:
    """Deep learning and compressed sensing under the names of BIDS, as dcm2niix writes them; only what applies."""
    keys: dict[str, object] = {}
    if images.method in ("cs", "dl"):
        keys["CompressedSensingFactor"] = round(images.acceleration, 3)
    if images.method in ("dl", "denoise"):
        keys["DeepLearning"] = True
        keys["DeepLearningDetails"] = f"knerve {software_version()} {images.method}"
    return keys


def plain_text(text: str) -> str:
    """Text on one line without control characters, half surrogates or the like, which no file format holds."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    return "".join(character for character in spaced if unicodedata.category(character)[0] != "C").strip()
