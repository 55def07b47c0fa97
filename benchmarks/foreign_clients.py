"""Data and clients of other programs against our server: do the right images come back?

    python benchmarks/foreign_clients.py                  # needs Debian's ismrmrd-tools; mrd-python for version 2

`ismrmrd_generate_cartesian_shepp_logan` makes scans that hold their truth. They go to a `knerve serve` by `knerve replay`, by the
serializer of ismrmrd-python, and by mrd-python as a stream of MRD version 2; each image that comes back is compared with it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
from fault_rig import KNERVE, serving
from ismrmrd.serialization import ConfigFile, ProtocolDeserializer, ProtocolSerializer
from numpy.typing import NDArray

from knerve.server.image_file import image_messages
from knerve.server.messages import READOUT_HEAD, Acquisition

GENERATOR = "ismrmrd_generate_cartesian_shepp_logan"
SCANS: dict[str, tuple[tuple[str, ...], int]] = {  # options of the generator, images that must come back
    "full": ((), 1),
    "-a 2 -w 16 -C": (("-a", "2", "-w", "16", "-C"), 2),
    "-r 3": (("-r", "3"), 3),
    "-k": (("-k",), 1),
}
LEAST_CORRELATION = 0.99
LONGEST_S = 120.0
Images = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Row:
    """One scan by one client."""

    client: str
    scan: str
    images: int
    images_expected: int
    size: tuple[int, ...]
    least_correlation: float

    @property
    def holds(self) -> bool:
        """Whether number, size and content are right."""
        return self.images == self.images_expected and self.least_correlation > LEAST_CORRELATION


def generate(folder: Path, options: Sequence[str], matrix: int = 256) -> Path:
    """A scan of Debian's generator."""
    raw = folder / "shepp_logan.h5"
    raw.unlink(missing_ok=True)
    subprocess.run((GENERATOR, "-m", str(matrix), "-o", str(raw), *options), check=True, capture_output=True)
    return raw


def truth_of(raw: Path) -> NDArray[np.float32]:
    """Magnitude of the object, (y, x)."""
    with h5py.File(raw) as file:
        phantom = file["dataset/phantom"][0]
    return np.hypot(phantom["real"], phantom["imag"]).astype(np.float32)


def correlation(image: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Of an image with the truth; 0 where their sizes differ."""
    if image.shape != truth.shape:
        return 0.0
    return float(np.corrcoef(image.ravel(), truth.ravel())[0, 1])


def by_replay(port: int, raw: Path) -> Images:
    """`knerve replay`, as a command."""
    out = raw.with_suffix("")
    command = (*KNERVE, "replay", str(raw), "--to", f"127.0.0.1:{port}", "--out", str(out))
    subprocess.run(command, check=True, capture_output=True)
    images = [image.pixels[0, 0] for image in image_messages(out / "images.h5")]
    shutil.rmtree(out)
    return images


def by_ismrmrd_python(port: int, raw: Path) -> Images:
    """The serializer and deserializer of ismrmrd-python, with its own reader of files."""
    with contextlib.closing(ismrmrd.Dataset(str(raw), create_if_needed=False)) as data, _connected(port) as client:
        with client.makefile("wb") as asked, ProtocolSerializer(asked) as serializer:
            serializer.serialize(ConfigFile("default"))
            serializer.serialize(ismrmrd.xsd.CreateFromDocument(data.read_xml_header()))
            for number in range(data.number_of_acquisitions()):
                serializer.serialize(data.read_acquisition(number))
        with client.makefile("rb") as answered:
            came = list(ProtocolDeserializer(answered).deserialize())
    return [image.data[0, 0] for image in came if isinstance(image, ismrmrd.Image)]


def by_mrd_python(port: int, raw: Path) -> Images:
    """A stream of version 2 on the same port."""
    from mrd2_streams import header_of, images_of, item_of, stream_of

    with contextlib.closing(ismrmrd.Dataset(str(raw), create_if_needed=False)) as data:
        items = [item_of(_readout(data.read_acquisition(number))) for number in range(data.number_of_acquisitions())]
        stream = stream_of(header_of(data.read_xml_header()), items)
    with _connected(port) as client, client.makefile("rb") as answered:
        client.sendall(stream)
        client.shutdown(socket.SHUT_WR)
        return [image.data[0, 0] for image in images_of(answered.read())[1]]


def _readout(readout: ismrmrd.Acquisition) -> Acquisition:
    head = np.frombuffer(bytes(readout.getHead()), READOUT_HEAD, 1)[0]
    return Acquisition(head, readout.traj.reshape(readout.number_of_samples, -1), readout.data)


@contextlib.contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), LONGEST_S) as client:
        yield client


CLIENTS: dict[str, Callable[[int, Path], Images]] = {
    "knerve replay": by_replay,
    "ismrmrd-python": by_ismrmrd_python,
    "mrd-python (version 2)": by_mrd_python,
}


def rows(port: int, folder: Path, clients: Sequence[str], matrix: int = 256) -> Iterator[Row]:
    """Every scan by every client."""
    for scan, (options, n_expected) in SCANS.items():
        raw = generate(folder, options, matrix)
        truth = truth_of(raw)
        for client in clients:
            images = CLIENTS[client](port, raw)
            least = min((correlation(image, truth) for image in images), default=0.0)
            yield Row(client, scan, len(images), n_expected, images[0].shape if images else (), least)


def main() -> None:
    """Play all of them, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", type=int, default=256)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if shutil.which(GENERATOR) is None:
        raise SystemExit(f"{GENERATOR} is not installed (Debian: ismrmrd-tools).")
    clients = [client for client in CLIENTS if "mrd-python (" not in client or importlib.util.find_spec("mrd")]
    found = []
    print(f"{'client':24} {'scan':14} {'images':>6} {'of':>3} {'size':>10} {'correlation':>12}  holds")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "spool") as server:
        for row in rows(server.port, Path(folder), clients, options.matrix):
            found.append(row)
            size = " x ".join(map(str, row.size))
            print(
                f"{row.client:24} {row.scan:14} {row.images:6} {row.images_expected:3} {size:>10} "
                f"{row.least_correlation:12.5f}  {'yes' if row.holds else 'NO'}",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    if not all(row.holds for row in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
