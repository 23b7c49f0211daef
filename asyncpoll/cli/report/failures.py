"""Failures of one kind, counted together although each names another job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from asyncpoll.cli.report.verdict import Verdict, verdict_of

if TYPE_CHECKING:
    from asyncpoll.ledger.records import Record

MOST_KINDS = 10_000
_LONGEST_COMPARED = 300  # characters
_SHORTEST_ID = 4  # shorter ones are found in words that have nothing to do with them

_VARYING = re.compile(
    r"\b\d[\d.,]*(?=\s?(?:s|ms|polls?|seconds?|bytes?)\b)"  # a measure
    r"|\b(?=[\da-f-]{8})(?=[a-f-]*\d)[\da-f]{4,}(?:-[\da-f]{4,})*\b"  # an id
    r"|(?<=\w-)\d{3,}\b"  # the number in a name, but not the version of a model
    r"|(?<![\w.-])(?<!http.)(?<!code.)(?<!status.)(?<!error.)\d+(?:\.\d+)?\b",  # a number, but not one that says why
    re.IGNORECASE,
)


_Place = tuple[str, Verdict, str | None, str | None, str | None]


@define
class Kind:
    """Failures that differ at most in numbers and ids.

    Attributes:
        endpoint: The name of the endpoint.
        verdict: What became of the jobs.
        error: The name of the error's class, where the wait ended with one.
        code: The server's code.
        reason: The words of the first of them; None for all that came when there were too many kinds already.
        example: The key of the first of them.
        jobs: How many there are.
    """

    endpoint: str
    verdict: Verdict
    error: str | None
    code: str | None
    reason: str | None
    example: str
    jobs: int = 0


@define
class Failures:
    """Kinds of failures, at most 10,000; what comes after is counted by endpoint and verdict alone."""

    _kinds: dict[_Place, Kind] = field(factory=dict)

    def add(self, record: Record) -> None:
        """Count a job that did not succeed."""
        kind = Kind(record.endpoint, verdict_of(record), record.error, record.code, record.reason or "", record.key)
        place = (kind.endpoint, kind.verdict, kind.error, kind.code, _pattern(record))
        if place not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = evolve(kind, error=None, code=None, reason=None)
            place = (kind.endpoint, kind.verdict, None, None, None)
        self._kinds.setdefault(place, kind).jobs += 1

    def most_frequent(self) -> Iterator[Kind]:
        """Yield the kinds, the most frequent first, of equally frequent ones that which came first."""
        yield from sorted(self._kinds.values(), key=lambda kind: -kind.jobs)


def _pattern(record: Record) -> str | None:
    """Return the reason without what may differ from job to job."""
    reason = record.reason or ""
    for name in _names(record):
        reason = reason.replace(name, "…")
    return _VARYING.sub("#", reason[:_LONGEST_COMPARED])


def _names(record: Record) -> Iterator[str]:
    """Yield the texts that name a job: its key, and those in its reference."""
    yield record.key
    members = record.ref.values() if isinstance(record.ref, dict) else [record.ref]
    yield from (text for text in members if isinstance(text, str) and len(text) >= _SHORTEST_ID)
