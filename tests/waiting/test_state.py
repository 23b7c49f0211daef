"""The states of a job, and the words that APIs have for them."""

from __future__ import annotations

import logging
import pickle
from enum import IntEnum
from typing import Any

import pytest

from asyncpoll import BadReply, State, UnknownStatus, Vocabulary
from asyncpoll._state import Words

WORDS = {"queued": State.PENDING, "Running": State.PROCESSING, "done": State.SUCCESS, "failed": State.FAILED}


@pytest.mark.parametrize(
    ("state", "word", "terminal"),
    [
        (State.PENDING, "pending", False),
        (State.PROCESSING, "processing", False),
        (State.SUCCESS, "success", True),
        (State.FAILED, "failed", True),
        (State.TIMEOUT, "timeout", True),
        (State.CANCELLED, "cancelled", True),
        (State.UNKNOWN, "unknown", False),
    ],
)
def test_states_are_lower_case_words(state: State, word: str, terminal: bool) -> None:  # noqa: FBT001  a column
    """Every state equals its lower-case word and knows whether it is terminal."""
    assert state == word == str(state)
    assert state.is_terminal is terminal


def test_there_are_seven_states() -> None:
    """The table above is complete."""
    assert len(State) == 7


@pytest.mark.parametrize("word", ["queued", "QUEUED", " queued\n", "\tQuEuEd  "])
def test_case_and_outer_spaces_do_not_count(word: str) -> None:
    """A listed word is recognised in any letter case and with spaces around it."""
    assert Vocabulary("vendor.jobs", WORDS).read(word) is State.PENDING


def test_listed_words_are_folded_too() -> None:
    """The case in which a vocabulary lists a word does not matter either."""
    assert Vocabulary("vendor.jobs", WORDS).read("running") is State.PROCESSING


def test_states_may_be_given_as_their_words() -> None:
    """A vocabulary that was read from a file lists states as text."""
    words = {"done": "success"}
    assert Vocabulary("vendor.jobs", words).read("done") is State.SUCCESS  # type: ignore[arg-type]  # as from a file


def test_a_word_cannot_stand_for_two_states() -> None:
    """Two spellings of one word that disagree are refused."""
    with pytest.raises(ValueError, match="'DONE' stands for two states"):
        Vocabulary("vendor.jobs", {"done": State.SUCCESS, "DONE": State.FAILED})


def test_two_spellings_that_agree_are_fine() -> None:
    """Two spellings of one word may be listed when they agree."""
    assert Vocabulary("v", {"done": State.SUCCESS, "DONE ": State.SUCCESS}).words == {"done": State.SUCCESS}


def test_a_word_needs_a_state_that_exists() -> None:
    """A value that is not a state is refused when the vocabulary is made."""
    with pytest.raises(ValueError, match="finished"):
        Vocabulary("vendor.jobs", {"done": "finished"})  # type: ignore[arg-type]  # that is what must fail


def test_an_unlisted_word_is_unknown_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An unlisted word reads as UNKNOWN; the log names it once, with the vocabulary."""
    vocabulary = Vocabulary("vendor.jobs", WORDS)
    with caplog.at_level(logging.WARNING):
        states = [vocabulary.read(word) for word in ("archived", "archived", "frozen")]
    assert states == [State.UNKNOWN] * 3
    assert [record.args for record in caplog.records] == [("vendor.jobs", "archived"), ("vendor.jobs", "frozen")]


def test_an_empty_word_is_unknown() -> None:
    """No word at all is not a success either."""
    assert Vocabulary("vendor.jobs", WORDS).read("") is State.UNKNOWN


def test_a_flood_of_words_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A server that makes up words gets a hundred of them logged, shortened, and no more is remembered."""
    vocabulary = Vocabulary("vendor.jobs", WORDS)
    with caplog.at_level(logging.WARNING):
        states = {vocabulary.read(f"{number:04}" + "x" * 5000) for number in range(300)}
    assert states == {State.UNKNOWN}
    assert len(caplog.records) == len(vocabulary._logged) == 100
    assert max(map(len, vocabulary._logged)) == 100


def test_a_strict_vocabulary_raises_for_an_unlisted_word() -> None:
    """A strict vocabulary raises, naming the word (shortened), itself, and the words it knows."""
    with pytest.raises(UnknownStatus, match=r"vendor\.jobs does not list .*known words: queued, running") as caught:
        Vocabulary("vendor.jobs", WORDS, strict=True).read("y" * 5000)
    assert caught.value.word == "y" * 100
    assert caught.value.vocabulary == "vendor.jobs"


def test_a_strict_vocabulary_reads_listed_words() -> None:
    """Strictness changes nothing for listed words."""
    assert Vocabulary("vendor.jobs", WORDS, strict=True).read(" Done") is State.SUCCESS


def test_vocabularies_compare_by_what_they_list() -> None:
    """The words that a vocabulary has logged are not a part of its value."""
    one, other = Vocabulary("v", {"a": State.PENDING}), Vocabulary("v", {"A": State.PENDING})
    one.read("b")
    assert one == other
    assert "_logged" not in repr(one)


# words that are not text

NUMBERS = {0: State.PENDING, 1: State.PROCESSING, 2: State.SUCCESS}
BOTH = [(1, State.PENDING), (True, State.SUCCESS), ("1", State.FAILED)]


