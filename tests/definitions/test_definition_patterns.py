"""Regular expressions in definitions: quick ones only."""

from __future__ import annotations

import time

import pytest
from definition_kit import answer, endpoint, told

from asyncpoll.definitions._patterns import checked_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "plain",
        r"token.{0,10}(expired|invalid)",
        r"a\(b\)+",
        r"[(a+)+]",
        r"[]a+]x",
        "(?:ab)?c*",
        ".*x.*y",
        "x{2}y{3,4}z{,5}",
        "a|b|c",
        "(a|b)",
        "(a|b)?",
        "{",
        r"\d+-\w+",
    ],
)
def test_a_quick_pattern_is_accepted(pattern: str) -> None:
    """Alternatives, sets and bounded repetitions are fine, and two that are not bounded."""
    assert checked_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(a+)+", "write it out"),
        ("(a|aa)*", "write it out"),
        ("((a*))*", "write it out"),
        ("(?:a+b?){5}", "write it out"),
        ("(x(a|b)y)+", "write it out"),
        (".*a.*b.*c", "bound the repetitions"),
        ("a{0,100}b{0,100}c{0,100}", "bound the repetitions"),
        (r"(a)\1", "plain pattern"),
        ("(?=a)", "plain pattern"),
        ("(?i)a", "plain pattern"),
        ("(?P<n>a)", "plain pattern"),
        ("(?>a)", "plain pattern|not a regular expression"),
        ("(", "not a regular expression"),
        ("a{99999999999}", "not a regular expression"),
        ("a" * 501, "longer than 500"),
    ],
)
def test_a_slow_pattern_is_refused(pattern: str, says: str) -> None:
    """Nested repetitions, back-references and too many open repetitions are refused, and the error says why."""
    with pytest.raises(ValueError, match=says):
        checked_pattern(pattern)


def test_a_long_message_is_cut_first() -> None:
    """A pattern is looked for in the first 300 characters of what the server wrote."""
    made = endpoint(error={"message": "m", "words": [{"words": "z", "kind": "quota"}]})
    assert told(made, answer({"m": "y" * 299 + "z"}, 400)) == "quota"
    assert told(made, answer({"m": "y" * 300 + "z"}, 400)) == "bad_request"


def test_the_worst_pattern_is_still_quick() -> None:
    """The worst pattern that is accepted reads the worst text in less processor time than a poll may take."""
    made = endpoint(error={"message": "m", "words": [{"words": ".*a.*b", "kind": "quota"}]})
    begun = time.process_time()
    assert told(made, answer({"m": "a" * 100_000}, 400)) == "bad_request"
    assert time.process_time() - begun < 5
