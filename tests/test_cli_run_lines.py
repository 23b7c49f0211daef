"""From the bytes of a file to jobs: lines, tables, and reading beside the event loop."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Generator
from contextlib import aclosing

import pytest
from run_kit import until

from asyncpoll.cli.run import lines
from asyncpoll.cli.run.feed import MOST_AHEAD, Feed
from asyncpoll.cli.run.lines import Bad, Named, read_jobs, read_objects


def jobs(content: bytes) -> list[Named | Bad]:
    """Return what a file with this content names."""
    return list(read_jobs(io.BytesIO(content)))


def test_lines() -> None:
    """Every line is an object with its number; empty lines count but say nothing, the last needs no line feed."""
    assert jobs(b'\xef\xbb\xbf{"a": 1}\n\n \r\n{"b": "\xc3\xa9"}') == [Named(1, {"a": 1}), Named(4, {"b": "é"})]


def test_nothing() -> None:
    """A file with nothing in it names nothing."""
    assert jobs(b"") == jobs(b"\n\n") == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'"endpoint"', "no JSON object"),
        (b"null", "no JSON object"),
    ],
)
def test_bad_lines(line: bytes, problem: str) -> None:
    """A line that is no JSON object is bad, and the next one is not."""
    assert jobs(b"{}\n" + line + b"\n{}") == [Named(1, {}), Bad(2, problem), Named(3, {})]


def test_first_line_is_bad() -> None:
    """A bad line at the beginning is no header."""
    assert jobs(b"\xff\n{}") == [Bad(1, "not UTF-8"), Named(2, {})]
    assert jobs(b"a,b\n{}") == [Bad(1, "not JSON"), Named(2, {})]
    long = b'"' + b"x" * 200_000 + b'"'  # longer than a cell may be
    assert jobs(long + b"\n{}") == [Bad(1, "no JSON object"), Named(2, {})]


def test_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line that is too long nothing is kept, however long it is; the next one is read."""
    monkeypatch.setattr(lines, "LONGEST_LINE", 1 << 20)
    long = b'{"a": "' + b"x" * (5 << 20) + b'"}'
    assert jobs(long + b"\n{}\n" + long) == [Bad(1, "longer than 1 MiB"), Named(2, {}), Bad(3, "longer than 1 MiB")]


def test_objects_are_no_table() -> None:
    """Items are JSON in any case."""
    assert list(read_objects(io.BytesIO(b"endpoint,a\n{}"))) == [Bad(1, "not JSON"), Named(2, {})]


def test_table() -> None:
    """A header with a column `endpoint` makes a table: a column for each field, and an empty cell for none."""
    table = b'a, endpoint ,b\r\n1,x.y,"two\r\nlines"\r\n\r\n,x.y,\xc3\xa9\r\n3,,\r\n'
    assert jobs(b"\n" + table) == [
        Named(4, {"endpoint": "x.y", "ref": {"a": "1", "b": "two\r\nlines"}}),
        Named(6, {"endpoint": "x.y", "ref": {"b": "é"}}),
        Named(7, {"endpoint": "", "ref": {"a": "3"}}),
    ]


def test_bad_rows() -> None:
    """A bad row is named by its number, and the next one is read."""
    rows = b'a,b,c\n"x"y,1\n\xff,1\n' + b"x" * 200_000 + b",1\nx.y,1\n"
    assert jobs(b"endpoint,a\n" + rows) == [
        Bad(2, "3 cells where the header has 2"),
        Bad(3, "no row of CSV: ',' expected after '\"'"),
        Bad(4, "not UTF-8"),
        Bad(5, "no row of CSV: field larger than field limit (131072)"),
        Named(6, {"endpoint": "x.y", "ref": {"a": "1"}}),
    ]


def test_column_named_twice() -> None:
    """A header that names a column twice is refused as a whole."""
    with pytest.raises(ValueError, match="names a column twice"):
        jobs(b"endpoint,a,a\n")


# beside the event loop


def counted(most: int, log: list[str]) -> Generator[int, None, None]:
    """Yield numbers from 1, and log the end."""
    try:
        yield from range(1, most + 1)
    finally:
        log.append("closed")


async def test_feed() -> None:
    """Everything comes, in order, and the generator is closed."""
    log: list[str] = []
    most = 3 * MOST_AHEAD
    assert [number async for number in Feed(counted(most, log)).each()] == list(range(1, most + 1))
    assert log == ["closed"]


async def test_feed_ahead() -> None:
    """Only so much is read ahead of whoever takes it; who leaves has the generator closed."""
    log: list[str] = []
    read = 0

    def source() -> Generator[int, None, None]:
        nonlocal read
        for number in counted(10 * MOST_AHEAD, log):
            read = number
            yield number

    async with aclosing(Feed(source()).each()) as numbers:
        async for _ in numbers:
            break
        await brought(lambda: read > MOST_AHEAD)
        assert read <= 2 * MOST_AHEAD + 1
    await brought(lambda: log)


async def test_feed_fails() -> None:
    """What the generator raises comes after what it has yielded."""

    def source() -> Generator[int, None, None]:
        yield 1
        raise ValueError("a column twice")

    async with aclosing(Feed(source()).each()) as numbers:
        assert await anext(numbers) == 1
        with pytest.raises(ValueError, match="a column twice"):
            await anext(numbers)


async def test_feed_is_stuck() -> None:
    """A generator that is stuck in a read holds nobody up: what it had yielded is there, and one may leave."""
    stuck = threading.Event()

    def source() -> Generator[int, None, None]:
        yield 1
        stuck.wait()
        yield 2

    async with aclosing(Feed(source()).each()) as numbers:
        assert await anext(numbers) == 1
        waiting = asyncio.create_task(anext(numbers))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    stuck.set()  # it finds that nobody is there any more


async def brought(come: Callable[[], object]) -> None:
    """Wait until a thread has brought something."""
    await asyncio.to_thread(until, come)
