"""Submits by `Endpoint.start`, and jobs made again by `Endpoint.job_from_json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve, frozen

from asyncpoll import BadReply, Endpoint, Rejected, Snapshot, Start, State, TransportError
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual


@frozen
class Ref:
    """A reference of two texts."""

    id: str
    kind: str


def read(reply: Reply) -> Snapshot[int]:
    """Return what a reply of the made-up API says."""
    return Snapshot(reply.json["state"], value=reply.json.get("value"))


def ask_to_start(*, kind: str, size: int = 1) -> Request:
    """Ask for a job."""
    if size < 1:
        raise ValueError("size must be at least 1")
    return Request("POST", f"/{kind}", json={"size": size})


def started(reply: Reply, arguments: Mapping[str, Any]) -> Ref:
    """Return the reference of a job that was started."""
    return Ref(reply.json["id"], arguments["kind"])


START: Start[Ref, int] = Start(ask=ask_to_start, read=started)


def endpoint(**more: Any) -> Endpoint[Any, int]:
    """Return an endpoint whose jobs can be started."""
    options: dict[str, Any] = {
        "ask": lambda ref: Request("GET", f"/{ref.kind}/{ref.id}", repeatable=True),
        "read": read,
        "start": START,
        "restore": lambda data: Ref(**data),
    }
    return Endpoint("v.jobs", **options | more)


def answering(answer: Any, status: int = 200) -> MemoryTransport:
    """Return a transport that always gives this answer."""
    return MemoryTransport(lambda _: Reply(status, answer))


# start


def test_start_sends_the_request_and_returns_the_job() -> None:
    """The arguments go to `Start.ask`; the reference comes from the reply and from them."""
    transport = answering({"id": "1"})
    job = run_virtual(endpoint().start(transport, kind="maps", size=3))
    assert (job.ref, job.submitted, job.transport) == (Ref("1", "maps"), None, transport)
    assert list(transport.sent) == [Request("POST", "/maps", json={"size": 3})]


def test_ask_of_a_start_may_be_async() -> None:
    """A submit may have to read a file first, in a thread."""

    async def ask(kind: str) -> Request:
        return ask_to_start(kind=kind)

    transport = answering({"id": "1"})
    run_virtual(endpoint(start=Start(ask, started)).start(transport, kind="maps"))
    assert transport.requests == 1


@pytest.mark.parametrize(("given", "error"), [({"kind": "maps", "size": 0}, ValueError), ({"sort": "maps"}, TypeError)])
def test_a_bad_argument_is_refused_before_the_submit(given: dict[str, Any], error: type[Exception]) -> None:
    """What `Start.ask` raises is raised as it is, and nothing is sent."""
    transport = answering({"id": "1"})
    with pytest.raises(error):
        run_virtual(endpoint().start(transport, **given))
    assert transport.requests == 0


def test_an_endpoint_without_start_cannot_submit() -> None:
    """The message says what is missing."""
    end = endpoint(start=None)
    with pytest.raises(TypeError, match=r"v.jobs cannot start jobs; give Endpoint\(start=Start"):
        run_virtual(end.start(answering({}), kind="maps"))
    assert (end.can_start, end.start_key) == (False, None)
    assert (endpoint().can_start, endpoint().start_key) == (True, None)


def test_start_takes_a_start_alone() -> None:
    """A function is not enough: the answer must be read, too."""
    with pytest.raises(TypeError, match=r"Endpoint.start must be a Start or None, not"):
        endpoint(start=ask_to_start)


def test_a_refused_submit_raises_its_error() -> None:
    """The reply is classified as all others."""
    with pytest.raises(Rejected, match="credential"):
        run_virtual(endpoint().start(answering({}, 401), kind="maps"))


@pytest.mark.parametrize("answer", [{}, [], {"id": None}])
def test_a_submit_without_an_id_is_a_bad_reply(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The job may be running; the error says that the answer could not be read, and has it."""

    def read_started(reply: Reply, _arguments: Mapping[str, Any]) -> Ref:
        return Ref(reply.json["id"].strip(), "maps")

    with pytest.raises(BadReply, match=r"v.jobs: Start.read failed") as caught:
        run_virtual(endpoint(start=Start(ask_to_start, read_started)).start(answering(answer), kind="maps"))
    assert caught.value.reply is not None
    assert "the job may be running" in caplog.text


def test_a_job_that_ended_at_its_submit_is_not_polled() -> None:
    """A terminal snapshot in the answer is the first and last of the job."""
    transport = answering({"id": "1", "state": "success", "value": 7})
    end = endpoint(start=Start(ask_to_start, started, snapshot=read))

    async def work() -> int:
        job = await end.start(transport, kind="maps")
        return await job.result(timeout=60)

    assert run_virtual(work()) == 7
    assert transport.requests == 1


