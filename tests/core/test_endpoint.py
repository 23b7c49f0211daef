"""Where the columns meet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from attrs import field, frozen
from await_points import MOMENTS, Moment, cancelled_everywhere
from memory_kit import answering

from asyncpoll._calls import Group
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import BadReply, JobFailed, Rejected, Throttled, TransportError, WaitTimeout
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.http._message import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting._convenience import wait_all

WORDS = Vocabulary("v.jobs", {"queued": State.PENDING, "done": State.SUCCESS, "failed": State.FAILED})
STATUS, STOP = Request("GET", "/jobs/1", repeatable=True), Request("DELETE", "/jobs/1")


@frozen
class Part:
    """A reference of two ids, one of them numeric."""

    whole: str
    number: int = field(default=1)


def read(reply: Reply) -> Snapshot[int]:
    """Return what a reply of the made-up API says."""
    return Snapshot(WORDS.read(reply.json["status"]), reply.json["status"], value=reply.json.get("value"))


def endpoint(**more: Any) -> Endpoint[Any, int]:
    """Return an endpoint of the made-up API."""
    options: dict[str, Any] = {"ask": lambda ref: Request("GET", f"/jobs/{ref}", repeatable=True), "read": read}
    return Endpoint("v.jobs", **options | more)


def anybody() -> MemoryTransport:
    """Return a transport that must not be used."""

    def refuse(_request: Request) -> Reply:
        raise AssertionError("nobody was to be asked")

    return MemoryTransport(refuse)


# the key


@pytest.mark.parametrize(
    ("ref", "key"),
    [
        ("1", 'v.jobs:"1"'),
        (1, "v.jobs:1"),
        ("任务 1", 'v.jobs:"任务 1"'),
        ({"b": 1, "a": [2]}, 'v.jobs:{"a":[2],"b":1}'),
        (Part("x", 2), 'v.jobs:{"number":2,"whole":"x"}'),
    ],
)
def test_a_key_is_stable_text(ref: Any, key: str) -> None:
    """The key is the endpoint's name and the reference as JSON: the same in every process."""
    assert endpoint().job(anybody(), ref).key == key


def test_keys_are_unique_per_endpoint_and_reference() -> None:
    """References that differ, be it in type alone, have keys that differ, and so have endpoints."""
    refs = ["1", 1, 1.5, None, ["1"], {"1": 1}, Part("1"), Part("1", 2), 'v":"', ""]
    ends = (endpoint(), Endpoint[Any, int]("w.jobs", ask=lambda _: STATUS, read=read))
    keys = {end.job(anybody(), ref).key for end in ends for ref in refs}
    assert len(keys) == 2 * len(refs)


def test_a_reference_needs_a_plain_form() -> None:
    """A reference that JSON cannot hold has no key, unless the endpoint says how to write it."""
    with pytest.raises(TypeError, match="date is not JSON serializable"):
        _ = endpoint().job(anybody(), date(2026, 1, 2)).key
    assert endpoint(plain=str).job(anybody(), date(2026, 1, 2)).key == 'v.jobs:"2026-01-02"'


def test_a_reference_without_a_key_is_not_polled() -> None:
    """A wait needs the key, so it fails before anything is requested."""
    transport = anybody()
    with pytest.raises(TypeError, match="not JSON serializable"):
        run_virtual(endpoint().job(transport, {1, 2}).wait(timeout=60))
    assert transport.requests == 0


# asking once


def test_fetch_is_send_classify_read() -> None:
    """The request of `ask` is sent, the reply is classified, then read, in this order."""
    steps: list[str] = []
    transport = answering({"status": "done", "value": 42})

    def classify(reply: Reply) -> None:
        steps.append(f"classify {reply.status}")

    def read_it(reply: Reply) -> Snapshot[int]:
        steps.append("read")
        return read(reply)

    job = endpoint(classify=classify, read=read_it).job(transport, "1")
    assert run_virtual(job.fetch()) == Snapshot(State.SUCCESS, "done", value=42)
    assert list(transport.sent) == [STATUS]
    assert steps == ["classify 200", "read"]


