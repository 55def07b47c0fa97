"""Nerve stimulation of a whole exported scan against the SAFE model of pypulseqpp, which reads the file itself."""

from __future__ import annotations

from importlib import import_module

import pytest

from knerve.sequences.protocol import Protocol
from knerve.sequences.pulseq_export import export


@pytest.mark.parametrize("name", ["navigate", "stir"])
def test_the_worst_moment_of_the_scan_is_found(pypulseqpp, tmp_path, name):
    """It samples gradients in the middle of their raster, we at its ends."""
    checks = export(Protocol.load(name), tmp_path / "scan.seq").checks
    ours = next(check.value for check in checks if check.name == "nerve stimulation (SAFE)")
    example = import_module("pypulseq.utils.safe_pns_prediction").safe_example_hw()
    _, found = import_module("pypulseqpp.safety").check_pns(pypulseqpp.read(tmp_path / "scan.seq"), example)
    assert ours == pytest.approx(found.peak.value, rel=0.02)
