"""What a million waits can keep of a look at an unfinished job."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from asyncpoll._snapshot import Snapshot

_MOST = 4096  # different looks that are remembered


class Lean:
    """Makes one snapshot without the payload out of all that otherwise look alike."""

    def __init__(self) -> None:
        self._known: dict[Snapshot[Any], Snapshot[Any]] = {}

    def of(self, seen: Any) -> Any:
        """Return what to keep of what a poll saw; a terminal snapshot, or what is none at all, is kept as it is."""
        if not isinstance(seen, Snapshot) or seen.state.is_terminal:
            return seen
        if seen.value is not None:  # a result in part, which need not even be hashable
            return evolve(seen, raw=None)
        if len(self._known) >= _MOST:
            self._known.clear()
        lean = self._known.get(seen)
        if lean is None:
            lean = self._known[seen] = evolve(seen, raw=None)
        return lean
