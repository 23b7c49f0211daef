"""A ledger that is fed from outside: jobs, progress and outcomes come from another process, as plain data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hub_kit import jobs_of, transport_of
from ledger_kit import BEGINNING, Faults, batch, directory, in_run, quick, records_of, success

from asyncpoll._endpoint import Job
from asyncpoll._errors import ClientClosed, LedgerError, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.ledger import Entry, EntryInput, Ledger, OutcomeInput, Reader, Record, WaitCheckpoint
from asyncpoll.testing import MemoryTransport
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._run import Outcome

LINK = "https://store.example/a.png?X-Amz-Signature=canary&size=9"
MASKED = LINK.replace("canary", "***")
DONE: MemoryTransport = transport_of(lambda _: {"state": "success", "value": LINK})
(JOB,) = jobs_of(DONE, [1])


@pytest.fixture
def path() -> Iterator[Path]:
    """Return where a ledger may be made."""
    with directory() as place:
        yield place / "run.db"


def ended(value: Any, **facts: Any) -> Outcome[Any]:
    """Return how a wait ended with this result."""
    return Outcome(JOB, Snapshot(State.SUCCESS, "done", value, **facts), polls=3, waited=2.5, running=1.5)


def nested(levels: int) -> list[Any]:
    """Return lists in lists."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def stored(path: Path, outcome: OutcomeInput, *, links: bool = False) -> Record:
    """Return the record that a new ledger makes of an outcome."""

    async def work() -> None:
        async with Ledger(path, settings=quick(clock=lambda: BEGINNING), links=links) as ledger:
            await ledger.enter(batch(1))
            await ledger.record(outcome)

    asyncio.run(work())
    (record,) = records_of(path)
    return record


# an outcome as data


@pytest.mark.parametrize(
    "outcome",
    [
        ended({"text": "ä \ud83d\ude00 \ud800", "number": float("inf"), "link": LINK}),
        ended(None, reason=f"see {LINK}\n", code=LINK),
        Outcome(JOB, None, WaitTimeout(None, waited=60.0, polls=2), polls=2, waited=60.0),
        ended({(1, 2): "no name"}, reason="odd"),
        ended(nested(100_000)),
        ended(JOB.endpoint),
    ],
    ids=["text", "reason", "error", "table", "nested", "object"],
)
@pytest.mark.parametrize("links", [False, True])
def test_outcomes_as_data_make_the_same_record(outcome: Outcome[Any], links: bool, path: Path) -> None:  # noqa: FBT001  a parameter of the test
    """As the run itself makes: masked where it is made, and what JSON cannot hold is described."""
    text = OutcomeInput.of(1, outcome, links=links).to_json(links=links)
    text.encode()  # well-formed, so that it can be sent
    assert links or "canary" not in text
    given = OutcomeInput.from_json(text)
    assert OutcomeInput.from_json(given.to_json(links=links)) == given
    record = stored(path, given, links=links)
    assert record == stored(path.with_name("other.db"), OutcomeInput.of(1, outcome, links=links), links=links)
    assert record.error == (None if outcome.error is None else "WaitTimeout")


@pytest.mark.parametrize("value", [LINK, {"deep": [LINK, None, 1.5]}, None])
def test_a_record_is_the_same_as_that_of_a_run(value: Any, path: Path) -> None:
    """Whether the run is remembered itself, or its outcomes come as data."""
    transport = transport_of(lambda _: {"state": "success", "value": value})

    async def run(hub: Hub, ledger: Ledger) -> None:
        async with hub.run(jobs_of(transport, [1]), ledger=ledger, timeout=9) as items:
            assert [item async for item in items]

    async def feed(hub: Hub, ledger: Ledger) -> None:
        async with ledger.reserve(), hub.as_completed(jobs_of(transport, [1]), timeout=9) as outcomes:
            async for outcome in outcomes:
                (status,) = await ledger.enter([outcome.job])
                await ledger.submit(OutcomeInput.from_json(OutcomeInput.of(status.number, outcome).to_json()))

    in_run(path, run)
    in_run(path.with_name("fed.db"), feed)
    assert records_of(path) == records_of(path.with_name("fed.db"))
    assert b"canary" not in path.with_name("fed.db").read_bytes()


