"""Files that are brought up to date: every outcome in them once, whatever happened in between."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import pytest
from ledger_kit import QUICK, batch, filled, records_of, success

from asyncpoll._errors import LedgerError
from asyncpoll.ledger import Csv, JsonLines, Ledger, OutcomeInput, Sink

KINDS = pytest.mark.parametrize("kind", [JsonLines, Csv])


def deliver(path: Path, sink: Sink) -> int:
    """Bring a file up to date, in a session of its own."""

    async def session() -> int:
        async with Ledger(path, settings=QUICK) as ledger:
            return await ledger.deliver(sink)

    return asyncio.run(session())


def lines_of(sink: Sink) -> list[Any]:
    """Return the lines of a file without the header."""
    text = sink.path.read_text(encoding="utf-8")
    if isinstance(sink, JsonLines):
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


@KINDS
def test_a_file_has_every_outcome_once(path: Path, kind: type[Any]) -> None:
    """However often it is brought up to date, and however many pages that takes."""
    sink = kind(path.with_name("out"))
    filled(path, 1700, 1200)
    assert [deliver(path, sink) for _ in range(2)] == [1200, 0]

    async def more() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            for number in range(1201, 1206):
                await ledger.record(success(number))
                if number % 2:
                    assert await ledger.deliver(sink) > 0

    asyncio.run(more())
    lines = lines_of(sink)
    assert [line["state"] for line in lines] == ["success"] * 1205
    assert len({str(line["ref"]) for line in lines}) == 1205


def test_a_line_is_what_the_record_says(path: Path) -> None:
    """One line each, whatever the results hold, and nothing that a terminal would obey."""

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(2))
            await ledger.record(success(1, value="one\ntwo\u2028three\x1b[2J 模力"))
            await ledger.record(OutcomeInput(number=2, state="failed", reason="no", code="17"))

    asyncio.run(fill())
    sink = JsonLines(path.with_name("out.jsonl"))
    deliver(path, sink)
    text = sink.path.read_text(encoding="utf-8")
    assert text.replace("\n", "").isprintable()
    assert [json.loads(line) for line in text.splitlines()] == [record.line() for record in records_of(path)]


def test_a_cell_is_never_a_formula(path: Path) -> None:
    """What a spreadsheet would compute gets an apostrophe; references and values are JSON in their cells."""
    hostile = ["=1+1", "+1", "-1", "@x", "\tx"]

    async def fill() -> None:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.enter(batch(6))
            for number, status in enumerate(hostile, 1):
                await ledger.record(OutcomeInput(number=number, state="failed", status=status, reason='a,b\n"c"'))
            await ledger.record(success(6, polls=3, waited=1.5, kind="partial"))

    asyncio.run(fill())
    sink = Csv(path.with_name("out.csv"))
    deliver(path, sink)
    with sink.path.open(encoding="utf-8", newline="") as file:
        *bad, good = csv.DictReader(file)
    assert [row["status"] for row in bad] == [f"'{text}" for text in hostile]
    assert bad[0]["reason"] == 'a,b "c"'
    assert good == {
        "endpoint": "made.up",
        "ref": '{"id": 6}',
        "state": "success",
        "status": "done",
        "value": '{"n": 6}',
        "reason": "",
        "code": "",
        "polls": "3",
        "waited": "1.5",
        "kind": "partial",
        "attempt": "1",
    }
    assert bad[0]["kind"] == ""


@KINDS
def test_what_a_killed_process_wrote_beyond_is_cut_off(path: Path, kind: type[Any]) -> None:
    """Half a line, or whole ones that were not recorded to be there, are written again."""
    sink = kind(path.with_name("out"))
    filled(path, 10, 6)
    deliver(path, sink)
    whole = sink.path.read_bytes()
    sink.path.write_bytes(whole + whole[-70:] + b'{"endpoint": "ma')
    assert deliver(path, sink) == 0
    assert sink.path.read_bytes() == whole


@KINDS
def test_a_process_killed_before_its_first_position(path: Path, kind: type[Any]) -> None:
    """The file is known before the first line is in it."""
    sink = kind(path.with_name("out"))
    filled(path, 10, 0)
    assert deliver(path, sink) == 0
    sink.path.write_text("lines that were written, but not recorded")

    async def one() -> int:
        async with Ledger(path, settings=QUICK) as ledger:
            await ledger.record(success(1))
            return await ledger.deliver(sink)

    assert asyncio.run(one()) == 1
    assert len(lines_of(sink)) == 1


@KINDS
def test_somebody_elses_file_is_not_touched(path: Path, kind: type[Any]) -> None:
    """A file with something in it that this run did not write is refused, and so is one that was put in its place."""
    sink = kind(path.with_name("out"))
    filled(path, 10, 6)
    sink.path.write_text("mine")
    with pytest.raises(LedgerError, match="exists already") as caught:
        deliver(path, sink)
    assert (caught.value.kind, sink.path.read_text()) == ("foreign", "mine")
    sink.path.unlink()
    deliver(path, sink)
    other = sink.path.read_bytes().replace(b"success", b"failure")
    sink.path.write_bytes(other)
    with pytest.raises(LedgerError, match="not the file that was written") as caught:
        deliver(path, sink)
    assert (caught.value.kind, sink.path.read_bytes()) == ("foreign", other)


@KINDS
def test_a_file_that_has_lost_something_is_refused(path: Path, kind: type[Any]) -> None:
    """Lines that were delivered are not delivered again; a file without them is not the file."""
    sink = kind(path.with_name("out"))
    filled(path, 10, 6)
    deliver(path, sink)
    sink.path.write_bytes(sink.path.read_bytes()[:-1])
    with pytest.raises(LedgerError, match="shorter than what was written") as caught:
        deliver(path, sink)
    assert caught.value.kind == "damaged"
    sink.path.unlink()
    with pytest.raises(LedgerError, match="No such file"):
        deliver(path, sink)


def test_a_file_that_cannot_be_made_is_refused(path: Path) -> None:
    """With the reason of the system."""
    filled(path)
    with pytest.raises(LedgerError, match="No such file or directory"):
        deliver(path, JsonLines(path.parent / "none" / "out.jsonl"))


def test_every_file_and_format_is_a_consumer_of_its_own(path: Path) -> None:
    """A second file gets everything from the start; a name that is no proper text is a name, too."""
    filled(path, 10, 6)
    sinks: list[Sink] = [
        JsonLines(path.with_name("a")),
        Csv(path.with_name("b")),
        JsonLines(path.with_name("odd \udcff")),
    ]
    assert [deliver(path, sink) for sink in sinks] == [6, 6, 6]
    assert [deliver(path, sink) for sink in sinks] == [0, 0, 0]


async def test_two_deliveries_at_once_take_turns(path: Path) -> None:
    """Nothing comes twice."""
    await asyncio.to_thread(filled, path, 1000, 900)
    sink = JsonLines(path.with_name("out"))
    async with Ledger(path, settings=QUICK) as ledger:
        delivered = await asyncio.gather(*(ledger.deliver(sink) for _ in range(3)))
    assert sorted(delivered) == [0, 0, 900]
    assert len(lines_of(sink)) == 900
