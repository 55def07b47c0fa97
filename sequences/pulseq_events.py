"""The Pulseq events of a turbo-spin-echo shot: pulses of every slice, gradients, readout, each registered once.

Offsets in frequency follow the slice's place; those of an inversion of fat follow its chemical shift.
"""

from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from knerve.sequences.echo_order import NOT_READ
from knerve.sequences.errors import ProtocolError
from knerve.sequences.gradient_lobes import Lobe
from knerve.sequences.inversion_pulse import inversion_pulse
from knerve.sequences.inversion_timing import InversionTiming
from knerve.sequences.protocol import Protocol
from knerve.sequences.quantities import GAMMA_HZ_PER_T
from knerve.sequences.rasters import RASTER_S, RF_DEAD_TIME_S, RF_RASTER_S, RF_RINGDOWN_S
from knerve.sequences.rf_pulse import Complex, Real
from knerve.sequences.train_echoes import refocusing_angles, slice_pulses
from knerve.sequences.tse_timing import ADC_DEAD_TIME_S, ADC_RASTER_S, axis_limits, tse_timing

if TYPE_CHECKING:
    from pypulseq import Sequence

Event = SimpleNamespace  # what PyPulseq calls an event
EXCITATION_PHASE_RAD = math.pi / 2  # ahead of the refocusing pulses: Carr-Purcell-Meiboom-Gill


