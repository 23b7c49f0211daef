"""Traces and metrics of waits, for OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TracerProvider

from asyncpoll._endpoint import Job
from asyncpoll._version import __version__
from asyncpoll.events import Began, Ended, Event, StateChanged
from asyncpoll.telemetry import _readings as names
from asyncpoll.telemetry._logging import Logging
from asyncpoll.telemetry._readings import Metric, Readings, detection_delay, error_type, known
from asyncpoll.waiting._hub import Hub

T = TypeVar("T")

_FINE = frozenset({"success", "left"})  # outcomes that are not errors


def mark(job: Job[T]) -> Job[T]:
    """Return the same job with the current span as its origin, to which the span of its wait will be linked.

    Without a current span the job is returned as it is.
    """
    current = trace.get_current_span().get_span_context()
    return job.with_origin(current) if current.is_valid else job


class OpenTelemetry:
    """An observer that makes a span and metrics of each wait; give it to `observe=`, and `watch` the hub, too.

    A span is named `wait_for {endpoint}` and is of the kind INTERNAL. It is a child of the span that is current where
    the wait begins, and is linked to the one that the job is marked with (`mark`). It is current while the polls of the
    wait are made, so the spans of an instrumented HTTP client are its children; a call about many jobs belongs to no
    wait. Changes of state are not events of the span: the logger `asyncpoll.wait` logs them while it is current.

    Args:
        tracer_provider: Makes the tracer; by default the global one.
        meter_provider: Makes the meter; by default the global one.
        log: Whether changes of state are logged. Say False if a `Logging` observer does so.
    """

    wants = frozenset({Began, StateChanged, Ended})

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        log: bool = True,
    ) -> None:
        self._tracer = trace.get_tracer("asyncpoll", __version__, tracer_provider)
        self._log = Logging(outcomes=False) if log else None
        self._spans: dict[int, Span] = {}
        self._readings = Readings()
        meter = metrics.get_meter("asyncpoll", __version__, meter_provider)
        self._durations, self._delays = (
            meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=bounds)
            for name, bounds in names.BOUNDS.items()
        )
        for metric in self._readings.metrics():
            grows, callbacks = metric.grows, [_callback(metric)]
            create = meter.create_observable_counter if grows else meter.create_observable_up_down_counter
            create(metric.name, callbacks, metric.unit, metric.about)

    def watch(self, hub: Hub) -> None:
        """Read the counters of *hub* whenever metrics are collected, also after it is closed."""
        self._readings.add(hub.counters)

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, StateChanged):
            if self._log is not None:
                self._log(event)
        elif isinstance(event, Began):
            self._begin(event)
        elif isinstance(event, Ended):
            self._end(event)

    def _begin(self, event: Began) -> None:
        links = [Link(event.origin)] if isinstance(event.origin, SpanContext) else []
        name = f"wait_for {event.endpoint or 'function'}"
        attributes = known({names.ENDPOINT: event.endpoint, names.KEY: event.key})
        span = self._tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=attributes, links=links)
        self._spans[event.wait] = span
        context.attach(trace.set_span_in_context(span))  # in the context of the wait, which ends with it

    def _end(self, event: Ended) -> None:
        span, outcome = self._spans.pop(event.wait), event.outcome
        result = known({names.OUTCOME: outcome, names.ERROR_TYPE: error_type(event.error, outcome)})
        span.set_attributes({**result, names.POLLS: event.polls})
        if outcome not in _FINE:
            span.set_status(StatusCode.ERROR)
        span.end()
        endpoint, delay = known({names.ENDPOINT: event.endpoint}), detection_delay(event)
        self._durations.record(event.waited, endpoint | result)
        if delay is not None:
            self._delays.record(delay, endpoint)


def _callback(metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Return a function that tells OpenTelemetry the numbers of a metric."""

    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for (endpoint, label), number in metric.read().items():
            yield Observation(number, known({names.ENDPOINT: endpoint or None, metric.label: label or None}))

    return observe
