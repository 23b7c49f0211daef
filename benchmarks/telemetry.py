"""CPU per poll with an observer, beside none: a hub over memory, whose jobs are asked about 25 times each.

    python benchmarks/telemetry.py [--rounds 40] [--jobs 100]

The providers are those of the SDK of OpenTelemetry, with exporters in memory that are emptied between slices; logging
goes to a handler that drops what it gets. Printed are the medians of the CPU time, and of its ratio to that without an
observer in the same round. An observer that does nothing shows what making the events costs.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import drive
import rounds
from hub_over_memory import all_of, in_memory
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from asyncpoll import Hub, telemetry

POLLS = 25
BASELINE = "no observer"
Made = tuple[list[Any], Callable[[], object]]
"""The observers, and what empties the exporters."""


def _nothing() -> None:
    """Empty nothing."""


def _no_observer() -> Made:
    return [], _nothing


def _idle() -> Made:
    return [lambda _event: None], _nothing


def _opentelemetry(*, sampled: bool = True) -> Made:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider() if sampled else TracerProvider(ALWAYS_OFF)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    observer = telemetry.OpenTelemetry(tracer_provider=tracers, meter_provider=MeterProvider([reader]))
    return [observer], exporter.clear


def _prometheus() -> Made:
    return [telemetry.PrometheusCollector()], _nothing


def _logging(level: int) -> Made:
    logger = logging.getLogger("asyncpoll.wait")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(level)
    return [telemetry.Logging()], _nothing


OBSERVERS: dict[str, Callable[[], Made]] = {
    BASELINE: _no_observer,
    "one that does nothing": _idle,
    "OpenTelemetry": _opentelemetry,
    "OpenTelemetry, not sampled": lambda: _opentelemetry(sampled=False),
    "PrometheusCollector": _prometheus,
    "Logging, level WARNING": lambda: _logging(logging.WARNING),
    "Logging, level INFO": lambda: _logging(logging.INFO),
}


@asynccontextmanager
async def hub(make: Callable[[], Made]) -> AsyncGenerator[drive.SeeThrough]:
    """Wait for all jobs in one hub that is observed."""
    parser = in_memory(POLLS)
    observers, empty = make()
    async with Hub(concurrency=100, observe=observers) as waiting:
        for observer in observers:
            if hasattr(observer, "watch"):
                observer.watch(waiting)

        async def see_through(names: Sequence[str]) -> None:
            empty()
            await all_of(waiting, parser, names)

        yield see_through


def main() -> None:
    """Let all take turns, and print their medians."""
    parser = rounds.parser(__doc__)
    parser.set_defaults(rounds=40)
    parser.add_argument("--jobs", type=int, default=100, help="of each contestant in a round")
    options = parser.parse_args()
    drive.POLLS_PER_JOB = POLLS
    contestants = {
        name: lambda options, make=make: drive.cpu_slices(hub(make), options.jobs) for name, make in OBSERVERS.items()
    }
    rounds.show(rounds.interleave(options, contestants), drive.CPU_PER_POLL, baseline=BASELINE)


if __name__ == "__main__":
    main()
