"""Jobs in lists: groups that are asked about together, and a job's own item in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from definition_kit import answer, endpoint

from asyncpoll import BadReply, Endpoint, Hub, Snapshot, State
from asyncpoll.http import Request
from asyncpoll.testing import MemoryTransport

GROUP: dict[str, Any] = {"ask": "GET /batches/{batch}", "each": "jobs", "id": {"id": "no"}}


def grouped(**keys: Any) -> Endpoint[Any, Any]:
    """Return an endpoint whose jobs are asked about by batch."""
    return endpoint(ask="GET /batches/{batch}/{id}", processing="busy", cancelled="off", group={**GROUP, **keys})


def read(made: Endpoint[Any, Any], body: Any, ids: Sequence[Any] = ("1", "2", "3", "4")) -> dict[str, Snapshot[Any]]:
    """Return what an answer about batch b says about jobs with these ids."""
    assert made.group is not None
    refs = [made.restore({"batch": "b", "id": one}) for one in ids]
    assert {made.group.key(ref) for ref in refs} == {("b",)}
    assert made.group.ask(refs).path == "/batches/b"
    return {ref.plain()["id"]: seen for ref, seen in made.group.read(answer(body), refs).items()}


JOBS = [
    {"no": 1, "status": "queued"},
    {"no": "2", "status": "done", "out": "x"},
    {"no": "3", "status": "broken"},
    {"no": "9", "status": "busy"},
]


def test_a_list_tells_what_it_can() -> None:
    """A job in it that goes on is told; one that has ended needs its own answer, for its result or reason."""
    assert {key: one.state for key, one in read(grouped(), {"jobs": JOBS}).items()} == {"1": State.PENDING}


def test_a_list_may_have_the_values() -> None:
    """With `value` it tells a success, too, and with `tells` what is listed there."""
    told = read(grouped(value="out"), {"jobs": JOBS})
    assert (told["2"].state, told["2"].value, told["2"].raw) == (State.SUCCESS, "x", JOBS[1])
    assert "3" not in told
    assert read(grouped(tells="failed"), {"jobs": JOBS})["3"].state is State.FAILED
    assert "1" not in read(grouped(tells="failed"), {"jobs": JOBS})


@pytest.mark.parametrize("further", [{"then": "GET /files/{id}"}, {"pages": "next"}])
def test_a_list_does_not_tell_what_needs_more_calls(further: Any) -> None:
    """A success whose result needs further calls is asked about alone, whatever the list has."""
    made = endpoint(ask="GET /batches/{batch}/{id}", group={**GROUP, "value": "out"}, **further)
    assert set(read(made, {"jobs": JOBS})) == {"1"}


@pytest.mark.parametrize("item", [{"no": "1"}, {"no": "1", "status": 7}, {"no": "1", "status": None}])
def test_an_item_without_a_word_is_asked_about_alone(item: Any) -> None:
    """One odd item does not cost the others their answer."""
    told = read(grouped(), {"jobs": [item, {"no": "2", "status": "busy"}]})
    assert {key: one.state for key, one in told.items()} == {"2": State.PROCESSING}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"jobs": [{"no": "1"}, {"no": 1}]}, "identity"),
        ({"jobs": [{"status": "done"}]}, "malformed"),
        ({"jobs": [None]}, "malformed"),
        ({"jobs": {"no": "1"}}, "malformed"),
        ({"jobs": [], "batch": "other"}, "identity"),
    ],
)
def test_an_unusable_list_is_a_bad_reply(body: Any, kind: str) -> None:
    """A list with a job twice, without ids, of another batch, or that is none says nothing."""
    with pytest.raises(BadReply) as caught:
        read(grouped(echo={"batch": "batch"}), body)
    assert caught.value.kind == kind


def test_an_empty_list_says_nothing() -> None:
    """Without the list, or with an empty one, each job is asked about alone."""
    assert read(grouped(), {}) == {}
    assert read(grouped(), {"jobs": []}) == {}


async def test_a_hub_asks_about_groups() -> None:
    """In a hub jobs of one batch are asked about together, and a result with a request of its own."""
    paths: list[str] = []

    def respond(request: Request) -> Any:
        paths.append(request.path)
        if request.path == "/batches/b":
            return answer({"jobs": [{"no": str(one), "status": "done"} for one in range(3)]})
        return answer({"status": "done", "path": request.path})

    made = grouped()
    transport = MemoryTransport(respond)
    jobs = [made.job(transport, made.restore({"batch": "b", "id": one})) for one in range(3)]
    async with Hub() as hub:
        ended = await hub.wait_all(jobs, timeout=20)
    assert [one.unwrap()["path"] for one in ended] == [f"/batches/b/{number}" for number in range(3)]
    assert paths.count("/batches/b") == 1


ABOUT: dict[str, Any] = {"ask": "GET /batches/{batch}", "about": {"each": "data.files", "id": {"file": "name"}}}


async def test_a_job_has_its_item_in_a_list() -> None:
    """All paths are of the job's own item, the words and what the answer repeats among them."""
    made = endpoint(**ABOUT, echo={"file": "name"}, value="url", status="state")
    files = [{"name": "a.pdf", "state": "done", "url": "u"}, {"name": "b.pdf", "state": "queued"}]
    transport = MemoryTransport(lambda _: answer({"data": {"files": files}}))
    seen = [await made.job(transport, made.restore({"batch": 1, "file": name})).fetch() for name in ("a.pdf", "b.pdf")]
    assert [(one.state, one.value) for one in seen] == [(State.SUCCESS, "u"), (State.PENDING, None)]
    assert transport.sent[0].path == "/batches/1"


async def test_a_job_that_is_not_listed_is_a_miss() -> None:
    """A list without the job is a bad reply, which is waited out."""
    made = endpoint(**ABOUT)
    job = made.job(MemoryTransport(lambda _: answer({"data": {}})), made.restore({"batch": 1, "file": "x"}))
    with pytest.raises(BadReply, match="not in the list"):
        await job.fetch()
