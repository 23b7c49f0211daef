"""Files that hold every outcome exactly once, however often the process was killed.

The ledger keeps the position of each file: the last outcome in it, and its length. A sink appends, brings the file to
the disk, and only then stores the new position. What a killed process wrote beyond that is cut off the next time, and
written again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from attrs import frozen

from asyncpoll._errors import LedgerError
from asyncpoll._json import json_line
from asyncpoll.ledger._files import os_trouble
from asyncpoll.ledger._queries import PAGE
from asyncpoll.ledger._records import Record
from asyncpoll.ledger._store import Store, Work

InThread = Callable[..., Awaitable[Any]]

_MARK: Final = 4096  # bytes at the end that identify a file
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@frozen
class Place:
    """The position of a file.

    Attributes:
        seq: The last outcome that is in it.
        length: Its length then, in bytes.
        mark: A digest of its last bytes then.
    """

    seq: int = 0
    length: int = 0
    mark: str = ""


class Sink(Protocol):
    """A file that a ledger brings up to date; see `Ledger.deliver`."""

    path: Path

    @property
    def name(self) -> str:
        """The name of this consumer in the ledger: another file, or another format, is another consumer."""
        ...

    def text(self, records: Sequence[Record], *, first: bool) -> str:
        """Return the text to append for *records*; *first* says that the file is still empty."""
        ...


class _File:
    """The base of the files of both formats."""

    _format: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    @property
    def name(self) -> str:
        """The name of this consumer in the ledger."""
        return f"{self._format}:{self.path}".encode(errors="backslashreplace").decode()  # a path may be malformed text


class JsonLines(_File):
    """A file with one line of JSON for each outcome, as `Record.line` returns it, in UTF-8.

    A job that was retried gets a later line with its `attempt`; the later line counts.

    Args:
        path: The file; made when there is none.
    """

    _format = "jsonl"

    def text(self, records: Sequence[Record], *, first: bool) -> str:
        """Return one line for each record."""
        del first
        return "".join(f"{json_line(record.line())}\n" for record in records)


class Csv(_File):
    """A table with one row for each outcome and the columns of `Record.line`, in UTF-8, with a header.

    After these come the kind, the attempt and a column for each key of the metas of the jobs. The columns are those of
    the first records, up to 200; a key that none of them has is left out. Reference and value are JSON in their cells,
    and so are lists and objects in a meta. A text that a spreadsheet would read as a formula gets a leading apostrophe.

    Args:
        path: The file; made when there is none.
    """

    _format = "csv"
    _keys: tuple[str, ...] | None = None

    def text(self, records: Sequence[Record], *, first: bool) -> str:
        """Return one row for each record, after the header in an empty file."""
        if not records:
            return ""
        lines = [_row(record) for record in records]
        metas: list[Mapping[str, Any]] = [record.meta or {} for record in records]
        columns = tuple(lines[0])
        if first:
            self._keys = tuple(dict.fromkeys(key for meta in metas for key in meta))
        elif self._keys is None:  # the header was written by another process
            with self.path.open(encoding="utf-8", newline="") as file:
                self._keys = tuple(map(_unsafe, next(csv.reader(file), [])[len(columns) :]))
        keys = self._keys
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\r\n")
        if first:
            writer.writerow((*columns, *map(_safe, keys)))
        for line, meta in zip(lines, metas, strict=True):
            own = [_safe(_plain(meta.get(key))) for key in keys]
            writer.writerow([*(_cell(name, value) for name, value in line.items()), *own])
        return table.getvalue()


def _row(record: Record) -> dict[str, Any]:
    line = record.line()
    for name in ("kind", "attempt", "meta"):  # not in every line
        line.pop(name, None)
    return line | {"kind": record.kind, "attempt": record.attempt}


async def bring_up_to_date(sink: Sink, do: Callable[[Work], Awaitable[Any]], in_thread: InThread) -> int:
    """Append to the file of *sink* the outcomes that are not in it yet, page by page; return the number of them.

    Args:
        sink: The file.
        do: Has work done by the ledger.
        in_thread: Calls a function that blocks in a thread.

    Raises:
        LedgerError: The file is not the one that was written, or cannot be written.
    """
    seq, length, mark = await do(partial(Store.position, consumer=sink.name))
    place = Place(seq, length or 0, mark or "")
    begun = place.seq
    if length is None:
        await in_thread(begin, sink.path)
        await do(partial(Store.place, consumer=sink.name, seq=0, length=0, mark=""))
    over = False
    while not over:
        page = await do(partial(Store.records, after=place.seq))
        over = len(page) < PAGE
        last = page[-1].seq if page else place.seq
        text = sink.text([record for record in page if not record.superseded], first=not place.length)
        place = await in_thread(extend, sink.path, place, last, text)
        await do(partial(Store.place, consumer=sink.name, seq=last, length=place.length, mark=place.mark))
    return place.seq - begun


def begin(path: Path) -> None:
    """Create the file of a sink that the ledger does not know yet.

    Raises:
        LedgerError: It is not empty ("foreign"), or it cannot be made ("readonly", "full", "io").
    """
    try:
        with path.open("ab") as file:
            if file.tell():
                raise LedgerError(
                    f"{path} exists already and is not from this run; choose another name, or move it away",
                    kind="foreign",
                )
    except OSError as error:
        raise os_trouble(error, path) from error


def extend(path: Path, place: Place, seq: int, text: str) -> Place:
    """Cut the file down to *place*, append *text* and bring it to the disk; return the new place.

    Args:
        path: The file.
        place: The position that is stored.
        seq: The last outcome that is in *text*.
        text: The text to append; with an empty one the file is only cut.

    Raises:
        LedgerError: The file is not the one that was written ("foreign"), shorter ("damaged"), or cannot be written.
    """
    try:
        with path.open("r+b") as file:
            _check(file, path, place)
            file.truncate(place.length)
            file.seek(place.length)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            return Place(seq, file.tell(), _mark(file, file.tell()))
    except OSError as error:
        raise os_trouble(error, path) from error


def _check(file: io.BufferedRandom, path: Path, place: Place) -> None:
    if file.seek(0, os.SEEK_END) < place.length:
        raise LedgerError(
            f"{path} is shorter than what was written to it; put it back, or deliver into a new file", kind="damaged"
        )
    if _mark(file, place.length) != (place.mark or _mark(file, 0)):
        raise LedgerError(
            f"{path} is not the file that was written; put that back, or deliver into a new file", kind="foreign"
        )


def _mark(file: io.BufferedRandom, length: int) -> str:
    start = max(0, length - _MARK)
    file.seek(start)
    return hashlib.blake2b(file.read(length - start), digest_size=8).hexdigest()


def _cell(name: str, value: Any) -> Any:
    if name in ("ref", "value"):
        value = "" if value is None else json_line(value)
    return _safe(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json_line(value)


def _unsafe(title: str) -> str:
    """Return a title as it was before `_safe`."""
    return title[1:] if title.startswith("'") and title[1:].startswith(_FORMULA) else title


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
