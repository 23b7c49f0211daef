"""The counters of a hub."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State


@define
class Counters:
    """Plain integers that a progress view may sample.

    Attributes:
        polls: Polls that have finished, a call about many jobs counting once.
        missed: Polls that failed and saw nothing.
        throttled: Those of them in which the server asked for fewer requests.
        unknown: Polls that saw a status word that no vocabulary lists.
        in_flight: Polls that have started and not finished.
        pending: Waits that have begun and not ended.
        ended: Waits that have ended, each with one outcome.
        succeeded: Those of them whose job succeeded.
    """

    polls: int = 0
    missed: int = 0
    throttled: int = 0
    unknown: int = 0
    in_flight: int = 0
    pending: int = 0
    ended: int = 0
    succeeded: int = 0
    _transports: dict[int, tuple[Any, int]] = field(factory=dict, repr=False)

    @property
    def requests(self) -> int:
        """Requests really sent since the hub first saw them, by all transports that count theirs."""
        return sum(transport.requests - before for transport, before in self._transports.values())

    def begin(self, job: Any) -> None:
        """Count a wait for *job* that begins, and watch the requests of its transport."""
        transport: Any = getattr(job, "transport", None)
        if id(transport) not in self._transports and isinstance(getattr(transport, "requests", None), int):
            self._transports[id(transport)] = (transport, transport.requests)
        self.pending += 1

    def end(self, snapshot: Snapshot[Any] | None) -> None:
        """Count a wait that has ended, with a terminal *snapshot* or, when that is None, with an error."""
        self.pending -= 1
        self.ended += 1
        self.succeeded += snapshot is not None and snapshot.state is State.SUCCESS
