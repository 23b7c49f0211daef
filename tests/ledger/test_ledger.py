"""A ledger: what goes in comes out, once, and what is refused is left alone."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from ledger_kit import BEGINNING, QUICK, batch, filled, in_run, journal_of, quick, records_of, success

from asyncpoll._errors import ClientClosed, LedgerError
from asyncpoll._state import State
from asyncpoll.ledger import EntryStatus, Ledger, OutcomeInput, Reader
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._hub import Hub

# jobs


async def test_jobs_are_numbered_in_the_order_of_intake(path: Path) -> None:
    """A job that is there already keeps its number, whether it comes again at once or later."""
    async with Ledger(path, settings=QUICK) as ledger:
        first = await ledger.enter([*batch(2), *batch(1)])
        second = await ledger.enter(batch(3))
    assert [(one.number, one.fresh) for one in first] == [(1, True), (2, True), (1, False)]
    assert [(one.number, one.fresh) for one in second] == [(1, False), (2, False), (3, True)]
    assert ledger.counts.by_endpoint == {"made.up": 3}


async def test_what_is_unfinished_comes_in_the_order_of_intake(path: Path) -> None:
    """Page by page, without the jobs that have an outcome, from any number on."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1200))
        await asyncio.gather(*(ledger.record(success(number)) for number in range(2, 1200, 2)))
        left = [entry async for entry in ledger.unfinished()]
        late = [entry.number async for entry in ledger.unfinished(after=1190)]
    assert [entry.number for entry in left] == [*range(1, 1200, 2), 1200]
    assert (left[1].key, left[1].endpoint, left[1].ref) == ("made.up:3", "made.up", {"id": 3})
    assert late == [1191, 1193, 1195, 1197, 1199, 1200]


@pytest.mark.parametrize("ref", [float("nan"), {"id": "half \ud800"}, {"id": {1, 2}}, {(1, 2): 3}])
async def test_a_reference_that_cannot_be_made_again_is_refused(path: Path, ref: Any) -> None:
    """What would come back as something else must not be polled as something else."""
    async with Ledger(path, settings=QUICK) as ledger:
        with pytest.raises(LedgerError, match="cannot be stored") as caught:
            await ledger.enter([("key", "made.up", ref)])
    assert (caught.value.kind, ledger.counts.entries) == ("value", 0)


@pytest.mark.parametrize("key", ["half \ud800", "nought \0"])
async def test_a_key_must_be_proper_text(path: Path, key: str) -> None:
    """Half a surrogate pair or a NUL is refused before anything is stored."""
    async with Ledger(path, settings=QUICK) as ledger:
        with pytest.raises(LedgerError, match="cannot be stored"):
            await ledger.enter([(key, "made.up", {})])


# outcomes


async def test_an_outcome_comes_back_as_it_was_recorded(path: Path) -> None:
    """With the job's own data, in the order of recording."""
    async with Ledger(path, settings=quick(clock=lambda: BEGINNING)) as ledger:
        await ledger.enter(batch(2))
        first = await ledger.record(success(2, polls=3, waited=4.5678, running=4.0))
        await ledger.record(
            OutcomeInput(
                number=1, state="failed", status="bad", reason="out of paper", code="17", error=None, kind="expired"
            )
        )
        found = [record async for record in ledger.outcomes()]
        assert [record async for record in ledger.outcomes(after=1)] == found[1:]
    assert first == 1
    assert found == records_of(path)
    good, bad = found
    assert good.line() == {
        "endpoint": "made.up",
        "ref": {"id": 2},
        "state": "success",
        "status": "done",
        "value": {"n": 2},
        "reason": None,
        "code": None,
        "polls": 3,
        "waited": 4.568,
    }
    assert (good.seq, good.number, good.key, good.error, good.running) == (1, 2, "made.up:2", None, 4.0)
    assert (good.began_at, good.ended_at, good.waited) == (BEGINNING, BEGINNING, 4.5678)
    assert (bad.seq, bad.state, bad.reason, bad.code, bad.value, bad.running) == (
        2, "failed", "out of paper", "17", None, None,
    )  # fmt: skip
    assert (good.kind, bad.kind, bad.line()["kind"]) == (None, "expired", "expired")


