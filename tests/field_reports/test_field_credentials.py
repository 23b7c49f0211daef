"""Credentials that change: tokens that expire, are fetched, signed or granted while jobs are being awaited."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from field_kit import RENDERS, ask, read, wait
from memory_kit import answering
from server_kit import serving

from asyncpoll import Endpoint, Fixed, Hub, Rejected, Snapshot, State, Vocabulary
from asyncpoll.http import AiohttpTransport, OutgoingRequest, Reply, Request, classify_status
from asyncpoll.ledger import Ledger
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.testing import run_virtual

QUICK = Fixed(0.01)
OLD, NEW = "canary-old-0123456789", "canary-new-0123456789"


class Tokens:
    """A server that accepts the newest token only, and what fetches tokens from it.

    Attributes:
        valid: The token that is accepted.
        fetched: How many tokens were fetched.
        refused: How many requests were refused.
        keys: How often each value of the header has come.
    """

    def __init__(self, valid: str = OLD) -> None:
        self.valid = valid
        self.fetched = 0
        self.refused = 0
        self.keys: Counter[str] = Counter()

    async def fetch(self) -> str:
        """Return the valid token, as a call of its own would."""
        self.fetched += 1
        await asyncio.sleep(0.01)
        return self.valid

    async def answer(self, request: web.Request) -> web.Response:
        """Say that the job is done to those who have the valid token."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.keys[given] += 1
        if given != self.valid:
            self.refused += 1
            return web.json_response({"error": {"code": "1002", "message": "expired"}}, status=401)
        body = {"status": "succeeded", "success": True, "task_id": "1", "content": "text"}
        return web.json_response({**body, "code": 200, "data": {"taskId": "1", "status": "completed"}})


KEYS: dict[str, Any] = {
    "text": lambda tokens: tokens.valid,
    "function": lambda tokens: lambda: tokens.valid,
    "async function": lambda tokens: tokens.fetch,
}


@pytest.mark.parametrize("cls", [BigModel, Molizhishu])
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("together", [True, False])
async def test_every_client_takes_a_key_in_every_form(kind: str, cls: Any, *, together: bool) -> None:
    """Text, a function and an async function are sent alike."""
    tokens = Tokens()
    async with serving(tokens.answer) as url, cls(KEYS[kind](tokens), base_url=url) as client:
        jobs = client.file_parser if cls is BigModel else client.tasks
        seen = await wait(jobs.job(task_id="1"), together=together, timeout=20)
    assert seen.state is State.SUCCESS
    assert tokens.keys == {OLD: 1}


async def test_a_token_that_is_fetched_does_not_block() -> None:
    """While one client waits for its token, another one polls, and so does everything else on the loop."""
    tokens, may_go_on = Tokens(), asyncio.Event()

    async def slow() -> str:
        await may_go_on.wait()
        return tokens.valid

    async with (
        serving(tokens.answer) as url,
        BigModel(slow, base_url=url) as held,
        BigModel(OLD, base_url=url) as other,
        Hub() as hub,
    ):
        first = asyncio.create_task(hub.result(held.file_parser.job(task_id="1"), timeout=20))
        assert (await hub.result(other.file_parser.job(task_id="1"), timeout=20)).content == "text"
        assert not first.done()
        may_go_on.set()
        assert (await first).content == "text"


