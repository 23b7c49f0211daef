"""Why a job of a run was polled when it was, as `asyncpoll tune --job` says it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from asyncpoll import History, State
from asyncpoll.cli import main
from asyncpoll.ledger import EntryInput, Ledger, LedgerSettings, OutcomeInput, WaitCheckpoint
from asyncpoll.waiting.learning._learned import since_submit

Output = pytest.CaptureFixture[str]

RENDERS = "acme.renders"
PLANNED = "that is the cheapest by what is known of such jobs"
UNKNOWN_AGE = "at once, since the age of the job is not known"
BEGAN = 1_763_700_000.0
HOUR = 3600.0


def entry(number: int, **facts: Any) -> EntryInput:
    """Return a job whose id begins with r."""
    return EntryInput(f"{RENDERS}:{number}", RENDERS, {"id": f"r{number}", "kind": "video"}, **facts)


def end(number: int, seconds: float, **facts: Any) -> OutcomeInput:
    """Return the end of a job that took about so long and was polled 9 times."""
    usual: dict[str, Any] = {"state": "success", "polls": 9, "waited": seconds + 1, "running": seconds - 1}
    return OutcomeInput(number=number, **(usual | facts))


def make(
    path: Path,
    *ends: OutcomeInput,
    others: Sequence[tuple[EntryInput, WaitCheckpoint | None]] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Make the ledger of a run: jobs with these ends, and others that have not ended."""

    async def fill() -> None:
        async with Ledger(path, settings=LedgerSettings(clock=lambda: BEGAN)) as ledger:
            await ledger.keep(options)
            await ledger.enter([entry(number) for number, _ in enumerate(ends, 1)])
            await ledger.enter([job for job, _ in others])
            await asyncio.gather(*(ledger.record(one) for one in ends))
            for number, (_, noted) in enumerate(others, len(ends) + 1):
                if noted is not None:
                    ledger.note(number, noted)

    asyncio.run(fill())
    return path


def minutes(jobs: int = 60) -> list[OutcomeInput]:
    """Return the ends of jobs that took about a minute each."""
    chance = Random(1)
    return [end(number, chance.uniform(55, 65)) for number in range(1, jobs + 1)]


def told(capsys: Output, path: Path, job: str, *options: str) -> str:
    """Return what is printed about a job."""
    assert main(["tune", str(path), "--job", job, *options]) == 0
    return capsys.readouterr().out


def table(text: str) -> list[tuple[str, str, str]]:
    """Return the rows of the table: age, probability, reason."""
    _, body, _ = text.split("\n\n")
    head, rule, *lines = body.splitlines()
    assert head.split("  ")[-1] == "why it is polled then"
    first, second = (len(part) for part in rule.split()[:2])
    cells = ((line[:first], line[first + 2 : first + 2 + second], line[first + second + 4 :]) for line in lines)
    return [(age.strip(), ends.strip(), why) for age, ends, why in cells]


def seconds(age: str) -> float:
    """Return an age as it is printed in seconds."""
    units = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": HOUR}
    words = age.split()
    return sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


def history(*tracks: tuple[str, str, float], jobs: int = 20) -> dict[str, str]:
    """Return the options of a run that keep a history: jobs of a key were so many seconds in a phase."""
    kept, chance = History(), Random(1)
    for key, phase, typical in tracks:
        for _ in range(jobs):
            kept.add(key, phase, *[typical * chance.uniform(0.9, 1.1)] * 2)
    return {"history": kept.to_json()}


@pytest.mark.parametrize("job", [f"{RENDERS}:7", "7", "r7"])
def test_a_job_is_found_by_any_of_its_names(job: str, tmp_path: Path, capsys: Output) -> None:
    """Its key, its number, or a field of its reference."""
    text = told(capsys, make(tmp_path / "run.db", *minutes()), job)
    first, second, *_ = text.splitlines()
    assert first == f"job 7: {RENDERS}:7"
    assert second.startswith("polled 9 times: last seen unfinished at the age of 1 min")
    assert second.endswith("and its end (success) was known at the age of 1 min 3 s")


