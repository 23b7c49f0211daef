"""The limits of a transport, checked once."""

from __future__ import annotations

import math
import os
from typing import Any

from attrs import Attribute, field, frozen, validators

MOST_BODY = 64 << 20
"""The most that `max_body` may be, in bytes."""

UPLOAD_RATE = 32 << 10
"""Bytes a second that an upload may count on when its time limit is set."""

_SHARE_OF_DESCRIPTORS = 0.6  # the rest is for files, the event loop, and everything else in the process


def _is_duration(_limits: object, attribute: Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be seconds above 0, not {value}")


@frozen
class Limits:
    """How long an exchange may take, how much it may bring, and how many there may be at once.

    Attributes:
        attempt: Seconds for one exchange, from the connection to the end of the body.
        connect: Seconds of it for the lookup of the name, the connection, and TLS.
        read_gap: Seconds between two pieces of a body.
        max_body: The most bytes of a body, decompressed.
        connections: How many exchanges there may be at once.
    """

    attempt: float = field(default=20.0, validator=_is_duration)
    connect: float = field(default=5.0, validator=_is_duration)
    read_gap: float = field(default=10.0, validator=_is_duration)
    max_body: int = field(default=1 << 20, validator=[validators.ge(1), validators.le(MOST_BODY)])
    connections: int = field(default=100, validator=validators.ge(1))

    @property
    def slots(self) -> int:
        """`connections`, or fewer where the process may not open as many files."""
        return max(1, min(self.connections, int(_descriptors() * _SHARE_OF_DESCRIPTORS)))

    def time_for(self, upload: int) -> float:
        """Return the seconds for an exchange that has *upload* bytes of files to send first."""
        return self.attempt + upload / UPLOAD_RATE


def _descriptors() -> int:
    sysconf = getattr(os, "sysconf", None)  # Windows has neither the function nor the limit
    return sysconf("SC_OPEN_MAX") if sysconf is not None else 1 << 16
