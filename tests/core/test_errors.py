"""What can go wrong, and whose fault it was."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from asyncpoll import _errors as errors
from asyncpoll._errors import (
    BadReply,
    ClientClosed,
    Draining,
    JobCancelled,
    JobError,
    JobFailed,
    JobTimedOut,
    LedgerError,
    PollError,
    Rejected,
    Throttled,
    TransportError,
    UnknownStatus,
    WaitTimeout,
)
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http import Reply

FAILED: Snapshot[Any] = Snapshot(State.FAILED, "failed", reason="out of paper", code="17")
HTTP_FACTS: dict[str, Any] = {
    "kind": "odd",
    "status": 418,
    "code": "1302",
    "retry_after": 7.5,
    "passing": False,
    "origin": "https://api.example.org",
}
SAMPLES = [
    PollError("plain"),
    WaitTimeout(FAILED, waited=61.5, polls=9, limit="pending", key='v:"a"', unknown=("frozen", "archived")),
    WaitTimeout(None, waited=1.0, polls=0),
    JobError(FAILED),
    Draining(None, waited=0.0, polls=0, limit="drained"),
    JobFailed(FAILED),
    JobTimedOut(FAILED),
    JobCancelled(FAILED),
    TransportError("no route", **HTTP_FACTS),
    Throttled("slower", **HTTP_FACTS),
    Rejected("no", **HTTP_FACTS),
    BadReply("what?", **HTTP_FACTS),
    UnknownStatus("frozen", vocabulary="vendor.jobs", known=("done", "failed")),
    ClientClosed("open one client per event loop"),
    LedgerError("make some space", kind="full"),
]


def classes() -> set[type[PollError]]:
    """Return every error class of the module."""
    return {thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, PollError)}


def test_the_tree_is_as_drawn() -> None:
    """Every class stands where the drawing in the module's docstring has it."""
    drawn: dict[str, str | None] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.strip(" │├└─").split(" ", 1)[0]
        if not line.startswith("    ") or not name.isidentifier() or "  " not in line.strip():
            continue
        depth = line.index(name)
        branch = [(column, above) for column, above in branch if column < depth]
        drawn[name] = branch[-1][1] if branch else None
        branch.append((depth, name))
    parents = {kind.__name__: kind.__bases__[0].__name__ for kind in classes()}
    assert drawn == parents | {"PollError": None}


def test_the_samples_below_are_complete() -> None:
    """Every class of the module has a sample here."""
    assert {type(sample) for sample in SAMPLES} == classes()


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_keeps_everything(error: PollError, protocol: int) -> None:
    """An error that travels to another process keeps its class, its message and every attribute."""
    error.add_note("seen by a worker")
    twin = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301  our own bytes
    assert type(twin) is type(error)
    assert str(twin) == str(error) != ""
    assert vars(twin) == vars(error)
    assert twin.args == error.args


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_copying_keeps_everything(error: PollError) -> None:
    """A copy is equal in class, message and attributes."""
    twin = copy.copy(error)
    assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


def test_a_wait_timeout_is_a_timeout_error() -> None:
    """Who catches TimeoutError catches the caller's own limit too, but never the server's verdict."""
    assert issubclass(WaitTimeout, TimeoutError)
    assert not issubclass(JobTimedOut, TimeoutError)


def test_a_wait_timeout_names_its_facts() -> None:
    """The message says for what, how long, how often, which limit, what was seen last, and the unknown words."""
    assert str(SAMPLES[1]) == (
        'gave up waiting for v:"a" after 61.5 s and 9 polls (pending limit); last seen failed; '
        "unknown status words: 'frozen', 'archived'"
    )


def test_a_wait_timeout_says_why_it_came_early() -> None:
    """A wait of 5 s that ends after 4.5 s says when its last poll was."""
    early = WaitTimeout(Snapshot(State.PROCESSING), waited=4.5, polls=3, seconds_left=0.5)
    assert str(early) == (
        "gave up waiting after 4.5 s and 3 polls (total limit); "
        "last seen processing by the last poll, 0.5 s before the deadline"
    )


