"""Write the page: one HTML file without a script, which makes no request to anywhere.

The statistics of a run become the values that the page shows, section by section; every text from outside passes
through `shown`, so that the template cannot forget it. The template is `page.html.j2`, its tables and charts are in
`macros.html.j2`. All text that goes into them is escaped; the style sheet alone, which is our own, is not.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from attrs import frozen

from asyncpoll.cli._output import duration
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
from asyncpoll.cli.report._stats import FailureKind, Measurements, Number, RunStats, RunVerdict, SlowJob, quantile
from asyncpoll.cli.report._words import count, date, iso, percent, shown

if TYPE_CHECKING:
    from jinja2 import Template


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
        shard: The share of the input that the run has, such as "3/8", or None for all of it.
    """

    name: str
    drawn_at: float
    sessions: int = 0
    worked: float = 0.0
    anomalies: int = 0
    shard: str | None = None


def view_of(stats: RunStats, info: LedgerInfo) -> dict[str, object]:
    """Return the values that the template shows, by name; a section without anything to show is empty or None."""
    counts, endpoints, kinds = stats.counts(), stats.endpoints(), stats.failures.most_frequent()
    top, everything = endpoints[:_MOST_ENDPOINTS], stats.select()
    verdicts = {verdict: stats.select(verdict=verdict) for verdict in RunVerdict}
    groups = [("all", everything)] if len(endpoints) > 1 else []
    groups += [(shown(name), stats.select(name)) for name in top]
    waited = histogram_of_durations({verdict: jobs.waited for verdict, jobs in verdicts.items()})
    delays = histogram_of_durations({verdict: jobs.delays for verdict, jobs in verdicts.items()})
    polls = histogram_of_numbers({verdict: jobs.polls for verdict, jobs in verdicts.items()})
    return {
        "name": shown(info.name, _LONGEST_KEY),
        "info": info,
        "sentence": sentence(counts),
        "facts": [
            *_facts(counts, everything, len(endpoints)),
            *([("Shard", shown(info.shard), "of the input")] if info.shard else []),
        ],
        "first": stats.first,
        "last": stats.last,
        "span": max(0.0, stats.last - stats.first) if everything.waited else None,
        "width": stats.timeline.width,
        "legend": [(verdict, counts[verdict]) for verdict in RunVerdict if counts[verdict]],
        "more_endpoints": len(endpoints) - len(top),
        "rarer_kinds": len(kinds[_MOST_ROWS:]),
        "rarer_jobs": sum(kind.jobs for kind in kinds[_MOST_ROWS:]),
        "sections": {
            "outcomes": [_outcomes(name, stats.counts(name), stats.counts(top[0])) for name in top],
            "time": histogram_of_times(stats.timeline),
            "durations": _measure(waited, [(name, jobs.waited) for name, jobs in groups], duration),
            "delays": _measure(delays, [(name, jobs.delays) for name, jobs in groups], duration),
            "polls": _measure(polls, [(name, jobs.polls.elements()) for name, jobs in groups], count),
            "pacing": [_pacing(summary) for summary in summarize_pacing(stats)],
            "failures": [_failure(kind) for kind in kinds[:_MOST_ROWS]],
            "unfinished": _unfinished(stats),
            "words": [(count(n), shown(name), shown(word)) for (name, word), n in stats.words.most_common(_MOST_ROWS)],
            "slowest": [_slow(job) for job in stats.slowest()],
        },
    }


def sentence(counts: Counter[RunVerdict]) -> str:
    """Return the state of a run in one sentence."""
    jobs, succeeded, waiting = counts.total(), counts[RunVerdict.SUCCEEDED], counts[RunVerdict.UNFINISHED]
    if not jobs:
        return "This run has no jobs."
    if succeeded == jobs:
        return "The one job succeeded." if jobs == 1 else f"All {count(jobs)} jobs succeeded."
    others = ((jobs - succeeded - waiting, "did not"), (waiting, "are unfinished" if waiting > 1 else "is unfinished"))
    rest = "; ".join(f"{count(number)} {word}" for number, word in others if number)
    return f"{count(succeeded)} of {count(jobs, 'job')} succeeded; {rest}."


def _facts(counts: Counter[RunVerdict], everything: Measurements, endpoints: int) -> Iterator[Row]:
    """Yield the term, the figure and the note of each fact at the top of the page."""
    jobs, succeeded, waiting = counts.total(), counts[RunVerdict.SUCCEEDED], counts[RunVerdict.UNFINISHED]
    ended = jobs - waiting
    yield "Jobs", count(jobs), count(endpoints, "endpoint")
    for term, number in (("Succeeded", succeeded), ("Unsuccessful", ended - succeeded), ("Unfinished", waiting)):
        yield term, count(number), percent(number, jobs)
    polls = sum(number * times for number, times in everything.polls.items())
    yield "Polls", count(polls), f"{polls / ended:.1f} per outcome" if ended else "no outcome yet"


def _outcomes(
    endpoint: str, jobs: Counter[RunVerdict], largest: Counter[RunVerdict]
) -> tuple[str, str, str, Sequence[Piece]]:
    """Return the name of an endpoint, its jobs, their verdicts in words, and the pieces of its bar."""
    total = jobs.total()
    title = f"{count(total, 'job')}, {percent(jobs[RunVerdict.SUCCEEDED], total)} succeeded"
    return shown(endpoint), title, in_words(jobs), stacked(jobs, largest.total(), _LEAST_SHARE)


def _measure(
    histogram: Histogram, groups: Iterable[tuple[str, Iterable[Number]]], say: Callable[[Number], str]
) -> tuple[Histogram, list[Row]] | None:
    """Return a histogram, and the quantiles of each group that has values; None where there are no values."""
    ordered = ((name, sorted(values)) for name, values in groups)
    rows = [
        (name, count(len(values)), *(say(quantile(values, share)) for share in _QUANTILES))
        for name, values in ordered
        if values
    ]
    return (histogram, rows) if rows else None


def _pacing(summary: PacingSummary) -> tuple[str, str, Curve, int, list[Row]]:
    """Return a pacing key, a text, its curve, the number of jobs compared, and the cost by schedule."""
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
    cut = f" The first {_MOST_MARKS} polls are drawn." if len(polls) > _MOST_MARKS else ""
    rows: list[Row] = [
        (name, f"{cost.calls:.1f}", duration(max(0.0, cost.delay))) for name, cost in summary.costs.items()
    ]
    return shown(summary.key), text + cut, curve, summary.compared, rows


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


_FILES = files("asyncpoll.cli.report")


def load_template() -> Template:
    """Return the template of the page.

    Raises:
        ValueError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415  Jinja2 is an extra
    except ModuleNotFoundError as error:
        raise ValueError("a report needs Jinja2; install it with: pip install 'asyncpoll[cli]'") from error
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_source),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=count, date=date, duration=duration, iso=iso, pct=_percent)
    return environment.get_template("page.html.j2")


def render(template: Template, stats: RunStats, info: LedgerInfo) -> str:
    """Return the page; its figures are those of *stats*, to the last job."""
    style = _source("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render(view_of(stats, info), style=style, digest=digest)


def _source(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"