def test_a_reply_that_is_no_answer_is_not_read() -> None:
    """What the classifier raises leaves `fetch`; by default it goes by the HTTP status."""
    job = endpoint(read=lambda _: pytest.fail("read")).job(answering(Reply(429, headers={"Retry-After": "7"})), "1")
    with pytest.raises(Throttled) as caught:
        run_virtual(job.fetch())
    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)


def test_a_job_is_a_fetch_itself() -> None:
    """A job can be called, as any `async def () -> Snapshot`."""
    job = endpoint().job(answering({"status": "queued"}), "1")
    assert run_virtual(job()).state is State.PENDING


def test_a_job_holds_no_state() -> None:
    """Waiting again asks again."""
    transport = answering({"status": "done"})
    job = endpoint().job(transport, "1")
    for _ in range(2):
        run_virtual(job.wait(timeout=60))
    assert transport.requests == 2


def test_a_submit_that_already_answered_asks_nobody() -> None:
    """A job whose submit gave the terminal answer returns it at its first poll."""
    done: Snapshot[int] = Snapshot(State.SUCCESS, value=42)
    job = Job(endpoint(), anybody(), "1", submitted=done)
    assert run_virtual(job.fetch()) is done
    assert run_virtual(job.result(timeout=60)) == 42


# whose answer it is


def same_job(ref: str, reply: Reply) -> bool:
    """Return whether the reply speaks of the job asked about."""
    return bool(reply.json["id"] == ref)


def test_an_answer_about_the_job_is_read() -> None:
    """An answer that echoes the right id costs one request."""
    transport = answering({"id": "1", "status": "done"})
    assert run_virtual(endpoint(same_job=same_job).job(transport, "1").fetch()).state is State.SUCCESS
    assert transport.requests == 1


def test_an_answer_about_another_job_is_asked_for_again() -> None:
    """A wrong id is asked about once more, on a connection that nothing was ever read from."""
    transport = answering({"id": "2", "status": "done"}, {"id": "1", "status": "queued"})
    assert run_virtual(endpoint(same_job=same_job).job(transport, "1").fetch()).state is State.PENDING
    assert [request.fresh for request in transport.sent] == [False, True]
    assert len({(request.method, request.path) for request in transport.sent}) == 1


def test_an_answer_about_another_job_is_never_read() -> None:
    """When the fresh connection brings the wrong id too, the poll is a bad reply, and nothing is read."""
    transport = answering({"id": "2", "status": "done"})
    job = endpoint(same_job=same_job, read=lambda _: pytest.fail("read")).job(transport, "1")
    with pytest.raises(BadReply, match=r"v\.jobs: the answer is about another job") as caught:
        run_virtual(job.fetch())
    error = caught.value
    assert (error.kind, error.status, error.origin) == ("identity", 200, "https://api.example.org")
    assert transport.requests == 2


def test_the_second_answer_is_classified_too() -> None:
    """Trouble on the fresh connection is raised as what it is."""
    transport = answering({"id": "2", "status": "done"}, Reply(503))
    with pytest.raises(TransportError) as caught:
        run_virtual(endpoint(same_job=same_job).job(transport, "1").fetch())
    assert caught.value.status == 503


def test_answers_about_another_job_end_a_wait() -> None:
    """Polls that are answered about another job for a minute end the wait; each is made twice."""
    transport = answering({"id": "2", "status": "done"})
    with pytest.raises(BadReply):
        run_virtual(endpoint(same_job=same_job).job(transport, "1").wait(timeout=600, schedule=Fixed(30.0)))
    assert transport.requests == 6


# waiting


