"""The table of requirements: it is complete, and what shows that one is met exists."""

from __future__ import annotations

import re

import pytest
from pages_kit import DOCS, ROOT

_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = {int(row[1]): row for row in _ROW.finditer((DOCS / "requirements.md").read_text(encoding="utf-8"))}


def test_every_requirement_has_a_row() -> None:
    """The rows are numbered from 1 to 40."""
    assert sorted(ROWS) == list(range(1, 41))


@pytest.mark.parametrize("number", sorted(ROWS))
def test_a_row_names_its_tests(number: int) -> None:
    """Each row names files of tests that exist, unless it says that the requirement is not met."""
    how, shown = ROWS[number][3], re.findall(r"`(tests/[\w/]+\.py)`", ROWS[number][4])
    assert shown or how.startswith("no")
    assert [name for name in shown if "def test_" not in (ROOT / name).read_text(encoding="utf-8")] == []


def test_the_numbers_are_those_of_the_tests() -> None:
    """The rows that name the tests of small definitions are those that the docstrings there begin with."""
    name = "tests/definitions/test_requirements.py"
    tested = set(map(int, re.findall(r'^    """(\d+): ', (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)))
    assert tested == {number for number, row in ROWS.items() if name in row[4]}