def test_an_outcome_as_data_says_what_it_took() -> None:
    """All its figures, and the result without the secrets in its links."""
    given = OutcomeInput.of(7, ended({"link": LINK}, kind="ready"))
    assert given == OutcomeInput(
        number=7, state="success", status="done", value={"link": MASKED}, polls=3, waited=2.5, running=1.5, kind="ready"
    )
    assert OutcomeInput.of(7, ended({"link": LINK}), links=True).value == {"link": LINK}


def test_a_value_that_json_cannot_hold_is_described() -> None:
    """In an outcome that was made by hand, too: then where it is written."""
    described = OutcomeInput.of(1, ended({(1, 2): 3}))
    assert (described.value["type"], described.state) == ("dict", "success")
    assert "cannot be stored as JSON" in str(described.reason)
    text = success(1, value={(1, 2): LINK}, reason=LINK).to_json()
    assert "canary" not in text
    assert json.loads(text)["value"] == described.value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "an object is expected, not an array"),
        ("{}", r"at \$.number: it is missing"),
        ('{"number": "secret", "state": "success"}', r"\$.number: an integer is expected, not text"),
        ('{"number": 1, "state": "success", "polls": -1}', "the value is refused"),
        ('{"number": 1, "state": "success", "waited": NaN}', "the value is refused"),
    ],
)
def test_text_that_is_not_an_outcome_is_refused(text: str, problem: str) -> None:
    """The error says where it is wrong, and never shows a value."""
    with pytest.raises(ValueError, match=rf"^this is not what OutcomeInput\.to_json wrote: .*{problem}") as error:
        OutcomeInput.from_json(text)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "checkpoint", [WaitCheckpoint(), WaitCheckpoint(waited=7.25, polls=2, state=State.PENDING, in_state=1.0)]
)
def test_progress_as_data_is_the_same(checkpoint: WaitCheckpoint) -> None:
    """With the state or without."""
    assert WaitCheckpoint.from_json(checkpoint.to_json()) == checkpoint


@pytest.mark.parametrize("text", ["no", "1", '{"waited": -1}', '{"state": "odd"}', '{"polls": 1.5}'])
def test_text_that_is_not_progress_is_refused(text: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"this is not what WaitCheckpoint\.to_json wrote"):
        WaitCheckpoint.from_json(text)


# entering


def test_jobs_are_entered_with_all_that_is_known(path: Path) -> None:
    """Jobs themselves, the same as data, and the short form; each in one place."""
    (first,) = jobs_of(DONE, [1])
    first = first.with_meta({"row": 1}).with_submitted_at(BEGINNING)
    first = evolve(first, endpoint=evolve(first.endpoint, definition="text of one"))
    second = EntryInput("b", "vendor.b", {"id": 2}, {"link": LINK}, BEGINNING + 1, "text of b")

    async def work(_hub: Hub, ledger: Ledger) -> dict[str, str]:
        statuses = await ledger.enter([first, second, ("c", "vendor.c", 3), EntryInput.of(first)])
        assert [status.number for status in statuses] == [1, 2, 3, 1]
        await ledger.enter([second])
        return await ledger.definitions()

    assert in_run(path, work) == {first.endpoint.name: "text of one", "vendor.b": "text of b"}
    with Reader(path) as reader:
        assert list(reader.entries()) == [
            Entry(1, first.key, first.endpoint.name, 1, {"row": 1}, BEGINNING),
            Entry(2, "b", "vendor.b", {"id": 2}, {"link": MASKED}, BEGINNING + 1),
            Entry(3, "c", "vendor.c", 3),
        ]


