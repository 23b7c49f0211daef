"""The arguments of endpoints and groups, and what a job does with functions that fail."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve

from asyncpoll._calls import Group
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import BadReply, Rejected
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.http._message import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual

STATUS, STOP = Request("GET", "/jobs/1", repeatable=True), Request("DELETE", "/jobs/1")


def endpoint(name: Any = "v.jobs", **more: Any) -> Endpoint[Any, int]:
    """Return an endpoint with some arguments changed."""
    options: dict[str, Any] = {"ask": lambda _: STATUS, "read": lambda _: Snapshot(State.PENDING)}
    return Endpoint(name, **options | more)


def group(**more: Any) -> Group[Any, int]:
    """Return a group with some arguments changed."""
    options: dict[str, Any] = {
        "key": lambda _: 0,
        "ask": lambda _: STATUS,
        "read": lambda _reply, _refs: {},
        "size": 10,
    }
    return Group(**options | more)


def transport() -> MemoryTransport:
    """Return a transport that answers every request with an empty object."""
    return MemoryTransport(lambda _: Reply(200, {}))


@pytest.mark.parametrize("name", ["v", "vendor.things", "a-b_c.d0", "0"])
def test_a_name_is_made_of_plain_characters(name: str) -> None:
    """Lower-case letters, digits, dots, dashes and underscores make a name."""
    assert endpoint(name).name == name


@pytest.mark.parametrize("name", ["", "V.jobs", "v jobs", "v:jobs", "任务", "v.jobs\n", "v/jobs", "é"])
def test_a_name_of_other_characters_is_refused(name: str) -> None:
    """The message names the argument, and says which characters a name may have."""
    with pytest.raises(ValueError, match="lower-case letters") as caught:
        endpoint(name)
    assert str(caught.value) == (
        "Endpoint.name must be made of lower-case letters, digits, '.', '-' and '_', such as 'vendor.things', "
        f"not {name!r}"
    )


@pytest.mark.parametrize("name", [None, 1, b"v.jobs", ["v"]])
def test_a_name_is_text(name: Any) -> None:
    """Anything but text is refused."""
    with pytest.raises(TypeError) as caught:
        endpoint(name)
    assert str(caught.value) == f"Endpoint.name must be text such as 'vendor.things', not {name!r}"


@pytest.mark.parametrize("name", ["ask", "read", "classify", "plain"])
@pytest.mark.parametrize("value", [None, 1, "ask"])
def test_an_endpoint_needs_functions(name: str, value: Any) -> None:
    """A value that cannot be called is refused when the endpoint is made, not at the first poll."""
    with pytest.raises(TypeError) as caught:
        endpoint(**{name: value})
    assert str(caught.value) == f"Endpoint.{name} must be a function, not {value!r}"


@pytest.mark.parametrize("name", ["cancel", "predicts", "same_job"])
@pytest.mark.parametrize("value", [0, False, "id"])
def test_an_optional_function_is_a_function_or_none(name: str, value: Any) -> None:
    """None is accepted; anything else that cannot be called is refused."""
    assert getattr(endpoint(**{name: None}), name) is None
    with pytest.raises(TypeError) as caught:
        endpoint(**{name: value})
    assert str(caught.value) == f"Endpoint.{name} must be a function or None, not {value!r}"


@pytest.mark.parametrize("value", [0, "all", []])
def test_a_group_is_a_group_or_none(value: Any) -> None:
    """None is accepted; anything else that is not a group is refused."""
    assert endpoint(group=None).group is None
    with pytest.raises(TypeError) as caught:
        endpoint(group=value)
    assert str(caught.value) == f"Endpoint.group must be a Group or None, not {value!r}"


@pytest.mark.parametrize("name", ["key", "ask", "read"])
@pytest.mark.parametrize("value", [None, 1])
def test_a_group_needs_functions(name: str, value: Any) -> None:
    """A value that cannot be called is refused when the group is made."""
    with pytest.raises(TypeError) as caught:
        group(**{name: value})
    assert str(caught.value) == f"Group.{name} must be a function, not {value!r}"


@pytest.mark.parametrize("size", [None, 2.0, "2", True])
def test_the_size_of_a_group_is_a_whole_number(size: Any) -> None:
    """Anything but a whole number is refused."""
    with pytest.raises(TypeError) as caught:
        group(size=size)
    assert str(caught.value) == f"Group.size must be a whole number, at least 1, not {size!r}"


@pytest.mark.parametrize("size", [0, -1])
def test_the_size_of_a_group_is_at_least_1(size: int) -> None:
    """A number out of range is refused."""
    with pytest.raises(ValueError, match=rf"^Group\.size must be a whole number, at least 1, not {size}$"):
        group(size=size)


# cancelling a job that ended at its submit


def test_cancelling_a_job_that_ended_at_its_submit_sends_nothing() -> None:
    """Its end is known, so there is nothing to cancel."""
    to = transport()
    job = Job(endpoint(cancel=lambda _: STOP), to, "1", submitted=Snapshot(State.SUCCESS, value=1))
    run_virtual(job.cancel())
    assert to.requests == 0


def test_an_api_that_cannot_cancel_says_so_of_ended_jobs() -> None:
    """Whether an API can cancel does not depend on the job."""
    job = Job(endpoint(), transport(), "1", submitted=Snapshot(State.SUCCESS, value=1))
    with pytest.raises(NotImplementedError, match=r"v\.jobs has no call to cancel a job"):
        run_virtual(job.cancel())


# a group whose `read` fails


def failing(error: Exception) -> Any:
    """Return a `Group.read` that raises *error*."""

    def read(_reply: Reply, _refs: Sequence[Any]) -> Mapping[Any, Snapshot[int]]:
        raise error

    return read


def ask_together(end: Endpoint[Any, int]) -> None:
    """Ask once about the jobs of one group."""
    job = end.job(transport(), "1")
    run_virtual(job.fetch_together([job]))


def test_a_group_that_cannot_be_read_is_logged_once_per_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    """It is a bad reply every time, and logged at the first time with the endpoint's name."""
    first = endpoint(group=group(read=failing(KeyError("items"))))
    second = endpoint("w.jobs", group=group(read=failing(KeyError("items"))))
    with caplog.at_level(logging.WARNING):
        for end in (first, first, second, first):
            with pytest.raises(BadReply, match=r"Group\.read failed.*KeyError: 'items'") as caught:
                ask_together(end)
            assert isinstance(caught.value.__cause__, KeyError)
            assert caught.value.reply is not None
    assert [record.getMessage() for record in caplog.records] == [
        f"{name}: Group.read failed, so jobs may be polled one by one; correct it: KeyError: 'items'"
        for name in ("v.jobs", "w.jobs")
    ]
    assert "_logged" not in repr(first)
    assert first == evolve(first)
    assert hash(first) == hash(evolve(first))


def test_a_group_that_returns_no_mapping_is_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """A `read` that forgets to return its answers is at fault, too."""
    with caplog.at_level(logging.WARNING), pytest.raises(BadReply, match="TypeError"):
        ask_together(endpoint(group=group(read=lambda _reply, _refs: None)))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("error", [Rejected("no"), BadReply("odd")])
def test_an_error_that_a_group_means_to_raise_is_not_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """An error of this library says what happened; it is raised and not logged."""
    with caplog.at_level(logging.WARNING), pytest.raises(type(error)):
        ask_together(endpoint(group=group(read=failing(error))))
    assert caplog.records == []


def test_a_long_error_of_a_group_is_logged_in_short(caplog: pytest.LogCaptureFixture) -> None:
    """The message of an error may quote a whole payload; the line of the log does not."""
    with caplog.at_level(logging.WARNING), pytest.raises(BadReply, match="x"):
        ask_together(endpoint(group=group(read=failing(ValueError("x" * 100_000)))))
    assert len(caplog.records[0].getMessage()) < 300
