"""The files of one case, from which every method reads the same data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knerve.bench.cases import Case
from knerve.bench.cfl import to_bart, write_cfl

RAW, KSPACE, CASE = "raw.h5", "kspace", "case.json"


@dataclass(frozen=True)
class CaseFiles:
    """Where one case's data lie; a worker opens them by the folder alone.

    Attributes:
        folder: holds the raw file as a scanner sends it, and beside it the whitened k-space for the peers.
        case: what they hold.
    """

    folder: Path
    case: Case

    @classmethod
    def open(cls, folder: Path) -> CaseFiles:
        """The case that was prepared in a folder."""
        return cls(folder, Case(**json.loads((folder / CASE).read_text(encoding="utf-8"))))

    def write(self, kspace: NDArray[np.complex64]) -> None:
        """Put the peers' data, (coil, ky, kx), beside the raw file, as NumPy's and as BART's file.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        np.save(self.folder / f"{KSPACE}.npy", kspace)
        write_cfl(self.cfl, to_bart(kspace))
        (self.folder / CASE).write_text(json.dumps(asdict(self.case)), encoding="utf-8")

    @property
    def raw(self) -> Path:
        """ISMRMRD file: correlated noise, oversampled readouts, noise readouts. What knerve starts from."""
        return self.folder / RAW

    @property
    def cfl(self) -> Path:
        """Common name of the BART pair that holds `kspace`."""
        return self.folder / KSPACE

    def kspace(self) -> NDArray[np.complex64]:
        """(coil, ky, kx), whitened, oversampling dropped, zero where nothing was sampled. What the peers start from."""
        samples: NDArray[np.complex64] = np.load(self.folder / f"{KSPACE}.npy")
        return samples

    def digest(self) -> str:
        """Of the peers' data: what was searched on other data does not count."""
        return sha256((self.folder / f"{KSPACE}.npy").read_bytes()).hexdigest()[:16]