class TseEvents:
    """What the shots of a protocol are made of, in one `pypulseq.Sequence`.

    Attributes:
        sequence: empty of blocks; whoever plays the shots adds them.
        timing: of a shot.
        angles_deg: (echo) of the refocusing pulses, signed.
        slice_gradient: of the excitation; the other gradients are named as in `TseTiming`.
        adc: a readout.

    Raises:
        ProtocolError: the protocol does not fit on the raster or into its echo spacing, or PyPulseq is missing.
    """

    def __init__(self, protocol: Protocol, n_lines_full: int) -> None:
        self.protocol, self.n_lines_full = protocol, n_lines_full
        self.angles_deg: list[float] = refocusing_angles(protocol.echo_train).tolist()
        self.pulses, self.inversion_pulse = slice_pulses(protocol), inversion_pulse(protocol)
        self.timing, limits = tse_timing(protocol), axis_limits(protocol)
        self.pulseq = _pypulseq()
        self.opts = self.pulseq.Opts(  # every raster by name: other packages change PyPulseq's defaults
            max_grad=limits.gradient,
            max_slew=limits.slew,
            grad_unit="Hz/m",
            slew_unit="Hz/m/s",
            gamma=GAMMA_HZ_PER_T,
            B0=protocol.system.field_strength_t,
            rf_dead_time=RF_DEAD_TIME_S,
            rf_ringdown_time=RF_RINGDOWN_S,
            adc_dead_time=ADC_DEAD_TIME_S,
            adc_raster_time=ADC_RASTER_S,
            rf_raster_time=RF_RASTER_S,
            grad_raster_time=RASTER_S,
            block_duration_raster=RASTER_S,
        )
        self.sequence: Sequence = self.pulseq.Sequence(system=self.opts)
        self._pulse_events: dict[tuple[str, int, float], Event] = {}
        self._encodings: dict[int, Event] = {}
        self._labels: dict[tuple[str, int], Event] = {}
        self._make_slice_gradients()
        self._make_readout()
        if self.timing.inversion:
            self._make_inversion(self.timing.inversion)

    def position_m(self, index: int) -> float:
        """Place of a slice along z, 0 in the middle of all."""
        geometry = self.protocol.geometry
        return (index - (geometry.n_slices - 1) / 2) * (geometry.slice_thickness_m + geometry.slice_gap_m)

    def label(self, name: str, value: int) -> Event:
        """A label that holds until it is set again."""
        if (name, value) not in self._labels:
            event = self.pulseq.make_label(name, "SET", value)
            event.id = self.sequence.register_label_event(event)
            self._labels[name, value] = event
        return self._labels[name, value]

    def delay(self, duration_s: float) -> Event:
        """Nothing, on the raster."""
        return self.pulseq.make_delay(round(duration_s / RASTER_S) * RASTER_S)

    def excitation(self, index: int) -> Event:
        """The pulse of a slice, its effective moment in the middle of the plateau."""
        timing, pulse = self.timing, self.pulses.excitation
        middle_s = timing.lead_s + timing.excitation_flat_s / 2
        delay_s = round((middle_s - (1 - pulse.rephasing) * pulse.duration_s) / RF_RASTER_S) * RF_RASTER_S
        offset_hz = timing.excitation_gradient * self.position_m(index)
        return self._pulse_event(
            ("excitation", index, pulse.flip_deg), pulse.b1_hz, pulse.duration_s, offset_hz, delay_s, middle_s - delay_s
        )

    def refocusing(self, index: int, angle_deg: float) -> Event:
        """The pulse of a slice, scaled to an angle."""
        timing, pulse = self.timing, self.pulses.refocusing
        offset_hz = timing.refocusing_gradient * self.position_m(index)
        delay_s = (timing.refocus_s - pulse.duration_s) / 2
        b1_hz = pulse.b1_hz * (angle_deg / pulse.flip_deg)
        key = ("refocusing", index, angle_deg)
        return self._pulse_event(key, b1_hz, pulse.duration_s, offset_hz, delay_s, pulse.duration_s / 2)

    def inversion(self, index: int) -> list[list[Event]]:
        """The blocks before the excitation of a slice: inversion, spoilers, wait; none where nothing is inverted."""
        timing, pulse = self.timing.inversion, self.inversion_pulse
        if timing is None or pulse is None:
            return []
        offset_hz = timing.gradient * self.position_m(index) + pulse.centre_hz
        delay_s = timing.middle_s - pulse.duration_s / 2
        slab = index if pulse.is_selective else 0
        event = self._pulse_event(
            ("inversion", slab, 180.0), pulse.b1_hz, pulse.duration_s, offset_hz, delay_s, pulse.duration_s / 2
        )
        blocks = [[event, self.inversion_plateau], [self.inversion_spoiler, self.inversion_spoiler_phase]]
        return [*blocks, [self.inversion_wait]] if timing.wait_s > 0 else blocks

    def _pulse_event(
        self,
        key: tuple[str, int, float],
        b1_hz: Real | Complex,
        duration_s: float,
        offset_hz: float,
        delay_s: float,
        centre_s: float,
    ) -> Event:
        """A pulse (use, slice, angle); its phase is reached at `centre_s` whatever the slice's frequency."""
        if key not in self._pulse_events:
            use, _, angle_deg = key
            phase_rad = EXCITATION_PHASE_RAD if use == "excitation" else 0.0
            event = self.pulseq.make_arbitrary_rf(
                np.repeat(b1_hz, round(duration_s / RF_RASTER_S / len(b1_hz))),
                flip_angle=math.radians(abs(angle_deg)),
                no_signal_scaling=True,
                delay=delay_s,
                dwell=RF_RASTER_S,
                center=centre_s,
                freq_offset=offset_hz,
                phase_offset=(phase_rad - 2 * math.pi * offset_hz * centre_s) % (2 * math.pi),
                use=use,
                system=self.opts,
            )
            event.id, event.shape_IDs = self.sequence.register_rf_event(event)
            self._pulse_events[key] = event
        return self._pulse_events[key]

    def encoding(self, line: int, *, rewind: bool = False) -> Event:
        """Phase-encoding lobe of a line; every line has the same ramps, a skipped echo a lobe of no height."""
        geometry, timing = self.protocol.geometry, self.timing
        step = 0 if line == NOT_READ else line - self.n_lines_full // 2
        step = -step if rewind else step
        if step not in self._encodings:
            extent_m = geometry.field_of_view_phase_m * (1 + geometry.phase_oversampling)
            duration_s, ramp_s = timing.encoding.duration_s, timing.encoding.ramp_s
            event = self.pulseq.make_trapezoid(
                "y",
                amplitude=step / extent_m / (duration_s - ramp_s),
                rise_time=ramp_s,
                fall_time=ramp_s,
                flat_time=duration_s - 2 * ramp_s,
                system=self.opts,
            )
            event.id = self.sequence.register_grad_event(event)
            self._encodings[step] = event
        return self._encodings[step]

    def _make_slice_gradients(self) -> None:
        timing = self.timing
        self.slice_gradient: Event = self.pulseq.make_trapezoid(
            "z",
            amplitude=timing.excitation_gradient,
            rise_time=timing.excitation_ramp_s,
            fall_time=timing.excitation_ramp_s,
            flat_time=timing.excitation_flat_s,
            delay=timing.lead_s - timing.excitation_ramp_s,
            system=self.opts,
        )
        self.slice_gradient.id = self.sequence.register_grad_event(self.slice_gradient)
        self.balance = self._lobe("z", timing.balance)
        self.refocusing_plateau = self._plateau("z", timing.refocusing_gradient, timing.refocus_s)
        self.crusher_after = self._lobe("z", timing.crusher)
        self.crusher_before = self._lobe("z", timing.crusher.backwards)
        self.spoiler = self._lobe("z", timing.spoiler)

    def _make_readout(self) -> None:
        timing, read, height = self.timing, self.timing.sampling, self.timing.sampling.gradient
        ramp_s, beside_s = timing.readout_ramp_s, timing.crusher.duration_s
        self.prephaser = self._lobe("x", timing.prephaser)
        self.read_up = self._gradient("x", [0.0, beside_s - ramp_s, beside_s], [0.0, 0.0, height])
        self.read_plateau = self._plateau("x", height, timing.readout_s)
        self.read_down = self._gradient("x", [0.0, ramp_s, beside_s], [height, 0.0, 0.0])
        spoiling_s = timing.spoiler.duration_s
        self.read_down_spoiling = self._gradient("x", [0.0, ramp_s, spoiling_s], [height, 0.0, 0.0])
        self.adc: Event = self.pulseq.make_adc(
            read.n_samples, dwell=read.dwell_s, delay=timing.adc_delay_s, system=self.opts
        )
        self.adc.id, _ = self.sequence.register_adc_event(self.adc)

    def _make_inversion(self, timing: InversionTiming) -> None:
        """A plateau for the pulse, or as much time without gradient; the spoilers; the wait."""
        block_s = timing.lead_s + timing.plateau_s + timing.tail_s
        self.inversion_plateau = self.delay(block_s)
        if timing.gradient:
            self.inversion_plateau = self.pulseq.make_trapezoid(
                "z",
                amplitude=timing.gradient,
                rise_time=timing.ramp_s,
                fall_time=timing.ramp_s,
                flat_time=timing.plateau_s,
                delay=timing.lead_s - timing.ramp_s,
                system=self.opts,
            )
        self.inversion_spoiler = self._lobe("z", timing.spoiler)
        self.inversion_spoiler_phase = self._lobe("y", timing.spoiler_phase)
        self.inversion_wait = self.delay(timing.wait_s)

    def _lobe(self, channel: str, shape: Lobe) -> Event:
        return self._gradient(channel, *shape.points)

    def _plateau(self, channel: str, height: float, duration_s: float) -> Event:
        return self._gradient(channel, [0.0, duration_s], [height, height])

    def _gradient(self, channel: str, times: list[float], amplitudes: list[float]) -> Event:
        kept = [0, *(i for i in range(1, len(times)) if times[i] - times[i - 1] > RASTER_S / 2)]
        event = self.pulseq.make_extended_trapezoid(
            channel,
            times=np.array([times[i] for i in kept]),
            amplitudes=np.array([amplitudes[i] for i in kept]),
            system=self.opts,
        )
        event.id, event.shape_IDs = self.sequence.register_grad_event(event)
        return event


def _pypulseq() -> ModuleType:
    try:
        import pypulseq
    except ImportError as error:
        raise ProtocolError("PyPulseq writes .seq files and is not installed; run `pip install pypulseq`.") from error
    return pypulseq
