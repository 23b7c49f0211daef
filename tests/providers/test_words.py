"""Every status word that a document of the vendors lists, and the state that it stands for."""

from __future__ import annotations

import pytest
from schemas import words

from asyncpoll._state import State, Vocabulary
from asyncpoll.providers.bigmodel import _agents, _file_parser
from asyncpoll.providers.molizhishu import _subtasks, _tasks

WORDS = [
    (_agents.STATUSES, "pending", State.PENDING),
    (_agents.STATUSES, "success", State.SUCCESS),
    (_agents.STATUSES, "failed", State.FAILED),
    (_file_parser.STATUSES, "processing", State.PROCESSING),
    (_file_parser.STATUSES, "succeeded", State.SUCCESS),
    (_file_parser.STATUSES, "failed", State.FAILED),
    (_subtasks.STATUSES, "pending", State.PENDING),
    (_subtasks.STATUSES, "assigned", State.PROCESSING),
    (_subtasks.STATUSES, "processing", State.PROCESSING),
    (_subtasks.STATUSES, "completed", State.SUCCESS),
    (_subtasks.STATUSES, "success", State.SUCCESS),
    (_subtasks.STATUSES, "failed", State.FAILED),
    (_subtasks.STATUSES, "error", State.FAILED),
    (_subtasks.STATUSES, "timeout", State.TIMEOUT),
    (_subtasks.STATUSES, "stopped", State.CANCELLED),
    (_tasks.STATUSES, "pending", State.PENDING),
    (_tasks.STATUSES, "processing", State.PROCESSING),
    (_tasks.STATUSES, "completed", State.SUCCESS),
    (_tasks.STATUSES, "partial_completed", State.SUCCESS),
    (_tasks.STATUSES, "failed", State.FAILED),
    (_tasks.STATUSES, "stopped", State.CANCELLED),
]
VOCABULARIES = [_agents.STATUSES, _file_parser.STATUSES, _subtasks.STATUSES, _tasks.STATUSES]


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
        ("agents_async_result", _agents.STATUSES),
        ("file_parser_result", _file_parser.STATUSES),
        ("subtask_result", _subtasks.STATUSES),
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
