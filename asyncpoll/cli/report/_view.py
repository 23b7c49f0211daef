"""Turn the statistics of a run into the values that the page shows, section by section.

Every text from outside passes through `shown` here, so that the template cannot forget it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from asyncpoll.cli.report._charts import (
    Curve,
    Histogram,
    Piece,
    ages,
    histogram_of_durations,
    histogram_of_numbers,
    histogram_of_times,
    in_words,
    stacked,
)
from asyncpoll.cli.report._pacing import PacingSummary, summarize_pacing
from asyncpoll.cli.report._stats import FailureKind, Number, RunStats, SlowJob, Verdict, quantile
from asyncpoll.cli.report._words import count, duration, percent, shown

_LONGEST_KEY, _LONGEST_REASON = 100, 200  # characters
_MOST_ENDPOINTS = 20
_MOST_ROWS = 30
_STEPS = 160  # along a curve
_MOST_MARKS, _MOST_TOLD = 100, 4  # of the polls of a job
_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_LEAST_SHARE = 0.006  # of the width: a single job among a million is still seen
_LASTS = {"processing": "are processed for", "pending": "are pending for", "": "take"}

Row = tuple[str, ...]


@frozen
class LedgerInfo:
    """Facts about the ledger itself.

    Attributes:
        name: Its file name.
        drawn_at: The Unix time at which the page was made, in seconds.
        sessions: How many processes have worked on the run.
        worked: Seconds in which there was one.
        anomalies: How often a job was reported again with another outcome.
    """

    name: str
    drawn_at: float
    sessions: int = 0
    worked: float = 0.0
    anomalies: int = 0


@frozen
class EndpointOutcomes:
    """The outcomes of one endpoint: its name, their number, the jobs by verdict in words, and the pieces of its bar."""

    name: str
    title: str
    parts: str
    pieces: Sequence[Piece]


@frozen
class Measure:
    """One measure of the jobs: its histogram, and its quantiles by endpoint as cells of a table."""

    histogram: Histogram
    rows: Sequence[Row]


@frozen
class Pacing:
    """The pacing of the jobs of one key.

    Attributes:
        key: The pacing key.
        text: How long they take, and when it pays to poll them.
        cut: Whether there are more polls than the curve shows.
        curve: The share of jobs that still run at each age, with a mark for each poll.
        compared: The number of jobs that the costs are about.
        rows: The cost by schedule, as cells of a table.
    """

    key: str
    text: str
    cut: bool
    curve: Curve
    compared: int
    rows: Sequence[Row]


def view_of(stats: RunStats, info: LedgerInfo) -> dict[str, object]:
    """Return the values that the template shows, by name; a section without anything to show is empty or None."""
    counts, endpoints, kinds = stats.counts(), stats.endpoints(), stats.failures.most_frequent()
    return {
        "name": shown(info.name, 100),
        "info": info,
        "sentence": sentence(counts),
        "facts": list(_facts(stats, counts, len(endpoints))),
        "first": stats.first,
        "last": stats.last,
        "span": max(0.0, stats.last - stats.first) if stats.measured else None,
        "width": stats.timeline.width,
        "legend": [(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
        "more_endpoints": max(0, len(endpoints) - _MOST_ENDPOINTS),
        "rarer_kinds": len(kinds[_MOST_ROWS:]),
        "rarer_jobs": sum(kind.jobs for kind in kinds[_MOST_ROWS:]),
        "sections": {
            "outcomes": [_outcomes(stats, one, endpoints[0]) for one in endpoints[:_MOST_ENDPOINTS]],
            "time": histogram_of_times(stats.timeline),
            "durations": _durations(stats.waited, endpoints),
            "delays": _durations(stats.delays, endpoints),
            "polls": _polls(stats, endpoints),
            "pacing": [_pacing(summary) for summary in summarize_pacing(stats)],
            "failures": [_failure(kind) for kind in kinds[:_MOST_ROWS]],
            "unfinished": _unfinished(stats),
            "words": [(count(n), shown(name), shown(word)) for (name, word), n in stats.words.most_common(_MOST_ROWS)],
            "slowest": [_slow(job) for job in stats.slowest()],
        },
    }


def sentence(counts: Counter[Verdict]) -> str:
    """Return the state of a run in one sentence."""
    jobs, succeeded, waiting = counts.total(), counts[Verdict.SUCCEEDED], counts[Verdict.UNFINISHED]
    if not jobs:
        return "This run has no jobs."
    if succeeded == jobs:
        return "The one job succeeded." if jobs == 1 else f"All {count(jobs)} jobs succeeded."
    others = ((jobs - succeeded - waiting, "did not"), (waiting, "are unfinished" if waiting > 1 else "is unfinished"))
    rest = "; ".join(f"{count(number)} {word}" for number, word in others if number)
    return f"{count(succeeded)} of {count(jobs, 'job')} succeeded; {rest}."


def _facts(stats: RunStats, counts: Counter[Verdict], endpoints: int) -> Iterator[Row]:
    """Yield the term, the figure and the note of each fact at the top of the page."""
    jobs, succeeded, waiting = counts.total(), counts[Verdict.SUCCEEDED], counts[Verdict.UNFINISHED]
    ended = jobs - waiting
    yield "Jobs", count(jobs), count(endpoints, "endpoint")
    for term, number in (("Succeeded", succeeded), ("Unsuccessful", ended - succeeded), ("Unfinished", waiting)):
        yield term, count(number), percent(number, jobs)
    polls = sum(number * times for number, times in stats.polls().items())
    yield "Polls", count(polls), f"{polls / ended:.1f} per outcome" if ended else "no outcome yet"


def _outcomes(stats: RunStats, endpoint: str, largest: str) -> EndpointOutcomes:
    jobs = stats.counts(endpoint)
    title = f"{count(jobs.total(), 'job')}, {percent(jobs[Verdict.SUCCEEDED], jobs.total())} succeeded"
    pieces = stacked(jobs, stats.counts(largest).total(), _LEAST_SHARE)
    return EndpointOutcomes(shown(endpoint), title, in_words(jobs), pieces)


def _durations(
    values: Callable[[str | None, Verdict | None], array[float]], endpoints: Sequence[str]
) -> Measure | None:
    """Return a measure in seconds, given its values by endpoint and verdict, or None where there are none."""
    if not values(None, None):
        return None
    histogram = histogram_of_durations({verdict: values(None, verdict) for verdict in Verdict})
    return Measure(histogram, _quantiles(endpoints, lambda endpoint: values(endpoint, None), duration))


def _polls(stats: RunStats, endpoints: Sequence[str]) -> Measure | None:
    """Return the numbers of polls, or None where no job has ended."""
    if not stats.polls():
        return None
    histogram = histogram_of_numbers({verdict: stats.polls(verdict=verdict) for verdict in Verdict})
    return Measure(histogram, _quantiles(endpoints, lambda endpoint: stats.polls(endpoint).elements(), count))


def _quantiles(
    endpoints: Sequence[str], values: Callable[[str | None], Iterable[Number]], say: Callable[[Number], str]
) -> list[Row]:
    """Return a row about all endpoints, where there are more than one, and a row for each that has values."""
    shown_endpoints = endpoints[:_MOST_ENDPOINTS]
    rows: list[Row] = []
    for endpoint in [None, *shown_endpoints] if len(endpoints) > 1 else shown_endpoints:
        if ordered := sorted(values(endpoint)):
            quantiles = (say(quantile(ordered, share)) for share in _QUANTILES)
            rows.append(("all" if endpoint is None else shown(endpoint), count(len(ordered)), *quantiles))
    return rows


def _pacing(summary: PacingSummary) -> Pacing:
    survival, until, polls = summary.survival, summary.until, summary.polls
    running = [(age, survival.running_at(age)) for age in polls[:_MOST_MARKS]]
    curve = Curve(
        [survival.running_at(until * step / _STEPS) for step in range(_STEPS + 1)],
        [(age / until, share, f"poll after {duration(age)}: {share:.0%} still run") for age, share in running],
        ages(until),
    )
    half = f"Half of such jobs {_LASTS[summary.phase]} more than {duration(survival.age_at(0.5))}"
    first = ", ".join(map(duration, polls[:_MOST_TOLD]))
    text = (
        f"{half}, as learned from {count(summary.learned_from, 'job')}. It would pay to poll after {first} and so on."
    )
    rows = [(name, f"{cost.calls:.1f}", duration(max(0.0, cost.delay))) for name, cost in summary.costs.items()]
    return Pacing(shown(summary.key), text, len(polls) > _MOST_MARKS, curve, summary.compared, rows)


def _failure(kind: FailureKind) -> Row:
    """Return the cells of a row: jobs, endpoint, outcome with the error and the server's code, reason, example."""
    error = "" if kind.error is None else f" ({shown(kind.error)})"
    code = f" [{shown(kind.code)}]" if kind.code else ""
    reason = "various reasons" if kind.reason is None else shown(kind.reason, _LONGEST_REASON)
    outcome, example = f"{kind.verdict}{error}{code}", shown(kind.example, _LONGEST_KEY)
    return count(kind.jobs), shown(kind.endpoint), outcome, reason, example


def _unfinished(stats: RunStats) -> list[Row]:
    standing = sorted(((jobs, *place) for place, jobs in stats.unfinished.items() if jobs), reverse=True)
    return [(count(jobs), shown(endpoint), shown(state)) for jobs, endpoint, state in standing[:_MOST_ROWS]]


def _slow(job: SlowJob) -> Row:
    return duration(job.waited), count(job.polls), job.verdict.value, shown(job.key, _LONGEST_KEY)
