"""What can go wrong between a scanner and the server, as one tree.

    KnerveError
    ├── RawDataError
    │   └── WireError                   a stream of messages that cannot be read on
    │       ├── StreamEndedError        it ends within a message
    │       ├── UnknownMessageError     an id whose length nobody knows, or that has no place here
    │       ├── TooLargeError           a message announces more than the limits allow
    │       ├── MalformedMessageError   a message contradicts itself
    │       └── OutOfOrderError         a message that may not come now
    └── ServerError
        ├── SilentClientError           nothing came for too long
        ├── SpoolError                  raw data or a session's state cannot be kept
        ├── WorkerError                 the process that reconstructs died or hung
        │   └── StoppedError            the server is being stopped
        └── ReplayError                 a server did not answer as it should

Compressed readouts that knerve does not decode are an `UnsupportedError`. A session tells each of them to its client as TEXT.
"""

from __future__ import annotations

from knerve.recon.errors import KnerveError, RawDataError


class WireError(RawDataError):
    """A stream of messages that cannot be read on."""


class StreamEndedError(WireError):
    """The stream ends within a message."""


class UnknownMessageError(WireError):
    """A message id whose length nobody knows, or that has no place here."""


class TooLargeError(WireError):
    """A message announces more than the limits allow."""


class MalformedMessageError(WireError):
    """A message contradicts itself."""


class OutOfOrderError(WireError):
    """A message that may not come now."""


class ServerError(KnerveError):
    """What goes wrong around the stream, not in it."""


class SilentClientError(ServerError):
    """Nothing came for too long."""


class SpoolError(ServerError):
    """Raw data or the state of a session cannot be kept."""


class WorkerError(ServerError):
    """The process that reconstructs died or hung."""


class StoppedError(WorkerError):
    """The server is being stopped; what is unfinished is finished when it starts again."""


class ReplayError(ServerError):
    """A server did not answer as it should."""
