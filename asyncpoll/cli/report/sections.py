"""What the page shows, from top to bottom: each section is a function of the figures, and there is one list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from asyncpoll.cli.report.bins import Bar, ages, calendar, durations, numbers
from asyncpoll.cli.report.charts import Chart, columns, curve, legend, strip
from asyncpoll.cli.report.figures import Figures
from asyncpoll.cli.report.html import Content, Html, element
from asyncpoll.cli.report.paces import Pace, paces
from asyncpoll.cli.report.pieces import MOST_ENDPOINTS, key, measured, name, note, reason, what, word
from asyncpoll.cli.report.tables import Column, table
from asyncpoll.cli.report.verdict import Verdict
from asyncpoll.cli.report.words import count, date, duration, percent

_MOST_ROWS = 30
_STEPS = 160  # along a curve
_MOST_MARKS, _MOST_TOLD = 100, 4  # of the polls of a job
_LASTS = {"processing": "are processed for", "pending": "are pending for", "": "take"}


@frozen
class Section:
    """A part of the page.

    Attributes:
        name: Its id on the page.
        title: Its heading.
        body: What is below that.
    """

    name: str
    title: str
    body: Sequence[Content]


def outcomes(figures: Figures) -> Iterator[Section]:
    """Show what became of the jobs of each endpoint."""
    endpoints = figures.endpoints()
    if endpoints:
        most = figures.counts(endpoints[0]).total()
        rows = (_strip(figures, place, one, most) for place, one in enumerate(endpoints[:MOST_ENDPOINTS]))
        left = len(endpoints) - MOST_ENDPOINTS
        more = note(f"{count(left, 'endpoint')} with fewer jobs not shown, here and below.") if left > 0 else ""
        body = [legend(figures.counts()), element("ul", rows, class_="strips"), more]
        yield Section("outcomes", "Outcomes by endpoint", body)


def times(figures: Figures) -> Iterator[Section]:
    """Show when jobs ended."""
    bins = list(figures.timeline.bins())
    if bins:
        width = figures.timeline.width
        bars = [Bar(f"{date(at)}, {duration(width)}", stack) for at, stack in bins]
        text = f"When outcomes were recorded, by the clock of the machine, in UTC. Each bar is {duration(width)} wide."
        chart = Chart("time-chart", "Outcomes over time", f"From {date(figures.first)} to {date(figures.last)}.")
        drawn = columns(chart, bars, calendar(bins[0][0], bins[-1][0] + width))
        yield Section("time", "Outcomes over time", [note(text), drawn])


def waits(figures: Figures) -> Iterator[Section]:
    """Show how long jobs took."""
    if figures.samples:
        text = "How long each wait took until its outcome was known. Time in which no process ran does not count."
        histogram = durations({verdict: figures.waited(verdict=verdict) for verdict in Verdict})
        body = measured(
            "Durations", text, histogram, endpoints=figures.endpoints(), values=figures.waited, say=duration
        )
        yield Section("durations", "Durations", body)


def delays(figures: Figures) -> Iterator[Section]:
    """Show how late the ends of jobs were noticed."""
    if figures.delays():
        text = (
            "A job ended some time between the last poll that saw it unfinished and the poll that saw its end. The "
            "whole of that time is shown here, so each end was noticed at most so much later. Jobs that had ended "
            "before their first poll, and waits that ended without the job, have no such time and are left out."
        )
        histogram = durations({verdict: figures.delays(verdict=verdict) for verdict in Verdict})
        body = measured(
            "Detection delays", text, histogram, endpoints=figures.endpoints(), values=figures.delays, say=duration
        )
        yield Section("delays", "Detection delays, at most", body)


def polls(figures: Figures) -> Iterator[Section]:
    """Show how many polls jobs took."""
    if figures.samples:
        text = "How many polls each job took until its outcome was known, failed polls included."
        histogram = numbers({verdict: figures.polls(verdict=verdict) for verdict in Verdict})

        def values(endpoint: str | None = None) -> list[int]:
            return list(figures.polls(endpoint).elements())

        yield Section(
            "polls",
            "Polls per job",
            measured("Polls per job", text, histogram, endpoints=figures.endpoints(), values=values, say=count),
        )


def pacing(figures: Figures) -> Iterator[Section]:
    """Show how long jobs take, when it pays to poll them, and what polling cost."""
    known = paces(figures)
    if known:
        shown = (
            "The end of a job is noticed by the first poll after it. To ask often costs calls, to ask seldom costs "
            "time; when it pays depends on how long such jobs take, and that can be learned from those that have "
            "ended. The curve shows the chance that a job runs for longer than the time below. Each upright line is a "
            "poll that Learned() would make of a job that still runs by then, after the poll at its start; it is as "
            "tall as that is likely. Shown are the kinds of jobs of which there are most, four at most."
        )
        compared = (
            "The tables compare what polling cost with what it would have cost, on paper. Exponential() asks ever less "
            "often, whatever the job. Learned(price=0.03) takes a poll to be worth 3 % of a typical duration; it knows "
            "nothing at first and is shown one job after the other. When exactly a job ended is not known, only "
            "between which polls: delays are means over that. Jobs that had ended before their first poll, or took "
            "longer than a day, are left out."
        )
        parts = (_pace(pace, place) for place, pace in enumerate(known))
        yield Section("pacing", "Pacing", [note(shown), note(compared), *(piece for part in parts for piece in part)])


def failures(figures: Figures) -> Iterator[Section]:
    """Show why jobs did not succeed."""
    kinds = list(figures.failures.most_frequent())
    if kinds:
        heads = (Column("jobs", numeric=True), *map(Column, ("endpoint", "outcome", "reason", "for example")))
        rows = (
            (count(kind.jobs), name(kind.endpoint), what(kind), reason(kind), key(kind.example))
            for kind in kinds[:_MOST_ROWS]
        )
        text = "Reasons that differ in numbers and ids alone are counted together, in the words of the first of them."
        rest = kinds[_MOST_ROWS:]
        jobs = count(sum(kind.jobs for kind in rest), "job")
        more = note(f"{count(len(rest), 'rarer kind')} of failure with {jobs} not shown.") if rest else ""
        yield Section("failures", "Failures", [note(text), table("Failures by kind", heads, rows), more])


def unfinished(figures: Figures) -> Iterator[Section]:
    """Show where jobs stand that have no outcome."""
    standing = sorted(((jobs, *place) for place, jobs in figures.unfinished.items() if jobs), reverse=True)
    if standing:
        heads = (Column("jobs", numeric=True), Column("endpoint"), Column("last seen"))
        rows = ((count(jobs), name(endpoint), name(state)) for jobs, endpoint, state in standing[:_MOST_ROWS])
        yield Section("unfinished", "Unfinished jobs", [table("Jobs without an outcome", heads, rows)])


def words(figures: Figures) -> Iterator[Section]:
    """Show status words that no vocabulary lists."""
    if figures.words:
        heads = (Column("jobs", numeric=True), Column("endpoint"), Column("word"))
        common = figures.words.most_common(_MOST_ROWS)
        rows = ((count(jobs), name(endpoint), word(said)) for (endpoint, said), jobs in common)
        text = "Jobs were last seen with these words, which no vocabulary lists; they were taken to be running."
        yield Section("words", "Unknown status words", [note(text), table("Unknown status words", heads, rows)])


def slowest(figures: Figures) -> Iterator[Section]:
    """Show the jobs that took longest."""
    jobs = figures.slowest()
    if jobs:
        heads = (Column("waited", numeric=True), Column("polls", numeric=True), Column("outcome"), Column("job"))
        rows = ((duration(job.waited), count(job.polls), job.verdict.value, key(job.key)) for job in jobs)
        yield Section("slowest", "Slowest jobs", [table("The jobs that took longest", heads, rows)])


def _strip(figures: Figures, place: int, endpoint: str, most: int) -> Html:
    stack = figures.counts(endpoint)
    jobs, succeeded = stack.total(), percent(stack[Verdict.SUCCEEDED], stack.total())
    parts = ", ".join(f"{count(stack[verdict])} {verdict}" for verdict in Verdict if stack[verdict])
    title = element("span", element("b", name(endpoint)), f" {count(jobs, 'job')}, {succeeded} succeeded")
    chart = Chart(f"outcome-{place}", f"Outcomes of {name(endpoint)}", parts)
    return element("li", title, strip(chart, stack, most), element("small", parts))


def _pace(pace: Pace, place: int) -> Iterator[Html]:
    line = [pace.survival.running_at(pace.until * step / _STEPS) for step in range(_STEPS + 1)]
    marks = [_mark(age, pace) for age in pace.polls[:_MOST_MARKS]]
    told = ", ".join(map(duration, pace.polls[:_MOST_TOLD]))
    half = f"Half of such jobs {_LASTS[pace.phase]} more than {duration(pace.survival.age_at(0.5))}"
    text = f"{half}, as learned from {count(pace.learned_from, 'job')}. It would pay to ask after {told} and so on."
    cut = f" The first {_MOST_MARKS} polls are drawn." if len(pace.polls) > _MOST_MARKS else ""
    chart = Chart(f"pacing-{place}", f"How long jobs of {name(pace.key)} take, and when to poll them", text)
    yield element("h3", name(pace.key))
    yield note(text + cut)
    yield curve(chart, line, marks, ages(pace.until))
    heads = (Column("schedule"), Column("polls a job", numeric=True), Column("noticed late by", numeric=True))
    rows = ((named, f"{cost.calls:.1f}", duration(max(0.0, cost.delay))) for named, cost in pace.costs.items())
    yield table(f"What polling cost {count(pace.compared, 'job')} of {name(pace.key)}, on average", heads, rows)


def _mark(age: float, pace: Pace) -> tuple[float, float, str]:
    """Return where the upright line of a poll stands, how tall it is, and what it stands for."""
    running = pace.survival.running_at(age)
    return age / pace.until, running, f"poll after {duration(age)}: {running:.0%} still run"


SECTIONS: tuple[Callable[[Figures], Iterator[Section]], ...] = (
    outcomes,
    times,
    waits,
    delays,
    polls,
    pacing,
    failures,
    unfinished,
    words,
    slowest,
)
"""Every section, in the order of the page. One that has nothing to show yields nothing."""
