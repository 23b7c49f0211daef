"""Every public name as a type checker sees it: read by mypy and pyright, never run.

Each `type: ignore` marks what must not pass; checkers complain when one of them is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, assert_type

import asyncpoll
from asyncpoll import (
    BadReply,
    ClientClosed,
    Draining,
    Explanation,
    Exponential,
    Fetch,
    Fixed,
    History,
    Hub,
    Job,
    JobCancelled,
    JobError,
    JobFailed,
    JobTimedOut,
    Learned,
    LedgerError,
    Outcome,
    PollError,
    Progress,
    Rejected,
    Schedule,
    Seen,
    Snapshot,
    State,
    Throttled,
    Timeout,
    TransportError,
    UnknownStatus,
    Vocabulary,
    WaitTimeout,
    as_completed,
    events,
    time_in_id,
    wait_all,
    wait_until_terminal,
    watch,
)
from asyncpoll.http import (
    AiohttpTransport,
    ApiKey,
    Auth,
    Basic,
    Bearer,
    Codes,
    OutgoingRequest,
    Paced,
    Phrase,
    Reply,
    Request,
    Retrying,
    Transport,
    TransportSettings,
    Upload,
    check_address,
    classify_status,
    download,
    fit,
    identifier,
    register_auth,
    registered_auth,
    segment,
    structure,
)
from asyncpoll.ledger import (
    Counts,
    Csv,
    DurableRun,
    Entry,
    EntryInput,
    EntryStatus,
    JsonLines,
    Ledger,
    OutcomeInput,
    Reader,
    Record,
    WaitCheckpoint,
    recover,
    submit_all,
)
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers.bigmodel import AgentResult, ParsedFile
from asyncpoll.providers.molizhishu import Subtask
from asyncpoll.simulator import Simulator
from asyncpoll.testing import MemoryTransport, Script, VirtualLoop, run_virtual

assert_type(asyncpoll.__version__, str)


# states, words, snapshots

assert_type(State.TIMEOUT.is_terminal, bool)
words = Vocabulary("vendor.jobs", {"done": State.SUCCESS, "queued": State.PENDING}, strict=True)
assert_type(words.read("done"), State)
Vocabulary("vendor.jobs", {"done": "success"})  # type: ignore[arg-type]  # states, not text

done = Snapshot(State.SUCCESS, status="done", value=42, progress=1.0, raw={"status": "done"})
assert_type(done, Snapshot[int])
assert_type(done.unwrap(), int)
assert_type(done.value, int | None)
assert_type((done.state, done.status), tuple[State, str])
assert_type((done.reason, done.code, done.kind), tuple[str | None, str | None, str | None])
assert_type((done.progress, done.retry_after), tuple[float | None, float | None])
whole: Snapshot[object] = done  # what holds an int holds an object
done.state = State.FAILED  # type: ignore[misc]  # frozen


# schedules and limits


class Weekly:
    """A schedule of one's own needs no base class."""

    def delay(self, progress: Progress, /) -> float:
        """Wait for a week, whatever happened."""
        assert_type((progress.polls, progress.elapsed, progress.misses), tuple[int, float, int])
        assert_type((progress.state, progress.hint, progress.done), tuple[str | None, float | None, float | None])
        return 7 * 86_400.0


schedules: list[Schedule] = [
    Fixed(2.0),
    Fixed(2.0, jitter=lambda interval: interval),
    Exponential(),
    Exponential(1.0, 30.0, 2.0, jitter=None),
    Learned(price=0.05, cold=Exponential(), history=History.load("history.json")),
    Learned(budget=4.0).keyed("vendor.jobs"),
    Weekly(),
]
assert_type(Exponential().delay(Progress(1, 0.0)), float)
why = Learned().explain(Progress(1, 0.0), key="vendor.jobs")
assert_type(why, Explanation)
assert_type(time_in_id("01FWHE4YDGFK1SHH6W1G60EECF"), float | None)
assert_type((why.delay, why.typical, why.ends, why.worth, why.call_cost), tuple[float, float, float, float, float])
assert_type((why.jobs, str(why.reason)), tuple[int, str])
Learned(0.05)  # type: ignore[call-arg]  # what a call is worth is said by name
Fixed("2")  # type: ignore[arg-type]  # seconds are numbers
Exponential(1.0, 30.0, 2.0, None)  # type: ignore[call-arg]  # jitter is named