def test_a_job_can_be_waited_for() -> None:
    """`wait` takes the options of `wait_until_terminal` and returns the terminal snapshot, whatever it is."""
    transport = answering({"status": "queued"}, ConnectionResetError(), {"status": "failed"})
    seen = run_virtual(endpoint().job(transport, "1").wait(timeout=60, schedule=Fixed(1.0)))
    assert seen.state is State.FAILED
    assert transport.requests == 3


def test_a_result_is_unwrapped() -> None:
    """`result` returns the value, or raises for a job that ended badly."""
    job = endpoint().job(answering({"status": "done", "value": 42}), "1")
    assert run_virtual(job.result(timeout=60)) == 42
    with pytest.raises(JobFailed):
        run_virtual(endpoint().job(answering({"status": "failed"}), "1").result(timeout=60))


def test_a_timeout_names_the_job() -> None:
    """A wait for a job that runs out of time has the job's key."""
    job = endpoint().job(answering({"status": "queued"}), "1")
    with pytest.raises(WaitTimeout) as caught:
        run_virtual(job.wait(timeout=5))
    assert caught.value.key == 'v.jobs:"1"'


def test_a_job_can_be_watched() -> None:
    """`watch` yields what every poll sees, or its changes only."""
    transport = answering({"status": "queued"}, {"status": "queued"}, {"status": "done"})

    async def main() -> list[State]:
        return [snapshot.state async for snapshot in endpoint().job(transport, "1").watch(changes_only=True)]

    assert run_virtual(main()) == [State.PENDING, State.SUCCESS]


# cancelling the remote job


def test_a_job_is_cancelled_where_the_api_can() -> None:
    """The request of the endpoint's `cancel` is sent, and the answer classified."""
    transport = answering({})
    job = endpoint(cancel=lambda _: STOP).job(transport, "1")
    assert job.can_cancel
    run_virtual(job.cancel())
    assert list(transport.sent) == [STOP]


def test_cancelling_a_job_that_has_ended_is_fine() -> None:
    """An API that says so in its own way is not an error."""

    def classify(_reply: Reply) -> None:
        raise Rejected("it has ended", kind="already_ended")

    run_virtual(endpoint(cancel=lambda _: STOP, classify=classify).job(answering({}), "1").cancel())


def test_a_cancel_that_is_refused_is_raised() -> None:
    """Any other refusal is the caller's to know."""
    with pytest.raises(Rejected) as caught:
        run_virtual(endpoint(cancel=lambda _: STOP).job(answering(Reply(403)), "1").cancel())
    assert caught.value.status == 403


def test_an_api_that_cannot_cancel_says_so() -> None:
    """Without a call to cancel nobody is asked, and waiting with a remote cancel is refused."""
    transport = anybody()
    job = endpoint().job(transport, "1")
    assert not job.can_cancel
    with pytest.raises(NotImplementedError, match=r"v\.jobs has no call to cancel a job"):
        run_virtual(job.cancel())
    with pytest.raises(ValueError, match="needs a job whose API can cancel"):
        run_virtual(job.wait(timeout=60, on_abandon="cancel"))
    assert transport.requests == 0


def test_giving_up_can_cancel_the_job() -> None:
    """With `on_abandon` the deadline sends the cancel, once, after the last poll."""
    transport = answering({"status": "queued"})
    job = endpoint(cancel=lambda _: STOP).job(transport, "1")
    with pytest.raises(WaitTimeout):
        run_virtual(job.wait(timeout=3, schedule=Fixed(1.0), on_abandon="cancel"))
    assert [request.method for request in transport.sent] == ["GET"] * 4 + ["DELETE"]


# a token for another process


@pytest.mark.parametrize(("ref", "plain"), [("任务", "任务"), (Part("x", 2), {"whole": "x", "number": 2})])
def test_a_job_has_a_token(ref: Any, plain: Any) -> None:
    """The token holds a version, the endpoint's name and the reference, readable as it is."""
    token = endpoint().job(anybody(), ref).to_json()
    assert json.loads(token) == {"version": 1, "endpoint": "v.jobs", "ref": plain}
    assert "\\u" not in token