async def test_the_first_outcome_of_a_job_stands(path: Path) -> None:
    """A second one is not recorded; when it says something else, it is counted as an anomaly."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        results = [await ledger.record(success(1)) for _ in range(2)]
        assert (results, ledger.counts.anomalies) == ([1, None], 0)
        assert await ledger.record(OutcomeInput(number=1, state="failed")) is None
    assert ledger.counts.anomalies == 1
    assert [record.state for record in records_of(path)] == ["success"]


async def test_counts_tell_how_jobs_ended(path: Path) -> None:
    """Those that ended by themselves by state, those given up by error, and both survive."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter([*batch(3), ("other:1", "other", {})])
        await ledger.record(success(1))
        await ledger.record(OutcomeInput(number=2, state="pending", error="WaitTimeout"))
        await ledger.record(OutcomeInput(number=4, state="failed"))
        counts = ledger.counts
    assert counts.by_state == {("made.up", "success"): 1, ("other", "failed"): 1}
    assert counts.by_error == {("made.up", "WaitTimeout"): 1}
    assert (counts.entries, counts.outcomes, counts.unfinished) == (4, 3, 1)
    async with Ledger(path, settings=QUICK) as ledger:
        assert ledger.counts == counts
    with Reader(path) as reader:
        assert reader.counts == counts


@pytest.mark.parametrize("number", [0, 2, -1])
async def test_only_jobs_that_were_entered_have_outcomes(path: Path, number: int) -> None:
    """A number that is not there is a mistake of the caller's."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        with pytest.raises(ValueError, match="no entry number"):
            await ledger.record(success(number))


@pytest.mark.parametrize(
    "facts", [{"waited": float("nan")}, {"waited": -1.0}, {"running": float("inf")}, {"polls": -1}]
)
def test_figures_must_be_figures(facts: dict[str, Any]) -> None:
    """Neither NaN nor a negative number gets into a ledger."""
    with pytest.raises(ValueError, match="must be"):
        success(1, **facts)


# values


@frozen
class Answer:
    """A result."""

    text: str
    at: datetime


VALUES = [
    (Answer("hi", datetime(2026, 1, 2, tzinfo=UTC)), {"text": "hi", "at": "2026-01-02T00:00:00+00:00"}),
    ({"nan": float("nan"), "list": [1.5, float("inf")]}, {"nan": None, "list": [1.5, None]}),
    ("half \ud800 and whole \ud83d\ude00", "half \ufffd and whole \U0001f600"),
    ({"audio": b"\x00\xff"}, {"audio": "AP8="}),
    (2**70, 2**70),
    (None, None),
    ("模力", "模力"),
]


@pytest.mark.parametrize(("value", "stored"), VALUES)
async def test_values_are_stored_as_json(path: Path, value: Any, stored: Any) -> None:
    """What JSON lacks becomes what it has: objects, text, null for what is no number."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        await ledger.record(success(1, value=value))
    assert records_of(path)[0].value == stored


def circle() -> list[Any]:
    """Return a list that holds itself."""
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize("value", [{(1, 2): 3}, circle()])
async def test_a_value_that_json_cannot_hold_is_refused(path: Path, value: Any) -> None:
    """The error says what would do instead, and the ledger goes on."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        with pytest.raises(LedgerError, match="cannot be stored as JSON") as caught:
            await ledger.record(success(1, value=value))
        assert caught.value.kind == "value"
        assert await ledger.record(success(1)) == 1


LINK = "https://me:pass@files.example/a?x=1&Signature=c2VjcmV0&y=2"
HIDDEN = "https://***@files.example/a?x=1&Signature=***&y=2"


@pytest.mark.parametrize(("links", "shown"), [(False, HIDDEN), (True, LINK)])
async def test_links_are_masked_unless_wanted(path: Path, links: bool, shown: str) -> None:  # noqa: FBT001  a parameter
    """In values at any depth, in quotes, and in reasons; plain values pass as they are."""
    value = {"list": [{"url": LINK}, f'see "{LINK}"'], "n": 1, "text": "a=b?"}
    async with Ledger(path, links=links, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        await ledger.record(success(1, value=value, reason=f"at {LINK}"))
    record = records_of(path)[0]
    assert record.value == {"list": [{"url": shown}, f'see "{shown}"'], "n": 1, "text": "a=b?"}
    assert record.reason == f"at {shown}"
    assert (b"c2VjcmV0" in await asyncio.to_thread(path.read_bytes)) is links


async def test_a_reason_is_bounded(path: Path) -> None:
    """At most 1,000 characters of what a server wrote are kept."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        await ledger.record(OutcomeInput(number=1, state="failed", reason="x" * 5000))
    assert len(records_of(path)[0].reason or "") == 1000


# options and positions