def test_words_may_be_integers_or_booleans() -> None:
    """A number or a boolean that is listed is read as any word."""
    assert [Vocabulary("v", NUMBERS).read(word) for word in (0, 1, 2)] == list(NUMBERS.values())
    assert Vocabulary("v", {True: State.SUCCESS, False: State.PENDING}).read(False) is State.PENDING


def test_one_and_true_are_different_words() -> None:
    """Pairs can list 1, True and "1", which are kept apart by their types."""
    vocabulary = Vocabulary("v", BOTH)
    assert [vocabulary.read(word) for word, _ in BOTH] == [State.PENDING, State.SUCCESS, State.FAILED]
    assert list(vocabulary.words.items()) == BOTH
    assert repr(vocabulary.words).count("1") == 2
    assert len(vocabulary.words) == 3
    assert vocabulary != Vocabulary("v", [(1, State.PENDING), ("1", State.FAILED)])
    assert Vocabulary("v", {1: State.PENDING}) != Vocabulary("v", {True: State.PENDING})
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary  # noqa: S301  made here


def test_an_enumeration_of_integers_is_made_of_words() -> None:
    """A member of an `IntEnum` is the integer that the API sends."""
    codes = IntEnum("codes", {"RUNNING": 1, "DONE": 2})
    vocabulary = Vocabulary("v", {codes(1): State.PROCESSING, codes(2): State.SUCCESS})
    assert vocabulary.read(2) is State.SUCCESS
    assert Vocabulary("v", {2: State.SUCCESS}).read(codes(2)) is State.SUCCESS


@pytest.mark.parametrize(
    ("words", "word", "problem"),
    [
        (WORDS, None, "text, not null"),
        (WORDS, 1, "text, not an integer"),
        (WORDS, True, "text, not a boolean"),
        (WORDS, 1.0, "text, not a number"),
        (WORDS, ["done"], "text, not an array"),
        (WORDS, {"done": 1}, "text, not an object"),
        (WORDS, b"done", "text, not something else"),
        (NUMBERS, "1", "an integer, not text"),
        (NUMBERS, True, "an integer, not a boolean"),
        (NUMBERS, 1.0, "an integer, not a number"),
        ({True: State.SUCCESS}, 1, "a boolean, not an integer"),
        (BOTH, None, "text or an integer or a boolean, not null"),
        ({}, None, "text, not null"),
    ],
)
def test_a_word_of_another_type_is_not_an_answer(words: Any, word: Any, problem: str) -> None:
    """It is a malformed reply, also for a strict vocabulary; the message says what is expected, not the word."""
    for strict in (False, True):
        with pytest.raises(BadReply) as caught:
            Vocabulary("v", words, strict=strict).read(word)
        assert str(caught.value) == f"v: the status must be {problem}"
        assert (caught.value.kind, caught.value.reply) == ("malformed", None)


def test_an_unlisted_number_is_unknown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An unlisted word of a listed type reads as UNKNOWN, or raises where the vocabulary is strict."""
    with caplog.at_level(logging.WARNING):
        assert [Vocabulary("v", NUMBERS).read(word) for word in (7, -1)] == [State.UNKNOWN] * 2
    assert [record.args for record in caplog.records] == [("v", 7), ("v", -1)]
    with pytest.raises(UnknownStatus, match=r"status word 7.*: 0, 1, 2") as caught:
        Vocabulary("v", NUMBERS, strict=True).read(7)
    assert caught.value.word == "7"


@pytest.mark.parametrize("word", [None, 1.5, b"done", ("done",)])
def test_a_word_of_another_type_cannot_be_listed(word: Any) -> None:
    """A vocabulary refuses it by name when it is made."""
    with pytest.raises(TypeError, match="text, an integer or a boolean, not "):
        Vocabulary("v", {word: State.SUCCESS})


def test_a_vocabulary_is_extended_by_further_words() -> None:
    """Further words are read as the listed ones; a listed word may be given another state. The original stays."""
    first = Vocabulary("v", WORDS, strict=True)
    longer = first.extended({"Success": State.SUCCESS, 200: State.SUCCESS, " FAILED": State.CANCELLED})
    assert [longer.read(word) for word in ("success", 200, "failed", "queued")] == [
        State.SUCCESS,
        State.SUCCESS,
        State.CANCELLED,
        State.PENDING,
    ]
    assert (longer.name, longer.strict) == ("v", True)
    assert first == Vocabulary("v", WORDS, strict=True)
    assert first.extended([]) == first
    assert longer.extended(BOTH).read(True) is State.SUCCESS


@pytest.mark.parametrize(
    ("words", "error"),
    [({"a": State.SUCCESS, "A": State.FAILED}, ValueError), ({"a": "finished"}, ValueError), ({None: "a"}, TypeError)],
)
def test_a_bad_extension_is_refused(words: Any, error: type[Exception]) -> None:
    """Further words are checked as the first ones."""
    with pytest.raises(error):
        Vocabulary("v", WORDS).extended(words)


def test_words_compare_with_any_mapping() -> None:
    """The words of a vocabulary are a mapping as any other."""
    assert Words(WORDS) == {"queued": "pending", "running": "processing", "done": "success", "failed": "failed"}
    assert Words(WORDS)["QUEUED"] is State.PENDING
    assert "nothing" not in Words(WORDS)
