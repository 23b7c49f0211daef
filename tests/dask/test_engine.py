"""The engine of a worker process by itself: it polls nothing without a valid share, after a failure, or at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import pytest

pytest.importorskip("distributed")

from dask_kit import ENDPOINT, refs, until, world

from asyncpoll import Fixed
from asyncpoll._version import __version__
from asyncpoll.clients import Clients
from asyncpoll.dask._engine import Engine
from asyncpoll.dask._shard import Settings, Shard, ShardEnd
from asyncpoll.ledger import Entry, OutcomeInput
from asyncpoll.simulator import Life
from asyncpoll.waiting.learning._history import History

Status = Enum("Status", "running closed")


class Worker:
    """The part of a worker that an engine uses; its scheduler is one function.

    Args:
        answer: Answers what the engine asks: the question, and whatever belongs to it.
    """

    id = "w"
    engine: Engine
    address = "tcp://here:1"

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.status = Status.running
        self.sent: list[dict[str, Any]] = []
        self.loop = self
        self.asyncio_loop = asyncio.get_running_loop()
        self.scheduler = self
        self._answer = answer

    def log_event(self, _topic: str, message: dict[str, Any]) -> None:
        """Note what is sent."""
        self.sent.append(message)

    async def asyncpoll_share(self, **facts: Any) -> Any:
        """Answer a question for a share."""
        return await self._answer("share", **facts)

    async def asyncpoll_begin(self, **facts: Any) -> Any:
        """Answer that a shard begins."""
        begun = await self._answer("begin", **facts)
        return begun and {"known": [], "elapsed": 0.0, "history": History().to_json(), **begun}

    @property
    def outcomes(self) -> list[OutcomeInput]:
        """The outcomes that were sent."""
        return [OutcomeInput.from_json(text) for message in self.sent for _, _, text in message["outcomes"]]


def settings(version: str = __version__) -> Settings:
    """Return the settings of a run."""
    return Settings(run="run", version=version, transport={}, timeout=30.0, concurrency=10, schedule=Fixed(0.05))


def shard(count: int) -> Shard:
    """Return a shard of so many jobs."""
    jobs = [Entry(number, f"{number}", *ref) for number, ref in enumerate(refs(count), 1)]
    return Shard("s", Clients().to_json(), jobs)


@asynccontextmanager
async def running(answer: Callable[..., Any], shard: Shard) -> AsyncGenerator[tuple[Worker, asyncio.Task[ShardEnd]]]:
    """Run a shard; in the end the worker is closed, and the engine with it."""
    worker = Worker(answer)
    engine = worker.engine = Engine(settings(), worker)
    run = asyncio.create_task(asyncio.to_thread(engine.run, shard))
    try:
        yield worker, run
    finally:
        worker.status = Status.closed
        await asyncio.wait([run])
        while not engine.is_over:  # noqa: ASYNC110  it is in another thread
            await asyncio.sleep(0.01)


async def generous(question: str, **_: Any) -> Any:
    """Give a share that is enough."""
    return 1000.0 if question == "share" else {"known": []}


async def test_without_a_valid_share_nothing_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the scheduler does not answer any more, the last share expires; when it does again, polls go on."""
    is_cut = False

    async def answer(question: str, **_: Any) -> Any:
        if is_cut:
            raise OSError("there is no way to the scheduler")
        return 1000.0 if question == "share" else {"known": []}

    async with world(monkeypatch) as simulator:
        simulator.script(ENDPOINT, "j1", Life(outcome="succeeded", processing=600.0))
        async with running(answer, shard(1)):
            await until(lambda: simulator.polls > 5)
            is_cut, polls = True, -1
            while simulator.polls > polls:
                polls = simulator.polls
                await asyncio.sleep(0.5)
            is_cut = False
            await until(lambda: simulator.polls > polls)


async def test_a_late_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is not answered counts as lost, and the next one is asked under another name."""
    holders: list[str] = []

    async def answer(question: str, **facts: Any) -> Any:
        if question == "share":
            holders.append(facts["holder"])
            await asyncio.sleep(600 if len(holders) == 1 else 0)
        elif len(holders) == 1:
            raise OSError("there is no way to the scheduler")
        return await generous(question)

    async with world(monkeypatch), running(answer, shard(1)) as (worker, run):
        end = await run
    assert end.error is None
    assert holders[0] not in holders[1:]
    assert len(set(holders[1:])) == 1
    assert [outcome.number for outcome in worker.outcomes] == [1]


async def test_known_outcomes_are_not_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard whose first worker died goes on with the others, and the time before counts for their deadlines."""

    async def answer(question: str, **_: Any) -> Any:
        return 1000.0 if question == "share" else {"known": [1, 2], "elapsed": 100.0}

    async with world(monkeypatch), running(answer, shard(3)) as (worker, run):
        await run
    assert [(one.number, one.error) for one in worker.outcomes] == [(3, "WaitTimeout")]
    assert worker.outcomes[0].waited >= 100


async def test_the_end_of_the_run_ends_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits that are left send their progress; a shard that comes later is told at once."""
    is_over = False

    async def answer(question: str, **_: Any) -> Any:
        return None if is_over and question == "share" else await generous(question)

    async with world(monkeypatch) as simulator:
        simulator.script(ENDPOINT, "j1", Life(outcome="succeeded", processing=600.0))
        async with running(answer, shard(1)) as (worker, run):
            await until(lambda: simulator.polls > 1)
            is_over = True
            assert (await run).error is None
            assert worker.engine.run(shard(1)) == ShardEnd()
    assert [number for message in worker.sent for number, _ in message["checkpoints"]][-1:] == [1]
    assert worker.outcomes == []


async def test_a_shard_is_not_begun_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is over when the shard begins: nothing is polled."""

    async def answer(question: str, **_: Any) -> Any:
        return 1.0 if question == "share" else None

    async with world(monkeypatch) as simulator, running(answer, shard(1)) as (_, run):
        assert (await run).error is None
        assert simulator.polls == 0


async def test_after_a_failure_nothing_more_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other shards of the process are not to meet the same error again."""
    async with world(monkeypatch):
        monkeypatch.delenv("BIGMODEL_API_KEY")
        worker = Worker(generous)
        engine = Engine(settings(), worker)
        for _ in range(2):
            with pytest.raises(ValueError, match="BIGMODEL_API_KEY"):
                await asyncio.to_thread(engine.run, shard(1))
        worker.status = Status.closed
        await until(lambda: engine.is_over)


def test_another_version_is_refused() -> None:
    """A worker that came later may have another asyncpoll than the client."""
    with pytest.raises(ValueError, match=r"asyncpoll is .* here, and 0\.0 where the run is"):
        Engine(settings("0.0"), None)
