"""Regular expressions from definitions: only those that are quick on any text.

A pattern is looked for in text that a server wrote. A careless one can take hours for a text made for it. So the text
is cut, a group that repeats something may not be repeated itself, and the steps that a pattern may take are bounded.
"""

from __future__ import annotations

import re

LONGEST_TEXT = 300
"""The most characters of a message that patterns are looked for in."""

_LONGEST = 500
_MOST_STEPS = 30_000_000
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?:|(?P<special>\?))?)|(?P<close>\))"
    r"|(?P<or>\|)|(?P<repeat>[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?|(?P<other>.)",
    re.DOTALL,
)


def checked_pattern(text: str) -> str:
    """Return *text* if it is a regular expression that is quick.

    Raises:
        ValueError: It is not one, or could take long. The message says what to write.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"the pattern is longer than {_LONGEST} characters; write a shorter one")
    try:
        re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as problem:
        raise ValueError(f"this is not a regular expression: {problem}; correct it") from None
    if _steps(text) > _MOST_STEPS:
        raise ValueError("the pattern repeats too much; bound the repetitions, as in .{0,20}")
    return text


def _steps(text: str) -> int:
    """Return how many steps a pattern may take, at most."""
    steps = LONGEST_TEXT
    groups = [False]  # for each open group, whether it repeats something or has alternatives
    closed = False  # whether such a group has just ended
    for found in _TOKEN.finditer(text):
        if found["special"] or (found["escape"] and found["escape"][1].isdigit()):
            raise ValueError("look-arounds, flags, names and back-references are not possible; write a plain pattern")
        most = _most(found) if found["repeat"] else 1
        if most > 1 and closed:
            raise ValueError("a group with a repetition or alternatives in it is repeated; write it out")
        steps *= most
        groups[-1] = groups[-1] or bool(found["repeat"] or found["or"])
        closed = False
        if found["open"]:
            groups.append(False)
        elif found["close"]:
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
    return steps


def _most(found: re.Match[str]) -> int:
    """Return how often a repetition repeats at most, as far as the text is long."""
    if found["repeat"] == "?":
        return 1
    bound = found["most"] if found["comma"] else found["least"]
    return min(int(bound[:9]), LONGEST_TEXT) if bound else LONGEST_TEXT
