"""Read jobs and items from a file: lines of JSON, CSV with a header, or bare ids. It is read line by line.

The first line that is not empty decides about the format. A line that is of no use becomes a `BadLine`; what is wrong
with the file as a whole, such as a header without the column "endpoint", is a `ValueError`.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NoReturn

from attrs import define, frozen

from asyncpoll._checks import unix_time
from asyncpoll._masking import shown
from asyncpoll.cli._output import counted, message_of, note
from asyncpoll.clients._access import Target
from asyncpoll.clients._targets import Targets
from asyncpoll.providers import ENDPOINTS, Listing
from asyncpoll.providers._client import CLIENT, check_name

STANDARD_INPUT = "-"
LONGEST_LINE = 4 << 20
"""The most bytes of a line."""

MOST_REPORTED = 20
"""The most bad lines that are reported one by one."""

SUBMIT = "submit"
"""The key of a line under which the arguments of a submit are."""

SUBMITTED_AT = "submitted_at"
"""The key or column with the time of the submit of a job."""

META = "meta"
"""The key of a line, and of a result, under which the caller's own columns and keys are."""

_RESULT_KEYS = frozenset({"endpoint", "ref", "state", "status", "value", "reason", "code", "polls", "waited"})
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ENDPOINT = "endpoint"
_SEPARATORS = ((";", "semicolons"), ("\t", "tabs"))
_TITLE = re.compile(r"[A-Za-z_][\w .-]*")
_ID_TITLE = re.compile(r"(?:[a-z]+[ _]?)?ids?", re.IGNORECASE)
_ID = re.compile(rb"\s*[\w.:-]+\s*")
_FIELDS = frozenset(name for listing in ENDPOINTS.values() for name in (*listing.required, *listing.optional))


@frozen
class Line:
    """A line of JSON, a row of CSV or an id, as an object.

    Attributes:
        number: The number of the line, from 1; of a row over several lines that of the last.
        data: Its members.
        columns: The columns of a CSV, but for the endpoint; empty for other files.
    """

    number: int
    data: Mapping[str, Any]
    columns: tuple[str, ...] = ()


@frozen
class BadLine:
    """A line that is of no use.

    Attributes:
        number: The number of the line, from 1.
        problem: Why.
    """

    number: int
    problem: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.problem}"


Lines = Generator[Line | BadLine, None, None]
_Numbered = Iterator[tuple[int, bytes]]


@define
class BadLines:
    """The bad lines of a file: reported one by one until there are too many, and counted to the last.

    Attributes:
        number: How many there are.
    """

    number: int = 0

    def add(self, line: BadLine) -> None:
        """Count a bad line, and report it unless there were many before it."""
        self.number += 1
        if self.number <= MOST_REPORTED:
            note(f"asyncpoll: {line}")

    def summarize(self) -> None:
        """Report how many there are, unless each has been reported."""
        if self.number > MOST_REPORTED:
            note(f"asyncpoll: {counted(self.number, 'bad line')} in all, of which the first {MOST_REPORTED} are above")


@frozen
class Addressed:
    """The endpoint that a line names, and the content for it.

    Attributes:
        target: The endpoint.
        content: A reference, or the arguments of a submit.
        client: The name of the client, or None.
        meta: The caller's own columns and keys.
        submitted_at: The Unix time of the submit of the job, or None.
    """

    target: Target
    content: dict[str, Any]
    client: str | None = None
    meta: Mapping[str, Any] | None = None
    submitted_at: float | None = None


def address(line: Line, member: str, usage: str, targets: Targets) -> Addressed | BadLine:
    """Return the endpoint and the content of a line, or what is wrong with it.

    Args:
        line: The line.
        member: The name of the member that has the content.
        usage: What to say of a line that lacks the endpoint or the content.
        targets: Finds the endpoint.
    """
    endpoint, content = line.data.get(_ENDPOINT), line.data.get(member)
    if not isinstance(endpoint, str):
        return BadLine(line.number, usage)
    try:
        target = targets.find(endpoint)
        content = content if member == SUBMIT else target.fields_of(content)
        if not isinstance(content, dict):
            return BadLine(line.number, usage)
        meta = _meta_of(line, member)
        if line.columns:
            content, meta = _split(target, content)
        client = check_name(content.get(CLIENT))
        at = None if member == SUBMIT else _time(meta.pop(SUBMITTED_AT, None))
    except (ValueError, OSError) as problem:
        return BadLine(line.number, message_of(problem))
    return Addressed(target, {name: content[name] for name in content if name != CLIENT}, client, meta or None, at)


