"""The trained weights that come with the package, and the card that says what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from knerve.recon.learned.errors import WeightsError
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.unrolled import Unrolled

WEIGHTS = "weights.safetensors"
CARD = "weights.json"


@cache
def packaged_model() -> Unrolled | None:
    """The model of the package, ready for use; None where it comes without weights.

    Raises:
        WeightsError: the weights are not those that the card describes.
    """
    folder = files("knerve.recon.learned")
    weights, card = folder.joinpath(WEIGHTS), folder.joinpath(CARD)
    if not (weights.is_file() and card.is_file()):
        return None
    return model_from(weights.read_bytes(), json.loads(card.read_text(encoding="utf-8")))


def model_from(weights: bytes, card: Mapping[str, Any]) -> Unrolled:
    """The model with these weights.

    Raises:
        WeightsError: they are not those that the card describes.
    """
    found = hashlib.sha256(weights).hexdigest()
    if found != card["sha256"]:
        raise WeightsError(
            f"The network's weights have the SHA-256 {found}, their card says {card['sha256']}; "
            "install knerve again, or use the method cs."
        )
    sizes: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in card["architecture"].items()}
    model = Unrolled(Architecture(**sizes))
    model.load_state_dict({name: values.float() for name, values in load(weights).items()})
    model.networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped. A third faster on a CPU
    return model.requires_grad_(False).eval()


def save_model(model: Unrolled, folder: Path, card: Mapping[str, Any]) -> None:
    """Write weights at half precision, and the card with their SHA-256 and the sizes of the network added."""
    weights = save({name: values.half().contiguous() for name, values in model.state_dict().items()})
    sizes = vars(model.architecture)
    complete = {**card, "architecture": sizes, "sha256": hashlib.sha256(weights).hexdigest()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CARD).write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")
