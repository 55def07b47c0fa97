"""SigPy with CuPy on the same card and the same work: one slice, whitened and cropped, sensitivities and wavelet solution."""

from __future__ import annotations

import time
from typing import Any

import torch
from gpu_report import Report
from gpu_scans import MadeScan
from gpu_whole import error_against

from knerve.gpu.fourier import resize_centred, to_image, to_kspace
from knerve.recon.noise import estimate_whitening, mix_coils

WEIGHTS = (0.001, 0.004, 0.016)  # of SigPy's prior; data are scaled to a largest sample of 1 in the image
ITERATIONS = 60
WAVELET = "db4"
GOAL = 1 / 20  # of SigPy's time, issue 8


def time_sigpy(
    report: Report, made: MadeScan, calibration_width: int, device: torch.device, ours_s: float, ours_error: float
) -> None:
    """Seconds a slice at SigPy's best of three weights, and ours over them.

    SigPy solves one slice at a time, its wavelets on the host also where all else is on the GPU; ours are all slices together.

    Args:
        report: takes them.
        made: a scan, of which the first slice is taken.
        calibration_width: its fully sampled central lines.
        device: where SigPy computes.
        ours_s: seconds of our whole scan, raw on the host to images on the host, over its slices.
        ours_error: our NRMSE in that scan.
    """
    import sigpy
    import sigpy.mri

    place = sigpy.Device(0 if device.type == "cuda" else -1)
    one = made.scan.select(range(1))
    whitening = estimate_whitening(one)[0]
    coils = resize_centred(to_image(mix_coils(whitening.matrix, one.kspace), (-1,)), -1, made.truth.shape[-1])
    scale = float(to_image(coils, (-2,)).abs().max())
    kspace = sigpy.to_device((to_kspace(coils, (-1,))[0] / scale).numpy(), place)

    def maps() -> Any:  # noqa: ANN401 - an array of NumPy or CuPy
        return sigpy.mri.app.EspiritCalib(kspace, calib_width=calibration_width, device=place, show_pbar=False).run()

    sensitivities, calibration_s = _timed(maps, device)
    report.measured("SigPy: EspiritCalib, one slice", calibration_s)
    best = (float("inf"), 0.0, 0.0)
    for weight in WEIGHTS:

        def solve(weight: float = weight) -> Any:  # noqa: ANN401 - as above
            app = sigpy.mri.app.L1WaveletRecon(
                kspace,
                sensitivities,
                weight,
                wave_name=WAVELET,
                alpha=1.0,
                max_iter=ITERATIONS,
                device=place,
                show_pbar=False,
            )
            return app.run()

        image, seconds = _timed(solve, device)
        found = torch.from_numpy(sigpy.to_device(image, sigpy.cpu_device))[None]
        error = error_against(made.truth[:1], resize_centred(found, 1, made.truth.shape[1]))
        best = min(best, (error, seconds, weight))
    error, seconds, weight = best
    report.measured(f"SigPy: L1WaveletRecon, {ITERATIONS} iterations, weight {weight:g}", seconds)
    report.found("SigPy: NRMSE against the truth", error, "")
    limit = GOAL if device.type == "cuda" else None
    report.found("knerve cs over SigPy, seconds a slice", ours_s / (calibration_s + seconds), "x", limit)
    report.found("knerve cs: NRMSE over SigPy's", ours_error / error, "x", None if limit is None else 1.0)


def _timed(work: Any, device: torch.device) -> tuple[Any, float]:  # noqa: ANN401 - as above
    """The second of two calls."""
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize()  # the whole device, whoever gave it work
        seconds = time.perf_counter() - start
    return result, seconds
