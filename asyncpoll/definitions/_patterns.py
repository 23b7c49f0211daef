"""Regular expressions from definitions: only those that are quick on any text.

A pattern is looked for in text that a server wrote. A careless one can take hours for a text made for it. So the text
is cut, a group that repeats something may not be repeated itself, and the ways in which the rest can match are counted
and bounded: each alternative and each possible number of repetitions is one.
"""

from __future__ import annotations

import re

from attrs import define

LONGEST_TEXT = 300
"""The most characters of a message that patterns are looked for in."""

_LONGEST = 500
_MOST_STEPS = 30_000_000
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?:|(?P<special>\?))?)|(?P<close>\))"
    r"|(?P<or>\|)|(?P<repeat>[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?|(?P<other>.)",
    re.DOTALL,
)

_DOUBTFUL = re.compile(r"\[\^?\[|.+(?:--|&&|~~|\|\|)", re.DOTALL)


@define
class _Group:
    """A group that has begun: the ways to match its earlier alternatives and this one, and if there are several."""

    earlier: int = 0
    ways: int = 1
    varies: bool = False


def checked_pattern(text: str) -> str:
    """Return *text* if it is a regular expression that is quick.

    Raises:
        ValueError: It is not one, or could take long. The message says what to write.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"the pattern is longer than {_LONGEST} characters; write a shorter one")
    try:
        if any(_DOUBTFUL.match(found["set"] or "") for found in _TOKEN.finditer(text)):
            raise ValueError("a later Python may read a set with [, --, &&, ~~ or || in another way; write \\[ in it")
        re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as problem:
        raise ValueError(f"this is not a regular expression: {problem}; correct it") from None
    if _steps(text) > _MOST_STEPS:
        raise ValueError("the pattern repeats too much; bound the repetitions, as in .{0,20}")
    return text


def _steps(text: str) -> int:
    """Return how many steps a pattern may take, at most: at each place of the text, all the ways of matching."""
    groups = [_Group()]
    closed: _Group | None = None  # the group that has just ended
    for found in _TOKEN.finditer(text):
        if found["special"] or (found["escape"] and found["escape"][1].isdigit()):
            raise ValueError("look-arounds, flags, names and back-references are not possible; write a plain pattern")
        group, repeated, closed = groups[-1], closed, None
        if found["repeat"]:
            most = _most(found)
            if most > 1 and repeated is not None and repeated.varies:
                raise ValueError("a group with a repetition or alternatives in it is repeated; write it out")
            group.ways *= most + 1
            group.varies = True
        elif found["or"]:
            group.earlier, group.ways, group.varies = group.earlier + group.ways, 1, True
        elif found["open"]:
            groups.append(_Group())
        elif found["close"]:
            closed = groups.pop()
            groups[-1].ways *= closed.earlier + closed.ways
            groups[-1].varies |= closed.varies
    return LONGEST_TEXT * (groups[0].earlier + groups[0].ways)


def _most(found: re.Match[str]) -> int:
    """Return how often a repetition repeats at most, as far as the text is long."""
    if found["repeat"] == "?":
        return 1
    bound = found["most"] if found["comma"] else found["least"]
    return min(int(bound[:9]), LONGEST_TEXT) if bound else LONGEST_TEXT
