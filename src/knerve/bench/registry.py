"""Every method that takes part, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence

from knerve.bench.methods import Method
from knerve.bench.peers import (
    bart,
    deepinv_wavelet,
    mirtorch_wavelet,
    mrpro_wavelet,
    own,
    own_command,
    sigpy_wavelet,
)

OWN = (*own.METHODS, *own_command.METHODS)
PEERS = {
    method.name: method
    for home in (bart, sigpy_wavelet, mrpro_wavelet, mirtorch_wavelet, deepinv_wavelet)
    for method in home.METHODS
}
AVAILABLE, NONE = "available", "none"


def find_peers(names: Sequence[str]) -> tuple[Method, ...]:
    """Peers by name, each once; "available" is every one that is not missing here, "none" is knerve alone.

    Raises:
        ValueError: a name is unknown, or none was given.
    """
    if tuple(names) == (NONE,):
        return ()
    if tuple(names) == (AVAILABLE,):
        return tuple(PEERS.values())
    unknown = [name for name in names if name not in PEERS]
    if unknown or not names:
        raise ValueError(
            f"no peer is called {', '.join(unknown) or 'nothing'!r}; choose of {', '.join(PEERS)}, "
            f"or take {AVAILABLE!r} or {NONE!r} alone."
        )
    return tuple(PEERS[name] for name in dict.fromkeys(names))
