"""Mutated answers and mutated definitions: never a foreign exception, and never a success that nothing says.

The long form reads 100,000 answers and 10,000 definitions: `pytest -m slow tests/definitions/test_definition_fuzz.py`.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from definition_kit import answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation_kit import mutated, mutated_text

from asyncpoll import Endpoint, PollError, Snapshot, State
from asyncpoll.definitions import Definition, DefinitionError, catalog, lint
from asyncpoll.definitions._chains import Pending
from asyncpoll.definitions._conditions import condition
from asyncpoll.definitions._model import EndpointSpec, Example
from asyncpoll.definitions._paths import first
from asyncpoll.http import Reply, Request

ANSWERS, DEFINITIONS = 100_000, 10_000
AT_ONCE = 20
"""The answers that one example reads."""

RANDOMS = st.integers(0, 2**64 - 1).map(Random)
CATALOG = list(catalog().values())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Words that are not listed are logged; so many mutations would log too much."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def often(examples: int) -> Callable[[Any], Any]:
    """Return the settings of a test with so many examples."""
    quick = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, suppress_health_check=quick)


def replies(example: Example, random: Random) -> Iterator[Reply]:
    """Yield mutated answers: the body, and sometimes the HTTP status or the headers."""
    body = json.loads(example.body) if example.body and example.body.startswith("{") else example.reply
    for _ in range(AT_ONCE):
        http = random.choice((example.http, example.http, 200, 202, 204, 303, 404, 500, 599))
        headers = {**example.headers, **random.choice(({}, {"location": "/x"}, {"retry-after": "soon"}))}
        changed = mutated(body, random)
        content = json.dumps(changed).encode("utf-8", "surrogatepass")
        yield Reply(http, changed, headers, content, None if changed is not None else "null")
        yield Reply(http, None, headers, content[: len(content) // 2], "the body is not JSON")


def says_success(spec: EndpointSpec, reply: Reply) -> bool:
    """Return whether something in an answer says that the job has succeeded, looked up anew."""
    body = reply.json
    rules = [one for one in spec.when if condition(one.conditions)(body, reply)]
    if rules:
        return rules[0].state is State.SUCCESS
    listed = [*spec.success, *spec.partial]
    word = first(spec.status)(body, reply) if spec.status else None
    said = spec.http.get(reply.status) == "success"
    if isinstance(word, str) and not (said and reply.status // 100 != 2):
        return word.strip().casefold() in {one.strip().casefold() for one in listed if isinstance(one, str)}
    if word is not None and not said:
        return any(word == one and type(word) is type(one) for one in listed)
    return said or spec.missing is State.SUCCESS


def read_all(spec: EndpointSpec, endpoint: Endpoint[Any, Any], reply: Reply) -> None:
    """Read an answer in every way that a poll does, and check what comes of it."""
    ref = endpoint.restore({name: f"{name}-1" for name in spec.required})
    try:
        endpoint.classify(reply)
        part = reply if endpoint.about is None else endpoint.about(ref, reply)
        if endpoint.same_job is not None:
            endpoint.same_job(ref, part)
        seen = endpoint.read(part)
    except PollError:
        return
    assert isinstance(seen, Snapshot)
    assert seen.state is not State.SUCCESS or says_success(spec, part), (spec.name, part.status, part.json)
    if isinstance(seen.value, Pending):
        go_on(endpoint, ref, seen, reply)


def go_on(endpoint: Endpoint[Any, Any], ref: Any, seen: Snapshot[Any], reply: Reply) -> None:
    """Make the further calls, whose answers are the mutated one again."""
    assert endpoint.then is not None
    assert endpoint.read_then is not None
    assert endpoint.classify_then is not None
    for _ in range(5):
        request = endpoint.then(ref, seen)
        if request is None:
            return
        assert isinstance(request, Request)
        try:
            endpoint.classify_then(reply)
            seen = endpoint.read_then(seen, reply)
        except PollError:
            return


def read_mutated_answers(random: Random) -> None:
    """Read some mutated answers of one endpoint of the catalogue, also as one about a group."""
    definition = random.choice(CATALOG)
    [(name, spec)] = definition.spec.endpoints.items()
    endpoint = definition.endpoints[name]
    for reply in replies(random.choice(spec.examples), random):
        read_all(spec, endpoint, reply)
        if endpoint.group is not None:
            try:
                endpoint.group.read(reply, [endpoint.restore({one: f"{one}-1" for one in spec.required})])
            except PollError:
                continue


def use(definition: Definition, random: Random) -> None:
    """Use all that a definition compiles to, and what is fabricated from it."""
    lint(definition)
    for name, endpoint in definition.endpoints.items():
        spec = definition.spec.endpoints[name]
        try:
            ref = endpoint.restore(dict.fromkeys(spec.required, "1"))
            made = [endpoint.ask(ref), *([endpoint.cancel(ref)] if endpoint.cancel else [])]
            assert all(isinstance(request, Request) for request in made)
            assert endpoint.job_from_json(None, json.dumps({"version": 1, "endpoint": name, "ref": ref.plain()}))  # type: ignore[arg-type]  # nothing is sent
        except ValueError:
            continue
        given = [one.reply for one in spec.examples if one.reply is not None] or [{"status": "done"}]
        for reply in (answer(random.choice(given)), answer(mutated(random.choice(given), random)), answer("<p>")):
            try:
                endpoint.classify(reply)
                assert isinstance(endpoint.read(reply), Snapshot)
            except PollError:
                continue


def read_mutated_definitions(random: Random) -> None:
    """Read a mutated mapping and a mutated text; use what is accepted."""
    text = random.choice(CATALOG).text
    mapping, other = mutated(tomllib.loads(text), random), mutated_text(text, random)
    for one in (mapping, other):
        try:
            definition = Definition.parse(other) if one is other else Definition.of(mapping)
        except DefinitionError:
            continue
        use(definition, random)


@often(25)
@given(RANDOMS)
def test_mutated_answers_raise_errors_of_our_own(random: Random) -> None:
    """Any answer is read, or is a `PollError`; a success is one that the answer says."""
    read_mutated_answers(random)


@often(40)
@given(RANDOMS)
def test_mutated_definitions_are_refused_or_work(random: Random) -> None:
    """Any definition is a `DefinitionError`, or compiles and is used without other errors."""
    read_mutated_definitions(random)


@pytest.mark.slow
@often(ANSWERS // (2 * AT_ONCE))
@given(RANDOMS)
def test_a_hundred_thousand_mutated_answers(random: Random) -> None:
    """The long form of mutated answers."""
    read_mutated_answers(random)


@pytest.mark.slow
@often(DEFINITIONS // 2)
@given(RANDOMS)
def test_ten_thousand_mutated_definitions(random: Random) -> None:
    """The long form of mutated definitions."""
    read_mutated_definitions(random)


def test_deep_definitions_are_refused() -> None:
    """Nesting beyond the stack is an error of the definition, wherever it is."""
    deep: Any = "x"
    for _ in range(3000):
        deep = {"not": deep} if isinstance(deep, dict) else {"present": True}
    nested: Any = "x"
    for _ in range(100_000):
        nested = [nested]
    keys = {"name": "acme", "ask": "GET /x", "status": "s", "success": "y"}
    for further in (
        {"when": [{"if": {"a": deep}, "state": "success"}]},
        {"ask": {"call": "POST /x", "json": {"a": nested}}},
        {"example": [{"state": "success", "reply": nested}]},
        {"value": nested},
        {"success": nested},
    ):
        with pytest.raises(DefinitionError):
            Definition.of({**keys, **further})