async def test_options_are_kept(path: Path) -> None:
    """The newest ones come back when it is opened again; what is no JSON is refused."""
    async with Ledger(path, settings=QUICK) as ledger:
        assert ledger.options == {}
        await ledger.keep({"timeout": 5})
        await ledger.keep({"timeout": 6, "output": "r.jsonl"})
        with pytest.raises(LedgerError):
            await ledger.keep({"timeout": float("inf")})
        assert ledger.options == {"timeout": 6, "output": "r.jsonl"}
    async with Ledger(path, settings=QUICK) as ledger:
        assert ledger.options == {"timeout": 6, "output": "r.jsonl"}
    with Reader(path) as reader:
        assert reader.options == {"timeout": 6, "output": "r.jsonl"}


async def test_consumers_have_positions_of_their_own(path: Path) -> None:
    """Each is where it was last said to be, and at 0 before that."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.acknowledge("a", 7)
        await ledger.acknowledge("b", 3)
        await ledger.acknowledge("a", 9)
    async with Ledger(path, settings=QUICK) as ledger:
        assert [await ledger.position(name) for name in "abc"] == [9, 3, 0]


# what was waited


def test_time_without_a_process_does_not_count(path: Path) -> None:
    """A job waited as long as the ledger was open since it was taken in, in all sessions together."""
    moment = [BEGINNING]

    def session(seconds: float, work: Any) -> Any:
        async def run() -> Any:
            async with Ledger(path, settings=quick(clock=lambda: moment[0])) as ledger:
                result = await work(ledger)
                moment[0] += seconds
                return result

        return asyncio.run(run())

    session(10.0, lambda ledger: ledger.enter(batch(1)))
    moment[0] += 1000.0
    session(5.0, lambda ledger: ledger.enter(batch(1, 2)))
    moment[0] += 1000.0
    assert session(0.0, lambda ledger: ledger.enter(batch(3))) == [
        EntryStatus(1, False, False, WaitCheckpoint(waited=15.0)),
        EntryStatus(2, False, False, WaitCheckpoint(waited=5.0)),
        EntryStatus(3, True, False),
    ]
    with Reader(path) as reader:
        assert [round(until - began) for began, until in reader.sessions] == [10, 5, 0]
        assert reader.created_at == BEGINNING


def test_what_was_noted_of_a_wait_goes_on(path: Path) -> None:
    """Polls and state as noted; the time since then counts on as far as the ledger was open."""

    async def first(_hub: Hub, ledger: Ledger) -> None:
        await ledger.enter(batch(1))
        ledger.note(1, WaitCheckpoint(waited=7.0, polls=2, state=State.PENDING, in_state=1.0))
        await asyncio.sleep(3)
        ledger.note(1, WaitCheckpoint(waited=10.0, polls=3, state=State.PROCESSING, in_state=0.5))
        await asyncio.sleep(4)

    async def second(_hub: Hub, ledger: Ledger) -> list[EntryStatus]:
        return await ledger.enter(batch(1))

    in_run(path, first)
    (standing,) = in_run(path, second, at=5000.0)
    assert standing.checkpoint == WaitCheckpoint(waited=14.0, polls=3, state=State.PROCESSING, in_state=4.5)


def test_a_wall_clock_that_was_put_back_does_no_harm(path: Path) -> None:
    """Outcomes stay in the order of recording, and no time is counted twice or below nought."""

    async def one(ledger: Ledger, number: int) -> EntryStatus:
        (standing,) = await ledger.enter(batch(1, 9))
        await ledger.enter(batch(1, number))
        await ledger.record(success(ledger.counts.entries))
        return standing

    async def session(at: float, number: int) -> EntryStatus:
        async with Ledger(path, settings=quick(clock=lambda: at)) as ledger:
            return await one(ledger, number)

    asyncio.run(session(BEGINNING, 1))
    standing = asyncio.run(session(BEGINNING - 86_400, 2))
    assert standing.checkpoint == WaitCheckpoint(waited=0.0)
    assert [record.ended_at for record in records_of(path)] == [BEGINNING, BEGINNING - 86_400]


def test_a_ledger_at_rest_notes_that_it_is_alive(path: Path) -> None:
    """About once a second, so that a process that is killed is known to have lived until then."""

    async def rest(_hub: Hub, _ledger: Ledger) -> tuple[float, float]:
        await asyncio.sleep(3.5)
        with Reader(path) as reader:
            return reader.sessions[0]

    began, until = in_run(path, rest)
    assert (began, until) == (BEGINNING, BEGINNING + 3)


# opening and closing


async def test_only_its_owner_can_read_it(path: Path) -> None:
    """The file, its log and its lock; the umask is not asked."""
    before = os.umask(0)
    try:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(1))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["run.db", "run.db-shm", "run.db-wal", "run.db.lock"], 0o600)


def test_a_closed_ledger_is_one_file(path: Path) -> None:
    """What is copied then is all of it."""
    filled(path, 5, 0)
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]
    path.rename(path.with_name("copy.db"))
    with Reader(path.with_name("copy.db")) as reader:
        assert (reader.counts.entries, reader.check()) == (5, [])


async def test_a_ledger_has_one_writer(path: Path) -> None:
    """A second one is refused with the name of the first, and is let in when that is gone."""
    async with Ledger(path, settings=QUICK) as ledger:
        with pytest.raises(LedgerError, match=f"in use by process {os.getpid()} on ") as caught:
            await Ledger(path, settings=QUICK).__aenter__()
        with Reader(path) as reader:
            assert f"process {os.getpid()}" in (reader.holder or "")
        await ledger.enter(batch(1))
    assert caught.value.kind == "locked"
    async with Ledger(path, settings=QUICK) as ledger:
        assert ledger.counts.entries == 1
    with Reader(path) as reader:
        assert reader.holder is None


async def test_it_is_used_inside_its_block(path: Path) -> None:
    """Neither before nor after, nor entered twice."""
    ledger = Ledger(path, settings=QUICK)
    with pytest.raises(ClientClosed, match="not open"):
        await ledger.enter(batch(1))
    async with ledger:
        with pytest.raises(ClientClosed, match="opened once"):
            await ledger.__aenter__()
    with pytest.raises(ClientClosed, match="is closed"):
        await ledger.enter(batch(1))
    with pytest.raises(LedgerError, match="not open"):
        _ = Reader(path).counts


async def test_it_belongs_to_one_event_loop(path: Path) -> None:
    """Another loop, in another thread, is turned away."""
    async with Ledger(path, settings=QUICK) as ledger:
        with pytest.raises(ClientClosed, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(ledger.enter(batch(1))))


async def test_how_sure_a_commit_is_has_two_values(path: Path) -> None:
    """Both work; anything else is refused before a file is made."""
    with pytest.raises(ValueError, match='"full" or "normal"'):
        Ledger(path, synchronous="off")  # type: ignore[arg-type]  # it is what is tested
    assert list(path.parent.iterdir()) == []
    async with Ledger(path, synchronous="normal", settings=QUICK) as ledger:
        await ledger.enter(batch(1))
    assert ledger.counts.entries == 1


async def test_many_at_once_are_committed_in_groups(path: Path) -> None:
    """More than may wait at once have to wait their turn, and all are recorded."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(2500))
        seqs = await asyncio.gather(*(ledger.record(success(number)) for number in range(1, 2501)))
    assert sorted(seqs, key=lambda seq: seq or 0) == list(range(1, 2501))


