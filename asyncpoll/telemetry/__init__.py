"""Traces, metrics and logs of waits, for OpenTelemetry, Prometheus and `logging`.

Each class is an observer, to be given to `observe=`:

    observer = telemetry.OpenTelemetry()
    async with Hub(observe=[observer]) as hub:
        observer.watch(hub)  # whose counters are read when metrics are collected
        job = telemetry.mark(await client.file_parser.start("report.pdf", tool_type="prime"))
        await hub.result(job, timeout=600)

It is imported when it is first used, and with it the package that it needs, which the extras `otel` and `prometheus`
install. The key of a job is on spans and in logs, never on a metric. Nothing of these packages is called for a poll.
The metrics are, with the attribute `asyncpoll.endpoint`; Prometheus has underscores in place of dots, units in the
names, and labels without `asyncpoll`, such as `asyncpoll_polls_total{endpoint="bigmodel.file_parser",result="same"}`:

- `asyncpoll.polls`, by `asyncpoll.result`: ended, changed, same (the wasted ones), missed, throttled.
- `asyncpoll.misses`: the polls that saw nothing, by `asyncpoll.kind`.
- `asyncpoll.outcomes`: the waits that have ended, by `asyncpoll.outcome`, which is that of `asyncpoll.events.Ended`.
- `asyncpoll.active_waits`, `asyncpoll.active_polls`, and `asyncpoll.overdue_polls`, which a limit holds up.
- `asyncpoll.poll.time` (s): the seconds that all calls took together.
- `asyncpoll.wait.duration` (s), a histogram, by `asyncpoll.outcome` and `error.type`, as told to the observer.
- `asyncpoll.detection.delay` (s), a histogram: how long jobs had probably ended when that was seen; likewise.

Exporters read all but the histograms from the counters of the hubs that are watched.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpoll.telemetry._logging import Logging as Logging
    from asyncpoll.telemetry._opentelemetry import OpenTelemetry as OpenTelemetry
    from asyncpoll.telemetry._opentelemetry import mark as mark
    from asyncpoll.telemetry._prometheus import PrometheusCollector as PrometheusCollector
else:
    _PARTS = {"_logging": "Logging", "_opentelemetry": "OpenTelemetry mark", "_prometheus": "PrometheusCollector"}
    _MODULE_OF = {name: module for module, names in _PARTS.items() for name in names.split()}

    __all__ = list(_MODULE_OF)

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