def test_each_poll_of_a_job_is_explained(tmp_path: Path, capsys: Output) -> None:
    """Up to its end, by the jobs of the run; twice in the same way."""
    path = make(tmp_path / "run.db", *minutes())
    text = told(capsys, path, "7")
    rows = table(text)
    ages = [seconds(age) for age, *_ in rows]
    assert rows[0] == ("0 s", "", UNKNOWN_AGE)
    assert {why for *_, why in rows[1:]} == {PLANNED}
    assert all(ends.endswith("%") for _, ends, _ in rows[1:])
    assert ages == sorted(ages)
    assert 50 < ages[1] < 65
    assert ages[-2] < 62 <= ages[-1] < 75
    assert "from 60 such jobs, which took about 5" in text or "from 60 such jobs, which took about 1 min" in text
    assert told(capsys, path, "7") == text


def test_the_history_of_the_run_counts_for_more(tmp_path: Path, capsys: Output) -> None:
    """The polls are those that its schedule plans; jobs of another kind say nothing."""
    path = make(tmp_path / "run.db", *minutes(), options=history((RENDERS, "processing", 20.0)))
    assert 15 < seconds(table(told(capsys, path, "7"))[1][0]) < 25
    other = make(tmp_path / "other.db", *minutes(), options=history(("acme.other", "processing", 20.0)))
    assert 50 < seconds(table(told(capsys, other, "7"))[1][0]) < 65


def test_other_kinds_of_jobs_say_nothing(tmp_path: Path, capsys: Output) -> None:
    """Of a job whose kind is known nothing is learned from those of another kind."""
    path = make(tmp_path / "run.db", *minutes(), others=[(entry(99, pacing="size=4K+"), None)])
    text = told(capsys, path, "r99")
    assert "not ended yet, and not known to be polled" in text
    assert "too few such jobs were seen to end" in table(text)[1][2]
    assert table(text)[1][1] == ""
    assert "from no such job that ended" in text


def test_a_job_that_has_not_ended_is_explained(tmp_path: Path, capsys: Output) -> None:
    """How far its wait has come is said, and its polls for as long as such jobs take at the least."""
    noted = WaitCheckpoint(waited=90.0, polls=4, state=State.PROCESSING, in_state=90.0)
    unseen = WaitCheckpoint(waited=1.0, polls=1)
    path = make(tmp_path / "run.db", *minutes(), others=[(entry(61), noted), (entry(62), unseen), (entry(63), None)])
    text = told(capsys, path, "r61")
    assert "polled 4 times up to the age of 1 min 30 s: processing for 1 min 30 s, and not ended yet" in text
    assert seconds(table(text)[-1][0]) >= 90
    assert any("it is older than all jobs that were seen" in why for *_, why in table(text))
    assert "polled 1 time up to the age of 1 s: not seen, and not ended yet" in told(capsys, path, "r62")
    assert 55 < seconds(table(told(capsys, path, "r63"))[-1][0]) < 75


def test_a_job_in_the_queue_is_explained(tmp_path: Path, capsys: Output) -> None:
    """It is pending as long as it was noted to be, or else as long as is usual."""
    queued = WaitCheckpoint(waited=12.0, polls=2, state=State.PENDING, in_state=12.0)
    at_work = WaitCheckpoint(waited=40.0, polls=3, state=State.PROCESSING, in_state=5.0)
    others = [(entry(1), queued), (entry(2), at_work), (entry(3), None)]
    kept = history((RENDERS, "pending", 30.0), (RENDERS, "processing", 20.0))
    path = make(tmp_path / "run.db", others=others, options=kept)
    ages = {job: [seconds(age) for age, *_ in table(told(capsys, path, job))] for job in ("r1", "r2", "r3")}
    assert "pending for 12 s" in told(capsys, path, "r1")
    assert {job: 40 < several[1] < 60 for job, several in ages.items()} == {"r1": True, "r2": True, "r3": True}
    assert told(capsys, path, "r1").partition("\n\n")[2] != told(capsys, path, "r3").partition("\n\n")[2]