limits = Timeout(total=60.0, pending=30.0, processing=20.0)
assert_type(limits.pending, float | None)


# waiting


async def fetch() -> Snapshot[int]:
    """Look at a job."""
    return done


def see() -> Snapshot[int]:
    """Look at a job, but not asynchronously."""
    return done


fetches: list[Fetch[int]] = [fetch, Script([done])]


async def waiting() -> None:
    """Wait in every way."""
    assert_type(await wait_until_terminal(fetch, timeout=60), Snapshot[int])
    seen = await wait_until_terminal(
        fetch,
        timeout=limits,
        schedule=Weekly(),
        first_delay=1.0,
        max_polls=10,
        max_misses=3,
        not_found_grace=30.0,
        stable_for=2,
        hints="exactly",
        on_abandon="cancel",
        observe=print,
    )
    assert_type(seen.unwrap(), int)
    await wait_until_terminal(fetch, timeout=None)
    await wait_until_terminal(fetch)  # type: ignore[call-arg]  # the limit is said, or None is said
    await wait_until_terminal(see, timeout=60)  # type: ignore[arg-type]  # not asynchronous
    await wait_until_terminal(fetch(), timeout=60)  # type: ignore[arg-type]  # called already
    await wait_until_terminal(fetch, timeout=60, hints="often")  # type: ignore[arg-type]  # no such word
    await wait_until_terminal(fetch, timeout=60, schedule=5.0)  # type: ignore[arg-type]  # not a schedule


async def watching() -> None:
    """Watch in every way."""
    snapshots = watch(fetch, changes_only=True, schedule=Fixed(1.0), stable_for=2)
    assert_type(snapshots, AsyncGenerator[Snapshot[int], None])
    async with aclosing(snapshots):
        async for snapshot in snapshots:
            assert_type(snapshot.value, int | None)
    watch(fetch, timeout=60)  # type: ignore[call-arg]  # watching has no limit of its own


# many waits


async def arriving() -> AsyncIterator[Fetch[int]]:
    """Give jobs one by one."""
    yield fetch


def what_came(outcome: Outcome[int]) -> None:
    """Read an outcome."""
    assert_type((outcome.snapshot, outcome.error), tuple[Snapshot[int] | None, BaseException | None])
    assert_type((outcome.polls, outcome.waited, outcome.succeeded), tuple[int, float, bool])
    assert_type(outcome.unwrap(), int)
    outcome.polls = 0  # type: ignore[misc]  # frozen


async def waiting_in_a_hub() -> None:
    """Wait for one job and for many, in a hub that others use, too."""
    async with Hub(concurrency=50, rate=20.0, lane_rate=5.0, schedule=Weekly(), observe=print) as hub:
        assert_type(await hub.wait(fetch, timeout=60), Snapshot[int])
        assert_type(await hub.result(fetch, timeout=limits), int)
        async with hub.as_completed(arriving(), timeout=60, until="first_success", max_pending=9) as outcomes:
            async for outcome in outcomes:
                what_came(outcome)
        for outcome in await hub.wait_all(fetches, timeout=None):
            what_came(outcome)
        assert_type(hub.nudge("vendor.jobs:1"), bool)
        assert_type((hub.counters.polls, hub.counters.pending, hub.counters.ended), tuple[int, int, int])
        await hub.wait(fetch)  # type: ignore[call-arg]  # the limit is said, or None is said
        await hub.wait(see, timeout=60)  # type: ignore[arg-type]  # not asynchronous
        await hub.wait(fetch, timeout=60, observe=print)  # type: ignore[call-arg]  # the hub has the observer
        hub.as_completed(fetch, timeout=60)  # type: ignore[arg-type]  # one job is not many
        hub.as_completed(fetches, timeout=60, until="first")  # type: ignore[arg-type]  # the first what?
        hub.as_completed(fetches, timeout=60, rate=20.0)  # type: ignore[call-arg]  # the hub has the rate
    Hub(50)  # type: ignore[call-arg]  # limits are named


