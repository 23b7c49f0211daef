"""One quick retry, out of a budget."""

from __future__ import annotations

import asyncio

import pytest

from asyncpoll._errors import BadReply, ClientClosed, PollError, Rejected, Throttled, TransportError
from asyncpoll.http import Reply, Request
from asyncpoll.http._wrappers import PAUSE, QUICK, RetryBudget, Retrying
from asyncpoll.testing import MemoryTransport, run_virtual

GET = Request("GET", "/job", repeatable=True)
SUBMIT = Request("POST", "/job")
OK = Reply(200, json={})


def server(*steps: Reply | Exception) -> MemoryTransport:
    """Return a server that gives *steps* one after the other."""
    left = iter(steps)

    def answer(_: Request) -> Reply:
        step = next(left)
        if isinstance(step, Exception):
            raise step
        return step

    return MemoryTransport(answer)


def reset() -> TransportError:
    """Return the fault of a connection that was closed on us."""
    return TransportError("the connection was closed", kind="disconnect")


@pytest.mark.parametrize("kind", sorted(QUICK))
def test_a_quick_fault_is_tried_again(kind: str) -> None:
    """After a fault of the network the request goes out once more, on a fresh connection."""

    async def main() -> None:
        inner = server(BadReply("?", kind=kind) if kind == "protocol" else TransportError("?", kind=kind), OK)
        assert await Retrying(inner).send(GET) is OK
        assert [request.fresh for request in inner.sent] == [False, True]

    run_virtual(main())


@pytest.mark.parametrize("status", [408, 421, 423, 425, 500, 502, 503, 504, 520, 530, 599])
def test_a_stumbling_server_is_asked_again(status: int) -> None:
    """After a reply that means passing trouble at the server the request goes out once more."""

    async def main() -> None:
        inner = server(Reply(status), OK)
        assert await Retrying(inner).send(GET) is OK
        assert inner.requests == 2

    run_virtual(main())


@pytest.mark.parametrize(
    "reply",
    [
        *map(Reply, (200, 202, 302, 400, 401, 404, 409, 429, 501, 505, 511)),
        Reply(503, headers={"Retry-After": "0"}),
        Reply(429, headers={"Retry-After": "7"}),
    ],
)
def test_other_replies_stand(reply: Reply) -> None:
    """Replies that a quarter of a second will not change, or that name a time themselves, are final."""

    async def main() -> None:
        inner = server(reply)
        assert await Retrying(inner).send(GET) is reply

    run_virtual(main())


@pytest.mark.parametrize(
    "error",
    [
        TransportError("slow", kind="timeout"),
        TransportError("no such name", kind="dns"),
        TransportError("no descriptors", kind="local"),
        BadReply("too large", kind="limit"),
        Rejected("wrong certificate", kind="certificate"),
        Throttled("parked", retry_after=5),
        ClientClosed("closed"),
    ],
)
def test_other_errors_are_raised(error: PollError) -> None:
    """Errors that are no hiccup are raised as they are, after one request."""

    async def main() -> None:
        inner = server(error)
        with pytest.raises(PollError) as caught:
            await Retrying(inner).send(GET)
        assert caught.value is error
        assert inner.requests == 1

    run_virtual(main())


@pytest.mark.parametrize("step", [reset(), Reply(502)])
def test_what_is_not_repeatable_is_never_repeated(step: Reply | TransportError) -> None:
    """A submit is sent once, whatever happens."""

    async def main() -> None:
        inner = server(step)
        try:
            assert await Retrying(inner).send(SUBMIT) is step
        except TransportError as error:
            assert error is step  # noqa: PT017  one of two ways to end
        assert inner.requests == 1

    run_virtual(main())


def test_there_is_one_retry() -> None:
    """The result of the second attempt stands, good or bad, and carries no trace of the first."""

    async def main() -> None:
        second = reset()
        with pytest.raises(TransportError) as caught:
            await Retrying(server(reset(), second)).send(GET)
        assert caught.value is second
        assert caught.value.__context__ is None
        assert (await Retrying(server(Reply(500), Reply(502))).send(GET)).status == 502

    run_virtual(main())


def test_the_pause_is_up_to_the_jitter() -> None:
    """The retry comes after `jitter(0.25)` seconds."""

    async def main() -> None:
        seen: list[float] = []

        def jitter(longest: float) -> float:
            seen.append(longest)
            return 0.125

        await Retrying(server(reset(), OK), jitter=jitter).send(GET)
        assert seen == [PAUSE]
        assert asyncio.get_running_loop().time() == 0.125

    run_virtual(main())


def test_a_cancel_during_the_pause_sends_nothing() -> None:
    """A cancelled retry ends at once."""

    async def main() -> None:
        inner = server(reset(), OK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await Retrying(inner, jitter=lambda longest: longest).send(GET)
        assert asyncio.get_running_loop().time() == 0.1
        assert inner.requests == 1

    run_virtual(main())


def test_success_earns_and_pays_back() -> None:
    """A success on the first attempt earns a token; a retry costs ten, given back when it succeeds."""

    async def main() -> None:
        budget = RetryBudget()
        budget.tokens = 100
        await Retrying(server(OK), budget=budget).send(GET)
        assert budget.tokens == 101
        await Retrying(server(reset(), OK), budget=budget).send(GET)
        assert budget.tokens == 101
        await Retrying(server(Reply(500), Reply(500)), budget=budget).send(GET)
        assert budget.tokens == 91
        await Retrying(server(Reply(404)), budget=budget).send(GET)
        assert budget.tokens == 91

    run_virtual(main())


def test_an_empty_budget_lets_the_first_result_stand() -> None:
    """Without tokens there is one retry a second and no error of its own."""

    async def main() -> None:
        budget = RetryBudget(capacity=0)
        outage = MemoryTransport(lambda _: Reply(500))
        client = Retrying(outage, budget=budget, jitter=lambda _: 0.0)
        for _ in range(100):
            assert (await client.send(GET)).status == 500
            await asyncio.sleep(0.1)
        assert outage.requests == 100 + 10

    run_virtual(main())


def test_an_outage_is_not_doubled() -> None:
    """With half of all polls failing for good, the load grows by a tenth at most."""

    async def main() -> None:
        count = 0

        def answer(request: Request) -> Reply:
            nonlocal count
            count += not request.fresh
            return Reply(500) if request.fresh or count % 2 else OK

        inner = MemoryTransport(answer)
        client = Retrying(inner, budget=RetryBudget(capacity=50))
        for _ in range(10_000):
            await client.send(GET)
        assert inner.requests <= 1.1 * 10_000

    run_virtual(main())


def test_the_budget_is_bounded() -> None:
    """No more than the capacity is ever saved up."""
    budget = RetryBudget(capacity=20)
    budget.earn()
    assert budget.tokens == 20
    assert [budget.pay(0.0) for _ in range(3)] == [10, 10, None]
    assert budget.pay(0.999) is None
    assert budget.pay(1.0) == 0
    assert budget.pay(1.5) is None
    budget.earn(10)
    assert budget.tokens == 10
    assert budget.pay(1.5) == 10
