"""The metrics of waits, as a Prometheus server scrapes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest
from hub_kit import EVERY_SECOND, in_hub, leave, waits_for
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families
from telemetry_kit import FAILED, PENDING, PROCESSING, SUCCESS, job_of

from asyncpoll import Hub, Throttled
from asyncpoll.telemetry import PrometheusCollector
from asyncpoll.testing import Script


def registry_of(collector: PrometheusCollector) -> CollectorRegistry:
    """Return a registry with nothing else in it."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def samples(text: str) -> dict[str, float]:
    """Return the samples of a scrape, by name and labels."""
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(collector: PrometheusCollector) -> dict[str, float]:
    """Return what a scrape finds, without a server."""
    return samples(generate_latest(registry_of(collector)).decode())


@contextmanager
def served(registry: CollectorRegistry) -> Generator[str]:
    """Serve the metrics from a thread, as programs do; give the address."""
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_scrape_reads_the_counters_of_the_hub() -> None:
    """Over HTTP, while the hub is at work; nothing but the registration is needed."""
    async with Hub(schedule=EVERY_SECOND) as hub, aiohttp.ClientSession() as session:
        with served(registry_of(PrometheusCollector(hub))) as url:
            waits = waits_for(hub, [job_of(SUCCESS), job_of(PENDING, ref="r-2")])
            await waits[0]
            async with session.get(url) as response:
                found = samples(await response.text())
            await leave(waits[1:])
    assert found["asyncpoll_polls_total{endpoint=acme.renders,result=ended}"] == 1
    assert found["asyncpoll_polls_total{endpoint=acme.renders,result=changed}"] == 1
    assert found["asyncpoll_active_waits{endpoint=acme.renders}"] == 1
    assert found["asyncpoll_outcomes_total{endpoint=acme.renders,outcome=success}"] == 1
    assert not any("r-" in name for name in found)


def test_everything_is_told_by_endpoint() -> None:
    """Wasted polls, misses by kind, what is held up, outcomes."""
    collector = PrometheusCollector()

    async def work(hub: Hub) -> None:
        collector.watch(hub)
        slow = Throttled("slower")
        jobs: list[Any] = [job_of(PENDING, PENDING, slow, PROCESSING, FAILED), Script([SUCCESS])]
        await hub.wait_all(jobs, timeout=60.0)

    in_hub(work)
    found = scraped(collector)
    assert {name: value for name, value in found.items() if value and "endpoint=acme.renders" in name} == {
        "asyncpoll_polls_total{endpoint=acme.renders,result=changed}": 2,
        "asyncpoll_polls_total{endpoint=acme.renders,result=ended}": 1,
        "asyncpoll_polls_total{endpoint=acme.renders,result=same}": 1,
        "asyncpoll_polls_total{endpoint=acme.renders,result=throttled}": 1,
        "asyncpoll_misses_total{endpoint=acme.renders,kind=throttled}": 1,
        "asyncpoll_outcomes_total{endpoint=acme.renders,outcome=failed}": 1,
    }
    assert found["asyncpoll_outcomes_total{endpoint=,outcome=success}"] == 1
    assert found["asyncpoll_overdue_polls{endpoint=acme.renders}"] == 0


def test_an_observer_tells_durations() -> None:
    """How long waits took, and calls, and how late ends were seen; not of what was never seen unfinished."""
    collector = PrometheusCollector()

    async def work(hub: Hub) -> None:
        jobs: list[Any] = [job_of(PENDING, PENDING, PENDING, SUCCESS), Script([SUCCESS])]
        await hub.wait_all(jobs, timeout=60.0)

    in_hub(work, observe=[collector])
    found = scraped(collector)
    labels = "endpoint=acme.renders,error_type=,"
    assert found[f"asyncpoll_wait_duration_seconds_bucket{{{labels}le=3.0,outcome=success}}"] in {0, 1}
    assert found[f"asyncpoll_wait_duration_seconds_count{{{labels}outcome=success}}"] == 1
    assert found["asyncpoll_detection_delay_seconds_sum{endpoint=acme.renders}"] == pytest.approx(0.5)
    assert "asyncpoll_poll_time_seconds_total{endpoint=acme.renders}" not in found  # no hub is watched
    assert "asyncpoll_detection_delay_seconds_sum{endpoint=}" not in found


def test_registering_does_not_collect() -> None:
    """The registry asks for names first, which must not read what is not there yet."""
    assert list(PrometheusCollector().describe()) == []


@pytest.mark.no_cover
async def test_a_scrape_may_come_at_any_time() -> None:
    """From another thread, again and again, while waits come and go."""
    collector = PrometheusCollector()
    failures: list[BaseException] = []
    over = threading.Event()

    def scrape() -> None:
        registry = registry_of(collector)
        while not over.is_set():
            try:
                generate_latest(registry)
            except BaseException as error:  # noqa: BLE001  the subject of the test
                failures.append(error)
                return

    async def fetch() -> Any:
        await asyncio.sleep(0)
        return await Script([SUCCESS])()

    thread = threading.Thread(target=scrape)
    async with Hub(concurrency=3) as hub:
        collector.watch(hub)
        thread.start()
        for round_ in range(5):
            jobs: list[Any] = [job_of(SUCCESS, endpoint=f"acme.{round_}", ref=str(number)) for number in range(20)]
            await hub.wait_all([*jobs, *(partial(fetch) for _ in range(20))], timeout=60.0)
        over.set()
    thread.join()
    assert failures == []
