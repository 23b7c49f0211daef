"""What people poll with today, each driven as its own documentation says, without a pause between two polls."""

# ruff: noqa: PLC0415  each imports only its own, and not all are installed

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from drive import KEY, SeeThrough, Work, in_flight, path_of

_HEADERS = {"Authorization": f"Bearer {KEY}"}
_MOST_THREADS = 32


class Unfinished(Exception):
    """A task is not done yet: what retry libraries need to be told by an exception."""


def _unfinished(payload: Any) -> bool:
    return payload["status"] != "succeeded"


def _retried(retrying: Callable[[Callable[[str], Awaitable[Any]]], Callable[[str], Awaitable[Any]]]) -> Work:
    """Return the work of a decorator that retries a hand-written aiohttp request until its payload is finished."""

    @asynccontextmanager
    async def work(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=count)
        async with aiohttp.ClientSession(headers=_HEADERS, connector=connector) as session:

            async def ask(name: str) -> Any:
                async with session.get(base + path_of(name)) as response:
                    return await response.json()

            asking = retrying(ask)
            yield lambda names: in_flight(count, names, asking)

    return work


def _by_backoff(ask: Callable[[str], Awaitable[Any]]) -> Any:
    import backoff

    logging.getLogger("backoff").setLevel(logging.CRITICAL)  # it would log every poll
    return backoff.on_predicate(backoff.constant, _unfinished, interval=0, jitter=None)(ask)


def _by_tenacity(ask: Callable[[str], Awaitable[Any]]) -> Any:
    import tenacity

    return tenacity.retry(retry=tenacity.retry_if_result(_unfinished), wait=tenacity.wait_none())(ask)


def _by_stamina(ask: Callable[[str], Awaitable[Any]]) -> Any:
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # likewise

    @stamina.retry(on=Unfinished, attempts=None, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0)
    async def one(name: str) -> Any:
        payload = await ask(name)
        if _unfinished(payload):
            raise Unfinished
        return payload

    return one


@asynccontextmanager
async def httpx_by_hand(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Get, decode, compare, loop, with httpx."""
    import httpx

    limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
    async with httpx.AsyncClient(headers=_HEADERS, limits=limits) as client:

        async def one(name: str) -> None:
            while _unfinished((await client.get(base + path_of(name))).json()):
                pass

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def azure_poller(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Poll with `AsyncLROPoller`, taught how this API says that it is done."""
    import aiohttp
    from azure.core import AsyncPipelineClient
    from azure.core.pipeline import policies
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.core.polling import AsyncLROPoller
    from azure.core.polling.async_base_polling import AsyncLROBasePolling
    from azure.core.polling.base_polling import StatusCheckPolling
    from azure.core.rest import HttpRequest

    class ByStatus(StatusCheckPolling):
        def can_poll(self, _pipeline_response: Any) -> bool:
            return True

        def set_initial_status(self, pipeline_response: Any) -> str:
            self._url = pipeline_response.http_request.url
            return "InProgress"

        def get_polling_url(self) -> str:
            return self._url

        def get_status(self, pipeline_response: Any) -> str:
            return "InProgress" if _unfinished(pipeline_response.http_response.json()) else "Succeeded"

    class WithoutPause(AsyncLROBasePolling):
        async def _sleep(self, _delay: float) -> None:
            await asyncio.sleep(0)

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=count))
    chain = [policies.HeadersPolicy(_HEADERS), policies.RequestIdPolicy(), policies.AsyncRetryPolicy()]
    async with AsyncPipelineClient(base, policies=chain, transport=AioHttpTransport(session=session)) as client:

        async def one(name: str) -> None:
            request = HttpRequest("GET", base + path_of(name))
            first = await client.send_request(request, _return_pipeline_response=True)
            await first.http_response.read()
            polling = WithoutPause(timeout=0, lro_algorithms=[ByStatus()])
            await AsyncLROPoller(client, first, lambda response: response, polling).result()

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def aws_waiter(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Wait for objects in a bucket; a poll has no body to decode, but is signed."""
    from aiobotocore.session import get_session
    from botocore.config import Config

    config = Config(max_pool_connections=count, s3={"addressing_style": "path"})
    account = {"region_name": "us-east-1", "aws_access_key_id": KEY, "aws_secret_access_key": KEY}
    async with get_session().create_client("s3", endpoint_url=base, config=config, **account) as client:
        waiter = client.get_waiter("object_exists")
        at_once = {"Delay": 0, "MaxAttempts": 1000}

        async def one(name: str) -> None:
            await waiter.wait(Bucket="bucket", Key=name, WaiterConfig=at_once)

        yield lambda names: in_flight(count, names, one)


@asynccontextmanager
async def zai_on_threads(base: str, count: int) -> AsyncGenerator[SeeThrough, None]:
    """Ask with the vendor's own SDK, which is synchronous, on at most 32 threads."""
    from zai import ZhipuAiClient

    client = ZhipuAiClient(api_key=KEY, base_url=f"{base}/paas/v4")

    def one(name: str) -> None:
        while _unfinished(client.file_parser.content(task_id=name, format_type="text").json()):
            pass

    with ThreadPoolExecutor(min(count, _MOST_THREADS)) as threads:

        def all_of_them(names: Sequence[str]) -> None:
            list(threads.map(one, names))

        yield lambda names: asyncio.to_thread(all_of_them, names)


PEERS: dict[str, Work] = {
    "backoff + aiohttp": _retried(_by_backoff),
    "tenacity + aiohttp": _retried(_by_tenacity),
    "stamina + aiohttp": _retried(_by_stamina),
    "azure-core AsyncLROPoller": azure_poller,
    "aiobotocore waiter": aws_waiter,
    "httpx by hand": httpx_by_hand,
    "zai-sdk on threads": zai_on_threads,
}

_PACKAGES = {  # what has to be installed for each, beside aiohttp
    "backoff + aiohttp": "backoff",
    "tenacity + aiohttp": "tenacity",
    "stamina + aiohttp": "stamina",
    "azure-core AsyncLROPoller": "azure-core",
    "aiobotocore waiter": "aiobotocore",
    "httpx by hand": "httpx",
    "zai-sdk on threads": "zai-sdk",
}


def installed(environment: Path) -> dict[str, str]:
    """Install what the peers need, and return the interpreter of each that could be; name those that could not."""
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    same_aiohttp = f"aiohttp=={importlib.metadata.version('aiohttp')}"
    present: dict[str, str] = {}
    for name, package in _PACKAGES.items():
        command = [str(python), "-m", "pip", "install", "--quiet", same_aiohttp, package]
        attempt = subprocess.run(command, check=False, capture_output=True, timeout=300)
        if attempt.returncode:
            print(f"{name} is left out: {package} cannot be installed")
        else:
            present[name] = str(python)
    return present
