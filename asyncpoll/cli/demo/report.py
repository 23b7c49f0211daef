"""What the demo has to say in the end: how the jobs ended, at what pace we learned of it, and whether it is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from attrs import frozen

from asyncpoll.cli.demo.tally import Tally
from asyncpoll.cli.demo.truth import Finding
from asyncpoll.cli.grid import Grid
from asyncpoll.cli.view import ENDINGS

_MOST_SHOWN = 20


@frozen
class Report:
    """A demo that is over.

    Attributes:
        tally: The counters.
        findings: What was found out about every job.
        sent: Requests that the clients say they sent.
        received: Requests that the simulator says it received.
        seconds: How long it all took.
    """

    tally: Tally
    findings: Sequence[Finding]
    sent: int
    received: int
    seconds: float

    def problems(self) -> list[str]:
        """Return what is not as it should be, one line each."""
        problems = [mismatch for finding in self.findings if (mismatch := finding.mismatch())]
        ended = {finding.job.key for finding in self.findings}
        problems += [f"{key}: its wait has no outcome" for key in self.tally.jobs if key not in ended]
        if self.sent != self.received:
            problems.append(f"the clients counted {self.sent} requests, the simulator {self.received}")
        return problems

    def lines(self) -> Iterator[str]:
        """Yield the report line by line; the tables are less than 80 columns wide."""
        yield from self._outcomes().lines()
        yield ""
        yield from self._pace().lines()
        yield ""
        words = ", ".join(sorted(self.tally.words)) or "none"
        yield "A poll about many jobs at once is counted for each of them."
        yield "Delay and waited are mean seconds; delay is from the end of a job until we knew."
        yield f"Status words that no vocabulary lists: {words}."
        yield f"Requests: {self.sent} counted by the clients, {self.received} by the simulator."
        yield from self._verdict()

    def _outcomes(self) -> Grid:
        return Grid(("endpoint", "jobs", *ENDINGS), "<>>>>>", tuple(map(self._outcomes_of, self.tally.endpoints())))

    def _outcomes_of(self, endpoint: str) -> tuple[str, ...]:
        states = Counter(finding.end.state for finding in self._about(endpoint))
        return endpoint, str(states.total()), *(str(states[state]) for state in ENDINGS)

    def _pace(self) -> Grid:
        head = ("endpoint", "polls", "per job", "missed", "delay", "p95 delay", "waited")
        return Grid(head, "<>>>>>>", tuple(map(self._pace_of, self.tally.endpoints())))

    def _pace_of(self, endpoint: str) -> tuple[str, ...]:
        found, polls = self._about(endpoint), self.tally.polls[endpoint]
        delays = [finding.delay for finding in found]
        seconds = fmean(delays), p95(delays), fmean(finding.end.outcome.waited for finding in found)
        counts = str(polls), f"{polls / len(found):.1f}", str(self.tally.missed[endpoint])
        return endpoint, *counts, *(f"{each:.2f}" for each in seconds)

    def _about(self, endpoint: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.job.endpoint.name == endpoint]

    def _verdict(self) -> Iterator[str]:
        problems = self.problems()
        if not problems:
            yield f"All {len(self.findings)} outcomes are what the simulator knows to be true ({self.seconds:.1f} s)."
            return
        yield f"NOT as it should be: {len(problems)} of {len(self.findings)} outcomes or counts."
        yield from (f"  {problem}" for problem in problems[:_MOST_SHOWN])
        if len(problems) > _MOST_SHOWN:
            yield f"  and {len(problems) - _MOST_SHOWN} more"


def p95(values: Sequence[float]) -> float:
    """Return the smallest of the values that 95 % of them do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]