class Cached:
    """An `Auth` that fetches a token when it has none, or when the one it has was refused."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.token = tokens.valid

    async def headers(self, _request: OutgoingRequest) -> Mapping[str, str]:
        """Return the header with the token."""
        return {"Authorization": f"Bearer {self.token}"}

    async def renew(self) -> bool:
        """Fetch another token."""
        self.token = await self.tokens.fetch()
        return True


@pytest.mark.parametrize("count", [1, 100])
async def test_a_token_that_expires_in_flight_is_renewed_once(count: int) -> None:
    """All polls in flight are refused; one new token is fetched for them, each is sent again, and no wait ends."""
    tokens, all_here = Tokens(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if not all_here.is_set():
            tokens.keys["in flight"] += 1
            if tokens.keys["in flight"] == count:
                tokens.valid = NEW
                all_here.set()
            await all_here.wait()
        answered = await tokens.answer(request)
        return web.json_response({"status": "done", "url": "u"}) if answered.status == 200 else answered

    async with (
        serving(answer) as url,
        AiohttpTransport(url, auth=Cached(tokens)) as transport,
        Hub(concurrency=count, lane_concurrency=count) as hub,
    ):
        jobs = [RENDERS.job(transport, str(number)) for number in range(count)]
        outcomes = await hub.wait_all(jobs, timeout=20)
        assert transport.requests == 2 * count
    assert [one.succeeded for one in outcomes] == [True] * count
    assert (tokens.fetched, tokens.refused, tokens.keys[NEW]) == (1, count, count)


@pytest.mark.parametrize("together", [True, False])
async def test_a_token_of_a_submit_is_renewed(*, together: bool) -> None:
    """A submit whose token was refused is sent again with the new one, and its job is polled with it."""
    tokens = Tokens(NEW)
    keys = iter([OLD, NEW, NEW, NEW, NEW])
    async with serving(tokens.answer) as url, Molizhishu(lambda: next(keys), base_url=url) as client:
        job = await client.tasks.start(prompts=["?"], platforms=["kimi"])
        assert (await wait(job, together=together, timeout=20)).state is State.SUCCESS
    assert tokens.keys[OLD] == 1


async def test_two_accounts_share_a_hub_and_a_ledger(tmp_path: Path) -> None:
    """Each polls the same id with its own key, has its own outcome, and finds its own jobs again."""
    keys: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        keys[key] += 1
        return web.json_response({"status": "succeeded", "task_id": "7", "content": key[-1]})

    async with (
        serving(answer) as url,
        BigModel("key-a", base_url=url, name="a") as first,
        BigModel("key-b", base_url=url, name="b") as second,
        Ledger(tmp_path / "run.db") as ledger,
        Hub() as hub,
    ):
        jobs = [client.file_parser.job(task_id=7) for client in (first, second)]
        async with hub.run(jobs, ledger=ledger, timeout=20) as run:
            values = {record.key: record.value["content"] async for record, _ in run}
        assert values == {jobs[0].key: "a", jobs[1].key: "b"}
        again = second.job_from_json(jobs[1].to_json())
        assert again.key == jobs[1].key
        with pytest.raises(ValueError, match="belongs to the client named 'b'"):
            first.job_from_json(jobs[1].to_json())
    assert keys == {"key-a": 1, "key-b": 1}


async def test_two_accounts_without_names_meet_in_a_hub() -> None:
    """Each job is polled with the key of its client, and the refusal of one key ends no wait of the other."""

    async def answer(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        if key == "key-bad":
            return web.json_response({"error": {"code": "1002", "message": "no"}}, status=401)
        return web.json_response({"status": "succeeded", "task_id": "7", "content": key[-1]})

    async with (
        serving(answer) as url,
        BigModel("key-a", base_url=url) as first,
        BigModel("key-b", base_url=url) as second,
        BigModel("key-bad", base_url=url) as bad,
        Hub() as hub,
    ):
        jobs = [client.file_parser.job(task_id=7) for client in (bad, first, second, bad)]
        ends = await asyncio.gather(*(hub.result(job, timeout=20) for job in jobs), return_exceptions=True)
    assert [getattr(end, "content", type(end)) for end in ends] == [Rejected, "a", "b", Rejected]


# signatures


class Signer:
    """Signs the method, the path with its query, the date and the body of each request."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    async def headers(self, request: OutgoingRequest) -> Mapping[str, str]:
        """Return the date and the signature."""
        url = urlsplit(request.url)
        target = f"{url.path}?{url.query}" if url.query else url.path
        date = "Fri, 30 Jan 2026 07:27:23 GMT"
        return {
            "Date": date,
            "Authorization": f"HMAC {_signed(self.secret, request.method, target, date, request.body)}",
        }

    async def renew(self) -> bool:
        """Return False: there is one secret."""
        return False


def _signed(secret: bytes, method: str, target: str, date: str, body: bytes | None) -> str:
    message = b"\n".join([method.encode(), target.encode(), date.encode(), body or b""])
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


