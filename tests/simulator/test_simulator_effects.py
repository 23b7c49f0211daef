"""Effects of faults, observed in the response on the wire."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from simulator_kit import Seen, received, simulated

from asyncpoll.simulator import (
    Cut,
    Drip,
    Effect,
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
from asyncpoll.simulator._http import Response, json_response

DONE = Life(outcome="success")


async def polled_under(effect: Effect) -> Seen:
    """Poll a finished job of an agent with this effect."""
    async with simulated(faults=[Fault(effect)]) as (sim, calls):
        sim.script("bigmodel.agents", "job", DONE)
        return await calls.agent("job")


async def test_latency_delays_a_response() -> None:
    """The request that meets the fault waits, another one does not."""
    async with simulated(faults=[Fault(Latency(1000.0), "bigmodel.agents")]) as (sim, calls):
        late = asyncio.create_task(calls.agent("job"))
        await received(sim, 1)
        assert (await calls.parsed("job")).status == 200
        assert not late.done()
        late.cancel()
        await asyncio.wait({late})


async def test_latency_does_not_change_a_response() -> None:
    """A delayed response is whole."""
    seen = await polled_under(Latency(0.01))
    assert (seen.status, seen.json["status"]) == (200, "success")


@pytest.mark.parametrize(("status", "code"), [(429, "1302"), (429, "1113"), (500, "1234")])
async def test_an_error_has_the_code_of_bigmodel(status: int, code: str) -> None:
    """An error with a code has the HTTP status and an error object with the code."""
    seen = await polled_under(ErrorStatus(status, code=code, message="忙"))
    assert (seen.status, seen.json) == (status, {"error": {"code": code, "message": "忙"}})
    assert "Retry-After" not in seen.headers


@pytest.mark.parametrize("status", [429, 502, 520])
async def test_an_error_without_a_code_is_a_page(status: int) -> None:
    """An error without a code is HTML, and can have a Retry-After header in seconds."""
    seen = await polled_under(ErrorStatus(status, retry_after=7))
    assert (seen.status, seen.headers["Retry-After"]) == (status, "7")
    assert seen.headers["Content-Type"].startswith("text/html")


async def test_retry_after_may_be_a_date() -> None:
    """Retry-After can be an HTTP date, as many seconds in the future as chosen."""
    seen = await polled_under(ErrorStatus(503, retry_after=3600, dated=True))
    away = parsedate_to_datetime(seen.headers["Retry-After"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < away < timedelta(minutes=70)
    assert seen.headers["Retry-After"].endswith("GMT")


async def test_an_envelope_refuses_at_http_200() -> None:
    """A refusal has success false, a code and a message, and no data."""
    seen = await polled_under(Envelope(500, "系统异常"))
    assert (seen.status, seen.json) == (200, {"success": False, "code": 500, "message": "系统异常"})


async def test_a_redirect_leads_elsewhere() -> None:
    """A redirect has the chosen status and location."""
    seen = await polled_under(Redirect("http://127.0.0.2/elsewhere", 307))
    assert (seen.status, seen.headers["Location"], seen.body) == (307, "http://127.0.0.2/elsewhere", b"")


async def test_an_html_page_comes_with_200() -> None:
    """A captive portal's page has status 200 and is not JSON."""
    seen = await polled_under(HtmlPage("Log in to the network"))
    assert (seen.status, b"Log in to the network" in seen.body) == (200, True)
    with pytest.raises(ValueError, match="Expecting value"):
        _ = seen.json


async def test_a_body_can_be_empty() -> None:
    """The status and the content type stay, the body is empty."""
    seen = await polled_under(EmptyBody())
    assert (seen.status, seen.body, seen.headers["Content-Length"]) == (200, b"", "0")
    assert seen.headers["Content-Type"].startswith("application/json")


async def test_json_can_be_malformed() -> None:
    """The framing is correct, and the JSON is cut."""
    seen = await polled_under(Malformed())
    assert seen.headers["Content-Length"] == str(len(seen.body))
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        _ = seen.json


async def test_a_field_can_have_another_value() -> None:
    """The field has the chosen value, and the others do not change."""
    healthy = (await polled_under(Latency(0.0))).json
    drifted = (await polled_under(Rewrite("status", "SUCCESS "))).json
    assert drifted == {**healthy, "status": "SUCCESS "}


async def test_a_field_can_be_missing() -> None:
    """A field is omitted at every depth."""
    assert "status" not in (await polled_under(Omit("status"))).json
    async with simulated(faults=[Fault(Omit("status"))]) as (_, calls):
        listed = (await calls.task("task")).json["data"]
    assert "status" not in listed
    assert not any("status" in each for each in listed["subTaskList"])


async def test_the_id_can_be_wrong() -> None:
    """The wrong id is in the id field of each API."""
    async with simulated(faults=[Fault(WrongId("evil"))]) as (_, calls):
        assert (await calls.agent("job")).json["async_id"] == "evil"
        assert (await calls.parsed("job")).json["task_id"] == "evil"
        assert (await calls.subtask("task", "1")).json["data"]["subTaskId"] == "evil"
        assert (await calls.task("task")).json["data"]["taskId"] == "evil"


async def test_a_body_can_be_oversized() -> None:
    """The body is padded to the chosen size, and is still JSON."""
    seen = await polled_under(Oversized(3 << 20))
    assert (len(seen.body), seen.json["status"]) == (3 << 20, "success")


async def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    """A small body unpacks to the chosen size, and is still JSON."""
    async with simulated(faults=[Fault(GzipBomb(8 << 20))]) as (_, calls):
        seen = await calls.parsed("job")
    assert seen.headers["Content-Encoding"] == "gzip"
    assert int(seen.headers["Content-Length"]) < 20_000
    assert (len(seen.body), seen.json["task_id"]) == (8 << 20, "job")


@pytest.mark.parametrize("effect", [Rewrite("status", 1), Omit("status"), WrongId()])
def test_a_body_that_is_not_json_is_not_altered(effect: Effect) -> None:
    """Effects on fields leave a body alone that is not JSON."""
    for answer in (
        Response(body=b"PK\x03\x04\xff"),
        HtmlPage()(Response()),
        GzipBomb(10)(json_response({"status": "a"})),
    ):
        assert effect(answer) == answer


def test_a_gzip_bomb_unpacks_to_padding_and_body() -> None:
    """The padding comes first, then the body; a size below that of the body adds no padding."""
    body = json_response({"status": "success"}).body
    for size in (1, 100, 1 << 20):
        unpacked = zlib.decompress(GzipBomb(size)(json_response({"status": "success"})).body, zlib.MAX_WBITS | 16)
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
def test_bad_arguments_of_faults_are_refused(make: Callable[[], object]) -> None:
    """A bad argument is an error when the fault is made, not when it applies."""
    with pytest.raises(ValueError, match=r"must be"):
        make()
