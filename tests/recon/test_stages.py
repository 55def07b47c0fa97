"""Seconds of stages."""

from types import SimpleNamespace

import pytest
import torch

from knerve.recon.stages import Stopwatch


@pytest.mark.parametrize(("options", "n_waits"), [({}, 1), ({"waits": False}, 0)])
def test_a_stage_waits_for_the_work_of_its_own_thread_alone(options, n_waits, monkeypatch):
    waits = []

    def never():
        raise AssertionError("the whole GPU would be waited for")

    stream = SimpleNamespace(synchronize=lambda: waits.append("stream"))
    for name, found in (("is_available", lambda: True), ("is_initialized", lambda: True), ("synchronize", never)):
        monkeypatch.setattr(torch.cuda, name, found)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    watch = Stopwatch()
    with watch.stage("arrival", **options):
        pass
    assert waits == n_waits * ["stream"]
    assert list(watch.seconds) == ["arrival"]