@pytest.mark.parametrize(
    ("job", "error", "problem"),
    [
        (EntryInput("a", "b", 1, definition="other"), LedgerError, "begun with another definition"),
        (EntryInput("a", "b", 1, submitted_at=float("nan")), ValueError, r"EntryInput\.submitted_at must be"),
        (EntryInput("a", "b", 1, submitted_at=9e9), ValueError, r"EntryInput\.submitted_at must be"),
        (EntryInput("a", "b", 1, meta={"x": "y" * 70_000}), LedgerError, "64 KiB"),
        (EntryInput("a", "b", {1, 2}), LedgerError, "cannot be stored"),
        (len, TypeError, "takes jobs"),
        (("a", "b"), TypeError, "ref"),
    ],
)
def test_a_mistake_enters_nothing(job: Any, error: type[Exception], problem: str, path: Path) -> None:
    """Not the jobs beside it either, and the ledger can still be used."""

    async def work(_hub: Hub, ledger: Ledger) -> int:
        await ledger.define("b", "text")
        with pytest.raises(error, match=problem):
            await ledger.enter([("good", "b", 1), job])
        assert ledger.counts.entries == 0
        await ledger.enter([("good", "b", 1)])
        return ledger.counts.entries

    assert in_run(path, work) == 1


# feeding


def test_a_reserved_ledger_has_one_run(path: Path) -> None:
    """As with `Hub.run`, in each order; the same words, and afterwards it is free."""

    async def work(hub: Hub, ledger: Ledger) -> None:
        words = "a ledger has one run at a time; wait for it, or use another ledger"
        async with ledger.reserve():
            with pytest.raises(RuntimeError, match=words):
                async with ledger.reserve():
                    pass  # pragma: no cover
            with pytest.raises(RuntimeError, match=words):
                async with hub.run([JOB], ledger=ledger, timeout=9):
                    pass  # pragma: no cover
        async with hub.run([JOB], ledger=ledger, timeout=9):
            with pytest.raises(RuntimeError, match=words):
                async with ledger.reserve():
                    pass  # pragma: no cover
        async with ledger.reserve():
            pass

    in_run(path, work)


def test_outcomes_are_handed_over_without_waiting(path: Path) -> None:
    """The futures come at once, and the records with the commit; leaving waits for those that are dropped."""

    async def work(_hub: Hub, ledger: Ledger) -> list[Record | None]:
        async with ledger.reserve():
            await ledger.enter(batch(4))
            futures = [await ledger.submit(success(number)) for number in (2, 1)]
            futures.append(await ledger.submit(success(2, polls=9)))
            assert not any(future.done() for future in futures)
            records = [await future for future in futures]
            (await ledger.submit(success(3))).cancel()
            await ledger.submit(success(4))
        assert ledger.counts.outcomes == 4
        return records

    records = in_run(path, work)
    assert [record and (record.seq, record.number) for record in records] == [(1, 2), (2, 1), None]
    assert [record.number for record in records_of(path)] == [2, 1, 3, 4]


def test_a_second_outcome_that_contradicts_is_counted(path: Path) -> None:
    """The first one stands."""

    async def work(_hub: Hub, ledger: Ledger) -> int:
        await ledger.enter(batch(1))
        await ledger.record(success(1))
        assert await (await ledger.submit(success(1, state="failed"))) is None
        return ledger.counts.anomalies

    assert in_run(path, work) == 1


def test_too_many_outcomes_at_once_wait_for_the_disk(path: Path) -> None:
    """So that a sender that is faster than the disk does not fill the memory."""

    async def work(_hub: Hub, ledger: Ledger) -> int:
        await ledger.enter(batch(2501))
        for number in range(1, 2502):
            await ledger.submit(success(number))
        return ledger.counts.outcomes

    assert in_run(path, work) >= 500


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_entry_that_is_not_there_is_refused(number: int, path: Path) -> None:
    """For progress as for outcomes."""

    async def work(_hub: Hub, ledger: Ledger) -> None:
        await ledger.enter(batch(1))
        with pytest.raises(ValueError, match=f"there is no entry number {number}; enter the job first"):
            ledger.note(number, WaitCheckpoint())
        with pytest.raises(ValueError, match=f"there is no entry number {number}; enter the job first"):
            await ledger.submit(success(number))

    in_run(path, work)


