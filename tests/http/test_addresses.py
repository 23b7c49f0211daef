"""Requests to addresses that a server gave: which are sent, and where to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from raw_server import json_reply, polls, raw_server
from yarl import URL

from asyncpoll import Endpoint, Snapshot, State, wait_all
from asyncpoll._errors import Rejected
from asyncpoll.http import AiohttpTransport, Bearer, Paced, Reply, Request, Retrying, Transport, check_address
from asyncpoll.http._urls import Address
from asyncpoll.testing import MemoryTransport

API = Address.of("https://api.example/v1")
ROOT = Address.of("https://api.example:8443")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("https://api.example/v1/jobs/7", "/v1/jobs/7"),
        ("https://api.example:443/v1/jobs/7?full=1&q=a%2Fb", "/v1/jobs/7?full=1&q=a%2Fb"),
        ("HTTPS://API.Example/v1/Jobs", "/v1/Jobs"),
        ("https://api.example:/v1/jobs", "/v1/jobs"),
        ("/v1/jobs/7?y=1", "/v1/jobs/7?y=1"),
        ("/v1", "/v1"),
        ("/v1?job=7", "/v1?job=7"),
        ("/v1/", "/v1/"),
        ("jobs/7?y=1", "/v1/jobs/7?y=1"),
        ("v1/jobs", "/v1/v1/jobs"),
        ("/v1/jobs/7#part", "/v1/jobs/7"),
        ("/v1/jobs#a?b=//c@d", "/v1/jobs"),
        ("/v1/operations/a:wait?next=https://other.example/..", "/v1/operations/a:wait?next=https://other.example/.."),
        ("/v1/.hidden/..x/x../~(a)!$&'*+,;=:@", "/v1/.hidden/..x/x../~(a)!$&'*+,;=:@"),
        ("/v1/a%2Fb%20c", "/v1/a%2Fb%20c"),
        ("/v1/任务?名=值", "/v1/%E4%BB%BB%E5%8A%A1?%E5%90%8D=%E5%80%BC"),
        ('/v1/a?filter={"a":[1|2]}', '/v1/a?filter={"a":[1|2]}'),
    ],
)
def test_an_address_below_the_base(address: str, target: str) -> None:
    """Absolute, from the root, or relative: it is asked for as the server spelled it, without the fragment."""
    assert API.resolve(address) == target


@pytest.mark.parametrize("address", ["https://api.example:8443", "https://API.example:8443/", "/"])
def test_an_address_at_the_root(address: str) -> None:
    """A base address without a path is all of its origin."""
    assert ROOT.resolve(address) == "/"
    assert ROOT.resolve("https://api.example:8443?a=1") == "/?a=1"
    assert ROOT.resolve("v1/jobs") == ROOT.resolve("/v1/jobs") == "/v1/jobs"


def test_further_parameters() -> None:
    """The query of a request is added to that of the address."""
    assert API.resolve("/v1/a?b=1", {"c": "x y"}) == "/v1/a?b=1&c=x%20y"
    assert API.resolve("/v1/a?", [("c", "1")]) == "/v1/a?c=1"


ELSEWHERE = [
    "https://evil.example/v1/jobs",
    "http://api.example/v1/jobs",
    "https://api.example:8443/v1/jobs",
    "https://api.example:80/v1/jobs",
    "https://api.example./v1/jobs",
    "https://api.example.evil.example/v1/jobs",
    "https://evil.example#api.example/v1/jobs",
    "https://evil.example?api.example/v1/jobs",
    "https://user@api.example/v1/jobs",
    "https://user:pass@api.example/v1/jobs",
    "https://@api.example/v1/jobs",
    "https://api.example@evil.example/v1/jobs",
    "https://api.example:pass@evil.example/v1/jobs",
    "https://api%2eexample/v1/jobs",
    "https://api.example%00.evil.example/v1",
    "https://\uff41pi.example/v1/jobs",
    "https://\u0430pi.example/v1/jobs",
    "https://api\u3002example/v1/jobs",
    "https://api.example\uff0fv1/jobs",
    "https://[::1]/v1/jobs",
    "https://[::1/v1/jobs",
    "https://127.0.0.1/v1/jobs",
    "https://api.example:99999/v1/jobs",
    "https://api.example:x/v1/jobs",
    "https:/api.example/v1/jobs",
    "https:///v1/jobs",
    "https:v1/jobs",
    "https:",
    "ftp://api.example/v1/jobs",
    "file:///v1/jobs",
    "javascript:alert(1)",
    "data:text/plain,v1",
    "unix:///v1",
    "job:7",
    "//evil.example/v1/jobs",
    "//api.example/v1/jobs",
    "///v1/jobs",
    "\\\\evil.example/v1/jobs",
    "/\\evil.example/v1/jobs",
    "\\v1\\jobs",
    "https:\\\\evil.example/v1",
    "https://api.example\\@evil.example/v1",
]
OUTSIDE = [
    "/",
    "/jobs/7",
    "/v1x/jobs",
    "/v10",
    "/V1/jobs",
    "/%76%31/jobs",
    "https://api.example",
    "https://api.example/",
    "https://api.example/v2/jobs",
    "https://api.example?/v1/jobs",
]
DISGUISED = [
    "..",
    "../jobs",
    "./jobs",
    "jobs/..",
    "/v1/..",
    "/v1/../v2",
    "/v1/./jobs",
    "/v1/jobs/.",
    "/v1/%2e%2e/v2",
    "/v1/%2E./v2",
    "/v1/.%2e",
    "/v1/%252e%252e/v2",
    "/v1/%25252e./v2",
    "/v1/..%2fv2",
    "/v1%2f..%2fv2",
    "/v1/a%2F..%2Fv2",
    "/v1/a%252f..%252fv2",
    "/v1/..%5cv2",
    "/v1/a%5C..%5Cv2",
    "/v1/..;/v2",
    "/v1/..;a=b/v2",
    "/v1/..%3b/v2",
    "/v1/..%00/v2",
    "/v1/%c0%ae%c0%ae/v2",
    "/v1/a%0d%0aHost:%20evil",
    "/v1/a%7f",
    "https://api.example/v1/../v2",
    "https://api.example//evil.example/v1",
    "/v1/%",
    "/v1/%zz",
    "/v1/[a]",
    "/v1/a|b",
]
UNPRINTABLE = [
    "",
    " ",
    "#part",
    "?page=2",
    "/v1/a b",
    " /v1/a",
    "/v1/a\n",
    "\t/v1/a",
    "/v1/a\r\nHost: evil.example",
    "/v1/a\x00",
    "/v1/a\x7f",
    "/v1/a\x85",
    "/v1/a\u00a0b",
    "/v1/a\u202eb",
    "/v1/a\u2028b",
    "/v1/a\ud800",
    "/v1/a?b=\n",
    "ht\ntps://evil.example/v1",
    "https://api.example/v1/" + "a" * 8192,
]


@pytest.mark.parametrize("address", [*ELSEWHERE, *OUTSIDE, *DISGUISED, *UNPRINTABLE])
def test_any_other_address_is_refused(address: str) -> None:
    """Another origin, what is not below the base, and what servers may read in another way are not sent."""
    with pytest.raises(Rejected, match="the address that the server gave is refused") as caught:
        API.resolve(address)
    assert (caught.value.kind, caught.value.passing) == ("foreign_address", False)
    assert caught.value.origin == "https://api.example"


@pytest.mark.parametrize("address", ["https://evil.example/v1?key=canary", "/other/canary", "/v1/canary canary"])
def test_a_refused_address_is_not_repeated(address: str) -> None:
    """The error names an origin at most, and says what would help."""
    with pytest.raises(Rejected) as caught:
        API.resolve(address)
    assert "canary" not in f"{caught.value} {caught.value!r}"
    assert "canary" not in repr(Request.to("GET", address))


_PIECES = [
    "https://",
    "api.example",
    "/v1",
    "/",
    "//",
    "..",
    "%2e",
    "%2f",
    "%25",
    "@",
    ":",
    "?",
    "#",
    "\\",
    ";",
    "a",
    "é",
]


@given(st.text() | st.lists(st.sampled_from(_PIECES)).map("".join) | st.text().map("/v1/".__add__))
@example("/v1/..%252f..")
def test_an_address_never_leaves_the_base(address: str) -> None:
    """Any text is refused, or asked of the origin and below the path that the credential belongs to."""
    try:
        target = API.resolve(address)
    except Rejected:
        return
    assert target.isascii()
    assert target.isprintable()
    url = URL(API.origin + target)  # yarl resolves dot segments
    assert str(url.origin()) == API.origin
    assert f"{url.path}/".startswith("/v1/")
    assert ".." not in url.path.split("/")


Opened = AbstractAsyncContextManager[Transport]


@asynccontextmanager
async def _direct(base_url: str) -> AsyncGenerator[Transport]:
    async with AiohttpTransport(base_url, auth=Bearer("canary-0123456789")) as transport:
        yield transport


@asynccontextmanager
async def _lent(base_url: str) -> AsyncGenerator[Transport]:
    async with (
        aiohttp.ClientSession() as session,
        AiohttpTransport(base_url, auth=Bearer("canary-0123456789"), session=session) as transport,
    ):
        yield transport


@asynccontextmanager
async def _wrapped(base_url: str) -> AsyncGenerator[Transport]:
    async with _direct(base_url) as transport:
        yield Retrying(Paced(transport))


PATHS = pytest.mark.parametrize("opened", [_direct, _lent, _wrapped])


@PATHS
async def test_addresses_over_the_wire(opened: Callable[[str], Opened]) -> None:
    """Every form of address arrives as the server spelled it, with the credential."""
    async with raw_server(polls(*[json_reply(1)] * 4)) as server, opened(f"{server.url}/api") as transport:
        for address in (f"{server.url}/api/x?y=1", "/api/x?y=1", "x?y=1", "/api/x?y=1#z"):
            request = Request.to("GET", address)
            check_address(transport, request)
            assert (await transport.send(request)).json == 1
    assert [asked.split(b"\r\n")[0] for asked in server.requests] == [b"GET /api/x?y=1 HTTP/1.1"] * 4
    assert all(b"Bearer canary-0123456789" in asked for asked in server.requests)


@PATHS
async def test_a_foreign_address_is_never_sent(opened: Callable[[str], Opened]) -> None:
    """Neither the API nor the other server hears of it, and a check says so beforehand."""
    async with raw_server(polls()) as server, raw_server(polls()) as other, opened(f"{server.url}/api") as transport:
        host = other.url.removeprefix("http:")
        for address in (f"{other.url}/api/x", f"{host}/api/x", "/x", "../x", "/api/%2e%2e/x", "/api/x\r\nA: b"):
            request = Request.to("GET", address)
            with pytest.raises(Rejected):
                check_address(transport, request)
            with pytest.raises(Rejected) as caught:
                await transport.send(request)
            assert caught.value.kind == "foreign_address"
        assert (server.connections, other.connections) == (0, 0)


async def test_a_transport_without_a_network() -> None:
    """It is given the address as it is."""
    transport = MemoryTransport(lambda request: Reply(200, request.address))
    request = Request.to("GET", "https://any.example/x", repeatable=True)
    check_address(transport, request)
    assert (await transport.send(request)).json == "https://any.example/x"
    assert request.repeatable


def test_an_address_is_text() -> None:
    """What a server gave in place of an address cannot become one."""
    with pytest.raises(TypeError, match="address must be text, not NoneType"):
        Request.to("GET", None)  # type: ignore[arg-type]  # that is the point


async def test_a_wait_ends_at_a_foreign_address() -> None:
    """It is not a miss: the wait does not ask again; other jobs of the same transport go on."""
    endpoint: Endpoint[str, None] = Endpoint(
        "test.foreign", ask=lambda ref: Request.to("GET", ref), read=lambda _: Snapshot(State.SUCCESS)
    )
    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url) as transport:
        with pytest.raises(Rejected) as caught:
            await endpoint.job(transport, "https://evil.example/x").result(timeout=30)
        assert caught.value.kind == "foreign_address"
        assert (transport.requests, server.connections) == (0, 0)
        jobs = [endpoint.job(transport, address) for address in ("https://evil.example/x", f"{server.url}/x")]
        bad, good = await wait_all(jobs, timeout=30)
    assert isinstance(bad.error, Rejected)
    assert (good.succeeded, transport.requests) == (True, 1)