def _time(given: Any) -> float | None:
    """Return the Unix time that a line gives as a number or in ISO 8601."""
    try:
        return None if given is None or given == "" else unix_time(SUBMITTED_AT, given)
    except TypeError as problem:
        raise ValueError(str(problem)) from None


def _meta_of(line: Line, member: str) -> dict[str, Any]:
    if len(line.data) == 2:  # noqa: PLR2004  the endpoint and the content, as most lines have them
        return {}
    meta = line.data.get(META)
    not_own = _RESULT_KEYS | {member, META} | ({"kind"} if "state" in line.data else set())
    own = {name: value for name, value in line.data.items() if name not in not_own}
    return {**own, **(meta if isinstance(meta, dict) else {} if meta is None else {META: meta})}


def _split(target: Target, cells: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the reference in the cells of a row, and the other cells.

    A column that is not a field of the endpoint is the caller's own. Where an endpoint takes any other fields, they are
    in columns that begin with "ref.".
    """
    listing = target.listing
    fields = {*listing.required, *listing.optional, CLIENT}
    ref = {name: cell.strip() for name, cell in cells.items() if name in fields and cell}
    meta = {name: cell for name, cell in cells.items() if name not in fields}
    for name in [name for name in meta if name.startswith("ref.")]:
        if cell := meta.pop(name):
            ref[name.removeprefix("ref.")] = cell
    for name in listing.required:
        if name not in ref and (near := get_close_matches(name, meta, 1, 0.8)):
            raise ValueError(f"{target.name} has no field {shown(near[0])}; did you mean {name}?")
    return ref, meta


# the source


@contextmanager
def reading(name: str, *, twice: bool = False) -> Generator[BinaryIO, None, None]:
    """Open the file with this name, or standard input for "-".

    Args:
        name: The name.
        twice: Whether it is read more than once. Of a pipe a copy is made first.

    Raises:
        OSError: It cannot be read.
        ValueError: Standard input is closed.
    """
    file = _opened(name)
    if twice and not file.seekable():
        file = _copied(file)
    try:
        yield file
    finally:
        if file.seekable():  # in a pipe a thread may be stuck, and closing would wait for it
            file.close()


def _opened(name: str) -> BinaryIO:
    if name != STANDARD_INPUT:
        if Path(name).is_dir():
            raise ValueError(f"{name} is a directory; name a file in it")
        return Path(name).open("rb")
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  it is so where it was closed from the start
        raise ValueError("standard input is closed; name a file, or give one with < FILE")
    # A file object of our own: a thread that is stuck in `sys.stdin` would be in the way when the interpreter ends.
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _copied(file: BinaryIO) -> BinaryIO:
    copy = TemporaryFile()  # noqa: SIM115  its reader closes it
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def with_checked_start(lines: Lines, read: Callable[[Line | BadLine], object]) -> Lines:
    """Read up to the first good line and return all lines: if there is no key for it, not a single file is made.

    Args:
        lines: The lines.
        read: Is called with a line, returns a `BadLine` for a bad one, and raises an error if there is no key.

    Raises:
        ValueError: There is no key, or the file is of no use as a whole.
    """
    first: list[Line | BadLine] = []
    for line in islice(lines, MOST_REPORTED):
        first.append(line)
        if not isinstance(read(line), BadLine):
            break
    return _after(first, lines)


def _after(first: list[Line | BadLine], lines: Lines) -> Lines:
    with closing(lines):
        yield from first
        yield from lines


# the formats


def read_objects(file: BinaryIO, target: Target | None = None) -> Lines:
    """Yield the object of every line of JSON, with the endpoint of lines that do not name one; pass over empty ones."""
    yield from _objects(_numbered(file), target)


def read_jobs(file: BinaryIO, target: Target | None = None) -> Lines:
    """Yield an object with `endpoint` and `ref` for every line of JSON, row of CSV or id.

    If the first line is the header of a CSV, all others are its rows, and their cells are text.

    Args:
        file: The file.
        target: The endpoint of lines that do not name one.

    Raises:
        ValueError: The header is of no use, or the jobs of the endpoint are not named by a single id.
    """
    lines = _numbered(file)
    for number, line in lines:
        if not line.strip():
            continue
        head = _header(number, line, target)
        if head is not None:
            yield from _rows(head, number, lines, target)
        elif target is not None and not line.lstrip().startswith(b"{"):
            yield from _ids(target, chain([(number, line)], lines))
        elif _ID.fullmatch(line):
            yield BadLine(number, "not JSON; for a file of ids pass --endpoint NAME")
        else:
            yield from _objects(chain([(number, line)], lines), target)


def _numbered(file: BinaryIO) -> _Numbered:
    """Yield the lines with their numbers; of one that is too long, its beginning, which is too long as well."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        number += 1
        if number == 1 and line.startswith(_UTF_16):
            raise ValueError("the file is UTF-16; save it as UTF-8")
        yield number, line.removeprefix(_BOM) if number == 1 else line


def _objects(lines: _Numbered, target: Target | None = None) -> Iterator[Line | BadLine]:
    usual = {} if target is None else {_ENDPOINT: target.name}
    for number, line in lines:
        if line.strip():
            yield _object(number, line, usual)


def _object(number: int, line: bytes, usual: Mapping[str, str]) -> Line | BadLine:
    if len(line) > LONGEST_LINE:
        return BadLine(number, f"longer than {LONGEST_LINE >> 20} MiB")
    try:
        data = json.loads(line.decode(), parse_constant=_not_a_number)
    except UnicodeDecodeError:
        return BadLine(number, "not UTF-8")
    except (ValueError, RecursionError):
        return BadLine(number, "not JSON")
    return Line(number, {**usual, **data}) if isinstance(data, dict) else BadLine(number, "not a JSON object")


def _not_a_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _ids(target: Target, lines: _Numbered) -> Iterator[Line | BadLine]:
    field = _only_field(target.listing, target.name)
    for number, line in lines:
        try:
            word = line.decode().strip()
        except UnicodeDecodeError:
            yield BadLine(number, "not UTF-8")
            continue
        if word:
            yield Line(number, {_ENDPOINT: target.name, "ref": {field: word}})


def _only_field(listing: Listing, name: str) -> str:
    if len(listing.required) != 1 or listing.open:
        fields = ", ".join((*listing.required, *listing.optional, *(["ref.NAME"] if listing.open else [])))
        raise ValueError(f"a job of {name} is not named by one id; give a CSV with a header, with columns {fields}")
    return listing.required[0]


def _header(number: int, line: bytes, target: Target | None) -> list[str] | None:
    """Return the columns that a line names, or None when it is not a header.

    Raises:
        ValueError: It is a header of another kind than can be read.
    """
    titles = _cells(line, ",")
    if titles is None or not titles or line.lstrip().startswith((b"{", b"[")):
        return None
    required = () if target is None else target.listing.required
    if {_ENDPOINT, *required} & set(titles):
        named = [title for title in titles if title]
        if len(set(named)) < len(named):
            raise ValueError("the header names a column twice; name each of them once")
        return titles
    for separator, marks in _SEPARATORS:
        if {_ENDPOINT, *_FIELDS} & set(_cells(line, separator) or ()) and separator in line.decode():
            raise ValueError(f"line {number}: the columns are separated by {marks}; separate them with commas")
    if target is not None and len(titles) == 1 and _ID_TITLE.fullmatch(titles[0]):
        return [_only_field(target.listing, target.name)]
    if all(map(_TITLE.fullmatch, titles)) and (len(titles) > 1 or titles[0] in _FIELDS):
        raise ValueError(f"line {number}: {_wrong_header(titles, next(iter(required), _ENDPOINT))}")
    return None


def _wrong_header(titles: list[str], needed: str) -> str:
    close = get_close_matches(needed, [title.lower() for title in titles], 1)
    meant = next((title for title in titles if [title.lower()] == close), None)
    cure = "add it" if meant is None else f"is it {shown(meant)}? rename it"
    otherwise = ", or pass --endpoint NAME" if needed == _ENDPOINT else ""
    return f"the header has no column {needed!r}; {cure}{otherwise}"


def _cells(line: bytes, separator: str) -> list[str] | None:
    try:
        return [cell.strip() for cell in next(csv.reader([line.decode()], delimiter=separator))]
    except (csv.Error, UnicodeDecodeError, StopIteration):
        return None


def _rows(head: list[str], number: int, lines: _Numbered, target: Target | None) -> Iterator[Line | BadLine]:
    usual = "" if target is None else target.name
    columns = tuple(title for title in head if title not in {"", _ENDPOINT})
    reader = csv.reader((line.decode(errors="surrogateescape") for _, line in lines), strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield BadLine(number + reader.line_num, f"not a row of CSV: {error}")
            continue
        if cells is None:
            return
        if any(cells):
            yield _row(number + reader.line_num, head, cells, columns, usual)


def _row(number: int, head: list[str], cells: list[str], columns: tuple[str, ...], usual: str) -> Line | BadLine:
    if len(cells) != len(head):
        return BadLine(number, f"{counted(len(cells), 'cell')} where the header has {len(head)}")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return BadLine(number, "not UTF-8")
    fields = {name: cell for name, cell in zip(head, cells, strict=True) if name}
    named = fields.pop(_ENDPOINT, "").strip()
    return Line(number, {_ENDPOINT: named or usual, "ref": fields}, columns)
