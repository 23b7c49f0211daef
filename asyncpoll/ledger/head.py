"""How many rows a ledger has, what they add up to, and the digests of the last ones."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any, Self

from attrs import Factory, define

from asyncpoll.ledger.records import Counts
from asyncpoll.ledger.schema import PUT, START, damaged, digest, verified


@define
class Head:
    """The one row that says what the appended tables hold; a missing row, the last ones included, is found by it.

    Attributes:
        entries: Rows in `entry`.
        entry_digest: The digest of the last of them.
        outcomes: Rows in `outcome`.
        outcome_digest: The digest of the last of them.
        by_endpoint: Entries by endpoint.
        by_state: Outcomes without an error by endpoint and state.
        by_error: Outcomes with an error by endpoint and the name of its class.
        anomalies: Contradictions to recorded outcomes.
    """

    entries: int = 0
    entry_digest: str = START
    outcomes: int = 0
    outcome_digest: str = START
    by_endpoint: Counter[str] = Factory(Counter)
    by_state: Counter[tuple[str, str]] = Factory(Counter)
    by_error: Counter[tuple[str, str]] = Factory(Counter)
    anomalies: int = 0

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Self:
        """Read the row.

        Raises:
            LedgerError: It is missing or not what was written; the kind is "damaged".
        """
        row = connection.execute("SELECT * FROM head").fetchone()
        if row is None:
            raise damaged("the head")
        facts = json.loads(verified("the head", row)[1])
        states, errors, endpoints = facts.pop("by_state"), facts.pop("by_error"), facts.pop("by_endpoint")
        return cls(**facts, by_endpoint=Counter(endpoints), by_state=_table(states), by_error=_table(errors))

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the row, in place of the one before."""
        facts = {
            "entries": self.entries,
            "entry_digest": self.entry_digest,
            "outcomes": self.outcomes,
            "outcome_digest": self.outcome_digest,
            "by_endpoint": self.by_endpoint,
            "by_state": [[*pair, count] for pair, count in self.by_state.items()],
            "by_error": [[*pair, count] for pair, count in self.by_error.items()],
            "anomalies": self.anomalies,
        }
        text = json.dumps(facts)
        connection.execute(PUT["head"], (1, text, digest(START, 1, text)))

    def entered(self, endpoint: str, row_digest: str) -> None:
        """Take in that an entry was appended."""
        self.entries += 1
        self.entry_digest = row_digest
        self.by_endpoint[endpoint] += 1

    def recorded(self, endpoint: str, state: str, error: str | None, row_digest: str) -> None:
        """Take in that an outcome was appended."""
        self.outcomes += 1
        self.outcome_digest = row_digest
        if error is None:
            self.by_state[endpoint, state] += 1
        else:
            self.by_error[endpoint, error] += 1

    def counts(self) -> Counts:
        """Return what may be looked at while this goes on changing."""
        return Counts(
            self.entries,
            self.outcomes,
            dict(self.by_state),
            dict(self.by_error),
            self.anomalies,
            dict(self.by_endpoint),
        )


def _table(rows: list[Any]) -> Counter[tuple[str, str]]:
    return Counter({(endpoint, word): count for endpoint, word, count in rows})
