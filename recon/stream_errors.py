"""Why a scan cannot be reconstructed while it arrives; the whole scan can still be, once it is there."""

from __future__ import annotations

from knerve.recon.errors import KnerveError


class NotStreamableError(KnerveError):
    """A scan that must be there as a whole before it can be reconstructed; the text says why."""


class SpoiltSlicesError(NotStreamableError):
    """The same, and slices that were delivered already lack readouts that came later, or are not those they seemed to be."""
