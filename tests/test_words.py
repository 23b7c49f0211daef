"""Every status word that a document of the vendors lists, and the state that it stands for."""

from __future__ import annotations

import pytest
from schemas import words

from asyncpoll._state import State, Vocabulary
from asyncpoll.providers.bigmodel import agents, file_parser
from asyncpoll.providers.molizhishu import subtasks, tasks

WORDS = [
    (agents.STATUSES, "pending", State.PENDING),
    (agents.STATUSES, "success", State.SUCCESS),
    (agents.STATUSES, "failed", State.FAILED),
    (file_parser.STATUSES, "processing", State.PROCESSING),
    (file_parser.STATUSES, "succeeded", State.SUCCESS),
    (file_parser.STATUSES, "failed", State.FAILED),
    (subtasks.STATUSES, "pending", State.PENDING),
    (subtasks.STATUSES, "assigned", State.PROCESSING),
    (subtasks.STATUSES, "processing", State.PROCESSING),
    (subtasks.STATUSES, "completed", State.SUCCESS),
    (subtasks.STATUSES, "success", State.SUCCESS),
    (subtasks.STATUSES, "failed", State.FAILED),
    (subtasks.STATUSES, "error", State.FAILED),
    (subtasks.STATUSES, "timeout", State.TIMEOUT),
    (subtasks.STATUSES, "stopped", State.CANCELLED),
    (tasks.STATUSES, "pending", State.PENDING),
    (tasks.STATUSES, "processing", State.PROCESSING),
    (tasks.STATUSES, "completed", State.SUCCESS),
    (tasks.STATUSES, "partial_completed", State.SUCCESS),
    (tasks.STATUSES, "failed", State.FAILED),
    (tasks.STATUSES, "stopped", State.CANCELLED),
]
VOCABULARIES = [agents.STATUSES, file_parser.STATUSES, subtasks.STATUSES, tasks.STATUSES]


def _name(value: object) -> str:
    return value.name if isinstance(value, Vocabulary) else str(value)


@pytest.mark.parametrize(("vocabulary", "word", "state"), WORDS, ids=_name)
def test_every_documented_word_stands_for_its_state(vocabulary: Vocabulary, word: str, state: State) -> None:
    """A word reads as its state in every letter case and with spaces around it."""
    assert {vocabulary.read(spelled) for spelled in (word, word.upper(), word.title(), f" {word}\n")} == {state}


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=_name)
def test_no_word_is_listed_that_is_not_documented(vocabulary: Vocabulary) -> None:
    """The table above is complete: each vocabulary has the words of the documents, and no others."""
    assert set(vocabulary.words) == {word for each, word, _ in WORDS if each is vocabulary}


@pytest.mark.parametrize(
    ("document", "vocabulary"),
    [
        ("agents_async_result", agents.STATUSES),
        ("file_parser_result", file_parser.STATUSES),
        ("subtask_result", subtasks.STATUSES),
    ],
)
def test_the_documents_words_are_all_known(document: str, vocabulary: Vocabulary) -> None:
    """The words are those of the documents themselves, not of somebody's memory of them."""
    assert set(words(document)) <= set(vocabulary.words)


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=_name)
@pytest.mark.parametrize("word", ["", "archived", "successful", "done", "complete d"])
def test_any_other_word_is_unknown(vocabulary: Vocabulary, word: str) -> None:
    """An empty or unlisted word is never taken for success: it is unknown, and the wait goes on."""
    assert vocabulary.read(word) is State.UNKNOWN
