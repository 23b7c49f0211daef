"""An `Auth` that does not work: errors without a secret, and misses where they may pass."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from auth_kit import CANARY, Broken, Renewable, endpoint, sent_by, serving
from raw_server import json_reply, polls, raw_server

from asyncpoll import Rejected, TransportError
from asyncpoll.http import AiohttpTransport, Bearer, OutgoingRequest, Request, Upload


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        (CANARY, "headers must be a mapping, not str"),
        (17, "headers must be a mapping, not int"),
        ({"X-A": f"{CANARY}\r\nX-B: 1"}, "the header X-A holds line breaks"),
        ({"X-A": f"{CANARY}é"}, "characters beyond ASCII"),
        ({"X-A": CANARY.encode()}, "the header X-A must be text, not bytes"),
        ({f"{CANARY}\n": "a"}, "the name of a header must be a token"),
        ({3: "a"}, "the name of a header must be a token"),
        ({"Content-Length": "3"}, "the header Content-Length is set by the transport"),
        (ValueError(CANARY), r"Broken.headers raised ValueError \(auth_kit.py, line \d+\)"),
        (KeyError(CANARY), "raised KeyError"),
    ],
)
async def test_an_auth_that_does_not_work_ends_the_wait(headers: Any, problem: str) -> None:
    """The error says what is wrong and where, is raised before any request, and has no secret in it."""
    async with (
        raw_server(polls(json_reply({}))) as server,
        AiohttpTransport(server.url, auth=Broken(headers)) as transport,
    ):
        with pytest.raises(Rejected, match=problem) as caught:
            await endpoint().job(transport, "1").wait(timeout=20)
    error = caught.value
    assert (error.kind, server.requests) == ("credential", [])
    assert CANARY not in f"{error!r} {error.__cause__!r} {error.__context__!r}"
    assert pickle.loads(pickle.dumps(error)).kind == "credential"  # noqa: S301  it was made here


class ClientResponseError(Exception):
    """An error as those of an HTTP library."""


ClientResponseError.__module__ = "aiohttp.client_exceptions"


@pytest.mark.parametrize("error", [ConnectionError(CANARY), TimeoutError(CANARY), ClientResponseError(CANARY)])
async def test_a_token_that_cannot_be_fetched_is_a_miss(error: Exception) -> None:
    """Its server may be back soon."""
    async with AiohttpTransport("https://api.example", auth=Broken(error)) as transport:
        with pytest.raises(TransportError, match=r"could not be fetched: Broken\.headers raised") as caught:
            await transport.send(Request("GET", "/"))
    assert (caught.value.kind, caught.value.passing, caught.value.__context__) == ("auth", True, None)
    assert CANARY not in str(caught.value)


async def test_an_auth_that_hangs_is_given_up() -> None:
    """Each call has as long as an exchange."""

    class Hanging(Broken):
        async def headers(self, _request: OutgoingRequest) -> Any:
            await asyncio.Event().wait()

    async with AiohttpTransport("https://api.example", auth=Hanging(), attempt=0.05) as transport:
        with pytest.raises(TransportError, match=r"Hanging\.headers took longer than 0\.05 s") as caught:
            await transport.send(Request("GET", "/"))
    assert caught.value.passing


@pytest.mark.parametrize(
    ("renewed", "kind"),
    [(KeyError(CANARY), "credential"), (ConnectionError(CANARY), "auth"), (TransportError("?", kind="dns"), "dns")],
)
async def test_an_error_of_a_renewal_is_raised_for_all(renewed: Exception, kind: str) -> None:
    """Each request that was refused has an error of its own."""
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=Broken(renewed=renewed)) as transport:
        sending = (transport.send(Request("GET", "/")) for _ in range(3))
        errors = await asyncio.gather(*sending, return_exceptions=True)
    assert [getattr(error, "kind", None) for error in errors] == [kind] * 3
    assert len({id(error) for error in errors}) == 3
    assert CANARY not in repr(errors)


async def test_a_form_with_files_is_not_there_to_be_signed() -> None:
    """An `Auth` that signs bodies fails for such a form with the cure, and nothing is sent."""

    class Signing(Broken):
        async def headers(self, request: OutgoingRequest) -> Any:
            body: Any = request.body
            return {"X-Signature": sha256(body).hexdigest()}

    async with raw_server(polls(json_reply(1))) as server, AiohttpTransport(server.url, auth=Signing()) as transport:
        with pytest.raises(Rejected, match=r"raised TypeError.*send it as Request\(body=\.\.\.\)"):
            await transport.send(Request("POST", "/", form={"a": Upload("a", b"1")}))
        assert server.requests == []
        assert (await transport.send(Request("POST", "/", body=b"a"))).json == 1


async def test_plain_methods_of_an_auth_will_do() -> None:
    """An `Auth` whose methods are not async is understood as well."""

    class Plain:
        def headers(self, _request: OutgoingRequest) -> Mapping[str, str]:
            return {"Authorization": f"Bearer {CANARY}"}

        def renew(self) -> bool:
            return False

    plain: Any = Plain()
    assert CANARY in await sent_by(plain)


async def test_a_function_that_returns_an_unusable_key_is_told() -> None:
    """It is checked when it comes, and not repeated."""
    async with AiohttpTransport("https://api.example", auth=Bearer(lambda: f"{CANARY}\n")) as transport:
        with pytest.raises(Rejected, match=r"line breaks .* Bearer.headers returned it") as caught:
            await transport.send(Request("GET", "/"))
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize("auth", [CANARY, 17, object(), Bearer])
def test_what_is_not_an_auth_is_a_type_error(auth: Any) -> None:
    """A key alone does not say how it is sent."""
    with pytest.raises(TypeError, match=r"auth must be an Auth such as Bearer\(key\)") as caught:
        AiohttpTransport("https://api.example", auth=auth)
    assert CANARY not in str(caught.value)


async def test_a_reply_is_pickled_without_its_renewal() -> None:
    """It holds the credential."""
    async with serving("Bearer a") as server, AiohttpTransport(server.url, auth=Renewable(["a"])) as transport:
        reply = await transport.send(Request("GET", "/"))
    assert reply.renew is not None
    again = pickle.loads(pickle.dumps(reply))  # noqa: S301  it was made here
    assert (again.renew, again.json, again.headers["content-type"]) == (
        None,
        reply.json,
        "application/json; charset=utf-8",
    )
