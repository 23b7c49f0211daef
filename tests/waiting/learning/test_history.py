"""Tests of the history of durations, in memory and in a file."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asyncpoll.waiting.learning._history import (
    LONGEST_KEY,
    MAX_AGE,
    MOST_TRACKS,
    WINDOW,
    DurationRecord,
    History,
    Track,
)


def now() -> float:
    """Return the time by the wall clock."""
    return datetime.now(UTC).timestamp()


def seen(*durations: float, key: str = "a", phase: str = "processing") -> History:
    """Return the history of jobs of one key that took so many seconds."""
    history = History()
    for duration in durations:
        history.add(key, phase, duration, duration)
    return history


def text_of(*records: Any, **changes: Any) -> str:
    """Return the text of a history with one track of these records."""
    track = {"key": "a", "phase": "processing", "since": 0.0, "records": records}
    return json.dumps({"version": 1, "saved_at": now(), "tracks": [{**track, **changes}]})


def ages(history: History, key: str = "a", phase: str = "processing") -> list[tuple[float, float]]:
    """Return the pairs of ages that a history has for a track."""
    return [(record.lo, record.hi) for record in history.track(key, phase).records]


# in memory


def test_records_are_kept_by_key_and_phase() -> None:
    """A record is found under its key and phase only, in order and with its time."""
    history = History()
    before = now()
    history.add("a", "processing", 1.0, 2.0)
    history.add("a", "pending", 3.0, 3.0)
    history.add("a", "processing", 5.0, math.inf)
    assert ages(history) == [(1.0, 2.0), (5.0, math.inf)]
    assert ages(history, phase="pending") == [(3.0, 3.0)]
    assert ages(history, "b") == []
    assert before <= history.track("a", "processing").records[0].at <= now()


def test_only_the_newest_records_are_kept() -> None:
    """Of more jobs than the window holds the oldest are forgotten."""
    assert ages(seen(*map(float, range(100)))) == [(float(age), float(age)) for age in range(100 - WINDOW, 100)]


def test_the_number_of_tracks_is_bounded() -> None:
    """Those that have gone longest without a new record are dropped."""
    history = seen(1.0, key="first")
    for number in range(MOST_TRACKS - 1):
        history.add(f"key {number}", "processing", 1.0, 1.0)
    history.add("first", "processing", 1.0, 1.0)
    history.add("one more", "processing", 1.0, 1.0)
    assert len(history.tracks) == MOST_TRACKS
    assert ("first", "processing") in history.tracks
    assert ("key 0", "processing") not in history.tracks


@pytest.mark.parametrize(
    "pair", [(-1.0, 2.0), (3.0, 2.0), (math.nan, 2.0), (1.0, math.nan), (math.inf, math.inf), (-math.inf, 0.0)]
)
def test_ages_out_of_order_are_refused(pair: tuple[float, float]) -> None:
    """A job does not end before it was last seen running."""
    history = History()
    with pytest.raises(ValueError, match="a job ends after the age it was last seen running at, not in "):
        history.add("a", "processing", *pair)
    assert history.tracks == {}


def test_a_key_is_a_name() -> None:
    """A long text is refused, with the advice to name it."""
    seen(1.0, key="k" * LONGEST_KEY)
    with pytest.raises(ValueError, match="at most 200 characters, not 201; use a name for it"):
        seen(1.0, key="k" * (LONGEST_KEY + 1))


def test_a_clock_that_is_set_back_does_not_change_the_order() -> None:
    """A record is always later than the one before it."""
    track = Track().added(100.0, 1.0, 1.0).added(50.0, 2.0, 2.0).added(100.0, 3.0, 3.0)
    assert [record.lo for record in sorted(track.records)] == [1.0, 2.0, 3.0]
    assert len({record.at for record in track.records}) == 3


# merging


def test_the_records_of_several_processes_are_merged() -> None:
    """Records of both are there once, in the order in which they were made; so are keys that only one of them has."""
    one, other = seen(1.0, 2.0), seen(9.0, key="b")
    shared = one.track("a", "processing")
    other.tracks["a", "processing"] = shared.added(shared.newest + 5, 3.0, 3.0)
    one.add("a", "processing", 4.0, 4.0)
    one.merge(other)
    assert sorted(ages(one)) == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)]
    assert ages(one)[-1] == (3.0, 3.0)
    assert ages(one, "b") == [(9.0, 9.0)]


def test_a_merged_track_is_no_longer_than_others() -> None:
    """Of two full tracks the newest records stay, from either track."""
    one, other = Track(), Track()
    for at in range(WINDOW):
        one, other = one.added(2.0 * at, 1.0, 1.0), other.added(2.0 * at + 1, 2.0, 2.0)
    merged = one.merged(other)
    assert [record.at for record in merged.records] == [float(at) for at in range(WINDOW, 2 * WINDOW)]


def test_records_that_were_cut_do_not_come_back() -> None:
    """Once older records do not count any more, merging with a process that still has them does not revive them."""
    history, stale = seen(1.0, 2.0, 60.0, 61.0), History()
    stale.tracks = dict(history.tracks)
    history.cut("a", "processing", 2)
    history.merge(stale)
    assert ages(history) == [(60.0, 60.0), (61.0, 61.0)]
    stale.merge(history)
    assert ages(stale) == [(60.0, 60.0), (61.0, 61.0)]


def test_cutting_an_empty_track_changes_nothing() -> None:
    """A track that is missing, or empty, can be cut."""
    history = History()
    history.cut("a", "processing", 8)
    assert history.tracks == {}
    assert Track(since=5.0).cut(8) == Track(since=5.0)


# as text


def test_a_history_survives_as_text() -> None:
    """Exact durations, intervals, abandoned jobs and the time of the last cut come back."""
    history = seen(0.1, 0.2, 0.3)
    history.cut("a", "processing", 2)
    history.add("ключ ☃", "pending", 1.5, math.inf)
    history.add("a", "processing", 1.25, 7.5)
    assert History.from_json(history.to_json()).tracks == history.tracks
    assert "Infinity" not in history.to_json()


@pytest.mark.parametrize(
    ("lo", "hi"),
    [
        (-1.0, 2.0),
        (3.0, 2.0),
        (math.nan, 2.0),
        (1.0, math.nan),
        (1.0, math.inf),
        (math.inf, None),
        (True, 2.0),
        ("1", 2.0),
        (None, 2.0),
        (1.0, 10**400),
    ],
)
def test_an_invalid_record_is_dropped(lo: Any, hi: Any) -> None:
    """The others of its track stay."""
    assert ages(History.from_json(text_of([now(), lo, hi], [now(), 4.0, 5.0]))) == [(4.0, 5.0)]


@pytest.mark.parametrize("at", [math.nan, math.inf, None, -1.0])
def test_a_record_without_a_time_is_dropped(at: Any) -> None:
    """Its age could not be checked."""
    assert ages(History.from_json(text_of([at, 1.0, 2.0]))) == []


@pytest.mark.parametrize("record", [[], [1.0, 2.0], 5, None, {"lo": 1.0}])
def test_a_value_that_is_not_a_record_is_dropped(record: Any) -> None:
    """A record is three numbers."""
    assert ages(History.from_json(text_of(record, [now(), 1.0, 1.0]))) == [(1.0, 1.0)]


def test_records_too_old_or_in_the_future_are_dropped() -> None:
    """A record beyond the age limit is out of date, and a time far in the future is a mistake."""
    text = text_of([now() - MAX_AGE - 60, 1.0, 1.0], [now() - MAX_AGE + 60, 2.0, 2.0], [now() + 7200, 3.0, 3.0])
    assert ages(History.from_json(text)) == [(2.0, 2.0)]
    assert ages(History.from_json(text, max_age=60.0)) == []


@pytest.mark.parametrize("change", [{"key": 5}, {"key": "k" * 201}, {"phase": "done"}, {"records": "none"}])
def test_an_invalid_track_is_dropped(change: dict[str, Any]) -> None:
    """Its name is a key of moderate length and a phase, and its records are a list."""
    assert History.from_json(text_of([now(), 1.0, 1.0], **change)).tracks == {}


@pytest.mark.parametrize("since", [math.nan, -5.0, "yesterday", 1e12])
def test_an_invalid_time_of_the_last_cut_is_ignored(since: Any) -> None:
    """Then all records of the track count."""
    assert History.from_json(text_of([now(), 1.0, 1.0], since=since)).track("a", "processing").since == 0.0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"version": 2, "tracks": []}', '{"version": 1, "tracks": {}}', "[" * 100_000, "1" * 5000],
)
def test_a_text_that_is_not_a_history_is_refused(text: str) -> None:
    """The error is a `ValueError` for any text."""
    with pytest.raises(ValueError, match=r".+"):
        History.from_json(text)


# in a file


def test_a_history_survives_in_a_file(tmp_path: Path) -> None:
    """The saved history is loaded; the file is its owner's alone, and nothing else is left behind."""
    path = tmp_path / "history.json"
    history = seen(1.0, 2.0)
    history.save(path)
    assert History.load(path).tracks == history.tracks
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_saving_keeps_the_records_that_others_saved(tmp_path: Path) -> None:
    """The file then has the records of both, and so has the history that was saved last."""
    seen(1.0).save(tmp_path / "history.json")
    later = seen(2.0)
    later.save(tmp_path / "history.json")
    assert ages(later) == ages(History.load(tmp_path / "history.json")) == [(1.0, 1.0), (2.0, 2.0)]


