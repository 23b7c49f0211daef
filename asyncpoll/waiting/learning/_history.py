"""How long past jobs took, as far as polls can tell: what a learned schedule remembers, also beyond its process.

A poll that sees a job running, and a later one that sees it ended, say that its duration lies between two ages. That is
what is kept; nothing derived from it is. Ages are seconds; times are seconds since 1970, by the wall clock.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve, frozen

WINDOW = 64
"""So many of the newest records of a track count; the older ones are dropped."""

MOST_TRACKS = 1024
"""So many tracks are kept; those that have gone longest without a new record are dropped."""

LONGEST_KEY = 200
"""A key has at most so many characters."""

MAX_AGE = 30 * 86_400.0
"""Records older than this, in seconds, are not loaded."""

_MOST_BYTES = 16 << 20
_CLOCKS_APART = 3600.0  # seconds by which the clock of another machine may be ahead

_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """One job: it ended in (*lo*, *hi*].

    Attributes:
        at: When it was recorded.
        lo: The age at which it was last seen running.
        hi: The age at which it was first seen ended: *lo* for an exact duration, `math.inf` if it was abandoned.
    """

    at: float
    lo: float
    hi: float


@frozen
class Track:
    """The newest records of one phase of the jobs of one key.

    Attributes:
        records: Oldest first, at most `WINDOW`, no two recorded at the same time by one process.
        since: Older records do not count: the jobs have changed since.
    """

    records: tuple[Record, ...] = ()
    since: float = 0.0

    @property
    def newest(self) -> float:
        """When the last record was made."""
        return self.records[-1].at if self.records else self.since

    def added(self, at: float, lo: float, hi: float) -> Track:
        """Return the track with one more record; a clock that was set back makes no difference to their order."""
        at = max(at, math.nextafter(self.newest, math.inf))
        return evolve(self, records=(*self.records, Record(at, lo, hi))[-WINDOW:])

    def cut(self, keep: int) -> Track:
        """Return the track with the last *keep* records only, at least 1; older ones will not come back by merging."""
        records = self.records[-keep:]
        return Track(records, records[0].at if records else self.since)

    def merged(self, other: Track) -> Track:
        """Return the newest records of both, each once."""
        since = max(self.since, other.since)
        records = sorted(record for record in {*self.records, *other.records} if record.at >= since)
        return Track(tuple(records[-WINDOW:]), since)


Name = tuple[str, str]
"""Of a track: the key, and the phase: "pending" or "processing"."""

_PHASES = frozenset({"pending", "processing"})


class History:
    """The tracks of any number of keys, with bounds on everything.

    Attributes:
        tracks: By name, those that have gone longest without a new record first.
    """

    def __init__(self, tracks: Iterable[tuple[Name, Track]] = ()) -> None:
        self.tracks: dict[Name, Track] = {}
        self._take(tracks)

    def track(self, key: str, phase: str) -> Track:
        """Return the track of this name; an empty one when there is none."""
        return self.tracks.get((key, phase), _EMPTY)

    def add(self, key: str, phase: str, lo: float, hi: float) -> None:
        """Record that a job ended in (*lo*, *hi*].

        Raises:
            ValueError: These are not two ages, the second no less than the first; or the key is too long.
        """
        if not 0 <= lo <= hi or lo == math.inf:
            raise ValueError(f"a job ends after the age it was last seen running at, not in ({lo!r}, {hi!r}]")
        check_key(key)
        track = self.tracks.pop((key, phase), _EMPTY)
        self.tracks[key, phase] = track.added(_now(), lo, hi)
        if len(self.tracks) > MOST_TRACKS:
            del self.tracks[next(iter(self.tracks))]

    def cut(self, key: str, phase: str, keep: int) -> None:
        """Forget all but the last *keep* records of a track: the jobs have changed since."""
        if (key, phase) in self.tracks:
            self.tracks[key, phase] = self.tracks[key, phase].cut(keep)

    def merge(self, other: History) -> None:
        """Take in what another process has seen; of every track the newest records stay."""
        mine = self.tracks
        self._take({**mine, **{name: self.track(*name).merged(track) for name, track in other.tracks.items()}}.items())

    def to_json(self) -> str:
        """Return all as JSON text that `from_json` reads."""
        tracks = [
            {"key": key, "phase": phase, "since": track.since, "records": [_pair(record) for record in track.records]}
            for (key, phase), track in self.tracks.items()
        ]
        return json.dumps({"version": 1, "saved_at": _now(), "tracks": tracks}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, max_age: float = MAX_AGE) -> History:
        """Return the history that *text* holds, without records that make no sense or are older than *max_age* seconds.

        Raises:
            ValueError: It is not the text of a history, or one of another version.
        """
        try:
            payload = json.loads(text)
        except RecursionError:
            raise ValueError("it is too deeply nested") from None
        now = _now()
        match payload:
            case {"version": 1, "tracks": list(tracks)}:
                return cls(_read_tracks(tracks, now - max_age, now + _CLOCKS_APART))
            case _:
                raise ValueError("it is not a history of version 1")

    @classmethod
    def load(cls, path: str | Path, *, max_age: float = MAX_AGE) -> History:
        """Return the history in a file; an empty one when there is no file, or, with a warning, when it is no use."""
        try:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(_MOST_BYTES)
            return cls.from_json(text, max_age=max_age)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("the history in %s is ignored: %s", path, error)
        return cls()

    def save(self, path: str | Path) -> None:
        """Merge with what others have saved there meanwhile, and write all of it at once, readable for its owner alone.

        It waits for the disk: call it in a thread where an event loop must go on.

        Raises:
            OSError: It cannot be written; what was there is still there.
        """
        path = Path(path)
        self.merge(History.load(path))
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.to_json())
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def _take(self, tracks: Iterable[tuple[Name, Track]]) -> None:
        by_age = sorted(tracks, key=lambda named: (named[1].newest, named[0]))
        self.tracks = dict(by_age[-MOST_TRACKS:])


_EMPTY = Track()


def check_key(key: str) -> str:
    """Return the key.

    Raises:
        ValueError: It is too long.
    """
    if len(key) > LONGEST_KEY:
        raise ValueError(f"a key of a history has at most {LONGEST_KEY} characters, not {len(key)}; use a name for it")
    return key


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _pair(record: Record) -> list[float | None]:
    return [record.at, record.lo, None if record.hi == math.inf else record.hi]


def _read_tracks(payload: list[Any], oldest: float, newest: float) -> Iterator[tuple[Name, Track]]:
    """Give the tracks that make sense."""
    for one in payload:
        match one:
            case {"key": str(key), "phase": str(phase), "records": list(raw)} if (
                len(key) <= LONGEST_KEY and phase in _PHASES
            ):
                records = {record for record in map(_read_record, raw) if record and oldest <= record.at <= newest}
                since = _number(one.get("since"))
                track = Track((), since if 0 <= since <= newest else 0.0)
                yield (key, phase), track.merged(Track(tuple(records)))
            case _:
                pass


def _read_record(raw: Any) -> Record | None:
    """Return one record, or None if it makes no sense."""
    match raw:
        case [at, lo, hi]:
            record = Record(_number(at), _number(lo), math.inf if hi is None else _number(hi))
            sensible = math.isfinite(record.at) and 0 <= record.lo <= record.hi and record.lo < math.inf
            return record if sensible and (hi is None or record.hi < math.inf) else None
        case _:
            return None


def _number(raw: Any) -> float:
    """Return a number of JSON, or NaN for what is none or too large for a float."""
    try:
        return math.nan if isinstance(raw, bool) or not isinstance(raw, int | float) else float(raw)
    except OverflowError:
        return math.nan
