"""The page: what it shows, and what never gets onto it."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

import pytest
from report_kit import BEGAN, ORIGIN, Seen, page_of, record, run_of

from asyncpoll.cli.report.charts import scale
from asyncpoll.cli.report.figures import Figures, quantile
from asyncpoll.cli.report.html import Html, element, joined
from asyncpoll.cli.report.page import Origin, page, verdict
from asyncpoll.cli.report.sections import SECTIONS
from asyncpoll.cli.report.verdict import verdict_of
from asyncpoll.cli.report.words import count, duration

NASTY = "</title></style></svg><script>alert(1)</script><img src=//evil.example/x onerror='a()'>\"'&amp;\x1b[2J\u202e"
LINK = "https://user:hunter2@files.example/a?X-Amz-Signature=hunter2&sig=hunter2"


def headings(markup: str) -> list[str]:
    """Return the ids of the sections of a page."""
    return [name.removesuffix("-h") for name in Seen.of(markup).ids if name.endswith("-h")]


def test_what_a_run_of_all_kinds_shows() -> None:
    """Every section is there, in the order of the list, and the page is sound HTML."""
    markup = page_of(*run_of(2_000), unfinished={("bigmodel.agents", "pending"): 3})
    names = ["outcomes", "time", "durations", "delays", "polls", "pacing", "failures", "unfinished", "words", "slowest"]
    assert headings(markup) == names
    assert len(SECTIONS) == len(names)
    assert markup.startswith('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">')
    assert "nan" not in Seen.of(markup).text
    assert not [value for _, value in Seen.of(markup).attributes if value in {"nan", "inf", "nan%", "inf%"}]


def test_its_figures_are_those_of_the_records() -> None:
    """Counts and quantiles on the page are what counting the records again gives, to the last job."""
    records = list(run_of(3_000, seed=7))
    random.Random(1).shuffle(records)
    tables = Seen.of(page_of(*records)).tables
    rows = {row[0]: row[1:] for row in tables["Durations by endpoint"]}
    for endpoint in {one.endpoint for one in records}:
        waited = sorted(one.waited for one in records if one.endpoint == endpoint)
        told = [duration(waited[math.ceil(len(waited) * share) - 1]) for share in (0.5, 0.9, 0.99, 1.0)]
        assert rows[endpoint] == [count(len(waited)), *told]
    polls = sorted(one.polls for one in records)
    all_polls = [count(quantile(polls, share)) for share in (0.5, 0.9, 0.99, 1.0)]
    assert tables["Polls per job by endpoint"][1] == ["all", count(len(records)), *all_polls]
    kinds = Counter((one.endpoint, one.state, one.error, one.code, (one.reason or "")[:4]) for one in records)
    failed = sorted((jobs for (_, state, *_), jobs in kinds.items() if state != "success"), reverse=True)
    assert [int(row[0]) for row in tables["Failures by kind"][1:]] == failed[:30]
    slowest = sorted(records, key=lambda one: -one.waited)[:20]
    assert [row[-1] for row in tables["The jobs that took longest"][1:]] == [one.key for one in slowest]


def test_bars_say_how_many_jobs_they_stand_for() -> None:
    """The titles of the bars of each chart add up to all jobs."""
    records = list(run_of(1_000))
    succeeded = sum(verdict_of(one) == "succeeded" for one in records)
    charts = page_of(*records).split("<section ")[2:6]
    told = [sum(int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) succeeded", chart)) for chart in charts]
    unseen = sum(one.running is None and one.state == "success" for one in records)
    assert told == [succeeded, succeeded, succeeded - unseen, succeeded]


@pytest.mark.parametrize(
    ("records", "unfinished", "sentence"),
    [
        ([], {}, "This run has no jobs."),
        ([{}], {}, "The one job succeeded."),
        ([{}, {}], {}, "All 2 jobs succeeded."),
        ([{}, {"state": "failed"}], {}, "1 of 2 jobs succeeded; 1 did not."),
        ([{}], {("a", "pending"): 1}, "1 of 2 jobs succeeded; 1 is unfinished."),
        (
            [{"state": "failed"}],
            {("a", "pending"): 2_000},
            "0 of 2,001 jobs succeeded; 1 did not; 2,000 are unfinished.",
        ),
    ],
)
def test_the_verdict(records: list[dict[str, Any]], unfinished: dict[tuple[str, str], int], sentence: str) -> None:
    """One sentence says how the run stands."""
    figures = Figures.of((record(seq, **facts) for seq, facts in enumerate(records)), unfinished)
    assert verdict(figures) == sentence


@pytest.mark.parametrize(
    ("records", "unfinished", "shown"),
    [
        ([], {}, []),
        ([], {("a", "pending"): 1}, ["outcomes", "unfinished"]),
        ([record()], {}, ["outcomes", "time", "durations", "delays", "polls", "pacing", "slowest"]),
        ([record(running=None)], {}, ["outcomes", "time", "durations", "polls", "slowest"]),
        (
            [record(seq, state="failed", waited=0.0, running=0.0, polls=1) for seq in range(1, 9)],
            {},
            ["outcomes", "time", "durations", "delays", "polls", "pacing", "failures", "slowest"],
        ),
        (
            [record(1, ended_at=BEGAN - 1e9, waited=1e9, polls=0), record(2, ended_at=math.nan, began_at=-1.0)],
            {},
            ["outcomes", "time", "durations", "delays", "polls", "pacing", "slowest"],
        ),
    ],
)
def test_runs_of_every_size_are_drawn(records: list[Any], unfinished: dict[Any, int], shown: list[str]) -> None:
    """An empty run, one job, none that succeeded or times that make no sense: what there is to show is shown."""
    markup = page_of(*records, unfinished=unfinished)
    assert headings(markup) == shown
    assert "nan" not in Seen.of(markup).text


def test_texts_from_outside_stay_texts() -> None:
    """Whatever servers, ids and file names contain, the page has the elements and attributes of a harmless one."""
    places = ("key", "endpoint", "status", "reason", "code", "error", "ref")
    facts: dict[str, Any] = dict.fromkeys(places, NASTY)
    words: dict[str, Any] = dict.fromkeys(places, "word")
    markup = page_of(
        record(state="unknown", **facts), unfinished={(NASTY, NASTY): 1}, origin=Origin(NASTY, BEGAN, 1, 2.0, 3)
    )
    harmless = page_of(
        record(state="unknown", **words), unfinished={("word", "word"): 1}, origin=Origin("word", BEGAN, 1, 2.0, 3)
    )
    assert Seen.of(markup).tags == Seen.of(harmless).tags
    assert [name for name, _ in Seen.of(markup).attributes] == [name for name, _ in Seen.of(harmless).attributes]
    assert Seen.of(markup).text.count("<script>alert(1)") > 5
    assert not {"\x1b", "\u202e"} & set(markup)


def test_what_is_secret_or_a_result_is_not_shown() -> None:
    """Keys and signatures in links are masked wherever they come from, and no result is on the page."""
    places = ("key", "endpoint", "status", "reason", "code", "error")
    facts: dict[str, Any] = dict.fromkeys(places, LINK)
    markup = page_of(record(state="unknown", value={"text": "treasure"}, **facts))
    assert "hunter2" not in markup
    assert "https://***@files.example/a?X-Amz-Signature=***" in Seen.of(markup).text
    assert "treasure" not in markup


def test_it_asks_for_nothing() -> None:
    """The page has no script and names no address, and its policy would let neither run nor load anything."""
    seen = Seen.of(page_of(*run_of(500)))
    assert "script" not in seen.tags
    assert {value for name, value in seen.attributes if name in {"href", "src"}} == {"data:,"} | {
        f"#{name}" for name in seen.refers if not name.endswith(("-h", "-t", "-d"))
    }
    policy = next(value for _, value in seen.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]


def test_charts_can_be_heard() -> None:
    """Every picture has a title and a description, and every verdict is said in words beside its colour."""
    seen = Seen.of(page_of(*run_of(500)))
    pictures = seen.attributes.count(("role", "img"))
    assert pictures == 12  # two for each of four endpoints, three histograms and the timeline
    assert sum(name.endswith("-d") for name in seen.ids) == seen.tags.count("desc") == pictures
    assert ("aria-hidden", "true") in seen.attributes


def test_what_is_long_is_cut_short() -> None:
    """However many endpoints, failures and words there are, and however long, the page stays below 300 kB."""
    long = "\N{FULL BLOCK}<" * 500
    letters = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(400)]
    records = [
        record(
            seq,
            endpoint=f"{name}{long}",
            key=f"{name}{long}",
            status=f"{name}{long}",
            reason=f"{name}{long}",
            code=f"{name}{long}",
            error=f"{name}{long}" if seq % 2 else None,
            state=("unknown", "success", "failed", "timeout", "cancelled")[seq % 5],
            ended_at=BEGAN + seq % 119,
            waited=1.15 ** (seq % 97),
        )
        for seq, name in enumerate(letters * 10, 1)
    ]
    markup = page_of(*records, unfinished={(f"{name}{long}", long): 1 for name in letters})
    assert len(markup.encode()) < 300_000
    assert "380 endpoints with fewer jobs not shown, here and below." in markup
    assert re.search(r"[\d,]+ rarer kinds of failure with [\d,]+ jobs not shown", markup)


def test_more_jobs_make_no_larger_page() -> None:
    """The size of a page hardly depends on the number of jobs; that of an ordinary one is below 150 kB."""
    assert len(page_of(*run_of(20_000)).encode()) < 150_000


def test_the_foot_says_where_it_comes_from() -> None:
    """Sessions, their work and anomalies are told where there were any, and when the page was made."""
    assert Seen.of(page_of()).text.endswith("Made 2025-11-21 06:40:00 UTC by asyncpoll report.\n")
    foot = Seen.of(page(Figures({}), Origin("run.db", ORIGIN.drawn_at, 2, 90.0, 1))).text
    assert "2 sessions, 1 min 30 s of work. A job was reported again with another outcome 1 time; " in foot


def test_kinds_that_were_too_many_are_named() -> None:
    """Failures that were counted together, because there were too many kinds, are said to have various reasons."""
    facts = [{"state": "failed", "code": f"{number}"} for number in range(10_000)]
    markup = page_of(
        *(record(seq, **each) for seq, each in enumerate([*facts, *({"state": "failed", "code": "x"},) * 2]))
    )
    assert Seen.of(markup).tables["Failures by kind"][1] == [
        "2", "bigmodel.agents", "failed", "various reasons", "bigmodel.agents:10000"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "top", "step"),
    [(0, 1, 1), (1, 1, 1), (4, 4, 1), (5, 6, 2), (9, 10, 5), (41, 60, 20), (1_000_000, 1_000_000, 500_000)],
)
def test_scales_have_few_round_steps(most: int, top: int, step: int) -> None:
    """The top of a scale is not below the largest bar, and there are at most four steps to it."""
    assert scale(most) == (top, step)
    assert top // step <= 4


def test_numbers_on_a_scale_are_short() -> None:
    """Thousands and millions are said with a letter, so that they fit beside the chart."""
    facts = {("a", "pending"): 0}
    figures = Figures.of((record(seq) for seq in range(25_000)), facts)
    assert ">20k</text>" in page(figures, ORIGIN)


def test_only_html_is_not_escaped() -> None:
    """Text is escaped inside of elements and of attributes, alone and in lists; what is HTML already is left alone."""
    assert (
        element("p", "a<b", ["&", element("b", '"')], title='"<').markup
        == '<p title="&quot;&lt;">a&lt;b&amp;<b>"</b></p>'
    )
    assert joined("<", Html("<i></i>")) == Html("&lt;<i></i>")
    assert element("meta", name_="a", http_equiv="b").markup == '<meta name="a" http-equiv="b">'
    assert element("rect", x=1.5).markup == '<rect x="1.5"/>'
