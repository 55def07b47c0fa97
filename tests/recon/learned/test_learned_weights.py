from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from knerve.recon.learned import weights
from knerve.recon.learned.errors import WeightsError
from knerve.recon.learned.network import Architecture
from knerve.recon.learned.unrolled import Unrolled


def saved(folder: Path) -> Unrolled:
    model = Unrolled(Architecture(widths=(4, 6, 8)))
    weights.save_model(model, folder, {"seed": 3})
    return model


def test_weights_come_back(tmp_path: Path) -> None:
    model = saved(tmp_path)
    card = json.loads((tmp_path / weights.CARD).read_text())
    read = weights.model_from((tmp_path / weights.WEIGHTS).read_bytes(), card)
    assert card["seed"] == 3
    assert read.architecture == model.architecture
    for expected, found in zip(model.parameters(), read.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        assert not found.requires_grad


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    card = json.loads((tmp_path / weights.CARD).read_text())
    changed = bytearray((tmp_path / weights.WEIGHTS).read_bytes())
    changed[-1] ^= 1
    with pytest.raises(WeightsError, match="their card says"):
        weights.model_from(bytes(changed), card)


def test_the_package_carries_small_weights_that_fit_their_card() -> None:
    folder = Path(weights.__file__).parent
    if not (folder / weights.WEIGHTS).exists():
        pytest.skip("this checkout has no trained weights: run `knerve train`")
    assert (folder / weights.WEIGHTS).stat().st_size < 8 << 20
    model = weights.packaged_model()
    assert model is not None
    card = json.loads((folder / weights.CARD).read_text())
    assert {"data", "recipe", "sha256", "validation_error_over_compressed_sensing"} <= card.keys()