def test_the_repr_of_a_job_leaves_out_its_transport() -> None:
    """What a transport knows stays out of logs."""
    assert "MemoryTransport" not in repr(endpoint().job(anybody(), "1"))


@pytest.mark.parametrize(
    ("ref", "shown"),
    [
        ("t-1", "<Job v.jobs 't-1'>"),
        (Part("x", 2), "<Job v.jobs whole='x' number=2>"),
        ("x" * 500, "<Job v.jobs '" + "x" * 199 + ">"),
    ],
)
def test_a_job_shows_its_endpoint_and_reference(ref: Any, shown: str) -> None:
    """A long reference is cut."""
    assert repr(endpoint().job(anybody(), ref)) == shown


# data of the caller's own


def test_a_job_may_carry_data_of_the_caller() -> None:
    """They come back with the outcome; a job that differs in nothing else is equal, and shares its key."""
    transport = answering({"status": "done"})
    plain = endpoint().job(transport, "1")
    marked = plain.with_origin("span").with_meta({"row": 7})
    assert (plain.meta, plain.origin) == (None, None)
    assert (marked.meta, marked.origin) == ({"row": 7}, "span")
    assert marked.with_origin("other").meta == {"row": 7}
    assert (marked, marked.key, repr(marked)) == (plain, plain.key, repr(plain))
    (outcome,) = run_virtual(wait_all([marked], timeout=9.0))
    assert outcome.job.meta == {"row": 7}
    assert "row" not in marked.to_json()


@pytest.mark.parametrize("meta", [7, ["row"], {7: "row"}])
def test_data_of_the_caller_have_names(meta: Any) -> None:
    """So that they can become columns."""
    with pytest.raises(TypeError, match=r"Job\.with_meta\(\): meta"):
        endpoint().job(anybody(), "1").with_meta(meta)


# which jobs are the same


@pytest.mark.parametrize("ref", ["1", Part("x", 2), ["unhashable"], {"a": [1]}])
def test_jobs_are_equal_when_they_ask_the_same(ref: Any) -> None:
    """Two jobs of one reference, endpoint and transport are one in a set or as a key, hashable reference or not."""
    end, transport = endpoint(), anybody()
    one, other = end.job(transport, ref), end.job(transport, ref)
    assert one == other
    assert len({one, other}) == 1
    assert {one: 1}[Job(end, transport, ref, submitted=Snapshot(State.SUCCESS))] == 1


def test_jobs_differ_by_reference_endpoint_and_transport() -> None:
    """Another id, another API or another client makes another job; so does what is no job at all."""
    end, transport = endpoint(), anybody()
    job = end.job(transport, "1")
    others: list[object] = [end.job(transport, "2"), endpoint().job(transport, "1"), end.job(anybody(), "1"), "1"]
    assert all(job != other for other in others)
    assert len({job, *others}) == 5


# groups


def test_a_group_asks_about_one_job_at_least() -> None:
    """A group form has a size of 1 or more."""
    whole = Group[str, int](key=lambda _: "all", ask=lambda _: STATUS, read=lambda _reply, _refs: {}, size=1)
    assert endpoint(group=whole).group is whole
    with pytest.raises(ValueError, match="size"):
        Group[str, int](key=lambda _: "all", ask=lambda _: STATUS, read=lambda _reply, _refs: {}, size=0)


def together(**more: Any) -> Endpoint[Any, int]:
    """Return an endpoint that can be asked about many jobs at once, by the first letter of their ids."""

    def ask(refs: Sequence[str]) -> Request:
        return Request("GET", f"/jobs/{','.join(refs)}", repeatable=True)

    def read_all(reply: Reply, refs: Sequence[str]) -> dict[str, Snapshot[int]]:
        return {ref: Snapshot(WORDS.read(reply.json[ref])) for ref in refs if ref in reply.json}

    return endpoint(group=Group[str, int](key=lambda ref: ref[0], ask=ask, read=read_all, size=10), **more)


