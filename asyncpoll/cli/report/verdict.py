"""How the wait for a job came out: the few words that the report counts by."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpoll.ledger.records import Record


class Verdict(StrEnum):
    """What became of a job, as the report names it; in the order in which charts stack it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out at the server"
    CANCELLED = "cancelled"
    GAVE_UP = "given up by us"
    ERROR = "no answer"
    UNFINISHED = "unfinished"

    @property
    def slug(self) -> str:
        """The name in the style sheet."""
        return self.name.lower().replace("_", "-")


_OF_STATE = {
    "success": Verdict.SUCCEEDED,
    "failed": Verdict.FAILED,
    "timeout": Verdict.TIMED_OUT,
    "cancelled": Verdict.CANCELLED,
}


def verdict_of(record: Record) -> Verdict:
    """Return what became of a job that has an outcome."""
    if record.error is None:
        return _OF_STATE.get(record.state, Verdict.ERROR)
    return Verdict.GAVE_UP if record.error == "WaitTimeout" else Verdict.ERROR
