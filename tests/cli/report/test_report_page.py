"""The page: what it shows, and what it never contains."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

import pytest
from report_kit import BEGAN, INFO, Seen, page_of, record, run_of

from asyncpoll.cli._output import duration
from asyncpoll.cli.report._stats import RunStats, quantile, verdict_of
from asyncpoll.cli.report._view import LedgerInfo, sentence
from asyncpoll.cli.report._words import count

HOSTILE = {
    "markup": "</title></style></svg><script>alert(1)</script><img src=//evil.example/x onerror='a()'>",
    "quotes": "\" onload=\"alert(1)\" ' onclick='alert(1)' ` &quot; &#34; &amp;",
    "template": "{{ 7 * 7 }}{% raw %}{# x #}{{ stats.__class__ }}",
    "controls": "a\x00b\x07c\x1b[2Jd\r\ne\x85f\u2028g\u2029h\ufeffi",
    "surrogates": "\ud800a\udfffb\udc80c",
    "directions": "\u202eevil\u202c\u2066x\u2069\u200f\u200e\u061c",
}
UNPRINTABLE = set("\x00\x07\x1b\r\x85\u2028\u2029\ufeff\ud800\udfff\udc80\u202e\u202c\u2066\u2069\u200f\u200e\u061c")
LINK = "https://user:hunter2@files.example/a?X-Amz-Signature=hunter2&sig=hunter2"


def headings(markup: str) -> list[str]:
    """Return the ids of the sections of a page."""
    return [name.removesuffix("-h") for name in Seen.of(markup).ids if name.endswith("-h")]


def test_a_run_of_all_kinds_has_every_section() -> None:
    """Every section is there, in order, and the page is sound HTML without a figure that is not a number."""
    markup = page_of(*run_of(2_000), unfinished={("bigmodel.agents", "pending"): 3})
    names = ["outcomes", "time", "durations", "delays", "polls", "pacing", "failures", "unfinished", "words", "slowest"]
    assert headings(markup) == names
    assert markup.startswith('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">')
    assert "nan" not in Seen.of(markup).text
    assert not [value for _, value in Seen.of(markup).attributes if value in {"nan", "inf", "nan%", "inf%"}]


def test_the_figures_are_those_of_the_records() -> None:
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


def test_bars_add_up_to_all_jobs() -> None:
    """The titles of the bars of each chart add up to all jobs."""
    records = list(run_of(1_000))
    succeeded = sum(verdict_of(one) == "succeeded" for one in records)
    charts = page_of(*records).split("<section ")[2:6]
    told = [sum(int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) succeeded", chart)) for chart in charts]
    unseen = sum(one.running is None and one.state == "success" for one in records)
    assert told == [succeeded, succeeded, succeeded - unseen, succeeded]


@pytest.mark.parametrize(
    ("records", "unfinished", "expected"),
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
def test_one_sentence_says_how_the_run_stands(
    records: list[dict[str, Any]], unfinished: dict[tuple[str, str], int], expected: str
) -> None:
    """The sentence at the top counts the jobs that succeeded, that did not, and that are unfinished."""
    stats = RunStats.of((record(seq, **facts) for seq, facts in enumerate(records)), unfinished)
    assert sentence(stats.counts()) == expected


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
    """An empty run, one job, only failures, or times that make no sense: every section with data is shown."""
    markup = page_of(*records, unfinished=unfinished)
    assert headings(markup) == shown
    assert "nan" not in Seen.of(markup).text


def page_with(text: str) -> str:
    """Return a page with a text from outside in every place that can have one."""
    places = ("key", "endpoint", "status", "reason", "code", "error", "ref")
    facts: dict[str, Any] = dict.fromkeys(places, text)
    failed = record(state="unknown", **facts)
    ended = record(2, state="failed", **{**facts, "error": None, "ref": {"id": text}})
    return page_of(failed, ended, unfinished={(text, text): 1}, info=LedgerInfo(text, BEGAN, 1, 2.0, 3))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_stay_texts(kind: str) -> None:
    """Whatever servers, ids and file names contain, the page has the elements and attributes of a harmless one."""
    markup = page_with(HOSTILE[kind])
    seen, harmless = Seen.of(markup), Seen.of(page_with("word"))
    assert seen.tags == harmless.tags
    assert [name for name, _ in seen.attributes] == [name for name, _ in harmless.attributes]
    assert not UNPRINTABLE & set(markup)
    assert markup.encode()
    printable = "".join(mark if mark.isprintable() else " " for mark in HOSTILE[kind])
    assert seen.text.count(printable[:60]) > 5


def test_secrets_and_results_are_not_shown() -> None:
    """Keys and signatures in links are masked in every text, and no result is on the page."""
    places = ("key", "endpoint", "status", "reason", "code", "error")
    facts: dict[str, Any] = dict.fromkeys(places, LINK)
    markup = page_of(record(state="unknown", value={"text": "treasure"}, **facts))
    assert "hunter2" not in markup
    assert "https://***@files.example/a?X-Amz-Signature=***" in Seen.of(markup).text
    assert "treasure" not in markup


def test_the_page_makes_no_request() -> None:
    """The page has no script and no address, and its policy forbids to run or to load anything."""
    seen = Seen.of(page_of(*run_of(500)))
    assert "script" not in seen.tags
    assert {value for name, value in seen.attributes if name in {"href", "src"}} == {"data:,"} | {
        f"#{name}" for name in seen.refers if not name.endswith(("-h", "-t", "-d"))
    }
    policy = next(value for _, value in seen.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]


def test_charts_are_described_in_words() -> None:
    """Every chart has a title and a description for readers that do not see it."""
    seen = Seen.of(page_of(*run_of(500)))
    pictures = seen.attributes.count(("role", "img"))
    assert pictures == 12  # two for each of four endpoints, three histograms and the timeline
    assert sum(name.endswith("-d") for name in seen.ids) == seen.tags.count("desc") == pictures
    assert ("aria-hidden", "true") in seen.attributes


def test_long_texts_and_many_kinds_are_cut() -> None:
    """However many endpoints, failures and words there are, and however long, the page stays below 300 KB."""
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


@pytest.mark.no_cover
def test_a_page_about_100_000_jobs_is_at_most_200_kb() -> None:
    """The size of the page hardly depends on the number of jobs."""
    assert len(page_of(*run_of(100_000)).encode()) <= 200_000


def test_the_foot_has_sessions_and_the_time() -> None:
    """Sessions, their work and anomalies are in the foot where there were any, and the time of the page."""
    assert Seen.of(page_of()).text.endswith("\nMade 2025-11-21 06:40:00 UTC by asyncpoll report.\n\n")
    foot = Seen.of(page_of(info=LedgerInfo("run.db", INFO.drawn_at, 2, 90.0, 1))).text
    assert "2 sessions, 1 min 30 s of work. A job was reported again with another outcome 1 time; " in foot


def test_kinds_beyond_the_limit_have_various_reasons() -> None:
    """Failures that are counted together, because there are too many kinds, have various reasons."""
    facts = [{"state": "failed", "code": f"{number}"} for number in range(10_000)]
    markup = page_of(
        *(record(seq, **each) for seq, each in enumerate([*facts, *({"state": "failed", "code": "x"},) * 2]))
    )
    assert Seen.of(markup).tables["Failures by kind"][1] == [
        "2", "bigmodel.agents", "failed", "various reasons", "bigmodel.agents:10000"
    ]  # fmt: skip
