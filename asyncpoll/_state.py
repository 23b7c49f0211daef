"""The one `State` enum, and the `Vocabulary` that reads an API's own status words into it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from asyncpoll._errors import UnknownStatus

_log = logging.getLogger(__name__)
_MOST_WORDS_LOGGED = 100
_LONGEST_WORD = 100


class State(StrEnum):
    """Where a remote job stands. `TIMEOUT` is the server's verdict; the caller's own deadline is never a state."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether the job will not change any more."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.SUCCESS, State.FAILED, State.TIMEOUT, State.CANCELLED})


def _fold(word: str) -> str:
    return word.strip().casefold()


def _fold_all(words: Mapping[str, State]) -> Mapping[str, State]:
    folded: dict[str, State] = {}
    for word, state in words.items():
        if folded.setdefault(_fold(word), State(state)) != state:
            raise ValueError(f"the word {word!r} stands for two states; letter case and outer spaces do not count")
    return folded


@frozen
class Vocabulary:
    """The status words of one endpoint, and what each of them means.

    Words are trimmed and compared without regard to letter case. A word that is not listed reads as `State.UNKNOWN`,
    which keeps a wait going; it is logged once, and named in the `WaitTimeout` that may follow.

    Attributes:
        name: The endpoint's name, for messages.
        words: From status word to state.
        strict: Raise `UnknownStatus` for a word that is not listed.
    """

    name: str
    words: Mapping[str, State] = field(converter=_fold_all)
    strict: bool = field(default=False, kw_only=True)
    _logged: set[str] = field(init=False, factory=set, repr=False, eq=False)

    def read(self, word: str) -> State:
        """Return the state that *word* stands for.

        Raises:
            UnknownStatus: The vocabulary is strict and does not list the word.
        """
        state = self.words.get(word) or self.words.get(_fold(word))
        return self._unlisted(word[:_LONGEST_WORD]) if state is None else state

    def _unlisted(self, word: str) -> State:
        if self.strict:
            raise UnknownStatus(word, vocabulary=self.name, known=tuple(self.words))
        if word not in self._logged and len(self._logged) < _MOST_WORDS_LOGGED:
            self._logged.add(word)
            _log.warning("%s: unknown status word %r; the job is taken to be running", self.name, word)
        return State.UNKNOWN
