"""Credentials: the schemes alone, and what goes over the wire, with servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import pickle
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field
from raw_server import json_reply, polls, raw_server

from asyncpoll import Endpoint, Fixed, Hub, Rejected, Snapshot, State, TransportError
from asyncpoll.http import (
    AiohttpTransport,
    ApiKey,
    Auth,
    Basic,
    Bearer,
    OutgoingRequest,
    Reply,
    Request,
    Retrying,
    Upload,
    classify_status,
)
from asyncpoll.http._auth import LONGEST
from asyncpoll.http._secrets import Secret
from asyncpoll.providers import BigModel, Molizhishu

CANARY = "canary-0123456789"
SEEN = OutgoingRequest("GET", "https://api.example/", {}, b"")


async def _async_key() -> str:
    await asyncio.sleep(0)
    return CANARY


@define
class Server:
    """A server that tells how a job stands to those who have the credential of the moment."""

    accepts: str
    url: str = ""
    seen: list[str | None] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    status: int = 401
    refusal: Any = None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request of any method."""
        given = request.headers.get("Authorization") or request.headers.get("X-Api-Key")
        self.seen.append(given)
        self.bodies.append(await request.read())
        if given != self.accepts:
            return web.json_response(self.refusal or {"error": "expired"}, status=self.status)
        return web.json_response({"status": "done", "success": True, "async_id": "a", "data": {"taskId": "t1"}})


@asynccontextmanager
async def serving(accepts: str, **facts: Any) -> AsyncGenerator[Server]:
    """Run a server that accepts one value of the header."""
    server = Server(accepts, **facts)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@define
class Renewable:
    """A token that is renewed on demand, as an `Auth` of a user's own."""

    tokens: list[str]
    renewals: int = 0
    pause: float = 0.0
    succeeds: bool = True
    began: asyncio.Event = field(factory=asyncio.Event)

    async def headers(self, _request: OutgoingRequest) -> Mapping[str, str]:
        """Return the header with the first of the tokens."""
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    async def renew(self) -> bool:
        """Go on to the next token."""
        self.renewals += 1
        self.began.set()
        await asyncio.sleep(self.pause)
        if self.succeeds:
            self.tokens.pop(0)
        return self.succeeds


class Broken:
    """An `Auth` whose methods return, or raise, what they are told."""

    def __init__(self, headers: Any = None, *, renewed: Any = True) -> None:
        self._headers = {"Authorization": f"Bearer {CANARY}"} if headers is None else headers
        self._renewed = renewed

    async def headers(self, _request: OutgoingRequest) -> Any:
        """Return or raise what was given."""
        return _returned(self._headers)

    async def renew(self) -> Any:
        """Return or raise what was given."""
        return _returned(self._renewed)


def _returned(made: Any) -> Any:
    if isinstance(made, BaseException):
        raise made
    return made


def _endpoint(classify: Callable[[Reply], None] = classify_status) -> Endpoint[str, None]:
    def read(reply: Reply) -> Snapshot[None]:
        return Snapshot(State.SUCCESS if reply.json.get("status") == "done" else State.PENDING)

    return Endpoint("acme.jobs", ask=lambda ref: Request("GET", f"/jobs/{ref}"), read=read, classify=classify)


async def _sent_by(auth: Auth) -> str:
    async with raw_server(polls(json_reply({}))) as server, AiohttpTransport(server.url, auth=auth) as transport:
        await transport.send(Request("GET", "/"))
        return server.requests[0].decode()


# the schemes


@pytest.mark.parametrize("key", [CANARY, Secret(CANARY), lambda: CANARY, lambda: Secret(CANARY), _async_key])
async def test_a_bearer_key_is_text_or_a_function(key: Any) -> None:
    """A key is text, a secret, or a function, plain or async, that returns either."""
    assert f"Authorization: Bearer {CANARY}\r\n" in await _sent_by(Bearer(key))
    assert await Bearer(key).headers(SEEN) == {"Authorization": f"Bearer {CANARY}"}


@pytest.mark.parametrize("key", [CANARY, _async_key])
async def test_an_api_key_has_a_header_and_a_prefix(key: Any) -> None:
    """By default the header is X-Api-Key, with the key alone."""
    assert f"X-Api-Key: {CANARY}\r\n" in await _sent_by(ApiKey(key))
    assert f"Authorization: Token {CANARY}\r\n" in await _sent_by(ApiKey(key, "Authorization", "Token "))


@pytest.mark.parametrize(("user", "password"), [("user", CANARY), (CANARY, ""), ("üser", "pass:wörd")])
async def test_basic_sends_user_and_password(user: str, password: str) -> None:
    """They are sent as RFC 7617 has it, in UTF-8."""
    encoded = b64encode(f"{user}:{password}".encode()).decode()
    assert f"Authorization: Basic {encoded}\r\n" in await _sent_by(Basic(user, password))
    assert await Basic(user, password).headers(SEEN) == {"Authorization": f"Basic {encoded}"}
    assert not await Basic(user, password).renew()


