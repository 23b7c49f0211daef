"""The whole page: one HTML file without a script, which asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files

from attrs import frozen

from asyncpoll.cli.report.figures import Figures
from asyncpoll.cli.report.html import Content, Html, element, joined
from asyncpoll.cli.report.sections import SECTIONS, Section
from asyncpoll.cli.report.verdict import Verdict
from asyncpoll.cli.report.words import count, date, duration, iso, percent, shown

_LONGEST_NAME = 100


@frozen
class Origin:
    """Where the figures come from.

    Attributes:
        name: The name of the ledger.
        drawn_at: When the page was made, in seconds of Unix time.
        sessions: How many processes have worked at the run.
        worked: Seconds in which there was one.
        anomalies: How often a job was reported again with another outcome.
    """

    name: str
    drawn_at: float
    sessions: int = 0
    worked: float = 0.0
    anomalies: int = 0


def page(figures: Figures, origin: Origin) -> str:
    """Return the page; its figures are those of *figures*, to the last job."""
    sections = [section for find in SECTIONS for section in find(figures)]
    title = f"{shown(origin.name, _LONGEST_NAME)}: asyncpoll report"
    body = element("main", _head(figures, origin), _contents(sections), map(_section, sections), _foot(origin))
    document = element("html", element("head", _meta(title)), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{document.markup}\n"


def _meta(title: str) -> Iterator[Html]:
    style = (files("asyncpoll.cli.report") / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Whatever a text from outside might smuggle in, a browser would neither run it nor fetch anything for it.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    yield element("meta", charset="utf-8")
    yield Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">')
    yield element("meta", name_="viewport", content_="width=device-width, initial-scale=1")
    yield element("meta", name_="color-scheme", content_="light dark")
    yield element("link", rel="icon", href="data:,")
    yield element("title", title)
    yield Html(f"<style>{style}</style>")


def _head(figures: Figures, origin: Origin) -> Html:
    facts = element(
        "dl", (element("div", element("dt", term), element("dd", *said)) for term, *said in _facts(figures))
    )
    heading = element("h1", shown(origin.name, _LONGEST_NAME))
    return element("header", heading, element("p", verdict(figures), class_="verdict"), facts)


def verdict(figures: Figures) -> str:
    """Return how the run stands in one sentence."""
    counts = figures.counts()
    jobs, succeeded, waiting = counts.total(), counts[Verdict.SUCCEEDED], counts[Verdict.UNFINISHED]
    if not jobs:
        return "This run has no jobs."
    if succeeded == jobs:
        return "The one job succeeded." if jobs == 1 else f"All {count(jobs)} jobs succeeded."
    others = ((jobs - succeeded - waiting, "did not"), (waiting, "are unfinished" if waiting > 1 else "is unfinished"))
    rest = "; ".join(f"{count(number)} {word}" for number, word in others if number)
    return f"{count(succeeded)} of {count(jobs, 'job')} succeeded; {rest}."


def _facts(figures: Figures) -> Iterator[tuple[Content, ...]]:
    counts = figures.counts()
    jobs, succeeded, waiting = counts.total(), counts[Verdict.SUCCEEDED], counts[Verdict.UNFINISHED]
    yield "Jobs", count(jobs), element("small", count(len(figures.endpoints()), "endpoint"))
    for term, number in (
        ("Succeeded", succeeded),
        ("Unsuccessful", jobs - succeeded - waiting),
        ("Unfinished", waiting),
    ):
        yield term, count(number), element("small", percent(number, jobs))
    ended = jobs - waiting
    polls = sum(number * times for number, times in figures.polls().items())
    yield "Polls", count(polls), element("small", f"{polls / ended:.1f} per outcome" if ended else "no outcome yet")
    if ended:
        span = element("small", _time(figures.first), " to ", _time(figures.last))
        yield "Time span", duration(max(0.0, figures.last - figures.first)), span


def _time(at: float) -> Html:
    return element("time", date(at), datetime=iso(at))


def _contents(sections: list[Section]) -> Html:
    links = (element("a", section.title, href=f"#{section.name}") for section in sections)
    return element("nav", links, aria_label="Sections")


def _section(section: Section) -> Html:
    heading = element("h2", section.title, id=f"{section.name}-h")
    return element("section", heading, *section.body, id=section.name, aria_labelledby=f"{section.name}-h")


def _foot(origin: Origin) -> Html:
    work = f"{count(origin.sessions, 'session')}, {duration(origin.worked)} of work. " if origin.sessions else ""
    odd = (
        f"A job was reported again with another outcome {count(origin.anomalies, 'time')}; the first one counts. "
        if origin.anomalies
        else ""
    )
    return element("footer", joined(work, odd, "Made ", _time(origin.drawn_at), " by asyncpoll report."))
