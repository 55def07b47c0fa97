"""What can be wrong with trained weights."""

from __future__ import annotations

from knerve.recon.errors import KnerveError


class WeightsError(KnerveError):
    """Weights that are not those that their card describes."""


class TrainingError(KnerveError):
    """A training that cannot begin or go on."""
