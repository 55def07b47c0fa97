"""A client that speaks MRD version 2, served as one of version 1: the same session, journal, pipelines and patience.

Its items become messages on a pair of sockets whose other end is an ordinary session; images come back the same way. Version 2
has no words: what a session says goes to the log. A stream without its last, empty block is a scan that was broken off.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from threading import Event, Thread

from knerve.datasets.wording import counted
from knerve.recon.errors import KnerveError
from knerve.server.connection import SocketSource
from knerve.server.errors import StoppedError
from knerve.server.log_lines import told
from knerve.server.messages import Close, ConfigFile, Header, Image, Message, Text
from knerve.server.mrd2 import Reader, Writer
from knerve.server.pipelines import DEFAULT
from knerve.server.wire import encode, read_messages
from knerve.server.workers import OWN_LIMITS

log = logging.getLogger(__name__)

FIRST_BYTES = b"yardl"
LONGER_S = 60.0  # than a session is patient: it is the session that gives up


def serve_mrd2(
    connection: socket.socket,
    source: SocketSource,
    serve: Callable[[socket.socket, SocketSource], None],
    silence_s: float,
    sending_s: float,
) -> None:
    """Serve a client of version 2.

    Args:
        connection: to the client.
        source: what the client sends, of which nothing was taken.
        serve: serves a client of version 1, up to the end of its connection.
        silence_s: how long a session waits for its client at most.
        sending_s: how long the client may take for an image.
    """
    ours, theirs = socket.socketpair()
    inner = SocketSource(theirs)
    with ours, connection.dup() as outward:
        outward.settimeout(sending_s)
        talk = _Talk(ours, outward)
        threads = [
            _thread("v2 in", talk.carry_in, _Patient(source, silence_s + LONGER_S), inner),
            _thread("v2 out", talk.carry_out),
        ]
        for thread in threads:
            thread.start()
        try:
            serve(theirs, inner)
        finally:
            threads[1].join()
            source.stop()
            threads[0].join()


def _thread(name: str, run: Callable[..., None], *arguments: object) -> Thread:
    """A thread for the visit that this one serves."""
    return Thread(target=copy_context().run, args=(run, *arguments), name=name, daemon=True)


class _Patient:
    """A source whose every read may take as long as a session waits."""

    def __init__(self, source: SocketSource, longest_s: float) -> None:
        self._source, self._longest_s = source, longest_s

    def read(self, n_bytes: int, /) -> bytes:
        """The next bytes."""
        self._source.allow(self._longest_s)
        return self._source.read(n_bytes)


class _Talk:
    """Both directions of one client; the schema of the first is that of the second."""

    def __init__(self, ours: socket.socket, outward: socket.socket) -> None:
        self._ours, self._outward = ours, outward
        self._reader: Reader | None = None
        self._has_begun = Event()
        self._is_gone = False

    def carry_in(self, source: _Patient, inner: SocketSource) -> None:
        """The client's items as messages, up to the end of its stream."""
        try:
            for message in self._messages(source):
                self._ours.sendall(encode(message).raw)
        except StoppedError:
            inner.stop()
        except KnerveError as refusal:
            log.warning("a stream of MRD version 2 ends: %s", refusal, extra=told("stream ended"))
        except OSError:
            pass  # the session has ended, and said why
        finally:
            self._has_begun.set()
            with contextlib.suppress(OSError):
                self._ours.shutdown(socket.SHUT_WR)

    def _messages(self, source: _Patient) -> Iterator[Message]:
        reader = Reader(source)
        self._reader = reader
        self._has_begun.set()
        yield ConfigFile(DEFAULT)
        if reader.xml is not None:
            yield Header(reader.xml)
        yield from reader.messages()
        if reader.n_left_out:
            words = f"left out, for having no place in a scan: {counted(reader.n_left_out, 'item')} of MRD version 2"
            log.warning(words, extra=told("items left out"))
        yield Close()

    def carry_out(self) -> None:
        """The session's images as items; its words to the log."""
        with self._ours.makefile("rb") as answers:
            has_started = False
            for message in read_messages(answers, OWN_LIMITS):
                if isinstance(message, Text):
                    log.info("to a client of MRD version 2: %s", message.text, extra=told("words"))
                if not isinstance(message, Image | Close):
                    continue
                self._has_begun.wait()
                if self._reader is None:
                    continue
                writer = Writer(self._reader)
                if not has_started:
                    self._send(writer.start)
                    has_started = True
                self._send(writer.end if isinstance(message, Close) else partial(writer.item, message))
        with contextlib.suppress(OSError):
            self._outward.shutdown(socket.SHUT_WR)

    def _send(self, made: Callable[[], bytes]) -> None:
        if self._is_gone:
            return
        try:
            self._outward.sendall(made())
        except OSError:
            self._is_gone = True
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self._is_gone = True
            words = "the schema of a client of MRD version 2 has no place for an image: %s %s"
            log.warning(words, type(error).__name__, error, extra=told("no place"))
