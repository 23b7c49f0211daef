"""Replies that an endpoint of one's own cannot read: what becomes of the wait."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from memory_kit import ORIGIN, answering

from asyncpoll import Hub
from asyncpoll._calls import Group
from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import BadReply, PollError, Rejected, WaitTimeout
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

WORDS = Vocabulary("acme.jobs", {"queued": State.PENDING, "done": State.SUCCESS})
DONE = {"status": "done", "value": 42}


def read(reply: Reply) -> Snapshot[int]:
    """Read a reply as the README shows it."""
    word = reply.json["status"]
    return Snapshot(WORDS.read(word), status=word, value=reply.json.get("value"), raw=reply.json)


def endpoint(**more: Any) -> Endpoint[str, int]:
    """Return the endpoint of the README, with some functions changed."""
    options: dict[str, Any] = {"ask": lambda ref: Request("GET", f"/jobs/{ref}", repeatable=True), "read": read}
    return Endpoint("acme.jobs", **options | more)


ODD = {
    "field missing": {"detail": "try later"},
    "null": {"status": None},
    "integer": {"status": 1},
    "boolean": {"status": True},
    "object": {"status": {"name": "done"}},
    "array": {"status": ["done"]},
    "no object": [],
    "text": "done",
    "value of a wrong type": {"status": "done", "value": "42"},
}


def strictly(reply: Reply) -> Snapshot[int]:
    """Read a reply with conversions that fail in many ways."""
    seen = read(reply)
    return Snapshot(seen.state, seen.status, value=seen.value and seen.value + 0, progress=reply.json.get("progress"))


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_reply_is_a_miss(odd: Any) -> None:
    """The wait goes on, whatever `read` raises about one reply, and ends with the next good one."""
    transport = answering({"status": "queued"}, odd, odd, DONE)
    seen = run_virtual(endpoint(read=strictly).job(transport, "1").wait(timeout=60, schedule=Fixed(1.0)))
    assert (seen.state, transport.requests) == (State.SUCCESS, 4)


@pytest.mark.parametrize("odd", [{"status": None}, {}, []])
def test_odd_replies_end_a_wait_after_a_minute(odd: Any) -> None:
    """A changed API is told: five bad replies in a row that have lasted a minute end the wait, with the reply."""
    transport = answering({"status": "queued"}, odd)
    with pytest.raises(BadReply) as caught:
        run_virtual(endpoint().job(transport, "1").wait(timeout=600, schedule=Fixed(10.0)))
    assert transport.requests == 8
    assert caught.value.reply is not None
    assert caught.value.reply.json == odd


def test_a_page_in_place_of_json_is_waited_out() -> None:
    """Pages and empty bodies with status 200 for half a minute are misses, as a 502 would be."""
    page, nothing = Reply(200, body=b"<html>", problem="the body is not JSON"), Reply(200)
    transport = answering(*[page, nothing] * 4, DONE)
    assert run_virtual(endpoint().job(transport, "1").result(timeout=600, schedule=Fixed(4.0))) == 42
    assert transport.requests == 9


def test_a_failing_read_names_its_cause() -> None:
    """The bad reply has the error as its cause, the reply, its status and origin; text and pickle have no payload."""
    with pytest.raises(BadReply, match=r"acme\.jobs: read failed, .*: KeyError: 'status'") as caught:
        run_virtual(endpoint().job(answering({"canary": 1}), "1").fetch())
    error = caught.value
    assert isinstance(error.__cause__, KeyError)
    assert (error.kind, error.passing, error.status, error.origin) == ("malformed", True, 200, ORIGIN)
    assert error.reply is not None
    assert error.reply.json == {"canary": 1}
    assert "canary" not in repr(error)
    assert pickle.loads(pickle.dumps(error)).reply is None  # noqa: S301  made here


@pytest.mark.parametrize(
    "kind", [KeyError, TypeError, AttributeError, ValueError, IndexError, ZeroDivisionError, RuntimeError]
)
def test_any_error_of_read_is_a_bad_reply(kind: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its type, it is a bad reply, and logged once per endpoint."""

    def fail(_reply: Reply) -> Snapshot[int]:
        raise kind("odd")

    job = endpoint(read=fail).job(answering(DONE), "1")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(BadReply):
                run_virtual(job.fetch())
    assert [record.args for record in caplog.records] == [("acme.jobs", f"{kind.__name__}: {kind('odd')}")]


