"""Metrics of waits, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from asyncpoll.events import Ended, Event
from asyncpoll.telemetry import _readings as names
from asyncpoll.telemetry._readings import Readings, detection_delay, error_type
from asyncpoll.waiting._hub import Hub


class PrometheusCollector(Collector):
    """A collector that reads the counters of hubs when it is scraped; register it with a `CollectorRegistry`.

    Give it to `observe=`, too, for what needs more than counters: how long waits took, and the delay with which
    ends were seen.

    Args:
        hubs: The hubs to read from, further to those that are given to `watch`.
    """

    wants = frozenset({Ended})

    def __init__(self, *hubs: Hub) -> None:
        self._readings = Readings()
        self._durations = _histogram(names.WAITED, "How long waits took.", names.OUTCOME, names.ERROR_TYPE)
        self._delays = _histogram(names.DELAY, "How long jobs had ended when that was seen.")
        for hub in hubs:
            self.watch(hub)

    def watch(self, hub: Hub) -> None:
        """Read the counters of *hub*, too, also after it is closed."""
        self._readings.add(hub.counters)

    def __call__(self, event: Event) -> None:
        """Record the durations that an event tells."""
        if isinstance(event, Ended):
            endpoint, kind = event.endpoint or "", error_type(event.error, event.outcome) or ""
            self._durations.labels(endpoint, event.outcome, kind).observe(event.waited)
            delay = detection_delay(event)
            if delay is not None:
                self._delays.labels(endpoint).observe(delay)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        for metric in self._readings.metrics():
            family = CounterMetricFamily if metric.grows else GaugeMetricFamily
            labels = ["endpoint", _label(metric.label)] if metric.label else ["endpoint"]
            numbers = family(_name(metric.name, metric.unit), metric.about, labels=labels)
            for values, number in metric.read().items():
                numbers.add_metric(values[: len(labels)], number)
            yield numbers
        yield from self._durations.collect()
        yield from self._delays.collect()


def _histogram(name: str, about: str, *labels: str) -> Histogram:
    columns = ["endpoint", *map(_label, labels)]
    return Histogram(_name(name, "s"), about, columns, buckets=names.BOUNDS[name], registry=None)


def _name(name: str, unit: str) -> str:
    return name.replace(".", "_") + ("_seconds" if unit == "s" else "")


def _label(name: str) -> str:
    return name.removeprefix("asyncpoll.").replace(".", "_")