def test_without_a_file_the_history_is_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """This is the case of the first run, so it is not worth a warning."""
    assert History.load(tmp_path / "history.json").tracks == {}
    assert caplog.records == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", text_of([1.0, 2.0, 3.0]).encode()[:-9], b"\x00" * 4096])
def test_a_damaged_file_is_ignored_with_a_warning(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The history is then empty, and can be saved over the file."""
    path = tmp_path / "history.json"
    path.write_bytes(content)
    history = History.load(path)
    assert history.tracks == {}
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert message.startswith(f"the history in {path} is ignored: ")
    history.add("a", "processing", 1.0, 1.0)
    history.save(path)
    assert ages(History.load(path)) == [(1.0, 1.0)]


def test_an_unreadable_path_is_ignored_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The path of a directory leads to an empty history."""
    assert History.load(tmp_path).tracks == {}
    assert "is ignored" in caplog.text


def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    """The error is raised, and neither half a file nor a temporary one is left."""
    target = tmp_path / "history.json"
    target.mkdir()
    with pytest.raises(OSError, match=r"history\.json"):
        seen(1.0).save(target)
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileNotFoundError):
        seen(1.0).save(tmp_path / "nowhere" / "history.json")


def test_a_file_is_bounded(tmp_path: Path) -> None:
    """With every track full, the file stays a few megabytes and comes back whole."""
    full = tuple(DurationRecord(now() - 1 + n / 100, 1.23456789012345, 12.3456789012345) for n in range(WINDOW))
    name = "k" * (LONGEST_KEY - 4)
    history = History(((f"{name}{number:04}", "processing"), Track(full)) for number in range(2 * MOST_TRACKS))
    history.save(tmp_path / "history.json")
    assert (tmp_path / "history.json").stat().st_size < 8 << 20
    assert len(History.load(tmp_path / "history.json").tracks) == MOST_TRACKS


def save_often(path: Path, key: str) -> None:
    """Save one more record forty times."""
    history = History()
    for _ in range(40):
        history.add(key, "processing", 1.0, 1.0)
        history.save(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that start at once")
def test_processes_that_save_at_the_same_time_do_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is whole at any time."""
    path = tmp_path / "history.json"
    context = multiprocessing.get_context("spawn")
    savers = [context.Process(target=save_often, args=(path, key)) for key in ("a", "b")]
    for saver in savers:
        saver.start()
    while any(saver.is_alive() for saver in savers):
        History.load(path)
    for saver in savers:
        saver.join()
    assert [saver.exitcode for saver in savers] == [0, 0]
    assert caplog.records == []
    assert max(len(ages(History.load(path), key)) for key in ("a", "b")) == 40
