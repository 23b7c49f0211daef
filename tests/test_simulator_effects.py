"""Every effect of a fault shows in the answer on the wire."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from simulator_client import Seen, received, simulated

from asyncpoll.simulator import (
    Cut,
    Drip,
    EmptyBody,
    Envelope,
    ErrorStatus,
    Fault,
    GzipBomb,
    HtmlPage,
    Latency,
    Life,
    Malformed,
    Omit,
    Oversized,
    Redirect,
    Reset,
    Rewrite,
    WrongId,
)
from asyncpoll.simulator.answers import Answer, json_answer
from asyncpoll.simulator.effects import Effect

DONE = Life(outcome="success")


async def afflicted(effect: Effect) -> Seen:
    """Poll a finished agent's job under one fault."""
    async with simulated(faults=[Fault(effect)]) as (sim, calls):
        sim.script("bigmodel.agents", "job", DONE)
        return await calls.agent("job")


async def test_latency_holds_an_answer_back() -> None:
    """The afflicted request waits, another one does not."""
    async with simulated(faults=[Fault(Latency(1000.0), "bigmodel.agents")]) as (sim, calls):
        late = asyncio.create_task(calls.agent("job"))
        await received(sim, 1)
        assert (await calls.parsed("job")).status == 200
        assert not late.done()
        late.cancel()
        await asyncio.wait({late})


async def test_a_short_latency_delays_but_changes_nothing() -> None:
    """The answer is whole."""
    seen = await afflicted(Latency(0.01))
    assert (seen.status, seen.json["status"]) == (200, "success")


@pytest.mark.parametrize(("status", "code"), [(429, "1302"), (429, "1113"), (500, "1234")])
async def test_an_error_carries_bigmodels_code(status: int, code: str) -> None:
    """The HTTP status, and the error object with the business code."""
    seen = await afflicted(ErrorStatus(status, code=code, message="忙"))
    assert (seen.status, seen.json) == (status, {"error": {"code": code, "message": "忙"}})
    assert "Retry-After" not in seen.headers


@pytest.mark.parametrize("status", [429, 502, 520])
async def test_an_error_without_a_code_is_a_gateways_page(status: int) -> None:
    """It is HTML, and may say in seconds when to come back."""
    seen = await afflicted(ErrorStatus(status, retry_after=7))
    assert (seen.status, seen.headers["Retry-After"]) == (status, "7")
    assert seen.headers["Content-Type"].startswith("text/html")


async def test_retry_after_may_be_a_date() -> None:
    """An HTTP date, as far in the future as asked."""
    seen = await afflicted(ErrorStatus(503, retry_after=3600, dated=True))
    away = parsedate_to_datetime(seen.headers["Retry-After"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < away < timedelta(minutes=70)
    assert seen.headers["Retry-After"].endswith("GMT")


async def test_an_envelope_refuses_at_http_200() -> None:
    """Success false, a code and a message, and no data."""
    seen = await afflicted(Envelope(500, "系统异常"))
    assert (seen.status, seen.json) == (200, {"success": False, "code": 500, "message": "系统异常"})


async def test_a_redirect_leads_elsewhere() -> None:
    """Its location is the one given."""
    seen = await afflicted(Redirect("http://127.0.0.2/elsewhere", 307))
    assert (seen.status, seen.headers["Location"], seen.body) == (307, "http://127.0.0.2/elsewhere", b"")


async def test_an_html_page_comes_with_200() -> None:
    """It looks like success and is none."""
    seen = await afflicted(HtmlPage("Log in to the network"))
    assert (seen.status, b"Log in to the network" in seen.body) == (200, True)
    with pytest.raises(ValueError, match="Expecting value"):
        _ = seen.json


async def test_a_body_can_be_empty() -> None:
    """Status and content type stay, the body is gone."""
    seen = await afflicted(EmptyBody())
    assert (seen.status, seen.body, seen.headers["Content-Length"]) == (200, b"", "0")
    assert seen.headers["Content-Type"].startswith("application/json")


async def test_json_can_be_malformed() -> None:
    """The framing is right, the JSON ends too soon."""
    seen = await afflicted(Malformed())
    assert seen.headers["Content-Length"] == str(len(seen.body))
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        _ = seen.json


async def test_a_status_can_drift() -> None:
    """The word is the one given, nothing else changes."""
    healthy = (await afflicted(Latency(0.0))).json
    drifted = (await afflicted(Rewrite("status", "SUCCESS "))).json
    assert drifted == {**healthy, "status": "SUCCESS "}


async def test_a_field_can_be_missing() -> None:
    """It is omitted at every depth."""
    assert "status" not in (await afflicted(Omit("status"))).json
    async with simulated(faults=[Fault(Omit("status"))]) as (_, calls):
        listed = (await calls.task("task")).json["data"]
    assert "status" not in listed
    assert not any("status" in each for each in listed["subTaskList"])


async def test_the_wrong_id_can_be_echoed() -> None:
    """In each API's own field."""
    async with simulated(faults=[Fault(WrongId("evil"))]) as (_, calls):
        assert (await calls.agent("job")).json["async_id"] == "evil"
        assert (await calls.parsed("job")).json["task_id"] == "evil"
        assert (await calls.subtask("task", "1")).json["data"]["subTaskId"] == "evil"
        assert (await calls.task("task")).json["data"]["taskId"] == "evil"


async def test_a_body_can_be_oversized() -> None:
    """It is padded to the size given, and still JSON."""
    seen = await afflicted(Oversized(3 << 20))
    assert (len(seen.body), seen.json["status"]) == (3 << 20, "success")


async def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    """It unpacks to the size given, and is still JSON."""
    async with simulated(faults=[Fault(GzipBomb(8 << 20))]) as (_, calls):
        seen = await calls.parsed("job")
    assert seen.headers["Content-Encoding"] == "gzip"
    assert int(seen.headers["Content-Length"]) < 20_000
    assert (len(seen.body), seen.json["task_id"]) == (8 << 20, "job")


@pytest.mark.parametrize("effect", [Rewrite("status", 1), Omit("status"), WrongId()])
def test_what_is_no_json_stays_as_it_is(effect: Effect) -> None:
    """Only JSON has fields to alter."""
    for answer in (Answer(body=b"PK\x03\x04\xff"), HtmlPage()(Answer()), GzipBomb(10)(json_answer({"status": "a"}))):
        assert effect(answer) == answer


def test_a_bomb_unpacks_to_what_it_hides() -> None:
    """Padding first, the answer last; a size below the answer's own adds none."""
    body = json_answer({"status": "success"}).body
    for size in (1, 100, 1 << 20):
        unpacked = zlib.decompress(GzipBomb(size)(json_answer({"status": "success"})).body, zlib.MAX_WBITS | 16)
        assert unpacked == body.rjust(size)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Latency(-1.0),
        lambda: ErrorStatus(99),
        lambda: ErrorStatus(429, retry_after=-1),
        lambda: Reset("middle"),  # type: ignore[arg-type]  # what is being tested
        lambda: Cut(0),
        lambda: Drip(size=0),
        lambda: Oversized(0),
        lambda: Fault(Cut(), nth=0),
        lambda: Fault(Cut(), times=0),
        lambda: Fault(Cut(), probability=1.5),
    ],
)
def test_bad_figures_are_refused(make: Callable[[], object]) -> None:
    """Where they are written, not when they strike."""
    with pytest.raises(ValueError, match=r"must be"):
        make()
