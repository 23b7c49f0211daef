"""The catalogue: each definition in it, its examples, and its jobs over HTTP against a server made from it alone."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from source_kit import PACKAGE

from asyncpoll import Fixed, Hub, Job, State, TransportError
from asyncpoll.definitions import catalog, find, lint, simulate
from asyncpoll.definitions._model import EndpointSpec, Example
from asyncpoll.http import Bearer, Reply, register_auth
from asyncpoll.simulator import Constant, Exponential, Life
from asyncpoll.testing import MemoryTransport

FILES = sorted((PACKAGE / "catalog").glob("*.toml"))
FAMILIES = {
    *("anthropic", "apify", "ark", "assemblyai", "azure", "azure_devops", "bigmodel", "bigquery", "celery_flower"),
    *("dashscope", "databricks", "elevenlabs", "fal", "github", "google", "http", "kling", "llamaparse", "luma"),
    *("mineru", "minimax", "mistral", "openai", "replicate", "runway", "snowflake", "stability"),
}
"""The vendors that are polled most, and the general forms."""


def spec_of(name: str) -> EndpointSpec:
    """Return what a definition says about an endpoint."""
    return find(name).spec.endpoints[name]


EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name in sorted(catalog())
    for number, example in enumerate(spec_of(name).examples)
]


def reply_of(example: Example) -> Reply:
    """Return the reply of an example."""
    body = example.body or ("" if example.reply is None else json.dumps(example.reply))
    headers = {name.lower(): value for name, value in example.headers.items()}
    try:
        return Reply(example.http, json.loads(body), headers, body.encode())
    except ValueError:
        return Reply(example.http, None, headers, body.encode(), "it is not JSON")


def job_about(name: str, reply: Reply) -> Job[Any]:
    """Return the job that a reply is about, over a transport that gives this reply."""
    spec = spec_of(name)
    named = dict(spec.echo)
    body = reply.json
    if spec.about is not None and isinstance(body, Mapping) and (items := spec.about.each[0].get(body, reply)):
        body, named = items[0], dict(spec.about.id)
    found = {field: next((path.get(body, reply) for path in paths), None) for field, paths in named.items()}
    fields = {field: spec.ref.get(field) or found.get(field) or f"{field}-1" for field in spec.fields}
    return find(name).job(MemoryTransport(lambda _request: reply), **fields)


def test_the_catalogue_has_what_is_polled_most() -> None:
    """The vendors, the general forms, and the jobs of BigModel that the package has no class for."""
    assert {name.partition(".")[0] for name in catalog()} >= FAMILIES
    assert set(catalog()) >= {"bigmodel.async_result", "bigmodel.batches", "google.operations", "http.monitor"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_where_it_comes_from(file: Path) -> None:
    """Its header says from what it was written, and that it is untried; keys have the documents and the day."""
    text = file.read_text(encoding="utf-8")
    header = re.sub(r"\n# ?", " ", text.partition("\n\n")[0])
    said = tomllib.loads(text)
    assert "Written from" in header
    assert re.search("[Tt]ried against no live (vendor|server)", header)
    assert said["documents"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", said["written"])


@pytest.mark.parametrize("name", sorted(catalog()))
def test_an_endpoint_has_examples_of_each_kind(name: str) -> None:
    """There is a job that goes on, a success, a failure where there are any, and a refusal; and what the jobs are."""
    spec = spec_of(name)
    states = {"error" if example.state is None else example.state.value for example in spec.examples}
    assert states >= {"success", "error", *(["failed"] if spec.failed else [])}
    assert states & {"pending", "processing"}
    assert spec.description


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
async def test_an_example_reads_as_it_says(name: str, example: Example) -> None:
    """An answer means the state, or raises the error, that the file says."""
    reply = reply_of(example)
    job = job_about(name, reply)
    if example.state is None:
        with pytest.raises(TransportError) as caught:
            await job.fetch()
        assert caught.value.kind == example.error
        return
    job.endpoint.classify(reply)
    seen = job.endpoint.read(reply if job.endpoint.about is None else job.endpoint.about(job.ref, reply))
    assert (seen.state, "partial" if seen.partial else seen.kind) == (example.state, example.kind)
    checked = {key: value for key, value in said(example) if value is not None}
    assert {key: getattr(seen, key) for key in checked} == checked


def said(example: Example) -> Iterator[tuple[str, Any]]:
    """Yield what an example says beside the state; None means that it does not say."""
    yield from (("reason", example.reason), ("code", example.code))
    yield from (("progress", example.progress), ("value", example.value))


@pytest.fixture(scope="module")
def _signatures() -> None:
    """Register the signatures of AWS and Tencent by name, as their users have to."""
    for scheme in ("sigv4", "tc3"):
        register_auth(scheme, lambda key, **_options: Bearer(key))


@pytest.mark.usefixtures("_signatures")
@pytest.mark.parametrize("name", sorted(catalog()))
async def test_its_jobs_end_over_http(name: str) -> None:
    """A server that is made from the definition alone is asked about two jobs, and a third one is submitted to it."""
    definition, spec = find(name), spec_of(name)
    quick = Exponential(0.02)
    async with (
        simulate(definition, pending=quick, processing=quick) as server,
        definition.client("user:key", base_url=server.base_url) as client,
    ):
        numbers = range(0 if spec.ask.is_address else 2)
        fields = [{field: f"{field}-{number}" for field in spec.required} for number in numbers]
        for one in fields if spec.about is not None else ():  # the request does not say which jobs are in the list
            server.script(name, Life(pending=0.02, processing=0.03, outcome="success"), **one)
        jobs = [client.job(**one) for one in fields]
        if spec.start is not None:
            needed = {*spec.start.names, *(set(spec.required) - set(spec.start.ref))}
            body = {"prompt": "a hat"} if spec.start.open else {}
            jobs.append(await client.start(**{argument: f"{argument}-3" for argument in needed}, **body))
        hurried = [evolve(job.endpoint, pace=None).job(job.transport, job.ref) for job in jobs]
        ended = await asyncio.gather(*(job.wait(timeout=20, schedule=Fixed(0.03)) for job in hurried))
        truths = [server.truth(name, **job.ref.plain()) for job in jobs]
    assert jobs
    assert [(seen.state, seen.value) for seen in ended] == [(truth.state, truth.value) for truth in truths]


@pytest.mark.parametrize("name", sorted(catalog()))
def test_the_linter_finds_no_error(name: str) -> None:
    """What it has to say about a definition of the catalogue is a remark, not an error."""
    assert [str(finding) for finding in lint(find(name)) if finding.level == "error"] == []


@pytest.mark.usefixtures("_signatures")
@pytest.mark.parametrize("name", [name for name in sorted(catalog()) if spec_of(name).cancel is not None])
async def test_its_jobs_are_cancelled_over_http(name: str) -> None:
    """A job that would run for a minute ends at once, and not as a success."""
    definition, minute = find(name), Constant(60)
    async with (
        simulate(definition, pending=minute) as server,
        definition.client("user:key", base_url=server.base_url) as client,
    ):
        job = client.job(**{field: f"{field}-1" for field in spec_of(name).required})
        assert not (await job.fetch()).state.is_terminal
        await job.cancel()
        seen = await job.fetch()
    assert seen.state in {State.CANCELLED, State.FAILED}


@pytest.mark.parametrize("name", [name for name in sorted(catalog()) if spec_of(name).group is not None])
async def test_its_jobs_are_asked_about_together(name: str) -> None:
    """A hub asks about jobs that share a list with one request, and finds what became of each."""
    definition, spec = find(name), spec_of(name)
    assert spec.group is not None
    shared = {*spec.group.ask.names}
    references = [{field: f"{field}-{0 if field in shared else n}" for field in spec.required} for n in range(6)]
    async with (
        simulate(definition) as server,
        definition.client("key", base_url=server.base_url) as client,
        Hub() as hub,
    ):
        for number, one in enumerate(references):
            server.script(name, Life(processing=0.4, outcome="failed" if number == 0 else "success"), **one)
        jobs = [client.job(**one) for one in references]
        outcomes = await hub.wait_all(jobs, timeout=20, schedule=Fixed(0.05))
        requests = server.requests
    assert [outcome.snapshot and outcome.snapshot.state for outcome in outcomes] == [State.FAILED, *[State.SUCCESS] * 5]
    assert requests < 4 * len(jobs)  # each job alone would be asked about eight times


STRANGE = [
    Reply(200, None, {"content-type": "text/html"}, b"<html><body>Please log in</body></html>", "it is not JSON"),
    Reply(200, None, {}, b"", "there is no body"),
    Reply(200, {}, {}, b"{}"),
    Reply(200, [], {}, b"[]"),
    Reply(200, {"error": {"message": "no"}}, {}, b'{"error": {"message": "no"}}'),
    Reply(200, {"success": False, "message": "no"}, {}, b'{"success": false, "message": "no"}'),
]
"""Answers that proxies, captive portals and servers in trouble give."""

BY_HTTP_STATUS = {"azure.locations", "http.monitor"}
"""Endpoints of which any JSON with HTTP 200 is the result."""


@pytest.mark.parametrize("name", sorted(catalog()))
async def test_a_strange_answer_is_no_success(name: str) -> None:
    """Neither a web page nor JSON of another kind is taken for the end of a job."""
    for reply in STRANGE[:2] if name in BY_HTTP_STATUS else STRANGE:
        try:
            seen = await job_about(name, reply).fetch()
        except TransportError:
            continue
        assert seen.state is not State.SUCCESS, reply.body