async def waiting_for_many() -> None:
    """Wait for many jobs in a hub of their own."""
    async with as_completed(fetches, timeout=60, concurrency=50, schedule=Fixed(1.0)) as outcomes:
        async for outcome in outcomes:
            what_came(outcome)
    for outcome in await wait_all(iter(fetches), timeout=limits, rate=20.0):
        what_came(outcome)
    await wait_all(fetches)  # type: ignore[call-arg]  # the limit is said
    await wait_all(fetches, timeout=60, rate="slow")  # type: ignore[arg-type]  # polls a second


# requests, replies, transports

request = Request("POST", "/jobs", query={"page": "1"}, json={"a": 1}, headers={"accept": "*/*"}, repeatable=True)
form = Request("POST", "/files", form={"kind": "lite", "file": Upload("a.pdf", Path("a.pdf"), "application/pdf")})
reply = Reply(200, json={"status": "done"}, headers={"retry-after": "7"})
assert_type((reply.status, reply.body, reply.retry_after), tuple[int, bytes, float | None])
assert_type((reply.origin, reply.problem), tuple[str | None, str | None])
request.path = "/other"  # type: ignore[misc]  # frozen


class Loopback:
    """A transport of one's own needs no base class."""

    async def send(self, request: Request, /) -> Reply:
        """Answer with what was sent."""
        return Reply(200, json=request.json)


memory = MemoryTransport(lambda request: Reply(200, json=request.query), latency=0.5)
assert_type(memory.requests, int)
settings: TransportSettings = {"proxy": "http://proxy.example:3128", "max_body": 1 << 20}
transports: list[Transport] = [
    AiohttpTransport("https://api.example.org", **settings),
    AiohttpTransport("https://api.example.org"),
    memory,
    Loopback(),
]
transports += [Retrying(Paced(memory))]


async def fetch_key() -> str:
    """Return a key from somewhere else."""
    return "key"


class Signing:
    """Signs each request."""

    async def headers(self, request: OutgoingRequest) -> Mapping[str, str]:
        """Return a signature."""
        assert_type(request.body, bytes | None)
        return {"Authorization": request.method + request.url}

    async def renew(self) -> bool:
        """Return False: there is nothing to renew."""
        return False


