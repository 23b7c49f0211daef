"""Keep the durations of past jobs as intervals, also beyond the process.

Ages are seconds; times are seconds since 1970, by the wall clock.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve, frozen

from asyncpoll._atomic_file import AtomicFile

WINDOW = 64  # records of a track; the older ones are dropped
MOST_TRACKS = 1024  # of a history; those that have gone longest without a new record are dropped
LONGEST_KEY = 200  # characters
MAX_AGE = 30 * 86_400.0  # seconds; older records are not loaded
_MOST_BYTES = 16 << 20
_CLOCKS_APART = 3600.0  # seconds by which the clock of another machine may be ahead

_log = logging.getLogger(__name__)


class DurationRecord(NamedTuple):
    """One observation: the duration of a job lies in (*lo*, *hi*].

    Attributes:
        at: The time of recording.
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
        records: Oldest first, at most `WINDOW`, each of one process at another time.
        since: The time before which records do not count: the jobs have changed since.
    """

    records: tuple[DurationRecord, ...] = ()
    since: float = 0.0

    @property
    def newest(self) -> float:
        """The time of the last record."""
        return self.records[-1].at if self.records else self.since

    def added(self, at: float, lo: float, hi: float) -> Track:
        """Return the track with one more record, later than the others even if the clock was set back."""
        at = max(at, math.nextafter(self.newest, math.inf))
        return evolve(self, records=(*self.records, DurationRecord(at, lo, hi))[-WINDOW:])

    def cut(self, keep: int) -> Track:
        """Return the track with the last *keep* records only, at least 1; older ones will not come back by merging."""
        records = self.records[-keep:]
        return Track(records, records[0].at if records else self.since)

    def merged(self, other: Track) -> Track:
        """Return the newest records of both, each once."""
        since = max(self.since, other.since)
        records = sorted(record for record in {*self.records, *other.records} if record.at >= since)
        return Track(tuple(records[-WINDOW:]), since)


TrackName = tuple[str, str]  # the key and the phase
_EMPTY = Track()


class History:
    """The tracks of any number of keys, with bounds on everything.

    Attributes:
        tracks: The tracks by name, those that have gone longest without a new record first.
    """

    def __init__(self, tracks: Iterable[tuple[TrackName, Track]] = ()) -> None:
        self.tracks: dict[TrackName, Track] = {}
        self._keep_newest(tracks)

    def track(self, key: str, phase: str) -> Track:
        """Return the track of a key and a phase, which may be empty."""
        return self.tracks.get((key, phase), _EMPTY)

    def knows(self, key: str) -> bool:
        """Return whether there are records of a key."""
        return any((key, phase) in self.tracks for phase in ("processing", "pending"))

    def add(self, key: str, phase: str, lo: float, hi: float) -> None:
        """Record that a job ended at an age in (*lo*, *hi*].

        Raises:
            ValueError: These are not two ages in order, or the key is too long.
        """
        check_ages(lo, hi)
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
        """Add the records of another process; of every track the newest stay."""
        merged = {name: self.track(*name).merged(track) for name, track in other.tracks.items()}
        self._keep_newest({**self.tracks, **merged}.items())

    def to_json(self) -> str:
        """Return the history as JSON text that `from_json` reads."""
        tracks = [
            {"key": key, "phase": phase, "since": track.since, "records": [_to_json(each) for each in track.records]}
            for (key, phase), track in self.tracks.items()
        ]
        return json.dumps({"version": 1, "saved_at": _now(), "tracks": tracks}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, max_age: float = MAX_AGE) -> History:
        """Return the history in *text*, without records that are invalid or older than *max_age* seconds.

        Raises:
            ValueError: The text is not a history, or one of another version.
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
        """Return the history in a file; an empty one if the file is missing or, with a warning, cannot be read."""
        try:
            with Path(path).open(encoding="utf-8") as file:
                return cls.from_json(file.read(_MOST_BYTES), max_age=max_age)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("the history in %s is ignored: %s", path, error)
        return cls()

    def save(self, path: str | Path) -> None:
        """Merge with the history that others have saved there, and replace the file, readable for its owner alone.

        This waits for the disk: call it in a thread where an event loop must go on.

        Raises:
            OSError: The file cannot be written; the former one is still there.
        """
        path = Path(path)
        self.merge(History.load(path))
        with AtomicFile(path, replace=True) as new:
            new.file.write(self.to_json().encode())

    def _keep_newest(self, tracks: Iterable[tuple[TrackName, Track]]) -> None:
        by_age = sorted(tracks, key=lambda named: (named[1].newest, named[0]))
        self.tracks = dict(by_age[-MOST_TRACKS:])


def check_ages(lo: float, hi: float) -> None:
    """Check that a job can have ended at an age in (*lo*, *hi*]; raise a ValueError if not."""
    if not 0 <= lo <= hi or lo == math.inf:
        raise ValueError(f"a job ends after the age it was last seen running at, not in ({lo!r}, {hi!r}]")


def check_key(key: str) -> str:
    """Return the key; raise a ValueError if it is too long."""
    if len(key) > LONGEST_KEY:
        raise ValueError(f"a key of a history has at most {LONGEST_KEY} characters, not {len(key)}; use a name for it")
    return key


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _to_json(record: DurationRecord) -> list[float | None]:
    return [record.at, record.lo, None if record.hi == math.inf else record.hi]


def _read_tracks(payload: list[Any], oldest: float, newest: float) -> Iterator[tuple[TrackName, Track]]:
    """Yield the valid tracks of a payload, with the valid records from *oldest* to *newest*."""
    for one in payload:
        match one:
            case {"key": str(key), "phase": "pending" | "processing" as phase, "records": list(raw)} if (
                len(key) <= LONGEST_KEY
            ):
                records = {record for record in map(_read_record, raw) if record and oldest <= record.at <= newest}
                since = _number(one.get("since"))
                track = Track((), since if 0 <= since <= newest else 0.0)
                yield (key, phase), track.merged(Track(tuple(records)))
            case _:
                pass


def _read_record(raw: Any) -> DurationRecord | None:
    """Return one record, or None if it is invalid."""
    match raw:
        case [at, lo, hi]:
            record = DurationRecord(_number(at), _number(lo), math.inf if hi is None else _number(hi))
            valid = math.isfinite(record.at) and 0 <= record.lo <= record.hi and record.lo < math.inf
            return record if valid and (hi is None or record.hi < math.inf) else None
        case _:
            return None


def _number(raw: Any) -> float:
    """Return a number of JSON as a float, or NaN for any other value and for numbers too large."""
    try:
        return math.nan if isinstance(raw, bool) or not isinstance(raw, int | float) else float(raw)
    except OverflowError:
        return math.nan
