"""Define `State`, the states of a job, and `Vocabulary`, which maps the status words of an API to states."""

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
    """The state of a remote job. `TIMEOUT` is a timeout at the server; a timeout of the caller is not a state."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Return whether the job has ended, so that its state cannot change any more."""
        return self in _TERMINAL


_TERMINAL = frozenset({State.SUCCESS, State.FAILED, State.TIMEOUT, State.CANCELLED})


def _fold(word: str) -> str:
    return word.strip().casefold()


def _fold_all(words: Mapping[str, State]) -> Mapping[str, State]:
    folded: dict[str, State] = {}
    for word, state in words.items():
        if folded.setdefault(_fold(word), State(state)) != state:
            raise ValueError(
                f"the word {word!r} stands for two states; list it once (letter case and outer spaces do not count)"
            )
    return folded


@frozen
class Vocabulary:
    """The status words of one endpoint, with the state that each of them stands for.

    Letter case and outer spaces of a word do not count. A word that is not listed stands for `State.UNKNOWN`, and the
    wait continues. The word is logged once, and a `WaitTimeout` that follows names it.

    Attributes:
        name: The name of the endpoint, for messages.
        words: A mapping from status words to states.
        strict: Whether a word that is not listed raises `UnknownStatus`.
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
            _log.warning(
                "%s: the status word %r is not listed, so the wait continues; add the word to the vocabulary",
                self.name,
                word,
            )
        return State.UNKNOWN
