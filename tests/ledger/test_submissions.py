"""What `Submissions` remember, and what they refuse."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from asyncpoll._errors import ClientClosed, LedgerError
from asyncpoll.ledger._submissions import Submissions, Submitted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "items.db"


def test_course_of_an_item(path: Path) -> None:
    """An item is begun, then known; all of it is there when the file is opened again."""
    with Submissions(path) as submissions:
        assert submissions.find("k") is None
        number = submissions.begin("k", "a.x", "token")
        assert submissions.find("k") == Submitted(1, "k", "a.x", "begun", "token", None, None)
        submissions.end(number, "known", "{}", None)
    with Submissions(path) as submissions:
        assert submissions.find("k") == Submitted(1, "k", "a.x", "known", "token", "{}", None)


def test_again(path: Path) -> None:
    """An item that was refused keeps its number when it is begun again, and its problem is forgotten."""
    with Submissions(path) as submissions:
        submissions.end(submissions.begin("k", "a.x", None), "refused", None, "no money")
        submissions.begin("other", "a.x", None)
        assert submissions.begin("k", "a.x", "new") == 1
        assert list(submissions.items()) == [
            Submitted(1, "k", "a.x", "begun", "new", None, None),
            Submitted(2, "other", "a.x", "begun", None, None, None),
        ]


def test_outputs(path: Path, tmp_path: Path) -> None:
    """A file that was made from here is known again."""
    with Submissions(path) as submissions:
        submissions.own(tmp_path / "out")
        submissions.own(tmp_path / "out")
        assert submissions.owns(tmp_path / "out")
        assert not submissions.owns(tmp_path / "other")


def test_only_the_owner_reads(path: Path) -> None:
    """The file is for its owner alone, and nothing is left beside it."""
    with Submissions(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_one_process_at_a_time(path: Path) -> None:
    """While the file is open, nobody else can open it."""
    with Submissions(path), pytest.raises(LedgerError) as caught, Submissions(path):
        pass
    assert caught.value.kind == "locked"


def test_opened_in_a_block(path: Path) -> None:
    """Outside its block it is closed."""
    with pytest.raises(ClientClosed, match="with Submissions"):
        Submissions(path).find("k")


@pytest.mark.parametrize("content", [b"my diary" * 100, b"SQLite format 3\0" + bytes(4096)])
def test_no_database(content: bytes, path: Path) -> None:
    """Another kind of file is refused and left as it is."""
    path.write_bytes(content)
    with pytest.raises(LedgerError), Submissions(path):
        pass
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_database_of_somebody_else(path: Path) -> None:
    """The database of another program is refused and left as it is."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE diary (day TEXT)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(LedgerError, match="is the file of another program") as caught, Submissions(path):
        pass
    assert caught.value.kind == "foreign"
    assert path.read_bytes() == content


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    """A place that cannot be written is a `LedgerError`."""
    with pytest.raises(LedgerError), Submissions(tmp_path / "nowhere" / "items.db"):
        pass


def test_directory_in_its_place(tmp_path: Path) -> None:
    """A directory is no such file."""
    (tmp_path / "items.db").mkdir()
    with pytest.raises(LedgerError, match="cannot be used"), Submissions(tmp_path / "items.db"):
        pass


def test_full_disk(path: Path) -> None:
    """What cannot be written is an error, and is not remembered."""
    with Submissions(path) as submissions:
        connection = submissions._connection
        assert connection is not None
        connection.execute("PRAGMA max_page_count = 1")  # which stands for what there is
        with pytest.raises(LedgerError, match="full"):
            submissions.begin("k" * 100_000, "a.x", None)
        assert list(submissions.items()) == []
        assert submissions.begin("k", "a.x", None) == 1
