"""What predicts how long the jobs of the catalogue take: submits that differ in it are learned apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from definition_kit import endpoint as defined

from asyncpoll import Endpoint, Job
from asyncpoll.definitions import catalog
from asyncpoll.definitions._model import EndpointSpec
from asyncpoll.http import Reply
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting.learning._history import LONGEST_KEY
from asyncpoll.waiting.learning._learned import since_submit

SPECS: dict[str, EndpointSpec] = {name: one.spec.endpoints[name] for name, one in catalog().items()}
STARTED = sorted(name for name, spec in SPECS.items() if spec.start is not None)
NOT_TOLD = {
    *("elevenlabs.dubbings", "gemini.files", "google.operations", "mineru.batches", "mineru_api.tasks"),
    *("molizhishu.subtasks", "stability.results", "unstructured.jobs"),
}
"""The endpoints without a submit whose references are ids alone."""


def arguments_of(spec: EndpointSpec, changed: str | None = None) -> dict[str, Any]:
    """Return arguments of a submit that have all that predicts, with another value of the one that is *changed*."""
    assert spec.start is not None
    asked = [*spec.start.names, *(name for name in spec.required if name not in spec.start.ref)]
    found: dict[str, Any] = dict.fromkeys(asked, "x")
    for path in sorted(spec.predicts, key=lambda path: "[*]" in path):
        is_size = path.startswith("size:")
        value: Any = ([{}] * (100 if path == changed else 1)) if is_size else ("y" if path == changed else "x")
        place(found, path.removeprefix("size:").split("."), value)
    return found


def place(holder: dict[str, Any], keys: list[str], value: Any) -> None:
    """Place a value at a path, in each item of a list on the way."""
    key, *rest = keys
    name = key.removesuffix("[*]")
    if not rest:
        holder[name] = value
    elif name == key:
        place(holder.setdefault(name, {}), rest, value)
    else:
        holder[name] = [{} for _ in holder.get(name, [{}])]
        for item in holder[name]:
            place(item, rest, value)


def started(name: str, arguments: dict[str, Any]) -> Job[Any]:
    """Start a job of the catalogue; the answer has its ids where the definition says."""
    spec = SPECS[name]
    assert spec.start is not None
    body, headers = None, {}
    for paths in spec.start.ref.values():
        if paths[0].place == "header":
            headers[paths[0].text.removeprefix("header:")] = "/operations/1"
        else:
            body = paths[0].put(body, "1")
    transport = MemoryTransport(lambda _: Reply(200, body, headers))
    return run_virtual(catalog()[name].endpoints[name].start(transport, **arguments))


def changes(name: str) -> Iterator[str]:
    """Yield the pacing keys of submits that differ in one fact each."""
    for path in SPECS[name].predicts:
        yield started(name, arguments_of(SPECS[name], path)).pacing_key


@pytest.mark.parametrize("name", STARTED)
def test_submits_that_differ_have_keys_that_differ(name: str) -> None:
    """In each of the facts; others have the same key, which is short, and survives as text."""
    job = started(name, arguments_of(SPECS[name]))
    assert len({job.pacing_key, *changes(name)}) == 1 + len(SPECS[name].predicts)
    assert started(name, arguments_of(SPECS[name])).pacing_key == job.pacing_key
    assert len(since_submit(job.pacing_key)) < LONGEST_KEY
    again: Endpoint[Any, Any] = job.endpoint
    assert again.job_from_json(job.transport, job.to_json()).pacing_key == job.pacing_key


def test_every_endpoint_says_what_predicts() -> None:
    """All that submit jobs, and all whose references have more than ids."""
    assert {name for name, spec in SPECS.items() if not spec.predicts} == NOT_TOLD


def test_a_bare_reference_says_what_it_holds() -> None:
    """The fields that are missing are left out; without any, the key is that of the endpoint."""
    transport = MemoryTransport(lambda _: Reply(200, {}))
    for name, spec in SPECS.items():
        ref = dict.fromkeys(spec.required, "x")
        held = [path for path in spec.predicts if path in spec.fields]
        expected = ",".join(f"{path}={spec.ref.get(path, 'x')}" for path in held)
        job = catalog()[name].endpoints[name].job(transport, catalog()[name].endpoints[name].restore(ref))
        assert job.pacing_key == (f"{name}:{expected}" if held else name)


def test_a_default_predicts_as_well() -> None:
    """A field that a submit leaves out has its default there, too."""
    made = defined(
        ask="GET /{kind}/{id}", start={"call": "POST /x", "ref": {"id": "id"}}, ref={"kind": "a"}, predicts="kind"
    )
    transport = MemoryTransport(lambda _: Reply(200, {"id": "1"}))
    assert [run_virtual(made.start(transport, **given)).pacing for given in ({}, {"kind": "a"}, {"kind": "b"})] == [
        *("kind=a", "kind=a", "kind=b")
    ]
