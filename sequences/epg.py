"""Extended phase graph of a turbo spin echo shot: the echoes of every tissue, whatever the refocusing pulses do.

Magnetisation in one voxel is a sum of configurations, each dephased by k half echo spacings: F+_k, F-_k and Z_k. An RF
pulse mixes the three at equal k (a 3 x 3 operator), relaxation shrinks them, and half an echo spacing moves F+_k to F+_(k+1)
and F-_k to F-_(k-1), with F+_0 the conjugate of F-_0. The echo is F+_0.

A shot is linear in the magnetisation Mz that it starts from, plus what recovers meanwhile, so its steady state over many TR
needs no iteration: with c the factor of a preparation (1 none, 0 saturation, -f inversion) that comes a delay before,

    Mz = 1 - E_d + c E_d (1 - E_r + E_r (A Mz + B)),     E_d = exp(-delay/T1),  E_r = exp(-(TR - delay - ETL ESP)/T1)

where A Mz + B is Z_0 at the last echo. Crushers spoil everything else between shots: configurations Z_k, k > 0, that survive
TR are left out (4e-5 of M0 in a knee). Off-resonance, diffusion, exchange and magnetisation transfer are not in the model.

Hennig 1988, doi:10.1016/0022-2364(88)90128-X; Weigel 2015, doi:10.1002/jmri.24619.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knerve.sequences.errors import ProtocolError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

EXCITATION_PHASE_RAD = math.pi / 2  # a quarter turn ahead of the refocusing pulses: Carr, Purcell, Meiboom and Gill


@dataclass(frozen=True)
class Preparation:
    """What happens to Mz before each excitation, the same for every tissue or one number per tissue.

    Attributes:
        factor: (tissue) or one number that multiplies Mz: 1 nothing, 0 saturation, -0.95 an inversion of efficiency 0.95.
        delay_s: from there to the excitation (the inversion time TI).
    """

    factor: float | Sequence[float] = 1.0
    delay_s: float = 0.0


@dataclass(frozen=True)
class ShotResponse:
    """One shot as a linear map of the longitudinal magnetisation Mz before it, in units of M0.

    Attributes:
        echoes: complex, (tissue, position, echo), for Mz = 1.
        carried: (tissue, position): A, Z_0 at the last echo for Mz = 1 without recovery.
        recovered: (tissue, position): B, what recovered until then.
    """

    echoes: Complex
    carried: Real
    recovered: Real


@dataclass(frozen=True)
class Echoes:
    """The echoes of a shot in the steady state of its TR, in units of M0.

    Attributes:
        amplitude: complex, (tissue, position, echo).
        mz: (tissue, position), longitudinal magnetisation before each excitation.
    """

    amplitude: Complex
    mz: Real


def rf_operator(flip_rad: Real | float, phase_rad: float = 0.0) -> Complex:
    """Operators on (F+, F-, Z), complex (..., 3, 3), of ideal pulses about the axis at `phase_rad` in the transverse plane."""
    half = np.asarray(flip_rad, dtype=np.float64) / 2
    return spinor_operator(np.cos(half) + 0j, -1j * np.exp(1j * phase_rad) * np.sin(half))


def spinor_operator(a: Complex, b: Complex) -> Complex:
    """Operators on (F+, F-, Z), complex (..., 3, 3), of rotations given by their Cayley-Klein parameters (...) each."""
    operator = np.empty((*np.shape(a), 3, 3), dtype=np.complex128)
    operator[..., 0, 0], operator[..., 0, 1], operator[..., 0, 2] = a.conj() ** 2, -(b**2), 2 * a.conj() * b
    operator[..., 1, :] = operator[..., 0, [1, 0, 2]].conj()
    operator[..., 2, 0], operator[..., 2, 1] = -(a * b).conj(), -a * b
    operator[..., 2, 2] = np.abs(a) ** 2 - np.abs(b) ** 2
    return operator


@dataclass(frozen=True)
class TimeAlongZ:
    """Where magnetisation is while a refocusing pulse lasts: along z it decays with T1 instead of T2.

    To first order in the duration d of the pulse of operator R, relaxation makes it R (1 + (1/T2 - 1/T1) d A) exp(-d/T2).

    Attributes:
        mean: A, complex (echo, position, 3, 3): projection on the z of the moment, averaged over the pulse.
        duration_s: of the pulse.
    """

    mean: Complex
    duration_s: float


def shot_response(
    t1_s: Real,
    t2_s: Real,
    excitation: Complex,
    refocusing: Complex,
    echo_spacing_s: float,
    *,
    along_z: TimeAlongZ | None = None,
    restore: bool = False,
) -> ShotResponse:
    """Run one shot through the phase graph.

    Args:
        t1_s: (tissue).
        t2_s: (tissue).
        excitation: operators (position, 3, 3); a position is a place in the slice, a B1, or both.
        refocusing: operators (echo, position, 3, 3).
        echo_spacing_s: refocusing pulses come at half, one and a half, ... spacings.
        along_z: of refocusing pulses that take time; None for instantaneous ones.
        restore: undo the excitation at the last echo, so that the next shot finds what is left there as Mz (driven equilibrium).

    Raises:
        ProtocolError: relaxation times or the spacing are not positive.
    """
    t1_s, t2_s = _relaxation_times(t1_s, t2_s)
    if not (math.isfinite(echo_spacing_s) and echo_spacing_s > 0):
        raise ProtocolError(f"The echo spacing is {echo_spacing_s} s; it must be positive, such as 0.0094 s.")
    n_echoes, n_tissues = len(refocusing), len(t1_s)
    recovering = np.repeat([0.0, 1.0], n_tissues)  # two starts side by side: Mz = 1 without, Mz = 0 with recovery
    pulse_s = along_z.duration_s if along_z else 0.0
    e1, e2 = np.exp(-(echo_spacing_s - pulse_s) / t1_s - pulse_s / t2_s), np.exp(-echo_spacing_s / t2_s)
    e1, e2, recovery = np.tile(e1, 2), np.tile(e2, 2), recovering * (1 - np.tile(np.exp(-echo_spacing_s / t1_s), 2))
    half_e1, half_e2 = np.sqrt(e1), np.sqrt(e2)
    half_recovery = recovering * (1 - np.tile(np.exp(-echo_spacing_s / 2 / t1_s), 2))
    gained = np.tile((1 / t2_s - 1 / t1_s) * pulse_s, 2)

    state = np.zeros(
        (len(excitation), 3, 2, 2 * n_tissues), dtype=np.complex128
    )  # (position, F+ F- Z, order, start and tissue)
    state[:, 0, 1] = excitation[:, 0, 2, None] * (1 - recovering) * half_e2
    state[:, 2, 0] = excitation[:, 2, 2, None] * (1 - recovering) * half_e1 + half_recovery
    echoes = np.empty((n_echoes, len(excitation), 2 * n_tissues), dtype=np.complex128)
    for echo, operator in enumerate(refocusing):
        if along_z:
            state = state + gained * _mixed(along_z.mean[echo], state)
        state = _mixed(operator, state)
        echoes[echo] = state[:, 1, 1].conj() * half_e2
        if echo + 1 < n_echoes:
            state = _one_spacing(state, e1, e2, recovery, _orders_that_matter(echo + 1, n_echoes))
    z_end = state[:, 2, 0].real * half_e1 + half_recovery
    if restore:
        undo = np.linalg.inv(excitation)[:, 2, :, None]
        z_end = (undo[:, 0] * echoes[-1] + undo[:, 1] * echoes[-1].conj() + undo[:, 2] * z_end).real
    return ShotResponse(
        echoes=echoes[:, :, :n_tissues].transpose(2, 1, 0).copy(),
        carried=z_end[:, :n_tissues].T.copy(),
        recovered=z_end[:, n_tissues:].T.copy(),
    )


def steady_state(
    shot: ShotResponse, t1_s: Real, train_s: float, repetition_time_s: float, preparation: Preparation | None = None
) -> Echoes:
    """The echoes after many repetitions of a shot.

    Args:
        shot: from `shot_response`.
        t1_s: (tissue).
        train_s: from the excitation to the last echo.
        repetition_time_s: TR, infinite for a fully relaxed start.
        preparation: what is done to Mz before each excitation.

    Raises:
        ProtocolError: TR is too short for the preparation and the train.
    """
    preparation = preparation or Preparation()
    rest_s = repetition_time_s - preparation.delay_s - train_s
    if not rest_s >= 0:
        raise ProtocolError(
            f"TR {repetition_time_s:g} s is too short: the preparation's delay of {preparation.delay_s:g} s and the echo train "
            f"of {train_s:.4g} s need {preparation.delay_s + train_s:.4g} s at least.",
            nearest=preparation.delay_s + train_s,
        )
    t1 = np.asarray(t1_s, dtype=np.float64)[:, None]
    factor = np.broadcast_to(np.asarray(preparation.factor, dtype=np.float64), t1.shape[:1])[:, None]
    e_delay = np.exp(-preparation.delay_s / t1)
    e_rest = np.zeros_like(t1) if math.isinf(rest_s) else np.exp(-rest_s / t1)
    start = 1 - e_delay + factor * e_delay * (1 - e_rest + e_rest * shot.recovered)
    mz = start / (1 - factor * e_delay * e_rest * shot.carried)
    return Echoes(amplitude=shot.echoes * mz[:, :, None], mz=mz)


def tse_echoes(
    t1_s: Real,
    t2_s: Real,
    refocusing_deg: Sequence[float],
    echo_spacing_s: float,
    *,
    repetition_time_s: float = math.inf,
    excitation_deg: float = 90.0,
    b1: Sequence[float] = (1.0,),
    preparation: Preparation | None = None,
    restore: bool = False,
) -> Echoes:
    """Echoes of a shot with ideal, non-selective pulses; the axis `position` of the result is `b1`.

    Args:
        t1_s: (tissue).
        t2_s: (tissue).
        refocusing_deg: (echo), signed.
        echo_spacing_s: ESP; echo e comes (e + 1) ESP after the excitation.
        repetition_time_s: TR, infinite for a fully relaxed start.
        excitation_deg: flip angle of the excitation.
        b1: fractions of the nominal B1, which scale every pulse.
        preparation: see `Preparation`.
        restore: see `shot_response`.
    """
    scale = np.asarray(b1, dtype=np.float64)
    excitation = rf_operator(np.deg2rad(excitation_deg) * scale, EXCITATION_PHASE_RAD)
    refocusing = rf_operator(np.deg2rad(np.asarray(refocusing_deg, dtype=np.float64))[:, None] * scale)
    shot = shot_response(t1_s, t2_s, excitation, refocusing, echo_spacing_s, restore=restore)
    return steady_state(shot, t1_s, len(refocusing) * echo_spacing_s, repetition_time_s, preparation)


def _orders_that_matter(pulse: int, n_echoes: int) -> int:
    """How many orders to keep at a refocusing pulse: those reached so far that can still return before the last echo."""
    return 2 * min(pulse, n_echoes - 1 - pulse) + 2


def _mixed(operator: Complex, state: Complex) -> Complex:
    """Operators (position, 3, 3) on a state (position, 3, order, start and tissue)."""
    return np.asarray((operator @ state.reshape(len(state), 3, -1)).reshape(state.shape))


def _one_spacing(state: Complex, e1: Real, e2: Real, recovery: Real, n_orders: int) -> Complex:
    """Two half spacings from one refocusing pulse to the next: F+_k to F+_(k+2), F-_k to F-_(k-2), and relaxation."""
    old = state.shape[2]
    moved = np.zeros((len(state), 3, n_orders, state.shape[3]), dtype=np.complex128)
    moved[:, 0, 2:] = state[:, 0, : n_orders - 2] * e2
    moved[:, 0, 1] = state[:, 1, 1].conj() * e2
    kept = max(min(old - 2, n_orders), 0)
    moved[:, 1, :kept] = state[:, 1, 2 : 2 + kept] * e2
    moved[:, 0, 0] = moved[:, 1, 0].conj()
    kept = min(old, n_orders)
    moved[:, 2, :kept] = state[:, 2, :kept] * e1
    moved[:, 2, 0] += recovery
    return moved


def _relaxation_times(t1_s: Real, t2_s: Real) -> tuple[Real, Real]:
    t1, t2 = np.asarray(t1_s, dtype=np.float64), np.asarray(t2_s, dtype=np.float64)
    if t1.shape != t2.shape or t1.ndim != 1:
        raise ProtocolError(f"T1 and T2 have the shapes {t1.shape} and {t2.shape}; give one of each per tissue.")
    if not (np.all(t1 > 0) and np.all(t2 > 0)):
        raise ProtocolError(f"T1 {t1.tolist()} s and T2 {t2.tolist()} s must be positive.")
    return t1, t2
