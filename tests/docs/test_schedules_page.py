"""The page about schedules lists what predicts how long jobs take, as the endpoints say it."""

from __future__ import annotations

import re

from pages_kit import DOCS

from asyncpoll.definitions import catalog
from asyncpoll.providers import ENDPOINTS

PAGE = (DOCS / "schedules.md").read_text(encoding="utf-8")
DECLARED = {
    **{name: one.spec.endpoints[name].predicts for name, one in catalog().items()},
    **{name: listing.predicts for name, listing in ENDPOINTS.items()},
}


def test_what_predicts_is_listed() -> None:
    """For each endpoint, in the order of the names; a built-in one goes before its definition in the catalogue."""
    table = PAGE.partition("| endpoint | what predicts |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    listed = [(name, tuple(re.findall("`([^`]+)`", facts))) for name, facts in rows]
    assert listed == [(name, facts) for name, facts in sorted(DECLARED.items()) if facts]


def test_endpoints_without_any_are_listed() -> None:
    """All of those of which nothing is known."""
    sentence = PAGE.partition("Nothing is known of the jobs of ")[2].partition(":")[0]
    assert re.findall("`([^`]+)`", sentence) == sorted(name for name, facts in DECLARED.items() if not facts)