def test_progress_and_deadlines_go_on_in_another_process(path: Path) -> None:
    """The newest note and the time since then in which a process had the ledger; downtime does not count."""

    async def first(_hub: Hub, ledger: Ledger) -> None:
        async with ledger.reserve():
            await ledger.enter(batch(3))
            ledger.note(1, WaitCheckpoint(waited=1.0, polls=1))
            ledger.note(1, WaitCheckpoint(waited=5.0, polls=2, state=State.PENDING, in_state=0.5))
            await ledger.submit(success(3))
        await asyncio.sleep(4)

    async def second(_hub: Hub, ledger: Ledger) -> list[WaitCheckpoint | None]:
        await asyncio.sleep(1)
        return [entry.checkpoint async for entry in ledger.unfinished()]

    in_run(path, first)
    assert in_run(path, second, at=5000.0) == [
        WaitCheckpoint(waited=10.0, polls=2, state=State.PENDING, in_state=5.5),
        WaitCheckpoint(waited=5.0),
    ]
    with Reader(path) as reader:
        assert [entry.checkpoint for entry in reader.unfinished()] == [None, None]


def test_a_retried_job_begins_a_new_wait(path: Path) -> None:
    """Its progress is that of the new attempt."""

    async def work(_hub: Hub, ledger: Ledger) -> list[WaitCheckpoint | None]:
        await ledger.enter(batch(1))
        ledger.note(1, WaitCheckpoint(waited=5.0, polls=2))
        await asyncio.sleep(10)
        await ledger.record(success(1, state="failed"))
        await ledger.retry("failed")
        await asyncio.sleep(2)
        return [entry.checkpoint async for entry in ledger.unfinished()]

    assert in_run(path, work) == [WaitCheckpoint(waited=2.0)]


def test_a_timeout_counts_what_others_have_waited(path: Path) -> None:
    """A run that follows on a ledger that was fed has the rest of the time only."""
    (job,) = jobs_of(transport_of(lambda _: {"state": "processing"}), [1])

    async def first(_hub: Hub, ledger: Ledger) -> None:
        async with ledger.reserve():
            (status,) = await ledger.enter([job])
            ledger.note(status.number, WaitCheckpoint(waited=50.0, polls=7, state=State.PROCESSING, in_state=50.0))

    async def second(hub: Hub, ledger: Ledger) -> Record:
        async with hub.run([job], ledger=ledger, timeout=60) as run:
            async for record, _ in run:
                return record
        raise AssertionError("there is one job")  # pragma: no cover

    in_run(path, first)
    record = in_run(path, second, at=5000.0)
    assert record.error == "WaitTimeout"
    assert record.waited == pytest.approx(60, abs=1.5)
    assert record.polls >= 7 + 9


def test_the_feeder_is_told_when_nothing_can_be_written(path: Path) -> None:
    """When it begins and when it is over, as a run is that pauses its polls."""
    faults = Faults()
    seen: list[bool] = []

    async def work(_hub: Hub, ledger: Ledger) -> None:
        async with ledger.reserve(lambda: seen.append(ledger.stalled is not None)):
            await ledger.enter(batch(1))
            faults.at = faults.statements + 1
            assert await (await ledger.submit(success(1))) is not None

    in_run(path, work, connect=faults.connect)
    assert seen == [True, False]


@pytest.mark.parametrize("own", [None, KeyError("mine")])
def test_what_cannot_be_committed_is_raised_on_leaving(own: Exception | None, path: Path) -> None:
    """Unless the block ends with an error of its own."""
    faults = Faults()

    async def work() -> None:
        async with Ledger(path, settings=quick(connect=faults.connect)) as ledger, ledger.reserve():
            await ledger.enter(batch(1))
            faults.at, faults.lasting = faults.statements + 1, True
            await ledger.submit(success(1))
            if own is not None:
                raise own

    with pytest.raises(LedgerError if own is None else KeyError):
        asyncio.run(work())


def test_a_ledger_that_is_not_open_cannot_be_fed(path: Path) -> None:
    """The error says how it is opened."""

    async def work() -> None:
        ledger = Ledger(path)
        with pytest.raises(ClientClosed, match="use it inside its block"):
            ledger.note(1, WaitCheckpoint())
        with pytest.raises(ClientClosed, match="use it inside its block"):
            async with ledger.reserve():
                pass  # pragma: no cover

    asyncio.run(work())


def test_any_job_can_be_a_typed_argument(path: Path) -> None:
    """A list of jobs is entered as it is."""
    jobs: list[Job[str]] = jobs_of(DONE, range(1, 4))

    async def work(_hub: Hub, ledger: Ledger) -> int:
        await ledger.enter(jobs)
        return ledger.counts.entries

    assert in_run(path, work) == 3
