"""HTTP connections, but not too many, and none that stays without asking: descriptors are for scanners first."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
FIRST_REQUEST_S = 10.0


class PatientProtocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, or hang up where there are enough."""
        assert isinstance(transport, asyncio.Transport), "uvicorn listens to TCP"
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(FIRST_REQUEST_S, self._hang_up_if_silent)

    def _hang_up_if_silent(self) -> None:
        request: object = self.cycle  # there is none before the first
        if request is None:
            self.transport.abort()
