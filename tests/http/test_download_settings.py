"""Downloads in real networks: proxies, private certificates, limits of time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from forward_proxy import forward_proxy
from raw_server import Act, Script, polls, raw_server, reply
from server_kit import server_side, trusting

from asyncpoll import BadReply, Rejected, TransportError
from asyncpoll.http import download
from asyncpoll.providers import BigModel
from asyncpoll.providers.bigmodel import ParsedFile


async def test_a_private_ca_through_a_proxy(tmp_path: Path) -> None:
    """The tunnel leads to a storage whose certificate is from a private authority."""
    async with (
        raw_server(polls(reply(b"abc")), ssl=server_side()) as storage,
        forward_proxy("user:secret-word") as proxy,
    ):
        trusted = [storage.url]
        with pytest.raises(Rejected, match="certificate"):
            await download(f"{storage.url}/a", tmp_path / "a", trusted_origins=trusted)
        path = await download(
            f"{storage.url}/a", tmp_path / "a", trusted_origins=trusted, proxy=proxy.url_with_credential, ssl=trusting()
        )
    assert path.read_bytes() == b"abc"
    assert proxy.asked == [f"CONNECT {storage.url.removeprefix('https://')} HTTP/1.1"]


async def test_a_download_takes_the_proxy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does so with trust_env=True only."""
    async with raw_server(polls(reply(b"abc"))) as storage, forward_proxy() as proxy:
        for variable in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        for number, trust_env in enumerate((False, True)):
            target = tmp_path / str(number)
            await download(f"{storage.url}/a", target, trusted_origins=[storage.url], trust_env=trust_env)
            assert len(proxy.asked) == number


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "localhost", "a.localhost."])
async def test_a_proxy_is_not_asked_for_private_addresses(tmp_path: Path, host: str) -> None:
    """An address that is not public is refused before the proxy sees it."""
    async with forward_proxy() as proxy:
        with pytest.raises(Rejected, match="no public address"):
            await download(f"https://{host}/a", tmp_path / "a", proxy=proxy.url)
        assert proxy.asked == []


async def test_a_proxy_is_asked_for_public_names(tmp_path: Path) -> None:
    """It looks the name up, and may refuse the tunnel."""
    async with forward_proxy("user:password") as proxy:
        with pytest.raises(TransportError, match="proxy"):
            await download("https://storage.example/a", tmp_path / "a", proxy=proxy.url)
        assert proxy.asked == ["CONNECT storage.example:443 HTTP/1.1"]


async def test_a_gap_ends_a_download(tmp_path: Path) -> None:
    """`read_gap` is how long data may stay away."""
    script: Script = [Act.READ, b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc", Act.HANG]
    async with raw_server(script) as storage:
        with pytest.raises(TransportError) as caught:
            await download(f"{storage.url}/a", tmp_path / "a", trusted_origins=[storage.url], read_gap=0.1)
    assert caught.value.kind == "timeout"


async def test_a_storage_that_does_not_answer(tmp_path: Path) -> None:
    """`attempt` is how long the head of the answer may take."""
    async with raw_server([Act.READ, Act.HANG]) as storage:
        with pytest.raises(TransportError, match="the time limit passed") as caught:
            await download(f"{storage.url}/a", tmp_path / "a", trusted_origins=[storage.url], attempt=0.1)
    assert caught.value.kind == "timeout"


@pytest.mark.parametrize("limits", [{"max_body": 2}, {"max_bytes": 2}, {"max_body": 2, "max_bytes": 9}])
async def test_the_smaller_limit_of_bytes_counts(tmp_path: Path, limits: Any) -> None:
    """`max_body` means the same as `max_bytes`."""
    async with raw_server(polls(reply(b"abc"))) as storage:
        with pytest.raises(BadReply, match="larger than max_bytes=2"):
            await download(f"{storage.url}/a", tmp_path / "a", trusted_origins=[storage.url], **limits)
    assert not any(tmp_path.glob("*"))  # noqa: ASYNC240  a directory of this test alone


async def test_settings_of_a_client_that_are_not_for_downloads(tmp_path: Path) -> None:
    """A client's limit of a reply, and its lent session, do not hold for the files that it downloads."""
    async with (
        raw_server(polls(reply(b"abc"))) as storage,
        aiohttp.ClientSession() as session,
        BigModel("any", base_url=storage.url, session=session, max_body=2, connections=3, read_gap=5) as client,
    ):
        result = ParsedFile(parsing_result_url=f"{storage.url}/a")
        path = await client.file_parser.download(result, tmp_path / "a")
    assert path.read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("settings", "error", "problem"),
    [
        ({"proxies": 1}, TypeError, r"download\(\) got an unexpected keyword argument 'proxies'"),
        ({"proxy": 5}, TypeError, "proxy must be a URL as text, not int"),
        ({"max_body": 0}, ValueError, "max_body must be a whole number, at least 1"),
        ({"max_bytes": 0}, ValueError, "max_bytes must be a whole number, at least 1"),
        ({"max_bytes": "9"}, TypeError, "max_bytes must be a whole number"),
        ({"session": object()}, TypeError, r"download\(\) does not use session=: .* leave it out"),
        ({"insecure": True}, TypeError, r"does not use insecure=: .* name it in trusted_origins="),
        ({"connections": 7}, TypeError, r"does not use connections=: .* leave it out"),
        ({"ssl": False}, TypeError, "ssl must be an ssl.SSLContext or None, not bool"),
        ({"proxy": "127.0.0.1:3128"}, ValueError, "it has no scheme"),
        ({"connect": 0}, ValueError, "connect must be a finite number of seconds above 0"),
    ],
)
async def test_an_unusable_setting_is_refused(
    tmp_path: Path, settings: Any, error: type[Exception], problem: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(error, match=problem):
        await download("https://storage.example/a", tmp_path / "a", **settings)
