"""Bad lines: reported one by one until there are too many of them, and counted to the last."""

from __future__ import annotations

from attrs import define

from asyncpoll.cli.output import note
from asyncpoll.cli.run.lines import Bad

MOST_REPORTED = 20
"""So many are reported one by one."""


@define
class Complaints:
    """What is wrong with the lines of a file.

    Attributes:
        number: How many bad lines there are.
    """

    number: int = 0

    def add(self, line: Bad) -> None:
        """Count a bad line, and report it unless there were many before it."""
        self.number += 1
        if self.number <= MOST_REPORTED:
            note(f"asyncpoll: {line}")

    def sum_up(self) -> None:
        """Report how many there were, unless each has been reported."""
        if self.number > MOST_REPORTED:
            note(f"asyncpoll: {self.number:,} bad lines in all, of which the first {MOST_REPORTED} are named above")
