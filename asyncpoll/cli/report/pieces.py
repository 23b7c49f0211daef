"""What the sections of the page are put together from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from asyncpoll.cli.report.bins import Histogram
from asyncpoll.cli.report.charts import Chart, columns
from asyncpoll.cli.report.failures import Kind
from asyncpoll.cli.report.figures import Number, quantile
from asyncpoll.cli.report.html import Content, Html, element
from asyncpoll.cli.report.tables import Column, table
from asyncpoll.cli.report.words import count, shown

MOST_ENDPOINTS = 20
_LONGEST_NAME, _LONGEST_KEY, _LONGEST_REASON = 60, 100, 200
_SHARES = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (1.0, "max"))


def note(text: str) -> Html:
    """Return a paragraph that explains."""
    return element("p", text)


def name(text: str) -> str:
    """Return the name of an endpoint or a state, at most 60 characters."""
    return shown(text, _LONGEST_NAME)


def key(text: str) -> Html:
    """Return the key of a job, at most 100 characters."""
    return element("code", shown(text, _LONGEST_KEY))


def word(text: str) -> Html:
    """Return a word of the server's, at most 60 characters."""
    return element("code", shown(text, _LONGEST_NAME))


def what(kind: Kind) -> str:
    """Return what became of jobs, through which error, and the server's code for it."""
    error = "" if kind.error is None else f" ({name(kind.error)})"
    return f"{kind.verdict}{error}" + (f" [{name(kind.code)}]" if kind.code else "")


def reason(kind: Kind) -> str:
    """Return why, at most 200 characters."""
    return "various reasons" if kind.reason is None else shown(kind.reason, _LONGEST_REASON)


def measured(
    title: str,
    text: str,
    histogram: Histogram,
    *,
    endpoints: Sequence[str],
    values: Callable[[str | None], Sequence[Number]],
    say: Callable[[Number], str],
) -> list[Content]:
    """Return what a section shows about one measure: words, a histogram, and quantiles by endpoint.

    Args:
        title: What is measured.
        text: What is to be said about it.
        histogram: Its histogram.
        endpoints: The names of the endpoints.
        values: Gives the values of one endpoint, or of all.
        say: Puts a value into words.
    """
    rows = list(_quantiles(endpoints[:MOST_ENDPOINTS], values, say))
    axis = " The axis is logarithmic." if histogram.logarithmic else ""
    every = "; ".join(f"{label} {cell}" for (_, label), cell in zip(_SHARES, rows[0][2:], strict=True))
    slug = title.lower().replace(" ", "-")
    chart = columns(Chart(f"{slug}-chart", f"{title}, a histogram", f"{every}."), histogram.bars, histogram.ticks)
    heads = (Column("endpoint"), *(Column(head, numeric=True) for head in ("jobs", *dict(_SHARES).values())))
    return [note(text + axis), chart, table(f"{title} by endpoint", heads, rows)]


def _quantiles(
    endpoints: Sequence[str], values: Callable[[str | None], Sequence[Number]], say: Callable[[Number], str]
) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a row about all endpoints, where there are more than one, and of a row for each."""
    rows: Sequence[str | None] = [None, *endpoints] if len(endpoints) > 1 else endpoints
    for endpoint in rows:
        ordered = sorted(values(endpoint))
        if ordered:
            yield "all" if endpoint is None else name(endpoint), count(len(ordered)), *_spread(ordered, say)


def _spread(ordered: Sequence[Number], say: Callable[[Number], str]) -> list[str]:
    return [say(quantile(ordered, share)) for share, _ in _SHARES]
