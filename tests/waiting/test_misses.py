"""Polls that failed and saw nothing."""

from __future__ import annotations

import errno

import pytest

from asyncpoll._errors import BadReply, JobFailed, Rejected, Throttled, TransportError, UnknownStatus, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._misses import MISS_LIMITS, PATIENCE, MissRow, drop_tracebacks, is_miss, kind_of


@pytest.mark.parametrize(
    "error",
    [
        TransportError("the server is in trouble", status=503),
        Throttled("slower", retry_after=7.0),
        BadReply("not JSON"),
        OSError(errno.ECONNRESET, "reset"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_passing_faults_are_misses(error: Exception) -> None:
    """Transport errors that pass, replies that make no sense, OS errors and timeouts merely saw nothing."""
    assert is_miss(error, elapsed=0.0, not_found_grace=0.0)


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no such key", status=401),
        TransportError("for good", passing=False),
        BadReply("too large", passing=False),
        UnknownStatus("odd", vocabulary="v"),
        JobFailed(Snapshot(State.FAILED)),
        WaitTimeout(None, waited=1.0, polls=1),
        ValueError("a bug in the fetch"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_everything_else_ends_the_wait(error: BaseException) -> None:
    """Refusals, errors about the job, an inner wait's own timeout and bugs are no misses."""
    assert not is_miss(error, elapsed=0.0, not_found_grace=1000.0)


@pytest.mark.parametrize(("elapsed", "missed"), [(0.0, True), (29.9, True), (30.0, False), (31.0, False)])
def test_a_404_is_a_miss_within_its_grace(elapsed: float, missed: bool) -> None:  # noqa: FBT001  a column
    """A job that is not visible yet is a miss, but only for so many seconds from the start."""
    assert is_miss(Rejected("no such job", status=404), elapsed=elapsed, not_found_grace=30.0) is missed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TransportError("x"), "transport"),
        (Throttled("x"), "throttled"),
        (BadReply("x", kind="identity"), "identity"),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connect"),
        (ValueError(), "connect"),
        *((OSError(number, "x"), "local") for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)),
        *((OSError(number, "x"), "local") for number in (errno.EADDRNOTAVAIL, errno.ENOSPC)),
    ],
)
def test_every_miss_has_a_class(error: Exception, kind: str) -> None:
    """Our own errors name their class themselves; OS errors are timeouts, local shortages or connection faults."""
    assert kind_of(error) == kind


def test_the_limits_are_these() -> None:
    """Classes that rarely pass end a wait after a few in a row; the table holds no other."""
    assert dict(MISS_LIMITS) == {
        "dns": 3,
        "protocol": 3,
        "encoding": 3,
        "malformed": 5,
        "limit": 2,
        "identity": 2,
        "unknown_code": 5,
    }


@pytest.mark.parametrize(("kind", "limit"), MISS_LIMITS.items())
def test_a_row_ends_at_the_limit_of_its_class(kind: str, limit: int) -> None:
    """The last miss that the class allows is the one that ends the wait."""
    error = BadReply("x", kind=kind)
    row = MissRow(error)
    assert [row.add(error, 61.0 * number) for number in range(limit)] == [False] * (limit - 1) + [True]


def test_classes_are_counted_apart() -> None:
    """Misses of several classes in one row count as one in total, but each against its own limit."""
    row = MissRow(OSError())
    kinds = ("identity", "limit", "dns", "dns", "identity")
    errors = [TransportError("x", kind=kind) for kind in kinds]
    assert [row.add(error, 61.0 * number) for number, error in enumerate(errors)] == [False] * 4 + [True]
    assert (row.total, row.by_kind) == (5, {"identity": (2, 0.0), "limit": (1, 61.0), "dns": (2, 122.0)})


def test_faults_of_network_and_server_have_no_limit() -> None:
    """Refused connections, timeouts, server trouble and throttling may go on until the deadline."""
    errors = (ConnectionRefusedError(), TimeoutError(), TransportError("x", kind="server"), Throttled("x"))
    row = MissRow(errors[0])
    assert not any(row.add(error, 1e6) for error in errors * 1000)
    assert row.by_kind is None


def test_a_local_shortage_ends_the_wait_after_a_minute() -> None:
    """A shortage on this machine is not held against the server; it ends the wait after 60 s without progress."""
    shortage = OSError(errno.EMFILE, "too many open files")
    row = MissRow(shortage)
    times = (100.0, 130.0, 100.0 + PATIENCE - 0.1, 100.0 + PATIENCE)
    assert [row.add(shortage, now) for now in times] == [False, False, False, True]
    assert row.by_kind == {"local": (4, 100.0)}


def test_a_row_keeps_its_newest_miss() -> None:
    """The newest miss is the one that a timeout names as its cause."""
    first, newest = OSError(), Throttled("x")
    row = MissRow(first)
    row.add(first, 0.0)
    row.add(newest, 1.0)
    assert row.last is newest


def test_a_miss_can_be_kept_without_the_frames_of_its_poll() -> None:
    """Tracebacks go, and with them what the frames hold; what it came from stays."""

    def fail() -> None:
        try:
            raise ConnectionResetError
        except OSError as cause:
            raise TransportError("reset") from cause

    with pytest.raises(TransportError) as caught:
        fail()
    error = caught.value
    drop_tracebacks(error)
    assert isinstance(error.__cause__, ConnectionResetError)
    assert [each.__traceback__ for each in (error, error.__cause__)] == [None, None]


def test_what_an_error_came_from_may_go_in_a_circle() -> None:
    """A chain without end is followed once; a context that was not the cause is let go."""
    first, second, third = OSError(1), OSError(2), OSError(3)
    first.__cause__, second.__cause__, second.__context__ = second, first, third
    drop_tracebacks(first)
    assert second.__context__ is first
