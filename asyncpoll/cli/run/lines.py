"""What names jobs in a file: lines of JSON, or CSV with a header. It is read line by line, never as a whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator, Mapping
from typing import Any, BinaryIO, NoReturn

from attrs import frozen

LONGEST_LINE = 4 << 20
"""The most bytes of a line."""

_BOM = b"\xef\xbb\xbf"
_ENDPOINT = "endpoint"


@frozen
class Named:
    """A line of JSON, or a row of CSV, as an object.

    Attributes:
        number: The number of the line, from 1; of a row over several lines that of the last.
        data: Its members.
    """

    number: int
    data: Mapping[str, Any]


@frozen
class Bad:
    """A line that is of no use.

    Attributes:
        number: The number of the line, from 1.
        problem: Why.
    """

    number: int
    problem: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.problem}"


Lines = Generator[Named | Bad, None, None]


def read_objects(file: BinaryIO) -> Lines:
    """Yield what every line of JSON says; lines with nothing in them are passed over."""
    yield from _objects(_lines(file))


def read_jobs(file: BinaryIO) -> Lines:
    """Yield an object with `endpoint` and `ref` for every line.

    A first line that is the header of a CSV with a column `endpoint` makes all the others its rows; each further
    column is a field of the reference, text all of them, left out where the cell is empty.
    """
    lines = _lines(file)
    for number, line in lines:
        if line.strip():
            head = _header(line)
            yield from _objects(_chain((number, line), lines)) if head is None else _rows(head, number, lines)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers; of one that is too long, its beginning, which is too long as well."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        number += 1
        yield number, line.removeprefix(_BOM) if number == 1 else line


def _chain(first: tuple[int, bytes], others: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    yield first
    yield from others


def _objects(lines: Iterator[tuple[int, bytes]]) -> Iterator[Named | Bad]:
    for number, line in lines:
        if line.strip():
            yield _object(number, line)


def _object(number: int, line: bytes) -> Named | Bad:
    if len(line) > LONGEST_LINE:
        return Bad(number, f"longer than {LONGEST_LINE >> 20} MiB")
    try:
        data = json.loads(line.decode(), parse_constant=_no_number)
    except UnicodeDecodeError:
        return Bad(number, "not UTF-8")
    except (ValueError, RecursionError):
        return Bad(number, "not JSON")
    return Named(number, data) if isinstance(data, dict) else Bad(number, "no JSON object")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _header(line: bytes) -> list[str] | None:
    """Return the columns that a line names, or None when it is no header."""
    try:
        columns = [name.strip() for name in next(csv.reader([line.decode()]))]
    except (csv.Error, UnicodeDecodeError):
        return None
    return columns if _ENDPOINT in columns else None


def _rows(head: list[str], number: int, lines: Iterator[tuple[int, bytes]]) -> Iterator[Named | Bad]:
    if len(set(head)) < len(head):
        raise ValueError("the header names a column twice; name each of them once")
    reader = csv.reader((line.decode(errors="surrogateescape") for _, line in lines), strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Bad(number + reader.line_num, f"no row of CSV: {error}")
            continue
        if cells is None:
            return
        if cells:
            yield _row(number + reader.line_num, head, cells)


def _row(number: int, head: list[str], cells: list[str]) -> Named | Bad:
    if len(cells) != len(head):
        return Bad(number, f"{len(cells)} cells where the header has {len(head)}")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return Bad(number, "not UTF-8")
    fields = {name: cell for name, cell in zip(head, cells, strict=True) if cell}
    return Named(number, {_ENDPOINT: fields.pop(_ENDPOINT, ""), "ref": fields})
