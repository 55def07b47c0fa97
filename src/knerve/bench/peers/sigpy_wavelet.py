"""SigPy (https://github.com/mikgroup/sigpy): `EspiritCalib` and `L1WaveletRecon`. Its transforms run on one core.

Step 1 is safe as the sensitivities have unit norm, and spares SigPy the 30 power iterations that it would take to find that.
Ong and Lustig 2019, ISMRM 27:4819.
"""

from __future__ import annotations

from importlib.metadata import version as distribution_version
from importlib.util import find_spec

from knerve.bench.methods import Method, Search, Setting
from knerve.bench.peers.in_memory import Array, InMemoryPeer, Look

STEP = 1.0
WAVELET = "db4"  # SigPy's default


class SigPy(InMemoryPeer):
    """SigPy on one case."""

    def calibrate(self) -> Array:
        """ESPIRiT with SigPy's defaults."""
        return espirit(self.kspace, self.width)

    def solve(self, maps: Array, setting: Setting, look: Look | None) -> Array:
        """FISTA."""
        import sigpy.mri

        app = sigpy.mri.app.L1WaveletRecon(
            self.kspace,
            maps,
            setting.weight,
            wave_name=WAVELET,
            alpha=STEP,
            max_iter=setting.iterations,
            show_pbar=False,
        )
        while look is not None and not app.alg.done():
            app.alg.update()
            look(app.x)
        image: Array = app.run()
        return image


def espirit(kspace: Array, width: int) -> Array:
    """SigPy's sensitivities (coil, y, x) of k-space (coil, ky, kx), from its `width` central lines."""
    import sigpy.mri

    maps: Array = sigpy.mri.app.EspiritCalib(kspace, calib_width=width, show_pbar=False).run()
    return maps


def missing() -> str | None:
    """Why SigPy cannot run here."""
    return None if find_spec("sigpy") else "not installed: pip install sigpy"


METHODS = (
    Method(
        name="sigpy",
        home=__name__,
        label="SigPy",
        counted=f"EspiritCalib and L1WaveletRecon ({WAVELET}, step {STEP:g}), in a warm process from k-space in memory",
        start=SigPy,
        missing=missing,
        version=lambda: f"SigPy {distribution_version('sigpy')}",
        search=Search("sigpy", start=0.002),
    ),
)