auths: list[Auth] = [Bearer("key"), Bearer(lambda: "key"), Bearer(fetch_key), ApiKey("key"), Basic("a", "b"), Signing()]
ApiKey("key", query="key")
register_auth("signing", lambda key, region: Signing())
assert_type(registered_auth("signing")("key", region="eu"), Auth)
Bearer(17)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AiohttpTransport("https://api.example.org", auth=auths[0], **settings)
AiohttpTransport("https://api.example.org", auth="key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(segment("id", "a"), str)
assert_type(identifier("id", "a"), str)
address = Request.to("GET", "/v1/jobs/7", repeatable=True, decode=False)
assert_type(address, Request)
check_address(MemoryTransport(lambda _: Reply(200)), address)
assert_type((Reply(200).text, Reply(200).jsonl), tuple[str, list[Any]])
classify_status(Reply(200), needs_json=False)
classify_status(Reply(200, {}), Codes({"1": "credential"}, (Phrase("2", "expired", "credential"),)))
assert_type(structure({}, Snapshot), Snapshot[Any])
assert_type(fit({}, Snapshot), tuple[Snapshot[Any], tuple[str, ...]])


# errors


def what_went_wrong(error: PollError) -> None:
    """Tell the errors apart; each has its facts."""
    if isinstance(error, WaitTimeout):
        assert_type((error.waited, error.polls, error.limit), tuple[float, int, str])
        assert_type((error.last, error.key, error.unknown), tuple[Snapshot[Any] | None, str | None, tuple[str, ...]])
    elif isinstance(error, JobFailed | JobTimedOut | JobCancelled):
        assert_type(error.snapshot, Snapshot[Any])
    elif isinstance(error, Throttled | Rejected | BadReply):
        assert_type((error.kind, error.passing), tuple[str, bool])
        assert_type((error.status, error.retry_after), tuple[int | None, float | None])
        assert_type((error.code, error.origin), tuple[str | None, str | None])
    elif isinstance(error, UnknownStatus):
        assert_type((error.word, error.vocabulary), tuple[str, str])


async def looking_in_a_hub(hub: Hub, job: Job[str]) -> None:
    """Watch, fetch, peek and drain."""
    viewed = hub.watch(job, changes_only=True, schedule=Fixed(1.0))
    assert_type(viewed, AsyncGenerator[Snapshot[str], None])
    assert_type(await hub.fetch(job, max_age=2.0), Snapshot[str])
    seen = hub.peek(job.key)
    assert_type(seen, Seen | None)
    if seen is not None:
        assert_type((seen.snapshot, seen.age), tuple[Snapshot[Any], float])
    await hub.drain(grace=1.0)
    await hub.fetch(job, 2.0)  # type: ignore[call-arg]  # the age is named
    hub.watch(job, timeout=5.0)  # type: ignore[call-arg]  # watching has no limit of its own


drained: WaitTimeout = Draining(None, waited=0.0, polls=0)
plain_timeout: TimeoutError = WaitTimeout(None, waited=1.0, polls=1)
about_the_job: JobError = JobFailed(done)
in_transport: list[TransportError] = [Throttled("x", retry_after=7.0), Rejected("x", code="1"), BadReply("x")]
of_ours: list[PollError] = [about_the_job, ClientClosed("x"), UnknownStatus("x", vocabulary="v"), *in_transport]


# for tests

script: Script[int] = Script([done, State.PENDING, TimeoutError()], latency=0.5)
assert_type((script.polls, script.polled_at), tuple[int, list[float]])
assert_type(run_virtual(wait_until_terminal(fetch, timeout=60)), Snapshot[int])
assert_type(VirtualLoop(standstill=1.0).time(), float)
Script(["done"])  # type: ignore[arg-type]  # snapshots, states and exceptions


# runs that outlive their process


async def submitting(client: BigModel, paths: list[Path]) -> None:
    """Start many jobs, each once."""

    async def start(path: Path) -> Job[ParsedFile]:
        return await client.file_parser.start(path, tool_type="prime")

    async for submission in submit_all(paths, start, concurrency=4):
        assert_type((submission.item, submission.job), tuple[Path, Job[ParsedFile] | None])
        assert_type(submission.error, Exception | None)
    submit_all(paths, start, at_once=4)  # type: ignore[call-arg]  # no such option


async def durable(job: Job[int]) -> None:
    """Run jobs that a ledger remembers, and look into it."""
    async with Ledger("run.db", synchronous="normal", links=True) as ledger, Hub() as hub:
        async with hub.run([job], ledger=ledger, timeout=60, max_pending=9) as run:
            assert_type(run, DurableRun[Any])
            async for record, _ in run:
                assert_type((record.seq, record.state, record.waited), tuple[int, str, float])
        async with ledger.run(hub, [job], timeout=60) as typed:
            async for item in typed:
                assert_type(item.record, Record)
                assert_type(item.outcome, Outcome[int] | None)
        assert_type(await ledger.deliver(JsonLines("results.jsonl")), int)
        assert_type(await ledger.deliver(Csv("results.csv")), int)
        assert_type(ledger.counts.outcomes, int)
        hub.run([job], timeout=60)  # type: ignore[call-arg]  # a ledger is what it is about
    with Reader("run.db") as reader:
        assert_type(list(reader.records()), list[Record])
        assert_type(reader.progress("vendor.jobs:1"), tuple[float, WaitCheckpoint | None])
        assert_type(list(reader.unfinished()), list[Entry])
        assert_type(reader.check(), list[str])
    assert_type(recover("run.db", "saved.db"), Counts)


async def fed(job: Job[int], outcome: Outcome[int]) -> None:
    """Feed a ledger with what another process has done."""
    async with Ledger("run.db") as ledger, ledger.reserve(lambda: ledger.stalled):
        entry = EntryInput("made.up:1", "made.up", 1, submitted_at=1.5)
        assert_type(await ledger.enter([job, entry, ("made.up:2", "made.up", 2)]), list[EntryStatus])
        assert_type(OutcomeInput.of(1, outcome, links=True).to_json(), str)
        future = await ledger.submit(OutcomeInput.from_json("{}"))
        assert_type(await future, Record | None)
        ledger.note(1, WaitCheckpoint.from_json(WaitCheckpoint(waited=1.5).to_json()))
        async for one in ledger.unfinished():
            assert_type(one.checkpoint, WaitCheckpoint | None)
        ledger.note(job, WaitCheckpoint())  # type: ignore[arg-type]  # the number of an entry


def what_is_wrong(error: LedgerError) -> None:
    """Read an error of a ledger."""
    assert_type(error.kind, str)


# providers and the simulator


async def whole_flows() -> None:
    """Start and await a job of each provider, against the simulator."""
    async with Simulator(seed=7) as simulator, BigModel("key", base_url=simulator.url + "/api") as bigmodel:
        agent = await bigmodel.agents.start(agent_id="translator", messages=[])
        assert_type(agent, Job[AgentResult])
        assert_type(await agent.result(timeout=60), AgentResult)
        assert_type(bigmodel.agents.job(async_id="1", agent_id="translator", custom=1), Job[AgentResult])
        parsed = await bigmodel.file_parser.job(task_id="1", format="text").result(timeout=60)
        assert_type(await bigmodel.file_parser.download(parsed, Path("result.zip"), max_bytes=1 << 20), Path)
        assert_type(await download("https://example.org/a", Path("a"), max_bytes=1, **settings), Path)
        assert_type(bigmodel.requests, int)
        bigmodel.file_parser.job(task_id="1", format="pdf")  # type: ignore[arg-type]  # no such format
    async with Molizhishu.from_env() as molizhishu:
        subtask = molizhishu.subtasks.job(task_id="1", sub_task_id="2")
        assert_type(await subtask.result(timeout=60), Subtask)
        molizhishu.subtasks.job("1", "2")  # type: ignore[call-arg]  # ids are named


def note(event: events.Event) -> None:
    """Take an event apart, as an observer does."""
    match event:
        case events.Began(key, resumed):
            assert_type((key, resumed), tuple[str | None, object])
        case events.Called(_, jobs, seconds, error):
            assert_type((jobs, seconds, error), tuple[int, float, BaseException | None])
        case events.Polled(_, snapshot, polls, waited) | events.Ended(_, snapshot, _, polls, waited):
            assert_type(snapshot, Snapshot[Any] | None)
            assert_type((polls, waited), tuple[int, float])
        case events.StateChanged(_, before, after):
            assert_type((before, after), tuple[State | None, State])
        case events.UnknownWord(_, word):
            assert_type(word, str)
        case events.Missed(_, error, _, _):
            assert_type(error, Exception)
        case events.Throttled(key, retry_after):
            assert_type((key, retry_after), tuple[str | None, float | None])


OBSERVER: events.Observer = note
OBSERVERS: events.Observers = [OBSERVER, print]
