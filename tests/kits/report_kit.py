"""Made-up runs, and a strict parser of HTML, for the tests of the report."""

from __future__ import annotations

import random
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from attrs import define, field

from asyncpoll.cli.report._stats import RunStats
from asyncpoll.cli.report._view import LedgerInfo, load_template, render
from asyncpoll.ledger import Record

BEGAN = 1_763_700_000.0
INFO = LedgerInfo("run.db", BEGAN + 7_200)
VOID = {"meta", "link"}
ENDPOINTS = ("bigmodel.agents", "bigmodel.file_parser", "molizhishu.subtasks", "molizhishu.tasks")
FAILURES = (
    ("failed", "FAIL", None, "1301", "the content was refused"),
    ("failed", "FAIL", None, None, "page {number} of task-{number} cannot be read"),
    ("timeout", "TIMEOUT", None, None, None),
    ("cancelled", "stopped", None, None, None),
    ("processing", "PROCESSING", "WaitTimeout", None, "gave up waiting for {key} after {waited:.6g} s"),
    ("unknown", "rebooting", "WaitTimeout", None, "gave up waiting for {key}; last seen unknown"),
    ("unknown", "", "Rejected", "404", "the task does not exist"),
)


def record(seq: int = 1, **facts: Any) -> Record:
    """Return a record of a job that succeeded after 10 s and 5 polls, but for what is said otherwise."""
    usual: dict[str, Any] = {
        "number": seq,
        "key": f"bigmodel.agents:{seq}",
        "endpoint": "bigmodel.agents",
        "ref": {"async_id": f"id-{seq}"},
        "state": "success",
        "status": "SUCCESS",
        "value": None,
        "reason": None,
        "code": None,
        "error": None,
        "polls": 5,
        "waited": 10.0,
        "running": 8.0,
        "began_at": BEGAN,
        "ended_at": BEGAN + 10.0,
    }
    return Record(seq=seq, **(usual | facts))


def run_of(jobs: int, seed: int = 0) -> Iterator[Record]:
    """Yield the records of a made-up run, the same for the same seed."""
    chance = random.Random(seed)
    for seq in range(1, jobs + 1):
        endpoint = chance.choices(ENDPOINTS, (50, 30, 15, 5))[0]
        typical = 20.0 + 40.0 * ENDPOINTS.index(endpoint)
        waited = typical * chance.lognormvariate(0.0, 0.7)
        facts: dict[str, Any] = {"state": "success", "status": "SUCCESS"}
        if chance.random() < 0.08:
            names = ("state", "status", "error", "code", "reason")
            facts = dict(zip(names, chance.choice(FAILURES), strict=True))
        if facts.get("error") == "WaitTimeout":
            waited = 600.0 + chance.random()
        key = f"{endpoint}:task-{seq:06d}"
        if reason := facts.get("reason"):
            facts["reason"] = reason.format(number=seq, key=key, waited=waited)
        began = BEGAN + 1_800 * chance.random()
        seen = chance.random() > 0.03
        yield record(
            seq,
            key=key,
            endpoint=endpoint,
            ref={"task_id": f"task-{seq:06d}"},
            polls=1 + int(waited / 8),
            waited=waited,
            running=waited * (1 - 0.25 * chance.random()) if seen else None,
            began_at=began,
            ended_at=began + waited,
            **facts,
        )


def page_of(*records: Record, unfinished: dict[tuple[str, str], int] | None = None, info: LedgerInfo = INFO) -> str:
    """Return the page about these records."""
    return page(RunStats.of(records, unfinished or {}), info)


def page(stats: RunStats, info: LedgerInfo = INFO) -> str:
    """Return the page about these statistics."""
    return render(load_template(), stats, info)


@define
class Seen(HTMLParser):
    """A page as it was read: strictly, so that what is not closed or not defined is an error.

    Attributes:
        text: All text outside of the style.
        tables: The cells of every table by its caption, row by row, the head too.
        ids: The id of every element that has one.
        refers: What other attributes name such ids.
        attributes: Every attribute with its value.
        tags: The name of every element.
    """

    text: str = ""
    tables: dict[str, list[list[str]]] = field(factory=dict)
    ids: list[str] = field(factory=list)
    refers: set[str] = field(factory=set)
    attributes: list[tuple[str, str]] = field(factory=list)
    tags: list[str] = field(factory=list)
    _open: list[str] = field(factory=list)
    _caption: str = ""

    def __attrs_pre_init__(self) -> None:
        HTMLParser.__init__(self)

    @classmethod
    def of(cls, page: str) -> Seen:
        """Read a page."""
        seen = cls()
        seen.feed(page)
        seen.close()
        assert not seen._open
        assert len(set(seen.ids)) == len(seen.ids)
        assert seen.refers <= set(seen.ids)
        return seen

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; every attribute has a value, and none is there twice."""
        named = dict(attrs)
        assert len(named) == len(attrs)
        assert None not in named.values()
        self.tags.append(tag)
        self.attributes += [(name, str(value)) for name, value in attrs]
        self.ids += [str(named["id"])] if "id" in named else []
        self.refers |= set(str(named.get("aria-labelledby") or "").split())
        self.refers |= {str(named["href"])[1:]} if tag == "a" else set()
        if tag == "tr":
            self.tables[self._caption].append([])
        if tag in {"td", "th"}:
            self.tables[self._caption][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See an element that is closed at once, as only SVG knows them."""
        assert "svg" in self._open
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """See text."""
        if "style" in self._open:
            return
        self.text += data
        if "caption" in self._open:
            self._caption = data
            self.tables[data] = []
        elif {"td", "th"} & set(self._open):
            self.tables[self._caption][-1][-1] += data
