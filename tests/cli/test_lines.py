"""From the bytes of a file to jobs: lines, tables, and reading beside the event loop."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Generator
from contextlib import aclosing

import pytest
from run_kit import until

from asyncpoll.cli._ingest import MOST_AHEAD, Feed
from asyncpoll.cli._lines import BadLine, Line, read_jobs, read_objects


def jobs(content: bytes) -> list[Line | BadLine]:
    """Return what a file with this content names."""
    return list(read_jobs(io.BytesIO(content)))


def test_each_line_of_json_is_an_object() -> None:
    """Every line is an object with its number; empty lines count but say nothing, the last needs no line feed."""
    assert jobs(b'\xef\xbb\xbf{"a": 1}\n\n \r\n{"b": "\xc3\xa9"}') == [Line(1, {"a": 1}), Line(4, {"b": "é"})]


def test_a_file_with_nothing_in_it_names_no_job() -> None:
    """A file with nothing in it names nothing."""
    assert jobs(b"") == jobs(b"\n\n") == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'"endpoint"', "not a JSON object"),
        (b"null", "not a JSON object"),
    ],
)
def test_the_line_after_a_bad_one_is_read(line: bytes, problem: str) -> None:
    """A line that is no JSON object is bad, and the next one is not."""
    assert jobs(b"{}\n" + line + b"\n{}") == [Line(1, {}), BadLine(2, problem), Line(3, {})]


def test_a_bad_first_line_is_not_a_header() -> None:
    """A bad line at the beginning is no header."""
    assert jobs(b"\xff\n{}") == [BadLine(1, "not UTF-8"), Line(2, {})]
    long = b'"' + b"x" * 200_000 + b'"'  # longer than a cell may be
    assert jobs(long + b"\n{}") == [BadLine(1, "not a JSON object"), Line(2, {})]


def test_of_a_line_that_is_too_long_nothing_is_kept() -> None:
    """Of a line that is too long nothing is kept, however long it is; the next one is read."""
    long = b'{"a": "' + b"x" * (9 << 20) + b'"}'
    assert jobs(long + b"\n{}\n" + long) == [
        BadLine(1, "longer than 4 MiB"),
        Line(2, {}),
        BadLine(3, "longer than 4 MiB"),
    ]


def test_items_are_json_in_any_case() -> None:
    """Items are JSON in any case."""
    assert list(read_objects(io.BytesIO(b"endpoint,a\n{}"))) == [BadLine(1, "not JSON"), Line(2, {})]


def test_a_header_makes_the_other_lines_rows() -> None:
    """A header with a column `endpoint` makes a table: a column for each field."""
    table = b'a, endpoint ,b\r\n1,x.y,"two\r\nlines"\r\n\r\n,x.y,\xc3\xa9\r\n3,,\r\n'
    assert jobs(b"\n" + table) == [
        Line(4, {"endpoint": "x.y", "ref": {"a": "1", "b": "two\r\nlines"}}, ("a", "b")),
        Line(6, {"endpoint": "x.y", "ref": {"a": "", "b": "é"}}, ("a", "b")),
        Line(7, {"endpoint": "", "ref": {"a": "3", "b": ""}}, ("a", "b")),
    ]


def test_the_row_after_a_bad_one_is_read() -> None:
    """A bad row is named by its number, and the next one is read."""
    rows = b'a,b,c\n"x"y,1\n\xff,1\n' + b"x" * 200_000 + b",1\nx.y,1\n"
    assert jobs(b"endpoint,a\n" + rows) == [
        BadLine(2, "3 cells where the header has 2"),
        BadLine(3, "not a row of CSV: ',' expected after '\"'"),
        BadLine(4, "not UTF-8"),
        BadLine(5, "not a row of CSV: field larger than field limit (131072)"),
        Line(6, {"endpoint": "x.y", "ref": {"a": "1"}}, ("a",)),
    ]


def test_a_column_that_is_named_twice_is_refused() -> None:
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


async def test_a_feed_yields_everything_in_order() -> None:
    """Everything comes, in order, and the generator is closed."""
    log: list[str] = []
    most = 3 * MOST_AHEAD
    assert [number async for number in Feed(counted(most, log)).each()] == list(range(1, most + 1))
    assert log == ["closed"]


async def test_a_feed_reads_only_so_much_ahead() -> None:
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


async def test_an_error_comes_after_the_items_before_it() -> None:
    """What the generator raises comes after what it has yielded."""

    def source() -> Generator[int, None, None]:
        yield 1
        raise ValueError("a column twice")

    async with aclosing(Feed(source()).each()) as numbers:
        assert await anext(numbers) == 1
        with pytest.raises(ValueError, match="a column twice"):
            await anext(numbers)


async def test_a_stuck_read_holds_up_nothing() -> None:
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
