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
    Rehearsal,
    catalog,
    draft_openapi,
    find,
    lint,
    rehearse,
    simulate,
)
from asyncpoll.http import Transport

assert_type(Definition.load(Path("acme.toml")), Definition)
assert_type(Definition.of({"name": "acme"}, source="mine"), Definition)
assert_type(Definition.parse("", source="mine").only("renders"), Definition)
assert_type(catalog(), Mapping[str, Definition])
assert_type(find("openai.batches").documents, tuple[str, ...])
assert_type(lint(find("openai")), list[Finding])
assert_type(rehearse(find("openai.batches"), durations=[1.0]), Rehearsal)
assert_type(simulate(find("openai")), DefinitionServer)
assert_type(draft_openapi("", path="/jobs/{id}"), str)
Definition.load(7)  # type: ignore[arg-type]  # not a path
Definition.of("name = 'acme'")  # type: ignore[arg-type]  # a text is parsed


async def jobs(definition: Definition, transport: Transport) -> None:
    """A definition and its client have jobs."""
    assert_type(definition.job(transport, id="7"), Job[Any])
    assert_type(await definition.start(transport, prompt="a hat"), Job[Any])
    async with definition.client("key", proxy="http://proxy:3128") as client:
        assert_type(client, DefinedClient)
        assert_type(client["renders"].job(id="7"), Job[Any])
        assert_type(client.renders.job(id="7"), Job[Any])
        assert_type(await client.start(prompt="a hat"), Job[Any])
        assert_type(client.job_from_json(""), Job[Any])
    definition.client(key=7)  # type: ignore[arg-type]  # text, or a function
    definition.client("key", proxies="x")  # type: ignore[call-arg]  # no such setting


def error(problem: DefinitionError) -> None:
    """An error names its place."""
    assert_type((problem.source, problem.line, problem.key), tuple[str, int | None, str | None])
