"""Keys in the query of an address, and schemes by name."""

from __future__ import annotations

import pickle
from typing import Any

import aiohttp
import pytest
from auth_kit import CANARY, Broken, async_key
from raw_server import Act, json_reply, polls, raw_server, reply

from asyncpoll import TransportError
from asyncpoll.http import (
    AiohttpTransport,
    ApiKey,
    Auth,
    Basic,
    Bearer,
    OutgoingRequest,
    Request,
    register_auth,
    registered_auth,
)
from asyncpoll.http._secrets import Secret

SEEN = OutgoingRequest("GET", "https://api.example/", {}, b"")
ODD = "canary&0=1/2+3%4#5?6"
ENCODED = "canary%260%3D1%2F2%2B3%254%235%3F6"

# a key in the query


@pytest.mark.parametrize("lends", [False, True])
@pytest.mark.parametrize("key", [CANARY, async_key])
@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (Request("GET", "/a"), f"/a?key={CANARY}"),
        (Request("POST", "/a", {"q": "x y"}, json=1), f"/a?q=x%20y&key={CANARY}"),
        (Request("GET", "/a", {"key": "mine", "keys": "1"}), f"/a?keys=1&key={CANARY}"),
        (Request.to("GET", "/a?q=1"), f"/a?q=1&key={CANARY}"),
        (Request.to("GET", "/a?%6bey=***&q=1&key"), f"/a?q=1&key={CANARY}"),
        (Request("GET", "/a", headers={"X-A": "1"}), f"/a?key={CANARY}"),
    ],
)
async def test_a_key_in_the_query(request_: Request, target: str, key: Any, *, lends: bool) -> None:
    """It is added to what the request asks for, in place of a parameter of the same name, and is in no header."""
    async with raw_server(polls(json_reply(1))) as server, aiohttp.ClientSession() as session:
        lent = session if lends else None
        async with AiohttpTransport(server.url, auth=ApiKey(key, query="key"), session=lent) as transport:
            assert (await transport.send(request_)).json == 1
    line, _, headers = server.requests[0].decode().partition("\r\n")
    assert line == f"{request_.method} {target} HTTP/1.1"
    assert CANARY not in headers


@pytest.mark.parametrize("lends", [False, True])
async def test_a_key_in_the_query_is_masked(*, lends: bool) -> None:
    """However the server spells it, in the body or in a header, three asterisks stand."""
    echo = json_reply({"a": f"<{ODD}>", "b": f"?k={ENCODED}"}, f"Location: /x?k={ENCODED}")
    async with raw_server(polls(echo)) as server, aiohttp.ClientSession() as session:
        lent = session if lends else None
        async with AiohttpTransport(server.url, auth=ApiKey(ODD, query="a key"), session=lent) as transport:
            answered = await transport.send(Request("GET", "/"))
    assert f"GET /?a%20key={ENCODED} HTTP/1.1\r\n".encode() in server.requests[0]
    assert answered.json == {"a": "<***>", "b": "?k=***"}
    assert answered.headers["location"] == "/x?k=***"


@pytest.mark.parametrize("lends", [False, True])
@pytest.mark.parametrize("step", [Act.RESET, b"HTTP/9 oops\r\n\r\n", reply(b"x" * 2000)])
async def test_an_error_does_not_show_the_address(step: Any, *, lends: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error nor a log line has the key in it."""
    caplog.set_level(0)
    async with raw_server([Act.READ, step]) as server, aiohttp.ClientSession() as session:
        lent = session if lends else None
        auth = ApiKey(CANARY, query="key")
        async with AiohttpTransport(server.url, auth=auth, session=lent, max_body=1000) as transport:
            with pytest.raises(TransportError) as caught:
                await transport.send(Request("GET", "/"))
    error = caught.value
    assert CANARY not in f"{error} {error!r} {vars(error)} {error.__cause__!r} {error.__context__!r} {caplog.text}"


async def test_a_key_in_the_query_shows_nowhere() -> None:
    """It is not in a repr, in headers or in what an `Auth` is shown, and cannot be pickled."""
    auth = ApiKey(CANARY, query="key")
    assert CANARY not in f"{auth!r} {auth} {vars(auth)}"
    assert await auth.headers(SEEN) == {}
    with pytest.raises(TypeError):
        pickle.dumps(auth)


@pytest.mark.parametrize(
    ("query", "more", "problem"),
    [
        ("", {}, "query must be the name of a parameter"),
        ("a\nb", {}, "query must be the name of a parameter"),
        ("\ud800", {}, "query must be the name of a parameter"),
        ("key", {"prefix": "Token "}, "without a prefix"),
        (7, {}, "ApiKey: query must be text, not int"),
    ],
)
def test_what_is_not_the_name_of_a_parameter(query: Any, more: dict[str, str], problem: str) -> None:
    """It is refused when the `ApiKey` is made."""
    with pytest.raises((TypeError, ValueError), match=problem):
        ApiKey(CANARY, query=query, **more)


# schemes by name


@pytest.mark.parametrize(
    ("name", "options", "made"),
    [
        ("bearer", {}, Bearer),
        ("api_key", {"header": "X-Key", "prefix": "Key "}, ApiKey),
        ("api_key", {"query": "key"}, ApiKey),
        ("basic", {}, Basic),
    ],
)
def test_the_schemes_that_are_there(name: str, options: dict[str, str], made: type[Auth]) -> None:
    """The three of this package have names, and take their options as keywords."""
    assert type(registered_auth(name)("user:canary-0123456789", **options)) is made


async def test_the_key_of_basic_is_user_and_password() -> None:
    """They are divided at the first colon; the password may be empty."""
    basic = registered_auth("basic")
    for key, user, password in (("a:b:c", "a", "b:c"), ("a:", "a", ""), ("a", "a", "")):
        assert await basic(key).headers(SEEN) == await Basic(user, password).headers(SEEN)
    assert await basic(Secret("a:b")).headers(SEEN) == await Basic("a", "b").headers(SEEN)
    with pytest.raises(TypeError, match="the key must be text"):
        basic(lambda: "a:b")


async def test_a_scheme_of_ones_own() -> None:
    """It is made with the key and the options, and may be replaced."""

    def signing(key: str, *, region: str) -> Auth:
        return Broken({"Authorization": f"{key} {region}"})

    register_auth("test-signing", Broken)
    register_auth("test-signing", signing)
    made = registered_auth("test-signing")("key", region="eu")
    assert await made.headers(SEEN) == {"Authorization": "key eu"}


@pytest.mark.parametrize(
    ("name", "factory", "error"),
    [
        ("", Bearer, ValueError),
        ("Sig V4", Bearer, ValueError),
        ("sig\n", Bearer, ValueError),
        ("bearer", ApiKey, ValueError),
        ("basic", ApiKey, ValueError),
        (7, Bearer, TypeError),
        ("test-none", None, TypeError),
        ("test-auth", Bearer("key"), TypeError),
    ],
)
def test_what_cannot_be_registered(name: Any, factory: Any, error: type[Exception]) -> None:
    """A name is a plain word that is not one of ours, and a factory can be called."""
    with pytest.raises(error, match=r"register_auth\(\): (name|factory) must be"):
        register_auth(name, factory)


def test_a_scheme_that_is_not_registered() -> None:
    """The error lists those that are, and says how to add one."""
    with pytest.raises(ValueError, match=r"'test-unknown', but .*api_key, basic, bearer.*register_auth"):
        registered_auth("test-unknown")
    with pytest.raises(TypeError, match="name must be text"):
        registered_auth(["bearer"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
