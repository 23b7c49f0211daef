"""Errors of other libraries that are misses, and `miss_on=`."""

from __future__ import annotations

import ssl
import urllib.error
from email.message import Message
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from hub_kit import SUCCESS, in_hub, play

from asyncpoll import Hub, JobFailed, Rejected, Snapshot, State, wait_until_terminal

REQUEST = httpx.Request("GET", "https://api.test")
UNANSWERED: list[Exception] = [
    OSError("reset"),
    TimeoutError(),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError(),
    aiohttp.ClientPayloadError("cut"),
    aiohttp.ClientOSError(104, "reset"),
    httpx.ReadTimeout("slow", request=REQUEST),
    httpx.ConnectError("refused", request=REQUEST),
    httpx.RemoteProtocolError("hung up", request=REQUEST),
    httpx.ProxyError("no", request=REQUEST),
    requests.ConnectionError("refused"),
    requests.ReadTimeout("slow"),
    requests.exceptions.ChunkedEncodingError("cut"),
    urllib.error.URLError("refused"),
]
ANSWERED: list[Exception] = [
    ValueError("x"),
    KeyError("status"),
    aiohttp.InvalidURL("x"),
    httpx.UnsupportedProtocol("ftp", request=REQUEST),
    httpx.HTTPStatusError("503", request=REQUEST, response=httpx.Response(503)),
    requests.HTTPError("503"),
    requests.exceptions.InvalidURL("x"),
    urllib.error.HTTPError("https://api.test", 503, "no", Message(), None),
    ssl.SSLCertVerificationError("expired"),
    JobFailed(Snapshot(State.FAILED)),
    Rejected("no", status=403),
]


class Flaky(Exception):
    """An error of the user's own."""


async def wait(job: Any, hub: Hub | None, **options: Any) -> Any:
    """Wait in a hub, or alone."""
    return await (wait_until_terminal(job, **options) if hub is None else hub.wait(job, **options))


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("error", UNANSWERED, ids=lambda error: type(error).__name__)
def test_no_answer_is_a_miss_whatever_library_says_so(error: Exception, alone: bool) -> None:  # noqa: FBT001  both
    """The next poll is the retry."""

    async def main(hub: Hub) -> None:
        assert (await wait(play(error, error, SUCCESS), None if alone else hub, timeout=60.0)).state is SUCCESS

    in_hub(main)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("error", ANSWERED, ids=lambda error: type(error).__name__)
def test_other_errors_end_the_wait(error: Exception, alone: bool) -> None:  # noqa: FBT001  both
    """An answer, a wrong argument, or a bad certificate is not a miss, even where its class is an `OSError`."""
    script = play(error, SUCCESS)

    async def main(hub: Hub) -> None:
        with pytest.raises(type(error)):
            await wait(script, None if alone else hub, timeout=60.0)

    in_hub(main)
    assert script.polls == 1


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "miss_on", [Flaky, (KeyError, Flaky), lambda error: "flaky" in str(error)], ids=["type", "tuple", "predicate"]
)
def test_the_caller_may_name_further_misses(miss_on: Any, alone: bool) -> None:  # noqa: FBT001  both
    """They count as misses, together with those that always are."""
    script = play(Flaky("flaky"), ConnectionError(), Flaky("flaky"), SUCCESS)

    async def main(hub: Hub) -> None:
        await wait(script, None if alone else hub, timeout=60.0, miss_on=miss_on)

    in_hub(main)
    assert script.polls == 4


@pytest.mark.parametrize("alone", [True, False])
def test_named_misses_obey_the_limit_of_misses(alone: bool) -> None:  # noqa: FBT001  both
    """`max_misses=` counts them, too."""
    script = play(Flaky("flaky"))

    async def main(hub: Hub) -> None:
        with pytest.raises(Flaky):
            await wait(script, None if alone else hub, timeout=60.0, miss_on=Flaky, max_misses=3)

    in_hub(main)
    assert script.polls == 4


@pytest.mark.parametrize("alone", [True, False])
def test_a_refusal_may_be_named_a_miss(alone: bool) -> None:  # noqa: FBT001  both
    """A caller who knows better than the server may wait out a 403."""
    script = play(Rejected("no", status=403), SUCCESS)

    async def main(hub: Hub) -> None:
        await wait(script, None if alone else hub, timeout=60.0, miss_on=lambda error: isinstance(error, Rejected))

    in_hub(main)


@pytest.mark.parametrize("alone", [True, False])
def test_a_predicate_that_fails_ends_the_wait(alone: bool) -> None:  # noqa: FBT001  both
    """Its error is raised: it is the caller's own."""

    def predicate(_error: Exception) -> bool:
        raise ZeroDivisionError

    async def main(hub: Hub) -> None:
        with pytest.raises(ZeroDivisionError):
            await wait(play(Flaky()), None if alone else hub, timeout=60.0, miss_on=predicate)

    in_hub(main)