@pytest.mark.parametrize(
    ("key", "cure"),
    [
        ("", "missing"),
        (None, "missing"),
        (Secret(""), "missing"),
        ("ключ", "beyond ASCII"),
        ("canary\n", "strip it"),
        ("can ary", "strip it"),
        ("can\x00ary", "strip it"),
        ("a" * (LONGEST + 1), "longer than 8192 characters"),
    ],
)
@pytest.mark.parametrize("scheme", [Bearer, ApiKey])
def test_a_key_that_cannot_be_sent_is_refused(scheme: type[Bearer], key: Any, cure: str) -> None:
    """It is refused when it is passed, and the message does not repeat it."""
    with pytest.raises(ValueError, match=cure) as caught:
        scheme(key)
    assert "can" not in str(caught.value).replace("can be", "")


@pytest.mark.parametrize("scheme", [Bearer, ApiKey])
@pytest.mark.parametrize("key", [5, b"canary-0123456789", ["canary-0123456789"]])
def test_a_key_of_a_wrong_type_is_refused(scheme: type[Bearer], key: Any) -> None:
    """The error names the scheme and the cure, and not the key."""
    with pytest.raises(TypeError, match=f"{scheme.__name__}: pass the key of the API as text") as caught:
        scheme(key)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "arguments"), [(Basic, (5, "p")), (Basic, ("a", None)), (ApiKey, ("key", 5)), (ApiKey, ("key", "X", 5))]
)
def test_arguments_of_a_wrong_type_are_refused(scheme: Any, arguments: Any) -> None:
    """Names, passwords and headers are text."""
    with pytest.raises(TypeError, match=rf"{scheme.__name__}: .* must be text"):
        scheme(*arguments)


@pytest.mark.parametrize(("user", "password"), [("", "p"), ("a:b", "p"), ("a\n", "p"), ("a", "p\r\n"), ("\ud800", "")])
def test_basic_refuses_what_cannot_be_sent(user: Any, password: Any) -> None:
    """A colon would move the border between user and password, a line break would end the header."""
    with pytest.raises(ValueError, match=r"the (user|password) must"):
        Basic(user, password)


@pytest.mark.parametrize(
    ("header", "prefix"), [("", ""), ("X Key", ""), ("Host", ""), ("Content-Length", ""), ("X-Key", "a\n")]
)
def test_an_api_key_refuses_unusable_headers(header: Any, prefix: str) -> None:
    """A header must be a token that does not frame the message, and the prefix must be printable."""
    with pytest.raises(ValueError, match="pass another header or prefix"):
        ApiKey(CANARY, header, prefix)


@pytest.mark.parametrize("auth", [Bearer(CANARY), Bearer(lambda: CANARY), ApiKey(CANARY), Basic(CANARY, CANARY)])
def test_a_credential_shows_nowhere(auth: Any) -> None:
    """It is not in a repr, and cannot be pickled."""
    assert CANARY not in f"{auth!r} {auth} {vars(auth)}"
    assert repr(auth) == f"{type(auth).__name__}(***)"
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(auth)


def test_a_request_for_auth_hides_its_content() -> None:
    """Its repr has the method alone."""
    assert repr(OutgoingRequest("GET", f"/?key={CANARY}", {"A": CANARY}, CANARY.encode())) == (
        "OutgoingRequest(method='GET')"
    )


# over the wire


async def test_a_function_is_called_for_each_request() -> None:
    """A key can be rotated; one that stays the same is not made into a header again."""
    keys = iter(["key-number-1", "key-number-1", "key-number-2"])
    bearer = Bearer(lambda: next(keys))
    first, same, other = await bearer.current(), await bearer.current(), await bearer.current()
    assert first is same
    assert other.headers == {"Authorization": "Bearer key-number-2"}
    secret = Secret(CANARY)
    kept = Bearer(lambda: secret)
    assert await kept.current() is await kept.current()


@pytest.mark.parametrize(
    ("auth", "echoed"),
    [
        (Bearer(CANARY), CANARY),
        (Bearer(_async_key), CANARY),
        (ApiKey(CANARY), CANARY),
        (Basic("user", CANARY), CANARY),
        (Basic("user", CANARY), b64encode(f"user:{CANARY}".encode()).decode()),
        (Basic(CANARY, ""), CANARY),
        (Broken(), CANARY),
    ],
)
async def test_an_echoed_credential_is_masked(auth: Any, echoed: str) -> None:
    """Where the server repeats it, three asterisks stand."""
    async with (
        raw_server(polls(json_reply({"bad": f"<{echoed}>"}))) as server,
        AiohttpTransport(server.url, auth=auth) as transport,
    ):
        reply = await transport.send(Request("GET", "/"))
    assert reply.json == {"bad": "<***>"}