@pytest.mark.parametrize("snapshot", [lambda _: None, lambda _: Snapshot(State.PENDING)])
def test_a_job_that_goes_on_is_polled(snapshot: Any) -> None:
    """Without a snapshot, or with one of a job that is not over, nothing is known of its end."""
    end = endpoint(start=Start(ask_to_start, started, snapshot=snapshot))
    assert run_virtual(end.start(answering({"id": "1"}), kind="maps")).submitted is None


def test_a_snapshot_of_a_submit_must_be_one() -> None:
    """Anything else is an answer that was not understood."""
    end = endpoint(start=Start(ask_to_start, started, snapshot=lambda _: "success"))  # type: ignore[arg-type, return-value]  # text is no snapshot
    with pytest.raises(BadReply, match=r"Start.snapshot failed.*it returned str"):
        run_virtual(end.start(answering({"id": "1"}), kind="maps"))


@pytest.mark.parametrize("given", [{}, {"token": None}, {"token": "mine"}])
def test_a_key_makes_a_submit_repeatable(given: dict[str, Any]) -> None:
    """The caller's key is used; without one it is random, and another one each time."""

    def ask(token: str) -> Request:
        return Request("POST", "/jobs", headers={"Idempotency-Key": token})

    transport = answering({"id": "1"})
    end = endpoint(start=Start(ask, lambda reply, _: reply.json["id"], key="token"))
    for _ in range(2):
        run_virtual(end.start(transport, **given))
    keys = [request.headers["Idempotency-Key"] for request in transport.sent]
    assert all(request.repeatable for request in transport.sent)
    assert keys == ["mine"] * 2 if given.get("token") else len(set(keys)) == 2


def test_an_argument_may_be_called_transport() -> None:
    """The names of arguments are those of the API."""
    end = endpoint(start=Start(lambda transport: Request("POST", f"/{transport}"), lambda _reply, _arguments: "1"))
    transport = answering({})
    run_virtual(end.start(transport, transport="rail"))
    assert transport.sent[0].path == "/rail"


# made again


def test_a_job_is_made_again_from_its_token() -> None:
    """The job that `to_json` wrote is equal to the first one."""
    transport, end = answering({}), endpoint()
    job = end.job(transport, Ref("1", "maps"))
    assert end.job_from_json(transport, job.to_json()) == job


def test_a_reference_that_is_text_needs_no_restore() -> None:
    """Most references are ids."""
    transport = answering({})
    end: Endpoint[str, int] = Endpoint("v.jobs", ask=lambda ref: Request("GET", f"/{ref}"), read=read)
    assert end.job_from_json(transport, end.job(transport, "1").to_json()).ref == "1"


def test_other_references_need_restore() -> None:
    """The message says so."""
    transport = answering({})
    end: Endpoint[Any, int] = Endpoint("v.jobs", ask=lambda ref: Request("GET", f"/{ref}"), read=read)
    with pytest.raises(ValueError, match=r"give it|Endpoint\(restore="):
        end.job_from_json(transport, end.job(transport, Ref("1", "maps")).to_json())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no", "it is not JSON"),
        ("{}", "version, endpoint and ref are expected"),
        ('{"version": 2, "endpoint": "v.jobs", "ref": {}}', "version 2; this one reads version 1"),
        ('{"version": 1, "endpoint": "w.jobs", "ref": {}}', "belongs to the endpoint 'w.jobs', not to 'v.jobs'"),
        ('{"version": 1, "endpoint": "v.jobs", "ref": {}}', "cannot be restored: TypeError"),
        ('{"version": 1, "endpoint": "v.jobs", "ref": 7}', "cannot be restored: TypeError"),
    ],
)
def test_a_text_that_is_not_a_job_of_it_is_refused(text: str, message: str) -> None:
    """Each is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        endpoint().job_from_json(answering({}), text)


def test_an_endpoint_keeps_its_definition() -> None:
    """The text that it was made from is not in the repr."""
    made = endpoint(definition="name = 'v.jobs'")
    assert made.definition == "name = 'v.jobs'"
    assert "name =" not in repr(made)
    with pytest.raises(TypeError, match=r"Endpoint.definition must be text, not int"):
        endpoint(definition=1)


def test_start_can_be_exchanged() -> None:
    """`attrs.evolve` knows the argument by its name."""
    assert (
        run_virtual(evolve(endpoint(start=None), start=START).start(answering({"id": "1"}), kind="maps")).ref.id == "1"
    )


def test_trouble_in_a_submit_is_an_error() -> None:
    """A submit is not repeated by itself."""
    transport = answering({}, 503)
    with pytest.raises(TransportError):
        run_virtual(endpoint().start(transport, kind="maps"))
    assert transport.requests == 1
