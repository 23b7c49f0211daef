"""One line of a table of targets."""

from __future__ import annotations

from attrs import frozen


@frozen
class Row:
    """One line of the table: a measured value that should not exceed its target."""

    number: int
    what: str
    measured: float
    target: float

    def show(self) -> None:
        """Print it."""
        verdict = "holds" if self.measured <= self.target else "misses"
        print(f"{self.number:3}  {self.what:76} {self.measured:8.2f} {self.target:8.2f}  {verdict}", flush=True)