async def test_cancelling_waits_for_the_commit(path: Path) -> None:
    """The outcome is recorded, and then the cancellation takes effect."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(1))
        recording = asyncio.create_task(ledger.record(success(1)))
        await asyncio.sleep(0)
        recording.cancel()
        with pytest.raises(asyncio.CancelledError):
            await recording
        assert ledger.counts.outcomes == 1


async def test_who_does_not_wait_any_more_is_passed_over(path: Path) -> None:
    """Work is done although its future was cancelled, and keeps nobody else waiting."""
    async with Ledger(path, settings=QUICK) as ledger:
        await ledger.enter(batch(2))
        first, second = (journal_of(ledger).submit(success(number)) for number in (1, 2))
        first.cancel()
        await second
        assert ledger.counts.outcomes == 2


async def test_cancelling_the_opening_leaves_nothing_open(path: Path) -> None:
    """The lock is given back, so that the next one gets it."""
    opening = asyncio.create_task(Ledger(path, settings=QUICK).__aenter__())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with Ledger(path, settings=QUICK) as ledger:
        assert ledger.counts.entries == 0


async def test_a_mistake_in_the_writers_thread_keeps_nobody_waiting(path: Path) -> None:
    """Whatever goes wrong there reaches those who wait, and those who come later."""

    def broken(_store: object) -> None:
        raise KeyError("oops")

    async def session() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            with pytest.raises(KeyError, match="oops"):
                await journal_of(ledger).do(broken)
            with pytest.raises(KeyError, match="oops"):
                await ledger.enter(batch(1))

    with pytest.raises(KeyError, match="oops"):
        await session()
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]
