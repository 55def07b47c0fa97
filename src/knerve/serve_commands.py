"""`knerve serve` and `knerve replay`: the server beside the scanner, and a scanner made of a file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from knerve.datasets.wording import counted
from knerve.terminal import Terminal, facts_table, terminal

if TYPE_CHECKING:
    from knerve.server.listener import Door
    from knerve.server.replay import Replayed

LOOPBACK = ("127.0.0.1", "::1", "localhost")
UNPROTECTED = "Warning: the server listens beyond this machine, without encryption and without asking who is there."
UNASKED = "Warning: the server listens beyond this machine without asking who is there; give --tls-client-ca."
PAGE_UNPROTECTED = (
    "Warning: the live page is shown beyond this machine, without encryption and without asking who looks."
)
TLS = "Encryption"


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
    status_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of /livez, /readyz and /metrics on this machine; 0: none.")
    ] = 0,
    http: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the live page; 0: none. Needs knerve\\[server].")
    ] = 0,
    http_host: Annotated[
        str, typer.Option(help="Address of the live page; the default is this machine only.")
    ] = "127.0.0.1",
    drain: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds in which open sessions may finish after SIGTERM.")
    ] = 60.0,
    quota_gib: Annotated[
        float, typer.Option(min=0, metavar="GIB", help="What sessions may take of the disk; the oldest leave. 0: all.")
    ] = 0.0,
    keep_days: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="How long a session is kept. 0: while there is room.")
    ] = 0.0,
    store: Annotated[
        list[str] | None,
        typer.Option(metavar="AE@HOST:PORT", help="Send images as DICOM to this receiver; may be repeated."),
    ] = None,
    ae_title: Annotated[str, typer.Option(metavar="AE", help="What we call ourselves to receivers.")] = "KNERVE",
    budget: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="S", help="Seconds after the last readout when images go out, quick ones if need be."
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(help="Use the coil sensitivities of the scan before where they explain the new one as well."),
    ] = True,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log one JSON object a line.")] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Encrypt: our certificate.", rich_help_panel=TLS)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.", rich_help_panel=TLS)] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Let in only clients whose certificate this vouches for.", rich_help_panel=TLS
        ),
    ] = None,
) -> None:
    """Reconstruct what MRD (ISMRMRD) clients stream, until told to stop."""
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca is not None and tls_cert is None):
        raise typer.BadParameter("--tls-cert and --tls-key belong together, and --tls-client-ca needs both.")
    with terminal(as_json=False) as talk:
        from knerve.server.desk import Desk
        from knerve.server.dicom_peer import peer_of
        from knerve.server.housekeeping import GIB, Keeping
        from knerve.server.listener import Listener
        from knerve.server.log_lines import log_to_stderr
        from knerve.server.recovery import recover
        from knerve.server.services import Services, ServiceSettings
        from knerve.server.spool import Spool
        from knerve.server.stopping import told_to_stop, wind_down
        from knerve.server.workers import Workers

        door = _door(tls_cert, tls_key, tls_client_ca)
        settings = ServiceSettings(
            keeping=Keeping(int(quota_gib * GIB), keep_days),
            peers=tuple(map(peer_of, store or ())),
            our_title=ae_title,
            status_port=status_port or None,
            page_port=http or None,
            page_host=http_host,
        )
        log_to_stderr(as_json=json_logs)
        with closing(Spool(spool)) as kept, closing(Workers()) as workers, closing(Services(kept, settings)) as beside:
            left = kept.unfinished()
            desk = Desk(
                kept,
                workers.run,
                read_along=workers.read_along,
                budget_s=budget,
                bulletin=beside.bulletin,
                reuses_coils=reuse,
            )
            with (
                closing(Listener(desk, host, port, tally=beside.tally, door=door)) as listener,
                told_to_stop(listener.close) as stopping,
            ):
                Thread(target=recover, args=(left, workers.run), name="recovery", daemon=True).start()
                beside.tell_status_of(listener)
                if beside.show_page_of(listener):
                    talk.step(f"Live page: http://{_in_url(http_host)}:{http}/")
                    talk.notes((PAGE_UNPROTECTED,) if http_host not in LOOPBACK else ())
                if host not in LOOPBACK and tls_client_ca is None:
                    talk.notes((UNPROTECTED if door is None else UNASKED,))
                talk.step(f"Listening on {host}:{listener.port}, sessions in {spool}; Ctrl-C ends.")
                listener.serve()
                n_left = wind_down(listener, workers, drain if stopping.is_patient else 0.0)
        words = f"{counted(n_left, 'open session')} will be finished at the next start." if n_left else ""
        talk.answer({"spool": spool, "open": n_left}, f"Stopped. {words}".strip())


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


def _door(certificate: Path | None, key: Path | None, client_authority: Path | None) -> Door | None:
    from knerve.server.tls import Certificates, TlsDoor

    if certificate is None or key is None:
        return None
    return TlsDoor(Certificates(certificate, key, client_authority))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
