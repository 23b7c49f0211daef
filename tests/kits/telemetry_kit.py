"""OpenTelemetry's own SDK with everything kept in memory, and jobs whose polls are written down."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asyncpoll import Endpoint, Job, Snapshot, State
from asyncpoll.http import Reply, Request
from asyncpoll.telemetry import OpenTelemetry
from asyncpoll.testing import MemoryTransport

PENDING, PROCESSING, SUCCESS, FAILED = State.PENDING, State.PROCESSING, State.SUCCESS, State.FAILED


def job_of(*steps: State | Exception, endpoint: str = "acme.renders", ref: str = "r-1") -> Job[Any]:
    """Return a job that each poll sees in the next state, or whose poll fails; the last is repeated."""
    left = list(steps)

    def answer(_: Request) -> Reply:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return Reply(200, step.value)

    made: Endpoint[str, Any] = Endpoint(
        endpoint, ask=lambda ref: Request("GET", f"/{ref}"), read=lambda reply: Snapshot(State(reply.json))
    )
    return made.job(MemoryTransport(answer), ref)


@define
class Collected:
    """The providers of the SDK, and what they have collected.

    Attributes:
        tracers: The provider of tracers.
        meters: The provider of meters.
        loggers: The provider of loggers.
    """

    tracers: TracerProvider = field(factory=TracerProvider)
    loggers: LoggerProvider = field(factory=LoggerProvider)
    _spans: InMemorySpanExporter = field(factory=InMemorySpanExporter)
    _records: InMemoryLogRecordExporter = field(factory=InMemoryLogRecordExporter)
    _reader: InMemoryMetricReader = field(factory=InMemoryMetricReader)
    meters: MeterProvider = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.meters = MeterProvider([self._reader])

    def observer(self, **options: Any) -> OpenTelemetry:
        """Return an observer whose spans and metrics are collected here."""
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    @property
    def waits(self) -> list[ReadableSpan]:
        """Those of them that are of waits."""
        return [span for span in self.spans if span.name.startswith("wait_for ")]

    @property
    def records(self) -> list[ReadableLogRecord]:
        """The log records."""
        return list(self._records.get_finished_logs())

    def metrics(self) -> dict[str, Metric]:
        """Collect the metrics, by name."""
        return {metric.name: metric for metric in self._metrics()}

    def numbers(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Collect the numbers of a metric by the values of their attributes: of a histogram, how many there are."""
        metric = self.metrics()[name]
        return {
            tuple((point.attributes or {}).values()): getattr(point, "value", getattr(point, "count", None))
            for point in metric.data.data_points
        }

    def _metrics(self) -> Iterator[Metric]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                yield from scope.metrics


@contextmanager
def collected() -> Generator[Collected]:
    """Open the SDK, with a handler that gives it what the logger `asyncpoll.wait` logs."""
    found, logger = Collected(), logging.getLogger("asyncpoll.wait")
    handler, level = LoggingHandler(logger_provider=found.loggers), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        found.tracers.shutdown()
        found.meters.shutdown()
        found.loggers.shutdown()
