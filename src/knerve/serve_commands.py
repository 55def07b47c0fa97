"""`knerve serve` and `knerve replay`: the server beside the scanner, and a scanner made of a file."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from knerve.terminal import Terminal, facts_table, terminal

if TYPE_CHECKING:
    from knerve.server.replay import Replayed

LOOPBACK = ("127.0.0.1", "::1", "localhost")
UNPROTECTED = "Warning: the server listens beyond this machine, without encryption and without asking who is there."


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command()(serve)
    app.command()(replay)


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9002,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    spool: Annotated[Path, typer.Option(metavar="DIR", help="Folder in which every session is kept.")] = Path(
        "knerve-spool"
    ),
) -> None:
    """Reconstruct what MRD (ISMRMRD) clients stream, until interrupted."""
    with terminal(as_json=False) as talk:
        from knerve.server.listener import Listener
        from knerve.server.recovery import recover
        from knerve.server.session import Desk
        from knerve.server.spool import Spool
        from knerve.server.workers import Workers

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        with closing(Spool(spool)) as kept, closing(Workers()) as workers:
            left = kept.unfinished()
            with closing(Listener(Desk(kept, workers.run), host, port)) as listener:
                Thread(target=recover, args=(left, workers.run), name="recovery", daemon=True).start()
                if host not in LOOPBACK:
                    talk.notes((UNPROTECTED,))
                talk.step(f"Listening on {host}:{listener.port}, sessions in {spool}; Ctrl-C ends.")
                with suppress(KeyboardInterrupt):  # the usual end of a server
                    listener.serve()
        talk.answer({"spool": spool}, "Stopped. Sessions that were open are finished at the next start.")


def replay(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="ISMRMRD/MRD .h5.")],
    to: Annotated[str, typer.Option(metavar="HOST:PORT", help="The server.")],
    real_time: Annotated[bool, typer.Option("--real-time", help="Send readouts at their time stamps.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the images that come back.")] = None,
    config: Annotated[
        str, typer.Option(help="What the server is asked for: default, cs, sense, zero-filled.")
    ] = "default",
    group: Annotated[
        str | None, typer.Option(help="HDF5 group to read where a file holds several.", metavar="NAME")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")] = False,
) -> None:
    """Stream a raw file to an MRD server as a scanner would, and receive the images."""
    host, port = _address(to)
    with terminal(as_json) as talk:
        from knerve.server.errors import ReplayError
        from knerve.server.image_file import write_images
        from knerve.server.replay import replay as play

        talk.step(f"Playing {raw} to {host}:{port}")
        replayed = play(raw, host, port, real_time=real_time, config=config, group=group)
        talk.notes(replayed.notes)
        for text in replayed.texts:
            talk.step(text)
        if not replayed.images:
            raise ReplayError(f"No image came back. The server said: {' / '.join(replayed.texts) or 'nothing'}")
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_images(replayed.images, out / "images.h5")
        _tell(talk, replayed, out)


def _address(to: str) -> tuple[str, int]:
    host, _, port = to.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise typer.BadParameter(f"--to takes HOST:PORT, 127.0.0.1:9002 for one, not {to!r}.")
    return host.strip("[]"), int(port)


def _tell(talk: Terminal, replayed: Replayed, out: Path | None) -> None:
    waits: Sequence[float] = replayed.seconds_to_images
    document = {
        "readouts": replayed.n_readouts,
        "images": len(replayed.images),
        "closed_by_server": replayed.is_closed,
        "seconds_sending": replayed.seconds_sending,
        "seconds_from_last_readout_to_image": {
            "first": min(waits),
            "median": statistics.median(waits),
            "last": max(waits),
        },
        "texts": replayed.texts,
        "out": None if out is None else out / "images.h5",
    }
    talk.answer(document, facts_table({name: value for name, value in document.items() if name != "texts"}))
