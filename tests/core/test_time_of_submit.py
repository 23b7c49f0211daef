"""The time of a submit that a reference holds, by itself or inside an id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid1

import pytest
from definition_kit import SMALLEST
from hub_kit import transport_of
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll import Endpoint, Snapshot, time_in_id
from asyncpoll.definitions import Definition, DefinitionError
from asyncpoll.http import Request

TRANSPORT = transport_of(lambda _: {"state": "success"})
# The examples of RFC 9562, appendix A: 2022-02-22, 19:22:22 UTC; and the ULID of the same millisecond.
AT = 1_645_557_742.0
IN_IDS = [
    "C232AB00-9414-11EC-B3C8-9F6BDECED846",
    "1EC9414C-232A-6B00-B3C8-9F6BDECED846",
    "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
    "017f22e279b07cc398c4dc0c0c07398f",
    "job_017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
    "01FWHE4YDGFK1SHH6W1G60EECF",
    "run_01fwhe4ydgfk1shh6w1g60eecf",
]


@pytest.mark.parametrize("text", IN_IDS)
def test_an_id_holds_a_time(text: str) -> None:
    """In a UUID of the version 1, 6 or 7, or in a ULID, also with a prefix."""
    assert time_in_id(text) == pytest.approx(AT, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        *("", "job", "_", "12345", str(UUID(int=0)), "7" + "Z" * 25, "0" * 26, "I" * 26),
        *("00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff", "task_" + "a" * 32),
        *("9f0f6b0c-7a3e-4c62-9d0e-0c2f6d5a1b7e", "5d3b8a4f2e6c4f0d8b1a9c7e6f5d4c3b"),
        *("00000000-0000-1000-8000-000000000000", "017F22E2-79B0-7CC3-98C4"),
    ],
)
def test_other_ids_hold_none(text: str) -> None:
    """Random ones, those of other forms, and times before there were such jobs or after today."""
    assert time_in_id(text) is None


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    text=st.text(max_size=40)
    | st.uuids().map(str)
    | st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)
)
def test_any_text_is_an_id(text: str) -> None:
    """Nothing is raised, and a time is one of the past."""
    at = time_in_id(text)
    assert at is None or 1e9 < at <= datetime.now(UTC).timestamp()


def job(hold: Any, **given: Any) -> Any:
    """Return a job of an endpoint whose references hold the time of the submit, as *hold* reads it."""
    made: Endpoint[Any, Any] = Endpoint(
        "made.up", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(reply.json), submitted_at=hold
    )
    return made.job(TRANSPORT, "a", **given)


@pytest.mark.parametrize(
    ("held", "at"),
    [
        *((AT, AT), (round(AT * 1000), AT), (f"{AT}", AT), ("2022-02-22T19:22:22Z", AT), (IN_IDS[2], AT)),
        *((datetime.fromtimestamp(AT, UTC), AT), (None, None), ("soon", None), (-1, None), (1e30, None), (True, None)),
        *(([], None), (5.0, None), ("2022-02-22T19:22:22", None)),
    ],
)
def test_a_reference_holds_the_time_of_the_submit(held: Any, at: float | None) -> None:
    """In seconds or milliseconds, as text, or in an id; nonsense counts as nothing."""
    assert job(lambda _: held).submitted_at == (at if at is None else pytest.approx(at, abs=0.01))


def test_a_time_that_is_given_goes_first() -> None:
    """The caller knows better."""
    assert job(lambda _: AT, submitted_at=AT + 7).submitted_at == AT + 7
    assert job(None).submitted_at is None


def test_a_definition_names_the_field() -> None:
    """Jobs that its client makes have the time, and so have those that are made again."""
    made = Definition.of({**SMALLEST, "submitted_at": "id"})
    name = str(uuid1())
    found = made.job(TRANSPORT, id=name)
    assert found.submitted_at == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
    (endpoint,) = made.endpoints.values()
    assert endpoint.job(TRANSPORT, endpoint.restore({"id": name})).submitted_at == found.submitted_at
    assert made.job(TRANSPORT, id="plain").submitted_at is None


def test_a_field_that_is_not_there_is_refused() -> None:
    """With those that are."""
    with pytest.raises(DefinitionError, match="no request has the field created; write id"):
        Definition.of({**SMALLEST, "submitted_at": "created"})
