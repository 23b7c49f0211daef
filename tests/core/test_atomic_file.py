"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncpoll._atomic_file import AtomicFile, replacing


def names(directory: Path) -> list[str]:
    """Return what is in *directory*."""
    return sorted(path.name for path in directory.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Until the commit there is only a hidden file with a random name that its owner alone can read."""
    target = tmp_path / "result.zip"
    new = AtomicFile(target)
    new.open()
    new.file.write(b"abc")
    new.file.write(b"def")
    (name,) = names(tmp_path)
    assert name.startswith(".")
    assert "result" not in name
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    new.commit()
    assert names(tmp_path) == ["result.zip"]
    assert target.read_bytes() == b"abcdef"
    assert target.stat().st_nlink == 1


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
    new = AtomicFile(target)
    if late:
        new.open()
        new.file.write(b"theirs")
    make(target)
    before = target.lstat()
    with pytest.raises(FileExistsError, match="choose another name"):
        (new.commit if late else new.open)()
    new.discard()
    assert names(tmp_path) == ["result"]
    assert target.lstat().st_ino == before.st_ino
    assert not (tmp_path / "nowhere").exists()


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    """A discarded file is gone, at whatever point; discarding twice, or before opening, does no harm."""
    new = AtomicFile(tmp_path / "result")
    new.discard()
    new.open()
    new.file.write(b"abc")
    new.discard()
    new.discard()
    assert names(tmp_path) == []


def test_a_missing_directory(tmp_path: Path) -> None:
    """The directory is not made."""
    with pytest.raises(FileNotFoundError):
        AtomicFile(tmp_path / "missing" / "result").open()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_noticed_and_cleaned_up(tmp_path: Path) -> None:
    """A disk that is full makes the commit fail, and leaves no file behind."""
    new = AtomicFile(tmp_path / "result")
    new.open()
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), new.file.fileno())
    new.file.write(b"abc")
    with pytest.raises(OSError, match="space") as caught:
        new.commit()
    assert caught.value.errno == errno.ENOSPC
    new.discard()
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not open directories")
def test_a_directory_that_cannot_be_synced(tmp_path: Path) -> None:
    """A directory that can be written to but not read is no obstacle for who may only do that."""
    drop = tmp_path / "drop"
    drop.mkdir(mode=0o300)
    new = AtomicFile(drop / "result")
    new.open()
    new.file.write(b"abc")
    new.commit()
    drop.chmod(0o700)
    assert names(drop) == ["result"]


def test_a_file_can_be_replaced(tmp_path: Path) -> None:
    """The former content stays until the block is left; then the umask decides who can read the file."""
    target = tmp_path / "result"
    target.write_text("former")
    before = os.umask(0o027)
    try:
        with replacing(target) as file:
            file.write(b"new")
            assert target.read_text() == "former"
    finally:
        os.umask(before)
    assert (target.read_text(), names(tmp_path)) == ("new", ["result"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, asyncio.CancelledError])
def test_an_error_in_the_block_keeps_the_former_file(tmp_path: Path, error: type[BaseException]) -> None:
    """The temporary file is removed, also when the block is cancelled."""
    target = tmp_path / "result"
    target.write_text("former")

    def interrupted() -> None:
        with replacing(target) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (target.read_text(), names(tmp_path)) == ("former", ["result"])


def test_a_file_is_replaced_in_a_directory_that_exists(tmp_path: Path) -> None:
    """A directory cannot be replaced, and none is made."""
    with pytest.raises(ValueError, match="is a directory"), replacing(tmp_path):
        pass
    with pytest.raises(ValueError, match="make it first"), replacing(tmp_path / "none" / "result"):
        pass
