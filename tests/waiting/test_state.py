"""The states of a job, and the words that APIs have for them."""

from __future__ import annotations

import logging

import pytest

from asyncpoll import State, UnknownStatus, Vocabulary

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
    """What is not a state is refused when the vocabulary is made."""
    with pytest.raises(ValueError, match="finished"):
        Vocabulary("vendor.jobs", {"done": "finished"})  # type: ignore[dict-item]  # that is what must fail


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
    """What a vocabulary has logged is not a part of its value."""
    one, other = Vocabulary("v", {"a": State.PENDING}), Vocabulary("v", {"A": State.PENDING})
    one.read("b")
    assert one == other
    assert "_logged" not in repr(one)
