"""Further calls of one poll (`then`), and the part of a reply that speaks of one job (`about`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from asyncpoll import BadReply, Endpoint, Fixed, Group, Rejected, Snapshot, State, WaitTimeout, wait_all
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

DONE: dict[str, Any] = {"state": "success"}


def read(reply: Reply) -> Snapshot[list[int]]:
    """Return what a reply of the made-up API says."""
    return Snapshot(reply.json["state"], raw=reply.json)


def next_page(ref: str, snapshot: Snapshot[list[int]]) -> Request | None:
    """Ask for the next page of the result."""
    page = 0 if snapshot.value is None else snapshot.raw["next"]
    return None if page is None else Request("GET", f"/jobs/{ref}/pages/{page}")


def read_page(snapshot: Snapshot[list[int]], reply: Reply) -> Snapshot[list[int]]:
    """Add a page to the result."""
    return evolve(snapshot, value=[*(snapshot.value or []), *reply.json["items"]], raw=reply.json)


def endpoint(**more: Any) -> Endpoint[str, list[int]]:
    """Return an endpoint whose results come in pages."""
    options: dict[str, Any] = {
        "ask": lambda ref: Request("GET", f"/jobs/{ref}"),
        "read": read,
        "then": next_page,
        "read_then": read_page,
    }
    return Endpoint("v.jobs", **options | more)


def serving(answers: dict[str, Any]) -> MemoryTransport:
    """Return a transport that answers by path; a list is one answer after the other."""

    def answer(request: Request) -> Reply:
        found = answers[request.path]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, Reply) else Reply(200, found)

    return MemoryTransport(answer)


def paths(transport: MemoryTransport) -> list[str]:
    """Return the paths that were asked for."""
    return [request.path.removeprefix("/jobs/") for request in transport.sent]


# then


def test_pages_are_read_in_the_same_poll() -> None:
    """After a success the pages are asked for, one after the other, until `then` returns None."""
    pages = {f"/jobs/1/pages/{page}": {"items": [page], "next": page + 1 if page < 2 else None} for page in range(3)}
    transport = serving({"/jobs/1": [{"state": "pending"}, DONE], **pages})
    result = run_virtual(endpoint().job(transport, "1").result(timeout=60))
    assert result == [0, 1, 2]
    assert paths(transport) == ["1", "1", "1/pages/0", "1/pages/1", "1/pages/2"]


@pytest.mark.parametrize("state", ["pending", "processing", "unknown", "failed", "cancelled", "timeout"])
def test_only_a_success_has_further_calls(state: str) -> None:
    """There is no result to ask for in any other state."""
    transport = serving({"/jobs/1": {"state": state}})
    assert run_virtual(endpoint().job(transport, "1").fetch()).state == state
    assert transport.requests == 1


def test_a_second_call_may_show_that_the_job_failed() -> None:
    """The snapshot that `read_then` makes counts, and after a failure nothing more is asked."""

    def failed(_snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        return Snapshot(State.FAILED, reason=reply.json["error"])

    transport = serving({"/jobs/1": DONE, "/jobs/1/pages/0": {"error": "no GPU"}})
    snapshot = run_virtual(endpoint(read_then=failed).job(transport, "1").wait(timeout=60))
    assert (snapshot.state, snapshot.reason, transport.requests) == (State.FAILED, "no GPU", 2)


def test_a_further_call_that_fails_is_a_miss() -> None:
    """The next poll repeats all calls, and what the first one had brought does not end the wait."""
    pages = {"/jobs/1/pages/0": [Reply(503, {}), {"items": [1], "next": None}]}
    transport = serving({"/jobs/1": DONE, **pages})
    assert run_virtual(endpoint().job(transport, "1").result(timeout=60)) == [1]
    assert paths(transport) == ["1", "1/pages/0"] * 2


def test_results_without_end_are_refused() -> None:
    """After 1,000 calls the wait ends with an error that says what to correct."""
    transport = serving({"/jobs/1": DONE, "/jobs/1/pages/0": {"items": [], "next": 0}})
    with pytest.raises(Rejected, match="more than 1000 pages; correct then=") as caught:
        run_virtual(endpoint().job(transport, "1").wait(timeout=60))
    assert (caught.value.kind, transport.requests) == ("too_many_pages", 1001)


def test_a_thousand_pages_are_not_too_many() -> None:
    """The limit is on the calls, and it may be reached."""
    pages = {f"/jobs/1/pages/{page}": {"items": [page], "next": page + 1} for page in range(999)}
    transport = serving({"/jobs/1": DONE, **pages, "/jobs/1/pages/999": {"items": [999], "next": None}})
    assert run_virtual(endpoint().job(transport, "1").result(timeout=60)) == list(range(1000))


def test_further_replies_have_a_classifier_of_their_own() -> None:
    """A file that is not JSON would be no answer to the status call."""

    def classify_file(reply: Reply) -> None:
        if reply.status != 200:
            raise BadReply("no file")

    def read_file(snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        return evolve(snapshot, value=reply.body, raw={"next": None})

    transport = serving({"/jobs/1": DONE, "/jobs/1/pages/0": Reply(200, body=b"text", problem="it is text")})
    end = endpoint(classify_then=classify_file, read_then=read_file)
    result: Any = run_virtual(end.job(transport, "1").result(timeout=60))
    assert result == b"text"
    with pytest.raises(BadReply, match="the body does not hold an answer"):
        run_virtual(endpoint(read_then=read_file).job(transport, "1").fetch())


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises this error."""

    def fail(*_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("name", "function"),
    [
        *((name, raising(KeyError("file_id"))) for name in ("then", "read_then", "about", "classify_then")),
        *((name, lambda *_: 1) for name in ("then", "read_then", "about")),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_function_that_fails_makes_a_miss(name: str, function: Any) -> None:
    """A wrong value is as an error, since it comes from a reply of another form."""
    transport = serving({"/jobs/1": DONE, "/jobs/1/pages/0": {"items": [1], "next": None}})
    job = endpoint(**{name: function}).job(transport, "1")
    with pytest.raises(BadReply, match=f"v.jobs: {name} failed, the reply has another form"):
        run_virtual(job.fetch())
    with pytest.raises(WaitTimeout) as caught:
        run_virtual(job.wait(timeout=3, schedule=Fixed(1), max_misses=10))
    assert isinstance(caught.value.__cause__, BadReply)


def test_a_success_that_a_group_sees_has_further_calls() -> None:
    """The answer about many jobs ends none of them before its result has been asked for."""
    items = [{"id": "1", "state": "success"}, {"id": "2", "state": "failed"}]
    pages = {f"/jobs/{ref}/pages/0": {"items": [int(ref)], "next": None} for ref in "12"}
    transport = serving({"/jobs": {"jobs": items}, "/jobs/1": DONE, **pages})

    def read_group(reply: Reply, refs: Sequence[str]) -> dict[str, Snapshot[list[int]]]:
        return {item["id"]: Snapshot(item["state"]) for item in reply.json["jobs"] if item["id"] in refs}

    group = Group[str, list[int]](lambda _: 0, lambda _: Request("GET", "/jobs"), read_group, size=10)
    end = endpoint(group=group)
    first, second = run_virtual(wait_all([end.job(transport, ref) for ref in "12"], timeout=60))
    assert first.unwrap() == [1]
    assert second.snapshot is not None
    assert second.snapshot.state is State.FAILED
    assert paths(transport) == ["/jobs", "1", "1/pages/0"]


def test_then_and_read_then_belong_together() -> None:
    """One without the other is refused when the endpoint is made."""
    for name in ("then", "read_then"):
        with pytest.raises(TypeError, match="belong together"):
            endpoint(**{name: None})


# about


def part_of(ref: str, reply: Reply) -> Reply:
    """Return the item of a list that has the id *ref*."""
    for item in reply.json["jobs"]:
        if item["id"] == ref:
            return evolve(reply, json=item)
    raise BadReply(f"the job {ref} is not in the list")


def listing(**more: Any) -> Endpoint[str, list[int]]:
    """Return an endpoint of an API that only lists jobs."""
    return endpoint(
        ask=lambda _: Request("GET", "/jobs"), about=part_of, same_job=lambda ref, reply: reply.json["id"] == ref,
        then=None, read_then=None, **more,
    )  # fmt: skip


def test_a_job_is_found_in_a_list() -> None:
    """The other functions see its item alone."""
    jobs = [{"id": "1", "state": "pending"}, {"id": "2", "state": "failed"}]
    transport = serving({"/jobs": {"jobs": jobs}})
    assert run_virtual(listing().job(transport, "2").fetch()).state is State.FAILED
    assert run_virtual(listing().job(transport, "1").fetch()).state is State.PENDING


def test_a_job_that_is_not_listed_yet_is_a_miss() -> None:
    """The `BadReply` that `about` raises has the reply, and the wait goes on."""
    listed = {"jobs": [{"id": "1", "state": "success"}]}
    transport = serving({"/jobs": [{"jobs": []}, listed]})
    assert run_virtual(listing().job(transport, "1").wait(timeout=60)).state is State.SUCCESS
    with pytest.raises(BadReply, match="is not in the list") as caught:
        run_virtual(listing().job(transport, "2").fetch())
    assert caught.value.reply is not None


def test_a_part_about_another_job_is_asked_for_afresh() -> None:
    """The part is taken from the second answer, too."""
    wrong = {"jobs": [{"id": "2", "state": "failed"}]}
    right = {"jobs": [{"id": "1", "state": "success"}]}
    transport = serving({"/jobs": [wrong, right]})
    end = listing()
    first = evolve(end, about=lambda _, reply: evolve(reply, json=reply.json["jobs"][0]))
    assert run_virtual(first.job(transport, "1").fetch()).state is State.SUCCESS
    assert [request.fresh for request in transport.sent] == [False, True]