def test_an_error_that_read_means_to_raise_is_kept() -> None:
    """An error of this library leaves `read` as it is; a bad reply is given the reply that it lacks."""
    given = Reply(200, DONE, origin=ORIGIN)

    def fail(error: PollError) -> Any:
        def read_it(_reply: Reply) -> Snapshot[int]:
            raise error

        return endpoint(read=read_it).job(answering(given), "1").fetch()

    for error in (Rejected("no"), BadReply("odd", kind="identity"), BadReply("odd", reply=Reply(201))):
        with pytest.raises(type(error)) as caught:
            run_virtual(fail(error))
        assert caught.value is error
    first, second = BadReply("odd", kind="identity"), BadReply("odd", status=418, origin="o")
    for error in (first, second):
        with pytest.raises(BadReply):
            run_virtual(fail(error))
        assert error.reply is given
    assert (first.status, first.origin, second.status, second.origin) == (200, ORIGIN, 418, "o")


@pytest.mark.parametrize("name", ["classify", "same_job"])
def test_an_accident_elsewhere_is_a_bad_reply_too(name: str) -> None:
    """`classify` and `same_job` look into replies as well; what they did not expect is a miss."""

    def fail(*arguments: Any) -> Any:
        return arguments[-1].json["id"]

    transport = answering([], {"id": 1, **DONE})
    assert run_virtual(endpoint(**{name: fail}).job(transport, "1").result(timeout=60)) == 42
    with pytest.raises(BadReply, match=f"{name} failed"):
        run_virtual(endpoint(**{name: fail}).job(answering([]), "1").fetch())


def test_a_bad_reply_of_classify_has_the_reply() -> None:
    """The body that is not JSON can be looked at."""
    page = Reply(200, body=b"<html>", problem="the body is not JSON")
    with pytest.raises(BadReply) as caught:
        run_virtual(endpoint().job(answering(page), "1").fetch())
    assert caught.value.reply is page


def test_a_reply_to_cancel_that_is_odd_is_a_bad_reply() -> None:
    """An accident of `classify` is a typed error there, too."""

    def fail(reply: Reply) -> None:
        _ = reply.json["code"]

    end = endpoint(classify=fail, cancel=lambda ref: Request("DELETE", f"/jobs/{ref}"))
    with pytest.raises(BadReply, match="classify failed"):
        run_virtual(end.job(answering([]), "1").cancel())


def test_a_short_wait_names_the_bad_reply() -> None:
    """A wait that ends before the minute is a timeout whose cause is the bad reply."""
    with pytest.raises(WaitTimeout) as caught:
        run_virtual(endpoint().job(answering({}), "1").wait(timeout=5))
    assert isinstance(caught.value.__cause__, BadReply)


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ({0: State.PENDING, 1: State.SUCCESS}, [0, 1]),
        ({False: State.PROCESSING, True: State.SUCCESS}, [False, True]),
        ([(1, State.PENDING), (True, State.SUCCESS)], [1, True]),
        ({0: State.PENDING, "ok": State.SUCCESS}, [0, None, "OK"]),
    ],
)
def test_status_words_may_be_numbers(words: Any, answers: list[Any]) -> None:
    """A status that is an integer or a boolean is read; a null among them is a miss."""
    vocabulary = Vocabulary("acme.jobs", words)

    def read_it(reply: Reply) -> Snapshot[int]:
        word = reply.json["status"]
        return Snapshot(vocabulary.read(word), word)

    transport = answering(*[{"status": word} for word in answers])
    seen = run_virtual(endpoint(read=read_it).job(transport, "1").wait(timeout=60))
    assert (seen.state, seen.status) == (State.SUCCESS, str(answers[-1]).replace("True", "true"))
    assert transport.requests == len(answers)


