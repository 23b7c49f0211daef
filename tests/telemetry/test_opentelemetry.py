"""Spans, logs and metrics of waits, as the SDK of OpenTelemetry exports them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from functools import partial
from typing import Any

import pytest
from hub_kit import in_hub, leave, waits_for
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import Histogram
from opentelemetry.trace import SpanKind, StatusCode
from telemetry_kit import FAILED, PENDING, PROCESSING, SUCCESS, Collected, collected, job_of

from asyncpoll import Fixed, Hub, Job, Rejected, Throttled, TransportError, WaitTimeout, telemetry
from asyncpoll.telemetry import Logging, mark
from asyncpoll.testing import Script, run_virtual


@pytest.fixture
def found() -> Generator[Collected]:
    """Open the SDK for a test."""
    with collected() as found:
        yield found


def waited(found: Collected, job: Any, timeout: float = 60.0, **options: Any) -> None:
    """Wait for a job in an observed hub."""
    observer = found.observer(**options)

    async def work(hub: Hub) -> None:
        observer.watch(hub)
        await hub.wait_all([job], timeout=timeout)

    in_hub(work, observe=[observer])


# spans


def test_a_wait_is_one_span(found: Collected) -> None:
    """It is internal, named after the endpoint, and tells the outcome, the polls and the key."""
    waited(found, job_of(PENDING, PROCESSING, SUCCESS))
    (span,) = found.spans
    assert (span.name, span.kind, span.events) == ("wait_for acme.renders", SpanKind.INTERNAL, ())
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        "asyncpoll.endpoint": "acme.renders",
        "asyncpoll.job.key": 'acme.renders:"r-1"',
        "asyncpoll.outcome": "success",
        "asyncpoll.polls": 3,
    }


@pytest.mark.parametrize(
    ("step", "outcome", "error"),
    [
        (FAILED, "failed", "JobFailed"),
        (PENDING, "deadline", "WaitTimeout"),
        (TransportError("no", passing=False), "error", "TransportError"),
    ],
)
def test_a_span_names_the_error(found: Collected, step: Any, outcome: str, error: str) -> None:
    """The status is an error, `error.type` the name of its class; the message stays out."""
    waited(found, job_of(step), timeout=5.0)
    (span,) = found.spans
    assert span.attributes is not None
    assert (span.attributes["asyncpoll.outcome"], span.attributes["error.type"]) == (outcome, error)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)


def test_a_wait_that_is_left_is_not_an_error(found: Collected) -> None:
    """A caller who is cancelled leaves a span with the outcome "left"."""

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [job_of(PENDING)])
        await asyncio.sleep(3.0)
        await leave(waits)

    in_hub(work, observe=found.observer())
    (span,) = found.spans
    assert span.attributes is not None
    assert span.attributes["asyncpoll.outcome"] == "left"
    assert span.status.status_code is StatusCode.UNSET


def test_a_bare_function_has_a_span_too(found: Collected) -> None:
    """Without an endpoint or a key."""
    waited(found, Script([SUCCESS]))
    (span,) = found.spans
    assert span.name == "wait_for function"
    assert span.attributes == {"asyncpoll.outcome": "success", "asyncpoll.polls": 1}


@pytest.mark.parametrize("alone", [True, False])
def test_a_span_has_the_parent_of_its_caller(found: Collected, alone: bool) -> None:  # noqa: FBT001  the two cases
    """Twenty callers in one hub, and one alone: each wait is a child of its own caller's span."""
    observer, tracer = found.observer(), found.tracers.get_tracer("test")

    async def handle(hub: Hub, number: int) -> None:
        job = job_of(PENDING, PENDING, SUCCESS, ref=str(number))
        with tracer.start_as_current_span(job.key) as span:
            if alone:
                await job.wait(timeout=60.0, observe=observer)
            else:
                await hub.wait(job, timeout=60.0)
            assert trace.get_current_span() is span

    async def work(hub: Hub) -> None:
        async with asyncio.TaskGroup() as handlers:
            for number in range(20):
                handlers.create_task(handle(hub, number))

    in_hub(work, observe=observer)
    callers = {span.context.span_id: span.name for span in found.spans if span not in found.waits and span.context}
    told = {callers[span.parent.span_id]: span.attributes for span in found.waits if span.parent is not None}
    assert len(told) == 20
    assert all(attributes is not None and attributes["asyncpoll.job.key"] == key for key, attributes in told.items())