def test_jobs_of_one_group_can_be_asked_about_together() -> None:
    """They share the endpoint, the transport and what the endpoint's group says; others have another key, or none."""
    end, transport = together(), anybody()
    key = end.job(transport, "a1").group_key
    assert key is not None
    assert end.job(transport, "a2").group_key == key
    others = [end.job(transport, "b1"), end.job(anybody(), "a1"), together().job(transport, "a1")]
    assert key not in [other.group_key for other in others]
    assert endpoint().job(transport, "a1").group_key is None
    assert Job(end, transport, "a1", submitted=Snapshot(State.SUCCESS)).group_key is None


def test_one_call_tells_of_many_jobs() -> None:
    """One request is sent for all; the answer is by job, and what it leaves out is left out."""
    transport = answering({"a1": "queued", "a2": "done", "stranger": "done"})
    end = together()
    jobs = [end.job(transport, ref) for ref in ("a1", "a2", "a3")]
    seen = run_virtual(jobs[0].fetch_together(jobs))
    assert {job.ref: snapshot.state for job, snapshot in seen.items()} == {"a1": State.PENDING, "a2": State.SUCCESS}
    assert [request.path for request in transport.sent] == ["/jobs/a1,a2,a3"]


def test_a_call_about_many_jobs_may_fail() -> None:
    """Its reply is classified as any other, and never read when it is no answer."""
    end = together()
    job = end.job(answering(Reply(429)), "a1")
    with pytest.raises(Throttled):
        run_virtual(job.fetch_together([job]))


def test_an_api_without_such_a_call_says_so() -> None:
    """Jobs of an endpoint without a group cannot be asked about together; nobody is asked."""
    job = endpoint().job(anybody(), "1")
    with pytest.raises(NotImplementedError, match=r"v\.jobs has no call about many jobs"):
        run_virtual(job.fetch_together([job]))


# cancelling the wait


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("on_abandon", ["leave", "cancel"])
def test_a_cancel_at_any_await_point_ends_the_wait(moment: Moment, on_abandon: Any) -> None:
    """Cancelled at each await point in turn, waiting for a job always ends cancelled, and leaves no task behind."""

    def make() -> Any:
        answers: list[Any] = [{"id": "1", "status": "queued"}, {"id": "2", "status": "done"}, OSError()]
        transport = answering(*answers, {"id": "1", "status": "done", "value": 42})
        transport._latency = 0.25
        return (
            endpoint(same_job=same_job, cancel=lambda _: STOP)
            .job(transport, "1")
            .result(timeout=60, on_abandon=on_abandon)
        )

    *cancelled, finished = cancelled_everywhere(make, moment=moment)
    assert len(cancelled) >= 6
    assert all(run.cancelled for run in cancelled)
    assert finished.result == 42


def test_many_waits_share_one_endpoint() -> None:
    """Endpoints are values without state: any number of jobs use one at once."""
    transport = MemoryTransport(lambda request: Reply(200, {"status": "done", "value": int(request.path[6:])}))
    shared = endpoint()

    async def main() -> list[int]:
        return await asyncio.gather(*(shared.job(transport, str(n)).result(timeout=60) for n in range(50)))

    assert run_virtual(main()) == list(range(50))


def test_jobs_that_should_take_as_long_share_a_pacing_key() -> None:
    """It is the endpoint, and what it says predicts the duration."""
    transport = MemoryTransport(lambda _: Reply(200, {}))
    assert endpoint().job(transport, "a1").pacing_key == "v.jobs"
    by_kind = endpoint(predicts=lambda ref: ref[0])
    assert [by_kind.job(transport, ref).pacing_key for ref in ("a1", "a2", "b1")] == [
        "v.jobs:a",
        "v.jobs:a",
        "v.jobs:b",
    ]
