"""What definitions cost, beside endpoints that are written by hand, in one process, taking turns.

    python benchmarks/definitions.py [--rounds 25] [--polls 2000]

The three built-in endpoints that the catalogue has as definitions, too, and three that are written by hand here. One
poll makes the request and classifies, matches and reads an answer. The ratios are medians of the rounds, in CPU time of
this process; a whole fetch goes over a transport in memory. Compiling is the median over all of the catalogue.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen
from table import Row

from asyncpoll import Endpoint, Snapshot, State, Vocabulary
from asyncpoll._snapshot import share
from asyncpoll.definitions import Definition, catalog, find
from asyncpoll.http import Reply, Request, segment
from asyncpoll.providers.bigmodel import _agents, _file_parser
from asyncpoll.providers.molizhishu import _subtasks
from asyncpoll.testing import MemoryTransport

HEADERS = {"content-type": "application/json", "date": "Thu, 26 Nov 2026 12:00:00 GMT"}


@frozen
class Pair:
    """One endpoint written twice, and an answer about a job that goes on."""

    name: str
    endpoint: Endpoint[Any, Any]
    ref: Any
    fields: Mapping[str, Any]
    reply: Reply

    @property
    def defined(self) -> Endpoint[Any, Any]:
        """Return the endpoint of the definition."""
        return find(self.name).endpoints[self.name]


def answer(body: Any) -> Reply:
    """Return a reply."""
    return Reply(200, body, HEADERS)


def by_hand(
    name: str,
    ask: Callable[[Any], Request],
    word: Callable[[Any], Any],
    words: Mapping[Any, State],
    progress: Callable[[Any], float | None] = lambda _body: None,
    **rest: Any,
) -> Endpoint[Any, Any]:
    """Return an endpoint as its user would write it."""
    vocabulary = Vocabulary(name, words)

    def read(reply: Reply) -> Snapshot[Any]:
        body = reply.json
        status = word(body)
        state = vocabulary.read(status)
        value = body if state is State.SUCCESS else None
        reason = body.get("error") if state is State.FAILED else None
        done = progress(body)
        return Snapshot(state, status, value, reason, progress=done, retry_after=reply.retry_after, raw=body)

    return Endpoint(name, ask=ask, read=read, **rest)


def counted(body: Any) -> float | None:
    """Return the share of the requests of a batch that have ended."""
    counts = body["request_counts"]
    return share(counts["completed"] + counts["failed"], counts["total"])


def repository(ref: str) -> str:
    """Return the path of a repository."""
    owner, name = ref.split("/")
    return f"{segment('owner', owner)}/{segment('name', name)}"


PHASES = {"queued": State.PENDING, "validating": State.PENDING, "in_progress": State.PROCESSING}
ENDS = {"completed": State.SUCCESS, "success": State.SUCCESS, "failed": State.FAILED, "failure": State.FAILED}

PAIRS = [
    Pair(
        "bigmodel.agents",
        _agents.ENDPOINT,
        _agents.AgentRef("a1", "translation"),
        {"async_id": "a1", "agent_id": "translation"},
        answer({"status": "pending", "async_id": "a1", "agent_id": "translation"}),
    ),
    Pair(
        "bigmodel.file_parser",
        _file_parser.ENDPOINT,
        _file_parser.FileParserRef("t1"),
        {"task_id": "t1"},
        answer({"status": "processing", "task_id": "t1", "message": "", "content": None}),
    ),
    Pair(
        "molizhishu.subtasks",
        _subtasks.ENDPOINT,
        _subtasks.SubtaskRef("1", "2"),
        {"task_id": "1", "sub_task_id": "2"},
        answer({"success": True, "code": 200, "message": "ok", "data": {"subTaskId": "2", "status": "processing"}}),
    ),
    Pair(
        "openai.batches",
        by_hand(
            "openai.batches",
            lambda ref: Request("GET", f"/batches/{segment('id', ref)}", repeatable=True),
            lambda body: body["status"],
            PHASES | ENDS,
            counted,
            same_job=lambda ref, reply: reply.json.get("id") in {None, ref},
        ),
        "b1",
        {"id": "b1"},
        answer({"id": "b1", "status": "in_progress", "request_counts": {"total": 8, "completed": 1, "failed": 1}}),
    ),
    Pair(
        "github.runs",
        by_hand(
            "github.runs",
            lambda ref: Request(
                "GET", f"/repos/{repository(ref[0])}/actions/runs/{segment('run_id', ref[1])}", repeatable=True
            ),
            lambda body: body["conclusion"] or body["status"],
            PHASES | ENDS,
            same_job=lambda ref, reply: str(reply.json.get("id")) == ref[1],
        ),
        ("acme/hats", "7"),
        {"repo": "acme/hats", "run_id": "7"},
        answer({"id": 7, "status": "in_progress", "conclusion": None}),
    ),
    Pair(
        "runway.tasks",
        by_hand(
            "runway.tasks",
            lambda ref: Request("GET", f"/v1/tasks/{segment('id', ref)}", repeatable=True),
            lambda body: body["status"],
            {"PENDING": State.PENDING, "RUNNING": State.PROCESSING, "SUCCEEDED": State.SUCCESS, "FAILED": State.FAILED},
            lambda body: body.get("progress"),
            same_job=lambda ref, reply: reply.json.get("id") in {None, ref},
        ),
        "t1",
        {"id": "t1"},
        answer({"id": "t1", "status": "RUNNING", "progress": 0.4}),
    ),
]


def poll(endpoint: Endpoint[Any, Any], ref: Any, reply: Reply) -> Callable[[], object]:
    """Return a function that makes the request and reads the answer, as one poll does."""
    ask, classify, read, same_job = endpoint.ask, endpoint.classify, endpoint.read, endpoint.same_job

    def one() -> object:
        ask(ref)
        classify(reply)
        if same_job is not None:
            same_job(ref, reply)
        return read(reply)

    return one


def spent(function: Callable[[], object], times: int) -> float:
    """Return the microseconds of CPU time that one call takes."""
    begun = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - begun) / times * 1e6


async def fetched(endpoint: Endpoint[Any, Any], ref: Any, reply: Reply, times: int) -> float:
    """Return the microseconds of CPU time that a whole fetch over memory takes."""
    job = endpoint.job(MemoryTransport(lambda _: reply), ref)
    begun = time.process_time()
    for _ in range(times):
        await job.fetch()
    return (time.process_time() - begun) / times * 1e6


def ratios(pair: Pair, rounds: int, polls: int) -> tuple[float, float, float, float]:
    """Return the medians of a poll by hand and by definition, and of the ratios of a poll and of a fetch."""
    defined = pair.defined
    ref = defined.restore(dict(pair.fields))
    hand, own = poll(pair.endpoint, pair.ref, pair.reply), poll(defined, ref, pair.reply)
    polled = [(spent(hand, polls), spent(own, polls)) for _ in range(rounds)]
    fetches = [
        (
            asyncio.run(fetched(pair.endpoint, pair.ref, pair.reply, polls)),
            asyncio.run(fetched(defined, ref, pair.reply, polls)),
        )
        for _ in range(rounds)
    ]
    by_hand_us, by_definition_us = (statistics.median(one) for one in zip(*polled, strict=True))
    return by_hand_us, by_definition_us, ratio(polled), ratio(fetches)


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median of the ratios."""
    return statistics.median(own / hand for hand, own in pairs)