def test_a_span_is_linked_to_that_of_the_submit(found: Collected) -> None:
    """A job that was marked in one span is awaited in another."""
    with found.tracers.get_tracer("test").start_as_current_span("submit") as submit:
        job = mark(job_of(SUCCESS))
    waited(found, job)
    (span,) = found.waits
    assert [link.context for link in span.links] == [submit.get_span_context()]
    assert span.parent is None


def test_an_origin_of_another_kind_is_no_link(found: Collected) -> None:
    """`Job.origin` may be anything; and a job marked outside a span has none."""
    job = job_of(SUCCESS)
    assert mark(job) is job
    waited(found, job.with_origin({"trace": 1}))
    assert list(found.waits[0].links) == []


def test_each_wait_ends_its_own_span(found: Collected) -> None:
    """Two waits that share a job have two spans."""
    job = job_of(PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        await asyncio.gather(*waits_for(hub, [job, job]))

    in_hub(work, observe=found.observer())
    assert len({span.context.span_id for span in found.waits if span.context}) == 2


# logs


def test_changes_of_state_are_log_records_of_the_span(found: Collected) -> None:
    """The SDK's handler finds the span of the wait current, also for a wait by itself."""
    run_virtual(job_of(PENDING, SUCCESS).wait(timeout=60.0, schedule=Fixed(1.0), observe=found.observer()))
    waited(found, job_of(PENDING, PENDING, SUCCESS))
    told = [record.log_record for record in found.records]
    contexts = [span.context for span in found.waits for _ in range(2)]
    assert [(one.trace_id, one.span_id) for one in told] == [(one.trace_id, one.span_id) for one in contexts if one]
    assert told[-1].body == 'acme.renders:"r-1": pending -> success'
    assert told[-1].attributes is not None
    assert told[-1].attributes["asyncpoll.state.before"] == "pending"


def test_the_log_is_left_to_another_observer(found: Collected) -> None:
    """With `log=False` nothing is written twice."""
    observers = [Logging(), found.observer(log=False)]
    in_hub(lambda hub: hub.wait_all([job_of(PENDING, SUCCESS)], timeout=60.0), observe=observers)
    assert len(found.records) == 3
    span = found.waits[0].context
    assert span is not None
    assert {record.log_record.span_id for record in found.records} == {span.span_id}


# metrics


def test_polls_are_counted_by_result(found: Collected) -> None:
    """Those that brought nothing new are the wasted ones; misses are counted by their kind, too."""
    steps: list[Any] = [
        PENDING,
        PENDING,
        Throttled("slower"),
        OSError("cut"),
        PROCESSING,
        PROCESSING,
        PROCESSING,
        SUCCESS,
    ]
    waited(found, job_of(*steps))
    assert found.numbers("asyncpoll.polls") == {
        ("acme.renders", "ended"): 1,
        ("acme.renders", "changed"): 2,
        ("acme.renders", "same"): 3,
        ("acme.renders", "missed"): 1,
        ("acme.renders", "throttled"): 1,
    }
    assert sum(found.numbers("asyncpoll.misses").values()) == 2
    assert found.numbers("asyncpoll.outcomes") == {("acme.renders", "success"): 1}
    assert found.numbers("asyncpoll.poll.time") == {("acme.renders",): 0.0}


def test_durations_have_boundaries_in_seconds(found: Collected) -> None:
    """The default ones are meant for milliseconds."""
    waited(found, job_of(PENDING, PENDING, PENDING, SUCCESS))
    metrics = found.metrics()
    for name, at_least, at_most in (("asyncpoll.wait.duration", 2.9, 3.1), ("asyncpoll.detection.delay", 0.45, 0.55)):
        assert isinstance(metrics[name].data, Histogram)
        point: Any = metrics[name].data.data_points[0]
        assert at_least < point.sum < at_most
        assert point.explicit_bounds[0] in {0.05, 0.1}
        assert metrics[name].unit == "s"
    assert found.numbers("asyncpoll.wait.duration") == {("acme.renders", "success"): 1}


def test_no_delay_is_told_of_an_end_that_was_not_seen(found: Collected) -> None:
    """Neither of a wait that timed out, nor of a job that was never seen unfinished."""
    waited(found, job_of(PENDING), timeout=3.0)
    waited(found, job_of(SUCCESS))
    assert "asyncpoll.detection.delay" not in found.metrics()


def test_what_goes_on_is_read_at_collection(found: Collected) -> None:
    """Active waits, polls in flight, and those that a limit holds up; all of them 0 at the end."""
    observer = found.observer()
    names = ["asyncpoll.active_waits", "asyncpoll.active_polls", "asyncpoll.overdue_polls"]

    async def slow() -> Any:
        await asyncio.sleep(10.0)

    async def work(hub: Hub) -> None:
        observer.watch(hub)
        waits = waits_for(hub, [partial(slow) for _ in range(5)])
        await asyncio.sleep(1.0)
        assert [found.numbers(name) for name in names] == [{(): 5}, {(): 2}, {(): 3}]
        await leave(waits)
        assert [found.numbers(name) for name in names] == [{(): 0}] * 3

    in_hub(work, concurrency=2, observe=observer)


def test_several_hubs_are_added_up(found: Collected) -> None:
    """Numbers grow from hub to hub, also when one is watched twice."""
    observer = found.observer()

    async def work(hub: Hub) -> None:
        observer.watch(hub)
        observer.watch(hub)
        await hub.wait_all([job_of(SUCCESS)], timeout=60.0)

    for _ in range(3):
        in_hub(work, observe=observer)
    assert found.numbers("asyncpoll.outcomes") == {("acme.renders", "success"): 3}


def test_the_key_of_a_job_is_on_no_metric(found: Collected) -> None:
    """Labels stay few, however many jobs there are."""

    async def work(hub: Hub) -> None:
        observer.watch(hub)
        await hub.wait_all([job_of(PENDING, SUCCESS, ref=f"ref-{number}") for number in range(50)], timeout=60.0)

    observer = found.observer()
    in_hub(work, observe=observer)
    assert "ref-" not in repr(found.metrics())
    assert len(found.waits) == 50


# the package


def test_a_refused_credential_ends_every_span(found: Collected) -> None:
    """Nothing is left open, however waits end."""

    async def work(hub: Hub) -> None:
        with pytest.raises(Rejected):
            await hub.wait_all([job_of(Rejected("no", kind="credential"), ref=ref) for ref in "12"], timeout=60.0)
        with pytest.raises(WaitTimeout):
            await hub.wait(job_of(PENDING), timeout=1.0)

    observer = found.observer()
    in_hub(work, observe=observer)
    assert observer._spans == {}
    assert len(found.waits) >= 2


def test_foreign_packages_are_imported_when_they_are_used() -> None:
    """Importing `asyncpoll.telemetry`, or its logging, needs neither of them."""
    code = (
        "import sys; from asyncpoll import telemetry; telemetry.Logging();"
        "print([name for name in ('opentelemetry', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Datadog'"):
        _ = telemetry.Datadog  # type: ignore[attr-defined]  # that is the subject


def test_a_marked_job_is_the_same_job(found: Collected) -> None:
    """It is equal, has the same key, and keeps its further data."""
    job: Job[Any] = job_of(SUCCESS).with_meta({"row": 1})
    with found.tracers.get_tracer("test").start_as_current_span("submit"):
        marked = mark(job)
    assert (marked, marked.key, marked.meta) == (job, job.key, {"row": 1})
