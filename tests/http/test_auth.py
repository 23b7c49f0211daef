"""Credentials: the schemes alone, and what goes over the wire, with servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import pickle
from base64 import b64encode
from typing import Any

import pytest
from auth_kit import CANARY, Broken, Renewable, async_key, endpoint, sent_by, serving
from raw_server import json_reply, polls, raw_server

from asyncpoll import Endpoint, Fixed, Hub, Rejected, Snapshot, State
from asyncpoll.http import (
    AiohttpTransport,
    ApiKey,
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

SEEN = OutgoingRequest("GET", "https://api.example/", {}, b"")


# the schemes


@pytest.mark.parametrize("key", [CANARY, Secret(CANARY), lambda: CANARY, lambda: Secret(CANARY), async_key])
async def test_a_bearer_key_is_text_or_a_function(key: Any) -> None:
    """A key is text, a secret, or a function, plain or async, that returns either."""
    assert f"Authorization: Bearer {CANARY}\r\n" in await sent_by(Bearer(key))
    assert await Bearer(key).headers(SEEN) == {"Authorization": f"Bearer {CANARY}"}


@pytest.mark.parametrize("key", [CANARY, async_key])
async def test_an_api_key_has_a_header_and_a_prefix(key: Any) -> None:
    """By default the header is X-Api-Key, with the key alone."""
    assert f"X-Api-Key: {CANARY}\r\n" in await sent_by(ApiKey(key))
    assert f"Authorization: Token {CANARY}\r\n" in await sent_by(ApiKey(key, "Authorization", "Token "))


@pytest.mark.parametrize(("user", "password"), [("user", CANARY), (CANARY, ""), ("üser", "pass:wörd")])
async def test_basic_sends_user_and_password(user: str, password: str) -> None:
    """They are sent as RFC 7617 has it, in UTF-8."""
    encoded = b64encode(f"{user}:{password}".encode()).decode()
    assert f"Authorization: Basic {encoded}\r\n" in await sent_by(Basic(user, password))
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
        (Bearer(async_key), CANARY),
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
        jobs = [endpoint().job(transport, str(number)) for number in range(50)]
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
            await endpoint().job(transport, "1").fetch()
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
        job = endpoint(classify).job(transport, "1")
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
            await endpoint().job(transport, "1").fetch()
    assert auth.renewals == 0


async def test_a_client_takes_anasync_key() -> None:
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