def test_a_wait_timeout_says_when_nothing_was_seen() -> None:
    """A wait that saw nothing says so, and its other facts have defaults."""
    error = WaitTimeout(None, waited=1.0, polls=0)
    assert str(error) == "gave up waiting after 1 s and 0 polls (total limit); nothing was seen"
    assert (error.last, error.waited, error.polls, error.limit, error.key, error.unknown) == (
        None,
        1.0,
        0,
        "total",
        None,
        (),
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (JobError, "the job ended badly [17]: out of paper"),
        (JobFailed, "the job failed [17]: out of paper"),
        (JobTimedOut, "the job timed out at the server [17]: out of paper"),
        (JobCancelled, "the job was cancelled [17]: out of paper"),
    ],
)
def test_a_job_error_names_code_and_reason(kind: type[JobError], message: str) -> None:
    """The message gives the server's code and reason; the snapshot has everything."""
    error = kind(FAILED)
    assert str(error) == message
    assert error.snapshot is FAILED


def test_a_job_error_leaves_out_what_the_server_left_out() -> None:
    """Without a code and a reason the message just ends."""
    assert str(JobFailed(Snapshot(State.FAILED))) == "the job failed"


def test_the_kind_of_an_end_is_in_the_message() -> None:
    """A job that expired, and a wait for a job that needs its owner, say so."""
    ended: Snapshot[Any] = Snapshot(State.TIMEOUT, "expired", reason="24 h", code="7", kind="expired")
    assert str(JobTimedOut(ended)) == "the job timed out at the server (expired) [7]: 24 h"
    waiting: Snapshot[Any] = Snapshot(State.PROCESSING, kind="needs_action")
    assert str(WaitTimeout(waiting, waited=1, polls=2)).endswith("; last seen processing (needs_action)")


@pytest.mark.parametrize(
    ("error", "kind", "passing"),
    [
        (TransportError("x"), "transport", True),
        (Throttled("x"), "throttled", True),
        (Rejected("x"), "rejected", False),
        (BadReply("x"), "malformed", True),
        (Rejected("x", passing=True), "rejected", True),
        (BadReply("x", kind="identity"), "identity", True),
    ],
)
def test_transport_errors_have_a_kind_and_pass_or_not(error: TransportError, kind: str, passing: bool) -> None:  # noqa: FBT001  a column
    """Each class has a kind of its own, which can be named more closely; only refusals do not pass."""
    assert (error.kind, error.passing) == (kind, passing)


def test_a_transport_error_carries_what_it_was_told() -> None:
    """Every fact is an attribute; those not told are None."""
    assert vars(Throttled("x", **HTTP_FACTS)) == HTTP_FACTS
    bare = TransportError("x")
    assert (bare.status, bare.code, bare.retry_after, bare.origin) == (None, None, None, None)


def test_an_answer_is_the_apis_own_unless_it_is_said_otherwise() -> None:
    """The mark of a page that is not the API's survives a pickle."""
    page = Rejected("not here", status=404)
    assert page.from_api
    page.from_api = False
    assert not pickle.loads(pickle.dumps(page)).from_api  # noqa: S301  our own bytes


def test_an_unknown_status_names_the_words_it_knows() -> None:
    """The message names the vocabulary, the word, and the words that would have done."""
    error = UnknownStatus("frozen", vocabulary="vendor.jobs", known=("done", "failed"))
    assert str(error) == "vendor.jobs does not list the status word 'frozen'; known words: done, failed"
    assert (error.word, error.vocabulary) == ("frozen", "vendor.jobs")


def test_a_bad_reply_holds_the_reply_and_never_shows_it() -> None:
    """The reply is for the caller; text, repr and pickle are without it, and status and origin come from it."""
    reply = Reply(200, {"secret": "canary"}, {"x": "canary"}, b"canary", origin="https://api.example.org")
    error = BadReply("malformed", reply=reply)
    assert error.reply is reply
    assert (error.status, error.origin, error.kind) == (200, "https://api.example.org", "malformed")
    assert "canary" not in f"{error} {error!r} {error.args}"
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert b"canary" not in pickle.dumps(error)
    assert (twin.reply, str(twin), twin.status) == (None, "malformed", 200)
    assert BadReply("no answer").reply is None
