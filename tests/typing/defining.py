"""What type checkers see of `asyncpoll.definitions`; mypy and pyright read it, nothing runs it.

A line with `type: ignore` must fail: an ignore that is not needed is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from asyncpoll import Job
from asyncpoll.definitions import (
    DefinedClient,
    Definition,
    DefinitionError,
    DefinitionServer,
    Finding,
    JobTruth,
    Rehearsal,
    catalog,
    draft_openapi,
    find,
    lint,
    rehearse,
    simulate,
)
from asyncpoll.http import Transport
from asyncpoll.simulator import Constant, Life


async def defined(path: Path) -> None:
    """Definitions, their clients and their jobs."""
    try:
        definition = Definition.load(path)
    except DefinitionError as error:
        assert_type(error.line, int | None)
        return
    assert_type(find("openai.batches"), Definition)
    assert_type(catalog(), Mapping[str, Definition])
    async with definition.only("renders").client("key", attempt=5.0) as client:
        assert_type(client, DefinedClient)
        assert_type(await client.start(scene="1"), Job[Any])


async def jobs(definition: Definition, transport: Transport) -> None:
    """A definition and its client have jobs."""
    assert_type(definition.job(transport, id="7"), Job[Any])
    assert_type(await definition.start(transport, prompt="a hat"), Job[Any])
    async with definition.client("key", proxy="http://proxy:3128") as client:
        assert_type((client["renders"].job(id="7"), client.renders.job(id="7")), tuple[Job[Any], Job[Any]])
        assert_type(client.job_from_json(""), Job[Any])
    definition.client(key=7)  # type: ignore[arg-type]  # text, or a function
    definition.client("key", proxies="x")  # type: ignore[call-arg]  # no such setting
    Definition.load(7)  # type: ignore[arg-type]  # not a path
    Definition.of("name = 'acme'")  # type: ignore[arg-type]  # a text is parsed
    assert_type(draft_openapi("", path="/jobs/{id}"), str)


async def tried(definition: Definition) -> None:
    """What is made of a definition without a vendor."""
    assert_type(lint(definition), list[Finding])
    assert_type(rehearse(definition, durations=[60, 90], outage=(30, 60), rate=5), Rehearsal)
    async with simulate(definition, processing=Constant(2), outcomes={"failed": 1}, log=print) as server:
        assert_type(server, DefinitionServer)
        server.script("acme.renders", Life(outcome="success"), id="1")
        assert_type(server.truth("acme.renders", id="1"), JobTruth)
