"""Faults of the delivery, observed on a bare socket."""

from __future__ import annotations

import asyncio

import pytest
from simulator_kit import simulated

from asyncpoll.simulator import Cut, Drip, Effect, ErrorStatus, Fault, Latency, LateResponse, Life, Reset, Simulator
from asyncpoll.simulator._http import End, Response, end_connection, json_response

DONE = Life(outcome="success")


async def raw(sim: Simulator, *, responses: int | None = None) -> tuple[bytes, bool]:
    """Poll over a bare socket up to so many responses or the end; return the bytes and whether it was reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.url.rpartition(":")[2]))
    writer.write(
        b"GET /api/paas/v4/files/parser/result/job/text HTTP/1.1\r\nHost: simulator\r\nAuthorization: Bearer x\r\n\r\n"
    )
    got, piece = b"", b"-"
    try:
        async with asyncio.timeout(20):
            while piece and (responses is None or got.count(b"\r\n\r\n{") < responses):
                piece = await reader.read(4096)
                got += piece
    except ConnectionResetError:
        return got, True
    finally:
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return got, False


@pytest.mark.parametrize("at", ["before", "headers", "body"])
async def test_a_connection_can_be_reset(at: str) -> None:
    """Before the answer, inside its headers, or inside its body: a reset, not an orderly close."""
    async with Simulator(faults=[Fault(Reset(at))]) as sim:  # type: ignore[arg-type]  # a parameter is plain text
        got, reset = await raw(sim)
    head, _, body = got.partition(b"\r\n\r\n")
    assert reset
    assert {"before": not got, "headers": got.startswith(b"HTTP/1.1 200") and not body, "body": len(body) > 0}[at]
    if at == "body":
        assert f"Content-Length: {len(body)}".encode() not in head


async def test_a_body_can_be_cut() -> None:
    """More bytes are announced than sent, and the connection is closed in order."""
    async with Simulator(faults=[Fault(Cut(10))]) as sim:
        got, reset = await raw(sim)
    head, _, body = got.partition(b"\r\n\r\n")
    assert not reset
    assert f"Content-Length: {len(body) + 10}".encode() in head


async def test_a_body_can_drip() -> None:
    """The body arrives whole, in many pieces, and the connection can be used again."""
    async with simulated(faults=[Fault(Drip(0.0, 8))]) as (sim, calls):
        sim.script("bigmodel.agents", "job", DONE)
        for _ in range(2):
            assert (await calls.agent("job")).json["status"] == "success"
    delivery = Drip(0.5, 8)(Response(body=b"0123456789")).delivery
    assert delivery is not None
    assert delivery(Response(body=b"0123456789"))[1:] == (0.5, b"01234567", 0.5, b"89")


async def test_a_response_can_be_sent_twice() -> None:
    """A second response follows on the idle connection, which stays open."""
    async with Simulator(faults=[Fault(LateResponse(0.0))]) as sim:
        got, reset = await raw(sim, responses=2)
        assert sim.requests == 1
    assert not reset
    assert got.count(b"HTTP/1.1 200 OK") == 2


async def test_a_connection_that_is_gone_needs_no_close() -> None:
    """Nothing happens if the client has closed the connection first."""
    end_connection(None, End.RESET)


@pytest.mark.parametrize("effect", [Reset("body"), Cut(), Latency(0.0), LateResponse(), Drip()])
def test_content_and_delivery_are_independent(effect: Effect) -> None:
    """An error can be cut, delayed or sent twice, in whatever order the effects are applied."""
    error = ErrorStatus(500, code="1234")
    answer = json_response({"status": "success"})
    assert error(effect(answer)) == effect(error(answer))