async def test_a_credential_replaces_a_header_of_a_request() -> None:
    """Names of headers are compared without regard to letter case."""
    async with (
        raw_server(polls(json_reply({}))) as server,
        AiohttpTransport(server.url, auth=ApiKey(CANARY)) as transport,
    ):
        await transport.send(Request("GET", "/", headers={"x-api-key": "other", "X-A": "1"}))
    assert f"X-Api-Key: {CANARY}\r\n".encode() in server.requests[0]
    assert b"X-A: 1\r\n" in server.requests[0]
    assert b"other" not in server.requests[0]


async def test_a_date_from_an_auth_is_not_masked() -> None:
    """A server may tell the time that the request was signed at."""
    auth = Broken({"X-Date": "2026-01-01T00:00:00Z", "X-Signature": CANARY})
    async with (
        raw_server(polls(json_reply({"at": "2026-01-01T00:00:00Z", "for": CANARY}))) as server,
        AiohttpTransport(server.url, auth=auth) as transport,
    ):
        reply = await transport.send(Request("GET", "/"))
    assert reply.json == {"at": "2026-01-01T00:00:00Z", "for": "***"}


async def test_an_auth_sees_the_request_as_it_goes_out() -> None:
    """Method, full address, headers and body; of a form with files the body is not known."""
    seen: list[OutgoingRequest] = []

    class Looking(Broken):
        async def headers(self, request: OutgoingRequest) -> Any:
            seen.append(request)
            return {"x-a": "theirs"}

    async with (
        raw_server(polls(*[json_reply({})] * 3)) as server,
        AiohttpTransport(f"{server.url}/v1", auth=Looking()) as transport,
    ):
        await transport.send(Request("POST", "/a", {"q": "é"}, {"b": "ü"}, headers={"X-A": "ours"}))
        await transport.send(Request("GET", "/a"))
        await transport.send(Request("POST", "/a", form={"f": Upload("a.txt", b"x")}))
    assert [(one.method, one.url.removeprefix(server.url), one.body) for one in seen] == [
        ("POST", "/v1/a?q=%C3%A9", '{"b":"ü"}'.encode()),
        ("GET", "/v1/a", b""),
        ("POST", "/v1/a", None),
    ]
    assert seen[0].headers["Content-Type"] == "application/json"
    assert seen[0].headers["X-A"] == "ours"
    assert b"x-a: theirs" in server.requests[0]
    assert b"ours" not in server.requests[0]


# renewal


async def test_a_token_that_expires_during_a_wait_is_renewed() -> None:
    """The wait goes on with the new token, and the refused poll is made again at once."""
    auth = Renewable(["first", "second"])
    async with serving("Bearer first") as server, AiohttpTransport(server.url, auth=auth) as transport:

        def classify(reply: Reply) -> None:
            classify_status(reply)
            server.accepts = "Bearer second"

        states = iter([State.PENDING, State.SUCCESS])
        endpoint: Endpoint[str, None] = Endpoint(
            "acme.jobs",
            ask=lambda ref: Request("GET", f"/{ref}"),
            read=lambda _reply: Snapshot[None](next(states)),
            classify=classify,
        )
        snapshot = await endpoint.job(transport, "1").wait(timeout=20, schedule=Fixed(0.01))
    assert snapshot.state is State.SUCCESS
    assert server.seen == ["Bearer first", "Bearer first", "Bearer second"]
    assert auth.renewals == 1


async def test_a_key_from_an_async_function_is_renewed() -> None:
    """After a refusal the function is asked once more."""
    keys = iter(["old", "new"])

    async def key() -> str:
        return next(keys)

    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=Bearer(key)) as transport:
        assert (await transport.send(Request("GET", "/"))).status == 200
    assert server.seen == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("auth", [Bearer("old"), ApiKey("old"), Basic("old", "old")])
async def test_a_fixed_key_is_sent_once(auth: Any) -> None:
    """There is not another one, so the refusal stands."""
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=auth) as transport:
        reply = await transport.send(Request("GET", "/"))
    assert (reply.status, reply.renew, len(server.seen)) == (401, None, 1)
    assert not await auth.renew()


async def test_fifty_refused_polls_in_a_hub_renew_once() -> None:
    """All of them wait for the same renewal, and not one of the jobs is given up."""
    auth = Renewable(["old", "new"], pause=0.05)
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=auth) as transport, Hub() as hub:
        jobs = [_endpoint().job(transport, str(number)) for number in range(50)]
        outcomes = await hub.wait_all(jobs, timeout=30)
    assert all(outcome.succeeded for outcome in outcomes)
    assert auth.renewals == 1
    assert (server.seen.count("Bearer old"), server.seen.count("Bearer new")) == (50, 50)


