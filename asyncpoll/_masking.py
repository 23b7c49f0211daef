"""Find what looks like a key in texts of the user, so that no message repeats it.

A key on the command line or in a job file is a mistake, and the message about the mistake ends up in logs. Two
measures: `mask_keys` masks what is known to be a key by its form, and is safe for every text. `mask_words` also masks
every long word of letters and digits; it is for messages about a single argument, whose words can be spared. `shown`
returns such an argument in quotes.
"""

from __future__ import annotations

import re

MASK = "***"

_KEY = re.compile(
    r"""\b(?:
        sk-[\w.-]{3,}                                             # OpenAI and its kin
      | (?:pk|rk|ak|hf|glpat|gh[opsu]|github_pat|xox[a-z])[-_][\w.-]{6,}
      | AKIA[0-9A-Z]{12,}                                         # AWS
      | eyJ[\w-]{8,}\.[\w.-]+                                     # a JSON Web Token
      | [0-9a-f]{32}\.[A-Za-z0-9]{12,}                            # BigModel
      | Bearer\s+[\w.~+/=-]{6,}
    )""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\s'\"=,;()]+")
_LONGEST_WORD = 24
_LONGEST_MIXED_WORD = 12
_LONGEST_SHOWN = 40


def mask_keys(text: str) -> str:
    """Return *text* with everything masked that has the form of a well-known kind of key."""
    return _KEY.sub(MASK, text)


def mask_words(text: str) -> str:
    """Return *text* with every word masked that may be a key: one that is long, or long and of letters and digits."""
    return _WORD.sub(lambda word: MASK if _may_be_key(word[0]) else word[0], mask_keys(text))


def shown(word: str) -> str:
    """Return an argument of the user in quotes, cut and without what may be a key."""
    return repr(mask_words(word[:_LONGEST_SHOWN]) if len(word) <= _LONGEST_SHOWN else mask_words(word)[:_LONGEST_SHOWN])


def _may_be_key(word: str) -> bool:
    is_mixed = any(mark.isdigit() for mark in word) and any(mark.isalpha() for mark in word)
    return len(word) >= (_LONGEST_MIXED_WORD if is_mixed else _LONGEST_WORD)
