"""Scans of the digital knees of the benchmarks: one slice of the navigating scan, T2-weighted as it is or of another contrast."""

from __future__ import annotations

from dataclasses import replace

from knerve.demo_stack import of_slices
from knerve.sequences.protocol import Protocol

T2 = "T2"
CONTRASTS = (T2, "PD", "STIR")
PD_ECHO = 3  # of the train, that reads ky = 0: 28 ms
STIR_ECHO = 5  # 47 ms
STIR_REPETITION_S = 5.0


def one_slice(contrast: str = T2) -> Protocol:
    """The protocol of one slice.

    Args:
        contrast: of `CONTRASTS`.
    """
    protocol = of_slices(Protocol.load("navigate"), 1)
    if contrast == T2:
        return protocol
    train, echo = protocol.echo_train, PD_ECHO if contrast == "PD" else STIR_ECHO
    protocol = replace(protocol, echo_train=replace(train, echo_time_s=echo * train.echo_spacing_s))
    if contrast == "PD":
        return protocol
    schedule = replace(protocol.schedule, repetition_time_s=STIR_REPETITION_S)
    return replace(protocol, schedule=schedule, fat_suppression=Protocol.load("stir").fat_suppression)
