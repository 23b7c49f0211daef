"""Fetching a result file from a link that a server gave us."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from raw_server import Act, RawServer, Script, raw_server, reply

from asyncpoll._errors import BadReply, Rejected, Throttled, TransportError
from asyncpoll.http._download import LEAST_RATE, RATE_WINDOW, OnProgress, Rate, download

BODY = bytes(range(256)) * 1000


def storage(*replies: bytes, then: Script = ()) -> AbstractAsyncContextManager[RawServer]:
    """Run a server that answers each connection with the next of *replies*, and *then* does what it is told."""
    return raw_server(*([Act.READ, data, *then] for data in replies))


async def fetch(
    store: RawServer, path: Path, *, max_bytes: int = 1 << 30, on_progress: OnProgress | None = None
) -> Path:
    """Download from *store*, which is trusted."""
    trusted = [store.url]
    return await download(
        f"{store.url}/a?sig=canary", path, max_bytes=max_bytes, on_progress=on_progress, trusted_origins=trusted
    )


def left(directory: Path) -> list[str]:
    """Return what is in *directory*."""
    return sorted(path.name for path in directory.iterdir())


async def test_a_download(tmp_path: Path) -> None:
    """The file holds the body, the path comes back, and progress leads up to the total."""
    seen: list[tuple[int, int | None]] = []
    async with storage(reply(BODY)) as store:
        path = await fetch(store, tmp_path / "a.zip", on_progress=lambda *step: seen.append(step))
    assert path == tmp_path / "a.zip"
    assert path.read_bytes() == BODY
    assert left(tmp_path) == ["a.zip"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))


async def test_what_is_sent(tmp_path: Path) -> None:
    """The link goes out as it is spelled, asking for no encoding, with no credential or cookie."""
    async with storage(reply()) as store:
        link = f"{store.url}/a%2Fb+c?sig=x%2By=="
        await download(link, str(tmp_path / "empty"), trusted_origins=[store.url])
    (request,) = store.requests
    assert request.startswith(b"GET /a%2Fb+c?sig=x%2By== HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in request.lower()
    assert not {b"authorization:", b"cookie:", b"referer:"} & set(request.lower().split())
    assert (tmp_path / "empty").read_bytes() == b""


async def test_a_body_without_a_length(tmp_path: Path) -> None:
    """In chunks the total is unknown until the end."""
    seen: list[int | None] = []
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    async with storage(chunked) as store:
        path = await fetch(store, tmp_path / "a", on_progress=lambda _, total: seen.append(total))
    assert path.read_bytes() == b"abcdef"
    assert set(seen) == {None}


@pytest.mark.parametrize("take", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
async def test_nothing_is_replaced(tmp_path: Path, take: Callable[[Path], None]) -> None:
    """A path that is taken, be it by a broken link, is refused before anything is sent."""
    target = tmp_path / "a"
    take(target)
    async with storage(reply(BODY)) as store:
        with pytest.raises(FileExistsError, match="choose another name"):
            await fetch(store, target)
    assert store.requests == []
    assert left(tmp_path) == ["a"]


async def test_a_name_taken_meanwhile(tmp_path: Path) -> None:
    """What takes the name during the download stays."""
    target = tmp_path / "a"
    async with storage(reply(BODY)) as store:
        with pytest.raises(FileExistsError):
            await fetch(store, target, on_progress=lambda *_: target.write_text("mine"))
    assert target.read_text() == "mine"
    assert left(tmp_path) == ["a"]


async def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    """A file that cannot be written is a local fault, found before anything is sent."""
    async with storage(reply()) as store:
        with pytest.raises(TransportError, match="cannot be written") as caught:
            await fetch(store, tmp_path / "missing" / "a")
    assert caught.value.kind == "local"
    assert store.requests == []


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (204, BadReply, "malformed"),
        (206, BadReply, "protocol"),
        (304, BadReply, "not_modified"),
        (401, Rejected, "credential"),
        (403, Rejected, "link-expired"),
        (404, Rejected, "link-expired"),
        (410, Rejected, "link-expired"),
        (429, Throttled, "throttled"),
        (503, TransportError, "server"),
    ],
)
async def test_other_statuses(tmp_path: Path, status: int, error: type[TransportError], kind: str) -> None:
    """Only 200 is a file; the rest is an error that says what to do, and leaves no file."""
    async with storage(reply(b"", "Retry-After: 7", status=status)) as store:
        with pytest.raises(error) as caught:
            await fetch(store, tmp_path / "a")
    assert (caught.value.kind, caught.value.status, caught.value.retry_after) == (kind, status, 7.0)
    assert caught.value.origin == store.url
    assert "canary" not in f"{caught.value!s}{caught.value!r}"
    assert len(store.requests) == (2 if kind == "protocol" else 1)  # a confused server gets a second chance
    assert left(tmp_path) == []


async def test_redirects_are_followed(tmp_path: Path) -> None:
    """Three redirects lead to the file, each to one place, relative or absolute."""
    hops = [reply(b"", "Location: /next", status=status) for status in (301, 307, 308)]
    async with storage(*hops, reply(b"abc")) as store:
        path = await fetch(store, tmp_path / "a")
    assert path.read_bytes() == b"abc"
    assert [request.split()[1] for request in store.requests] == [b"/a?sig=canary", *[b"/next"] * 3]


@pytest.mark.parametrize(
    ("headers", "kind", "requests"),
    [
        (["Location: /loop"], "redirect", 4),
        ([], "redirect", 1),
        (["Location: /b", "Location: /c"], "redirect", 1),
        (["Location: http://127.0.0.2:1/internal"], "link", 1),
        (["Location: http://user:pass@127.0.0.1/"], "link", 1),
        (["Location: file:///etc/passwd"], "link", 1),
        (["Location: https://127.0.0.1/"], "address", 1),
    ],
)
async def test_redirects_that_lead_astray(tmp_path: Path, headers: list[str], kind: str, requests: int) -> None:
    """A loop, a redirect that is not clear, and one into our own network are refused."""
    async with storage(reply(b"", *headers, status=302)) as store:
        with pytest.raises(Rejected) as caught:
            await fetch(store, tmp_path / "a")
    assert caught.value.kind == kind
    assert len(store.requests) == requests
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0x7f000001"]
)
async def test_no_private_address(tmp_path: Path, host: str) -> None:
    """A link into our own network is refused before a connection is made."""
    with pytest.raises(Rejected, match="no public address") as caught:
        await download(f"https://{host}/a", tmp_path / "a")
    assert caught.value.kind == "address"
    assert left(tmp_path) == []


async def test_too_large_by_its_own_word(tmp_path: Path) -> None:
    """A length above the limit is refused without reading the body."""
    seen: list[object] = []
    async with storage(reply(BODY)) as store:
        with pytest.raises(BadReply, match="max_bytes=1000") as caught:
            await fetch(store, tmp_path / "a", max_bytes=1000, on_progress=lambda *step: seen.append(step))
    assert (caught.value.kind, caught.value.passing, seen) == ("limit", False, [])
    assert left(tmp_path) == []


async def test_too_large_after_all(tmp_path: Path) -> None:
    """A body that does not say its length is cut off at the limit."""
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n"
    async with storage(endless, then=[Act.HANG]) as store:
        with pytest.raises(BadReply) as caught:
            await fetch(store, tmp_path / "a", max_bytes=1000)
    assert caught.value.kind == "limit"
    assert left(tmp_path) == []


async def test_exactly_the_limit(tmp_path: Path) -> None:
    """A file of just the limit is accepted."""
    async with storage(reply(BODY)) as store:
        path = await fetch(store, tmp_path / "a", max_bytes=len(BODY))
    assert path.stat().st_size == len(BODY)


async def test_the_limit_must_make_sense(tmp_path: Path) -> None:
    """A limit below one byte is a bad argument."""
    with pytest.raises(ValueError, match="at least 1"):
        await download("https://store.example/", tmp_path / "a", max_bytes=0)


CUT = reply(BODY)[:-1000]


@pytest.mark.parametrize("broken", [CUT, b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc"])
async def test_a_broken_connection_is_tried_once_more(tmp_path: Path, broken: bytes) -> None:
    """A connection lost on the way is answered with one clean start, not more."""
    async with storage(broken, reply(BODY)) as store:
        path = await fetch(store, tmp_path / "a")
    assert path.read_bytes() == BODY
    assert len(store.requests) == 2
    path.unlink()
    async with storage(broken) as store:
        with pytest.raises(TransportError) as caught:
            await fetch(store, tmp_path / "a")
    assert caught.value.passing
    assert len(store.requests) == 2
    assert left(tmp_path) == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip", "aes128gcm"])
async def test_no_encoding_is_accepted(tmp_path: Path, encoding: str) -> None:
    """A body encoded without our asking is refused, unread."""
    async with storage(reply(BODY, f"Content-Encoding: {encoding}")) as store:
        with pytest.raises(BadReply) as caught:
            await fetch(store, tmp_path / "a")
    assert caught.value.kind == "encoding"
    assert left(tmp_path) == []


async def test_checksums(tmp_path: Path) -> None:
    """A Content-MD5 that fits is satisfied; one that does not means a damaged file, which is removed."""
    digest = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
    async with storage(reply(BODY, f"Content-MD5: {digest}", "Content-Encoding: identity")) as store:
        (await fetch(store, tmp_path / "a")).unlink()
    async with storage(reply(BODY[::-1], f"Content-MD5: {digest}")) as store:
        with pytest.raises(BadReply) as caught:
            await fetch(store, tmp_path / "a")
    assert caught.value.kind == "checksum"
    assert left(tmp_path) == []


async def test_progress_may_end_the_download(tmp_path: Path) -> None:
    """What on_progress raises comes out as it is, also when it looks like a fault of the disk."""

    def stop(_received: int, _total: int | None) -> None:
        raise OSError("enough")

    async with storage(reply(BODY)) as store:
        with pytest.raises(OSError, match="enough"):
            await fetch(store, tmp_path / "a", on_progress=stop)
    assert left(tmp_path) == []


async def test_a_cancel_removes_the_file(tmp_path: Path) -> None:
    """A download that is cancelled on the way leaves nothing behind."""
    begun = asyncio.Event()
    async with storage(CUT, then=[Act.HANG]) as store:
        task = asyncio.create_task(fetch(store, tmp_path / "a", on_progress=lambda *_: begun.set()))
        await begun.wait()
        assert len(left(tmp_path)) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left(tmp_path) == []


async def test_a_cancel_at_every_step(tmp_path: Path) -> None:
    """Wherever a cancel hits, there is the whole file or none."""
    for steps in range(60):
        async with storage(reply(BODY)) as store:
            task = asyncio.create_task(fetch(store, tmp_path / "a"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        if left(tmp_path):
            assert left(tmp_path) == ["a"]
            assert (tmp_path / "a").read_bytes() == BODY
            (tmp_path / "a").unlink()


def test_the_rate() -> None:
    """A window of 30 seconds with less than 1 KiB/s is too slow; a pause is forgiven if the rest makes up for it."""
    enough = int(LEAST_RATE * RATE_WINDOW)
    rate = Rate(0.0)
    rate.count(1, 29.9)
    rate.count(enough - 1, 30.0)
    rate.count(1, 59.9)
    with pytest.raises(TransportError, match="less than 1024 bytes/s") as caught:
        rate.count(enough - 2, 60.0)
    assert (caught.value.kind, caught.value.passing) == ("slow", True)


def test_no_aiohttp_before_it_is_needed() -> None:
    """Importing the module does not import aiohttp."""
    code = "import sys, asyncpoll.http._download; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
