"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncpoll.http.partial import Partial


def names(directory: Path) -> list[str]:
    """Return what is in *directory*."""
    return sorted(path.name for path in directory.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Until the commit there is only a hidden file with a random name that its owner alone can read."""
    target = tmp_path / "result.zip"
    partial = Partial(target)
    partial.open()
    partial.write(b"abc")
    partial.write(b"def")
    (name,) = names(tmp_path)
    assert name.startswith(".")
    assert "result" not in name
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    partial.commit()
    assert names(tmp_path) == ["result.zip"]
    assert target.read_bytes() == b"abcdef"
    assert target.stat().st_nlink == 1


def test_the_digest(tmp_path: Path) -> None:
    """The digest is that of all bytes written, in base64."""
    partial = Partial(tmp_path / "result")
    partial.open()
    partial.write(b"abc")
    partial.write(b"def")
    partial.discard()
    assert partial.digest() == base64.b64encode(hashlib.md5(b"abcdef", usedforsecurity=False).digest()).decode()


def make_file(path: Path) -> None:
    """Put a file there."""
    path.write_text("mine")


def make_directory(path: Path) -> None:
    """Put a directory there."""
    path.mkdir()


def make_link(path: Path) -> None:
    """Put a symbolic link there that leads nowhere."""
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [make_file, make_directory, make_link])
@pytest.mark.parametrize("late", [False, True])
def test_nothing_is_replaced(tmp_path: Path, make: Callable[[Path], None], late: bool) -> None:  # noqa: FBT001  a parameter
    """Whatever has the name, from the start or by the time of the commit, stays as it is."""
    target = tmp_path / "result"
    partial = Partial(target)
    if late:
        partial.open()
        partial.write(b"theirs")
    make(target)
    before = target.lstat()
    with pytest.raises(FileExistsError, match="choose another name"):
        (partial.commit if late else partial.open)()
    partial.discard()
    assert names(tmp_path) == ["result"]
    assert target.lstat().st_ino == before.st_ino
    assert not (tmp_path / "nowhere").exists()


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """A discarded file is gone, at whatever point; discarding twice, or before opening, does no harm."""
    partial = Partial(tmp_path / "result")
    partial.discard()
    partial.open()
    partial.write(b"abc")
    partial.discard()
    partial.discard()
    assert names(tmp_path) == []


def test_a_missing_directory(tmp_path: Path) -> None:
    """The directory is not made."""
    with pytest.raises(FileNotFoundError):
        Partial(tmp_path / "missing" / "result").open()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_noticed_and_cleaned_up(tmp_path: Path) -> None:
    """A disk that is full makes the commit fail, and leaves no file behind."""
    partial = Partial(tmp_path / "result")
    partial.open()
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), partial._file.fileno())
    partial.write(b"abc")
    with pytest.raises(OSError, match="space") as caught:
        partial.commit()
    assert caught.value.errno == errno.ENOSPC
    partial.discard()
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not open directories")
def test_a_directory_that_cannot_be_synced(tmp_path: Path) -> None:
    """A directory that can be written to but not read is no obstacle for who may only do that."""
    drop = tmp_path / "drop"
    drop.mkdir(mode=0o300)
    partial = Partial(drop / "result")
    partial.open()
    partial.write(b"abc")
    partial.commit()
    drop.chmod(0o700)
    assert names(drop) == ["result"]