REQUESTS = {
    "get": ask,
    "query": lambda ref: Request("GET", "/renders", {"id": ref, "tag": ["a b", "ü"]}, repeatable=True),
    "json": lambda ref: Request("POST", "/renders", json={"id": ref, "name": "模"}, repeatable=True),
    "form": lambda ref: Request("POST", "/renders", form={"id": ref, "a": "b&c"}, repeatable=True),
    "bytes": lambda ref: Request("PUT", "/renders", body=ref.encode() + b"\x00", repeatable=True),
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("together", [True, False])
async def test_a_signature_covers_the_request_as_it_goes_out(kind: str, *, together: bool) -> None:
    """A server that computes the signature of what it got accepts it; one with another secret does not."""

    async def answer(request: web.Request) -> web.Response:
        date, body = request.headers["Date"], await request.read()
        expected = _signed(b"secret", request.method, request.raw_path, date, body)
        if request.headers["Authorization"] != f"HMAC {expected}":
            return web.json_response({"error": "signature"}, status=401)
        return web.json_response({"status": "done", "url": "u"})

    signed: Endpoint[str, str] = Endpoint("acme.signed", ask=REQUESTS[kind], read=read)
    async with serving(answer) as url:
        async with AiohttpTransport(url, auth=Signer(b"secret")) as transport:
            assert (await wait(signed.job(transport, "1"), together=together, timeout=20)).unwrap() == "u"
        async with AiohttpTransport(url, auth=Signer(b"other")) as transport:
            with pytest.raises(Exception, match="credential is refused"):
                await wait(signed.job(transport, "1"), together=together, timeout=20)


# the device flow of OAuth

GRANTS = Vocabulary(
    "oauth.device", {"authorization_pending": State.PENDING, "slow_down": State.PENDING, "access_denied": State.FAILED,
                     "expired_token": State.TIMEOUT, "granted": State.SUCCESS}
)  # fmt: skip


def _ask_for_token(device_code: str) -> Request:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code, "client_id": "c"}
    return Request("POST", "/token", form=form, repeatable=True)


def _is_about_grant(reply: Reply) -> None:
    if not (reply.status == 400 and isinstance(reply.json, dict) and "error" in reply.json):
        classify_status(reply)


def _read_token(reply: Reply) -> Snapshot[str]:
    word = reply.json.get("error", "granted")
    hint = 5.0 if word == "slow_down" else None
    return Snapshot(GRANTS.read(word), word, reply.json.get("access_token"), retry_after=hint, raw=reply.json)


DEVICE: Endpoint[str, str] = Endpoint("oauth.device", ask=_ask_for_token, read=_read_token, classify=_is_about_grant)


@pytest.mark.parametrize("together", [True, False])
async def test_a_device_is_granted_a_token(*, together: bool) -> None:
    """The form is URL-encoded, and a pending grant told with HTTP 400 keeps the wait going."""
    bodies: list[Any] = []
    answers = iter(["authorization_pending", "authorization_pending", None])

    async def answer(request: web.Request) -> web.Response:
        bodies.append((request.content_type, parse_qs((await request.read()).decode())))
        word = next(answers)
        return web.json_response({"error": word} if word else {"access_token": "t"}, status=400 if word else 200)

    async with serving(answer) as url, AiohttpTransport(url) as transport:
        seen = await wait(DEVICE.job(transport, "d+1&2"), together=together, timeout=20, schedule=QUICK)
    assert seen.unwrap() == "t"
    assert len(bodies) == 3
    assert {kind for kind, _ in bodies} == {"application/x-www-form-urlencoded"}
    assert all(body["device_code"] == ["d+1&2"] for _, body in bodies)


@pytest.mark.parametrize(
    ("word", "state"), [("access_denied", State.FAILED), ("expired_token", State.TIMEOUT), (None, State.SUCCESS)]
)
def test_a_device_slows_down_when_it_is_told(word: str | None, state: State) -> None:
    """The next poll comes when the server wants it, and the end is that of the grant."""
    end = Reply(400, {"error": word}) if word else Reply(200, {"access_token": "t"})
    at: list[float] = []

    async def main() -> Snapshot[str]:
        job = DEVICE.job(answering(Reply(400, {"error": "slow_down"}), end), "d")
        now = asyncio.get_running_loop().time
        return await job.wait(timeout=600, schedule=Fixed(1.0), observe=lambda _event: at.append(now()))

    assert run_virtual(main()).state is state
    assert at[-1] >= 5.0
