"""Define `State`, the states of a job, and `Vocabulary`, which maps the status words of an API to states."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from asyncpoll._errors import BadReply, UnknownStatus

_log = logging.getLogger(__name__)
_MOST_WORDS_LOGGED = 100
_LONGEST_WORD = 100

Word = str | int | bool
"""A status word: text, an integer or a boolean."""

Given = Mapping[Any, "State"] | Iterable[tuple[Any, "State"]]
"""Status words and their states, as a mapping or as pairs."""

_KINDS: Mapping[type, str] = {str: "text", int: "an integer", bool: "a boolean"}
_JSON_KINDS: Mapping[type, str] = {**_KINDS, type(None): "null", float: "a number", list: "an array", dict: "an object"}


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


def _kind(word: object) -> type | None:
    """Return the type that *word* is listed under, or None if words cannot be of its type."""
    return next((kind for kind in (bool, int, str) if isinstance(word, kind)), None)


def _fold(word: Any) -> Any:
    """Return the key of a word: text without case and outer spaces, or a pair that keeps 1 and True apart."""
    return word.strip().casefold() if isinstance(word, str) else (_kind(word), word)


class Words(Mapping[Word, State]):
    """A mapping from status words to states, in which 1 and True are different words.

    Args:
        given: A mapping from words to states, or pairs of a word and a state.

    Raises:
        TypeError: A word is not text, an integer or a boolean.
        ValueError: A word stands for two states, or something is not a state.
    """

    __slots__ = ("kinds", "states")

    def __init__(self, given: Given) -> None:
        self.states: dict[Any, State] = {}
        for word, state in given.items() if isinstance(given, Mapping) else given:
            if _kind(word) is None:
                raise TypeError(f"a status word must be text, an integer or a boolean, not {word!r}")
            if self.states.setdefault(_fold(word), State(state)) != state:
                raise ValueError(
                    f"the word {word!r} stands for two states; list it once (letter case and outer spaces do not count)"
                )
        self.kinds = frozenset(map(_kind, self)) or frozenset({str})

    def __getitem__(self, word: Word) -> State:
        return self.states[_fold(word)]

    def __iter__(self) -> Iterator[Word]:
        return (key[1] if isinstance(key, tuple) else key for key in self.states)

    def __len__(self) -> int:
        return len(self.states)

    def __eq__(self, other: object) -> bool:
        """Return whether both list the same words, of the same types, with the same states."""
        return self.states == other.states if isinstance(other, Words) else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as every mapping that compares by its items

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{word!r}: {state!r}' for word, state in self.items())}}}"


@frozen
class Vocabulary:
    """The status words of one endpoint, with the state that each of them stands for.

    Letter case and outer spaces of text do not count; 1, True and "1" are three words. A word that is not listed stands
    for `State.UNKNOWN`, and the wait continues. The word is logged once, and a `WaitTimeout` that follows names it. A
    word of a type of which none is listed, such as null, is a `BadReply`.

    Attributes:
        name: The name of the endpoint, for messages.
        words: A mapping from status words to states. Python takes 1 and True for the same key of a dictionary; to list
            both, pass pairs of a word and a state.
        strict: Whether a word that is not listed raises `UnknownStatus`.

    Raises:
        TypeError: A word is not text, an integer or a boolean.
        ValueError: A word stands for two states, or something is not a state.
    """

    name: str
    words: Words = field(converter=Words)
    strict: bool = field(default=False, kw_only=True)
    _logged: set[Any] = field(init=False, factory=set, repr=False, eq=False)

    def read(self, word: Any) -> State:
        """Return the state that *word* stands for.

        Args:
            word: What the API sends as its status: text, an integer or a boolean.

        Raises:
            BadReply: The word is null, or of another type than the words that are listed. Its kind is "malformed".
            UnknownStatus: The vocabulary is strict and does not list the word.
        """
        states = self.words.states
        state = states.get(word) if type(word) is str else None  # most words need not be folded
        if state is not None:
            return state
        if not self.accepts(word):
            raise BadReply(f"{self.name}: the status must be {self.expected}, not {kind_of(word)}")
        state = states.get(_fold(word))
        return self._unlisted(word) if state is None else state

    def accepts(self, word: object) -> bool:
        """Return whether *word* is of a type of which words are listed."""
        return _kind(word) in self.words.kinds

    @property
    def expected(self) -> str:
        """The types of the words, such as "text or an integer"."""
        return " or ".join(name for kind, name in _KINDS.items() if kind in self.words.kinds)

    def extended(self, words: Given) -> Vocabulary:
        """Return a vocabulary that lists further words, or other states for words that are listed already.

        Args:
            words: From status word to state, or pairs of both.

        Raises:
            TypeError: A word is not text, an integer or a boolean.
            ValueError: A word stands for two states, or something is not a state.
        """
        further = Words(words)
        kept = [(word, state) for word, state in self.words.items() if _fold(word) not in further.states]
        return Vocabulary(self.name, [*kept, *further.items()], strict=self.strict)

    def _unlisted(self, word: Word) -> State:
        word = word[:_LONGEST_WORD] if isinstance(word, str) else word
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


def spelled(word: Word) -> str:
    """Return a status word as JSON has it; text is not quoted."""
    return word if isinstance(word, str) else str(word).lower()


def kind_of(value: object) -> str:
    """Return what JSON calls the type of *value*, such as "an array"."""
    return json_name(type(value))


def json_name(kind: type) -> str:
    """Return what JSON calls a type, such as "an array" for `list`."""
    return _JSON_KINDS.get(kind, "something else")
