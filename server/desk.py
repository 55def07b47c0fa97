"""What all sessions of a server share: where they are kept, who reconstructs, how long they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from knerve.server.bulletin import NOBODY_LOOKS, Bulletin
from knerve.server.framing import DEFAULT_LIMITS, Frame
from knerve.server.job import Job
from knerve.server.limits import Limits
from knerve.server.spool import Spool
from knerve.server.stream_companion import ReadAlong

Reconstruct = Callable[[Job], Iterator[Frame]]


@dataclass(frozen=True)
class Patience:
    """How long a session waits, in seconds.

    Attributes:
        handshake_s: from connecting to the header.
        silence_s: between two messages of a scan; scanners pause.
        message_s: from the first to the last byte of one message.
        sending_s: for the client to take one message.
        farewell_s: for bytes that still come after our CLOSE.
    """

    handshake_s: float = 10.0
    silence_s: float = 120.0
    message_s: float = 30.0
    sending_s: float = 30.0
    farewell_s: float = 5.0


@dataclass(frozen=True)
class Desk:
    """What all sessions of a server share.

    Attributes:
        spool: where they are kept.
        reconstruct: does a job whose session has ended.
        patience: how long they wait for the client.
        limits: of messages.
        read_along: begins a job whose session is still being received; None for none of them.
        budget_s: seconds after the last readout when what is finished must go out; None for as long as it takes.
        bulletin: what they report to; nobody looks at it by default.
        reuses_coils: whether a scan may use the coil sensitivities of the one before.
    """

    spool: Spool
    reconstruct: Reconstruct
    patience: Patience = Patience()
    limits: Limits = DEFAULT_LIMITS
    read_along: ReadAlong | None = None
    budget_s: float | None = None
    bulletin: Bulletin = field(default_factory=partial(Bulletin, NOBODY_LOOKS))
    reuses_coils: bool = True