async def test_a_failed_renewal_is_shared_too() -> None:
    """Polls that were refused together ask once; a later refusal asks again."""
    auth = Renewable(["old"], pause=0.05, succeeds=False)
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=auth) as transport:
        replies = await asyncio.gather(*(transport.send(Request("GET", "/")) for _ in range(10)))
        assert ([reply.status for reply in replies], auth.renewals) == ([401] * 10, 1)
        await transport.send(Request("GET", "/"))
        assert auth.renewals == 2


async def test_a_renewal_is_done_by_another_if_cancelled() -> None:
    """The poll that renews may be cut off; the next one renews then."""
    auth = Renewable(["old", "new"], pause=0.05)
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=auth) as transport:
        first, second = (asyncio.create_task(transport.send(Request("GET", "/"))) for _ in range(2))
        await auth.began.wait()
        first.cancel()
        assert (await second).status == 200
    assert first.cancelled()
    assert auth.renewals == 2


async def test_a_submit_that_was_refused_is_sent_again() -> None:
    """It was not carried out; over Retrying as well, which repeats no submit."""
    async with (
        serving("Bearer new") as server,
        AiohttpTransport(server.url, auth=Renewable(["old", "new"])) as transport,
    ):
        reply = await Retrying(transport).send(Request("POST", "/jobs", json={"a": 1}))
    assert reply.status == 200
    assert server.bodies == [b'{"a":1}'] * 2


async def test_a_second_refusal_stands() -> None:
    """One renewal, one more request, then the error says what is wrong."""
    auth = Renewable(["old", "older", "oldest"])
    async with serving("Bearer new") as server, AiohttpTransport(server.url, auth=auth) as transport:
        with pytest.raises(Rejected, match="the credential is refused") as caught:
            await _endpoint().job(transport, "1").fetch()
    assert caught.value.kind == "credential"
    assert (len(server.seen), auth.renewals) == (2, 1)


@pytest.mark.parametrize("renewed", [True, False])
async def test_what_an_endpoint_calls_a_refusal_renews(renewed: bool) -> None:  # noqa: FBT001  a parameter of a test
    """A refusal may come with HTTP 200 or 403: `classify` has the word."""

    def classify(reply: Reply) -> None:
        if "error" in reply.json:
            raise Rejected("expired", kind="credential")

    auth = Renewable(["old", "new"], succeeds=renewed)
    async with serving("Bearer new", status=200) as server, AiohttpTransport(server.url, auth=auth) as transport:
        job = _endpoint(classify).job(transport, "1")
        if renewed:
            assert (await job.fetch()).state is State.SUCCESS
        else:
            with pytest.raises(Rejected, match="expired"):
                await job.fetch()
    assert auth.renewals == 1


async def test_other_refusals_do_not_renew() -> None:
    """A job that is not ours stays so."""
    auth = Renewable(["old", "new"])
    async with serving("Bearer new", status=404) as server, AiohttpTransport(server.url, auth=auth) as transport:
        with pytest.raises(Rejected, match="no such job"):
            await _endpoint().job(transport, "1").fetch()
    assert auth.renewals == 0


async def test_a_client_takes_an_async_key() -> None:
    """Text, a function or an async function; a submit that an error code refuses goes out again."""
    keys = iter(["old", "new"])

    async def key() -> str:
        return next(keys)

    refusal = {"success": False, "code": 500, "message": "Token失效", "data": None}
    async with (
        serving("Bearer new", status=200, refusal=refusal) as server,
        Molizhishu(key, base_url=server.url) as client,
    ):
        job = await client.tasks.start(prompts=["?"], platforms=["doubao"])
    assert job.ref.task_id == "t1"
    assert server.seen == ["Bearer old", "Bearer new"]


async def test_a_client_renews_for_an_error_code() -> None:
    """BigModel refuses a key with a code of its own."""
    keys = iter(["old", "new"])
    refusal = {"error": {"code": "1002", "message": "invalid"}}
    async with (
        serving("Bearer new", status=200, refusal=refusal) as server,
        BigModel(lambda: next(keys), base_url=server.url) as client,
    ):
        job = await client.agents.start(agent_id="g", messages=[])
    assert job.ref.async_id == "a"
    assert server.seen == ["Bearer old", "Bearer new"]


# an Auth that does not work


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
        (ValueError(CANARY), r"Broken.headers raised ValueError \(test_auth.py, line \d+\)"),
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
            await _endpoint().job(transport, "1").wait(timeout=20)
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
    assert CANARY in await _sent_by(plain)


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