def test_a_job_of_known_age_has_its_first_poll_planned(tmp_path: Path, capsys: Output) -> None:
    """Its ages count from its submit; before the wait for it began, it was not polled."""
    kept = history((since_submit(RENDERS), "processing", 60.0))
    early, late = entry(1, submitted_at=BEGAN - 5), entry(2, submitted_at=BEGAN - 300)
    new = entry(3, submitted_at=BEGAN - 7, pacing="new")
    path = make(tmp_path / "run.db", others=[(early, None), (late, None), (new, None)], options=kept)
    assert told(capsys, path, "r1").splitlines()[1] == (
        "submitted 5 s before the wait for it began; ages count from the submit"
    )
    age, ends, why = table(told(capsys, path, "r1"))[0]
    assert (50 < seconds(age) < 65, ends.endswith("%"), why) == (True, True, PLANNED)
    assert table(told(capsys, path, "r2"))[0][0] == "5 min"
    assert table(told(capsys, path, "r3"))[0] == ("7 s", "", "at once, since too few such jobs were seen to end")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"running": None}, "not seen unfinished, and its end (success) was known at the age of 1 min 1 s"),
        ({"state": "failed"}, "and its end (failed) was known at the age of 1 min 1 s"),
        (
            {"state": "processing", "error": "WaitTimeout"},
            "and the wait ended with WaitTimeout at the age of 1 min 1 s",
        ),
    ],
)
def test_it_is_said_how_a_job_ended(facts: dict[str, Any], said: str, tmp_path: Path, capsys: Output) -> None:
    """Or how the wait for it did, and whether it was seen before."""
    path = make(tmp_path / "run.db", end(1, 60.0, **facts))
    assert said in told(capsys, path, "1").splitlines()[1]


def test_a_fixed_interval_needs_few_words(tmp_path: Path, capsys: Output) -> None:
    """A run with `--interval` has not planned; how it would have is told at a price."""
    path = make(tmp_path / "run.db", *minutes(), options={"interval": 5.0, "price": None})
    assert told(capsys, path, "7").splitlines()[2] == (
        "the run polls each job every 5 s; pass --price to see when it would pay"
    )
    assert table(told(capsys, path, "7", "--price", "0.1"))[1][2] == PLANNED


def test_the_price_of_the_run_counts(tmp_path: Path, capsys: Output) -> None:
    """Where calls are cheap, there are more of them; options that are no numbers are ignored."""
    dear = make(tmp_path / "dear.db", *minutes(), options={"price": 0.1})
    cheap = make(tmp_path / "cheap.db", *minutes(), options={"price": 0.001, "interval": "often"})
    assert len(table(told(capsys, cheap, "7"))) > 2 * len(table(told(capsys, dear, "7")))
    assert told(capsys, cheap, "7", "--price", "0.1") == told(capsys, dear, "7")


def test_many_polls_are_not_all_shown(tmp_path: Path, capsys: Output) -> None:
    """The first and the last of them are."""
    path = make(tmp_path / "run.db", *minutes(), end(61, 9 * HOUR))
    rows = table(told(capsys, path, "61"))
    assert len(rows) == 31
    assert rows[20][0] == "..."
    assert rows[20][2].endswith(" more polls")
    assert seconds(rows[-2][0]) < 9 * HOUR < seconds(rows[-1][0]) + 60


def test_a_job_that_is_not_there_is_named(tmp_path: Path, capsys: Output) -> None:
    """In one line that says what to pass."""
    path = make(tmp_path / "run.db", *minutes(3))
    assert main(["tune", str(path), "--job", "r9\n"]) == 2
    assert capsys.readouterr().err == (
        f"asyncpoll: {path} has no job 'r9 '; pass its key, its number, or a field of its reference\n"
    )


def test_several_jobs_that_match_are_named(tmp_path: Path, capsys: Output) -> None:
    """Some of them, so that one can be chosen."""
    path = make(tmp_path / "run.db", *minutes(5))
    assert main(["tune", str(path), "--job", "video"]) == 2
    assert capsys.readouterr().err == (
        f"asyncpoll: 5 jobs of {path} match 'video'; pass the key of one, such as "
        f"{RENDERS}:1, {RENDERS}:2, {RENDERS}:3\n"
    )


def test_a_reference_may_be_any_data(tmp_path: Path, capsys: Output) -> None:
    """A text, a number, or what has no fields to search; links in keys are shown without secrets."""
    link = "https://a.example/x?sig=canary"
    deep = {"task": 17, "flag": True, "deep": {"id": "word"}}
    jobs = [EntryInput("one", RENDERS, "word"), EntryInput("two", RENDERS, deep), EntryInput(link, RENDERS, None)]
    path = make(tmp_path / "run.db", others=[(job, None) for job in jobs])
    assert told(capsys, path, "word").startswith("job 1: one\n")
    assert told(capsys, path, "17").startswith("job 2: two\n")
    assert told(capsys, path, "3").startswith("job 3: https://a.example/x?sig=***\n")
    assert main(["tune", str(path), "--job", "True"]) == 2