def together(read_many: Any) -> Endpoint[str, int]:
    """Return an endpoint whose jobs are asked about with one request."""
    group: Group[str, int] = Group(lambda _ref: 0, lambda _refs: Request("GET", "/jobs"), read_many, size=10)
    return endpoint(group=group)


def test_an_odd_reply_about_many_jobs_is_a_miss() -> None:
    """One reply that a group cannot read costs no job of it."""

    def read_many(reply: Reply, refs: Any) -> Mapping[str, Snapshot[int]]:
        return {ref: Snapshot(WORDS.read(reply.json["jobs"][ref]), reply.json["jobs"][ref]) for ref in refs}

    async def main(transport: MemoryTransport) -> list[State]:
        end = together(read_many)
        async with Hub(schedule=Fixed(1.0)) as hub:
            seen = await asyncio.gather(*(hub.wait(end.job(transport, ref), timeout=60) for ref in "ab"))
        return [one.state for one in seen]

    good = {"jobs": {"a": "done", "b": "done"}}
    transport = answering({"jobs": {"a": "queued", "b": "queued"}}, {}, good)
    assert run_virtual(main(transport)) == [State.SUCCESS, State.SUCCESS]


def test_misfits_are_logged_once_per_path(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the first path of its kind, once per endpoint; a flood of paths is bounded."""
    paths = ("$.list[0].index", "$.list[1].index", "$.time")
    end = endpoint(read=lambda _: Snapshot(State.SUCCESS, "done", misfits=paths))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert run_virtual(end.job(answering(DONE), "1").fetch()).misfits == paths
    assert [record.args for record in caplog.records] == [("acme.jobs", "$.list[0].index"), ("acme.jobs", "$.time")]
    caplog.clear()
    for number in range(300):
        run_virtual(
            endpoint(read=lambda _, number=number: Snapshot(State.SUCCESS, misfits=(f"$.a{number}",)))
            .job(answering(DONE), "1")
            .fetch()
        )
    many = iter(range(300))
    flood = endpoint(read=lambda _: Snapshot(State.SUCCESS, misfits=(f"$.a{next(many)}",)))
    caplog.clear()
    for _ in range(300):
        run_virtual(flood.job(answering(DONE), "1").fetch())
    assert len(caplog.records) == 100


def test_misfits_of_a_group_are_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    """A call about many jobs may have misfits as well."""
    end = together(lambda _reply, refs: {ref: Snapshot(State.PENDING, misfits=("$.time",)) for ref in refs})
    job = end.job(answering(DONE), "a")
    with caplog.at_level(logging.WARNING):
        run_virtual(job.fetch_together([job]))
    assert [record.args for record in caplog.records] == [("acme.jobs", "$.time")]


@pytest.mark.parametrize("status", [200, 429])
def test_an_unreadable_hint_is_logged_once(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A `Retry-After` that cannot be read changes nothing, and is named once per endpoint."""
    busy = Reply(status, {"status": "queued"}, {"Retry-After": "soon"})
    with caplog.at_level(logging.WARNING):
        run_virtual(endpoint().job(answering(busy, busy, busy, DONE), "1").wait(timeout=60, schedule=Fixed(1.0)))
    assert [record.args for record in caplog.records] == [("acme.jobs", "soon")]


def test_a_readable_hint_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A hint that is understood needs no line in the log."""
    with caplog.at_level(logging.WARNING):
        run_virtual(endpoint().job(answering(Reply(200, DONE, {"Retry-After": "2.5"})), "1").fetch())
    assert caplog.records == []