def compiling(rounds: int) -> list[float]:
    """Return the milliseconds that each text of the catalogue takes, from text to endpoints."""
    texts = {one.text: one.source for one in catalog().values()}
    found: list[float] = []
    for text in texts:
        taken: list[float] = []
        for _ in range(rounds):
            begun = time.process_time()
            definition = Definition.parse(text)
            made = len(evolve(definition).endpoints)
            taken.append((time.process_time() - begun) * 1e3 / made)
        found.append(statistics.median(taken))
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--polls", type=int, default=2000, help="in each round")
    options = parser.parse_args()
    polls: list[float] = []
    fetches: list[float] = []
    for pair in PAIRS:
        hand, own, per_poll, per_fetch = ratios(pair, options.rounds, options.polls)
        costs = f"{hand:6.2f} µs by hand, {own:6.2f} µs by definition"
        print(f"{pair.name:24} {costs}; x{per_poll:.2f}, a fetch x{per_fetch:.2f}")
        polls.append(per_poll)
        fetches.append(per_fetch)
    compiled = compiling(options.rounds // 5 or 1)
    rows = [
        Row(1, "mean ratio of a poll (ask, classify, match, read)", statistics.fmean(polls), 1.6),
        Row(2, "mean ratio of a whole fetch over memory", statistics.fmean(fetches), 1.15),
        Row(3, "milliseconds to compile an endpoint, median", statistics.median(compiled), 5.0),
        Row(4, "milliseconds to compile an endpoint, the slowest", max(compiled), 5.0),
    ]
    for row in rows:
        row.show()


if __name__ == "__main__":
    main()
