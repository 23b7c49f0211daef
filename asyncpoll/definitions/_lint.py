"""Define `lint`: what is wrong, missing or doubtful in a definition that can be used.

Every word, rule and code is written into an answer by `World`, and read back through the real endpoint. Words that fold
alike, slots that nothing fills and patterns that backtrack are refused before, when the definition is read.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from attrs import evolve, frozen

from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import BadReply, PollError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.definitions import _paths
from asyncpoll.definitions._definition import Definition
from asyncpoll.definitions._fabricate import Case, ReplyDraft, cases, complain
from asyncpoll.definitions._model import EndpointSpec, Example
from asyncpoll.definitions._paths import has_content
from asyncpoll.definitions._spots import Spot
from asyncpoll.definitions._world import World
from asyncpoll.http import Reply
from asyncpoll.simulator._lives import Constant, LifeGenerator

Level = Literal["error", "warning", "note"]

_AMBIGUOUS = {"aborted", "completed", "done", "ended", "expired", "finished", "ready", "stopped"}
_IS_ID = re.compile(r"(?:^|_)(?:id|ids|file|uuid)$|Ids?$")
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|key|api|xox[abp]|gh[opsu])[-_][A-Za-z0-9_-]{16,}|\bAKIA[A-Z0-9]{16}\b|\beyJ[A-Za-z0-9_-]{10,}\.[\w.-]+"
    r"|\b(?:Bearer|Basic) +[A-Za-z0-9+/=_.-]{16,}|\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b"
)
_FAILURES = {State.FAILED, State.TIMEOUT}
_FINDINGS: Mapping[str, tuple[Level, str]] = MappingProxyType(
    {
        "secret": ("error", "this looks like a credential; keep it in an environment variable"),
        "no success": ("error", 'no answer means success, and every wait would give up; write success = "..."'),
        "no failure": ("warning", 'no answer means that a job has failed; write failed = "..."'),
        "no cancelled": ("warning", 'no answer means that a job was cancelled; write cancelled = "..."'),
        "ambiguous": ("note", "{0!r} means different things to different APIs; make sure that here it is {1}"),
        "no echo": ("warning", 'an answer about another job is not noticed; write echo = {{ id = "where it is" }}'),
        "unreadable": ("error", "an answer that says {0!r} cannot be read: {1}"),
        "shadowed": ("error", "{0!r} is read as {1}, because another rule or word fits first; make that one narrower"),
        "no value": ("error", "the value of {0!r} is not read as it stands in an answer; correct the path"),
        "code": ("error", "the code {0} is read as {1}; write code = ... where codes stand, or make ok narrower"),
        "order": ("warning", "a rule for a success is above this failure and may hide it; put failures first"),
        "id": ("warning", '{0} looks like the id of the result; write then = "GET ..." to fetch it'),
        "slot": ("warning", "not a single example of a success has something at {0}, which the call needs"),
        "example": ("error", "this example is read as {0}"),
    }
)


@frozen
class Finding:
    """Something in a definition that is wrong ("error"), probably wrong ("warning") or worth a thought ("note").

    Attributes:
        level: One of these three.
        key: The key that it is about, such as "endpoints.agents.success".
        line: The line of the key, or None if lines are not known.
        message: What it is, and what to do.
    """

    level: Level
    key: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{'' if self.line is None else f'{self.line}: '}{self.level}: {self.key}: {self.message}"


def _finding(what: str, spot: Spot, *about: object) -> Finding:
    level, message = _FINDINGS[what]
    return Finding(level, spot.key, spot.line, message.format(*about))


def lint(definition: Definition) -> list[Finding]:
    """Return what is wrong, missing or doubtful in a definition, in the order of its lines.

    It sends nothing. Everything that the definition lists is written into answers and read back, and its examples are
    read.
    """
    found = dict.fromkeys(_secrets(definition.spec.where))
    for name, spec in definition.spec.endpoints.items():
        found |= dict.fromkeys(_Linter(definition, spec, definition.endpoints[name]).findings())
    return sorted(found, key=lambda one: (one.line or 0, one.key))


def _secrets(spot: Spot) -> Iterator[Finding]:
    """Yield a finding for every text that looks like a credential."""
    value = spot.value
    if isinstance(value, str) and _SECRETS.search(value):
        yield _finding("secret", spot)
    for step, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _secrets(spot.below(step, one))


@frozen
class _Linter:
    """The checks of one endpoint."""

    definition: Definition
    spec: EndpointSpec
    endpoint: Endpoint[Any, Any]

    def findings(self) -> Iterator[Finding]:
        """Yield all findings."""
        known = cases(self.spec)
        yield from self._words(known)
        for case in known.values():
            yield from self._read_back(case)
        yield from self._codes()
        yield from self._values()
        for example in self.spec.examples:
            yield from self._example(example)

    def _at(self, key: str, what: str, *about: object) -> Finding:
        """Return a finding about a key of the endpoint, such as "when[0]", which several endpoints may share."""
        name, *steps = (int(step) if step.isdigit() else step for step in re.findall(r"\w+", key))
        spot = self.spec.given.get(str(name), self.spec.where.below(name, None))
        return _finding(what, functools.reduce(lambda spot, step: spot.below(step, None), steps, spot), *about)

    def _words(self, known: Mapping[str, Case]) -> Iterator[Finding]:
        """Check which states there are, the order of the rules, and that an answer says which job it is about."""
        spec, states, rules = (
            self.spec,
            {case.state for case in known.values()},
            [rule.state for rule in self.spec.when],
        )
        if State.SUCCESS not in states:
            yield self._at("success", "no success")
        if not states & _FAILURES and not any(step.failed for step in spec.then):
            yield self._at("failed", "no failure")
        if spec.cancel is not None and State.CANCELLED not in states:
            yield self._at("cancel", "no cancelled")
        if not spec.echo and spec.about is None:
            yield self._at("ask", "no echo")
        for case in known.values():
            if case.name.casefold() in _AMBIGUOUS:
                yield self._at(case.key, "ambiguous", case.name, case.state.value)
        for number, state in enumerate(rules):
            if state in _FAILURES and State.SUCCESS in rules[:number]:
                yield self._at(f"when[{number}]", "order")

    def _read_back(self, case: Case) -> Iterator[Finding]:
        """Check that an answer with this word, or for this rule, is read as it is meant."""
        world = World(self.definition.spec, LifeGenerator(0, Constant(0), Constant(0)), {case.name: 1.0})
        job = world.begin(self.spec, {}, 0.0)
        try:
            seen = self._poll(world, self.endpoint.restore(job.reference))
            truth = world.truth(self.spec, job.ref)
        except (PollError, ValueError) as problem:
            if case.key != "absent" or getattr(problem, "kind", None) != "not_found":
                yield self._at(case.key, "unreadable", case.name, problem)
            return
        if (seen.state, _mark(seen)) != (case.state, case.kind):
            yield self._at(case.key, "shadowed", case.name, seen.state.value)
        elif case.state is State.SUCCESS and (seen.value is None or seen.value != truth.value):
            yield self._at("value", "no value", case.name)

    def _codes(self) -> Iterator[Finding]:
        """Check that each code is read as the kind under which it is listed."""
        for code, kind in () if self.spec.error is None else self.spec.error.codes.items():
            try:
                self.endpoint.classify(complain(self.spec, kind, code).reply())
                read: object = "an answer about the job"
            except (PollError, ValueError) as problem:
                read = getattr(problem, "kind", problem)
            if read != kind:
                yield self._at(f"error.{kind}", "code", code, read)

    def _values(self) -> Iterator[Finding]:
        """Check that the value is the result rather than its id, and that later calls get what they need."""
        value, steps = self.spec.value, self.spec.then
        for path in chain.from_iterable(value.values() if isinstance(value, Mapping) else [value]):
            if not steps and path.place == "json" and path.steps and _IS_ID.search(str(path.steps[-1])):
                yield self._at("value", "id", path.text)
        replies = [example_reply(example) for example in self.spec.examples if example.state is State.SUCCESS]
        for name in dict.fromkeys(name for step in steps[:1] for name in step.names if name not in self.spec.fields):
            get = _paths.compile(name).get
            if replies and not any(has_content(get(reply.json, reply)) for reply in replies):
                yield self._at("then", "slot", name)

    def _example(self, example: Example) -> Iterator[Finding]:
        """Check that an example is read as it says."""
        said = {name: getattr(example, name) for name in ("state", "error", "value", "reason", "code", "progress")}
        wanted = {name: value for name, value in said.items() if value is not None}
        reply = example_reply(example)
        try:
            seen = self._read(self._reference_in(reply), reply)
        except (PollError, ValueError) as problem:
            read, shown = {"error": getattr(problem, "kind", None)}, f"an error: {problem}"
        else:
            value = example.value if self.spec.then or self.spec.pages else seen.value
            wanted["kind"] = example.kind
            read = {name: getattr(seen, name, None) for name in wanted} | {"value": value, "kind": _mark(seen)}
            shown = ", ".join(f"{name} {read[name]!r}" for name in wanted)
        if wanted != {name: read.get(name) for name in wanted}:
            yield _finding("example", example.where, shown)

    def _poll(self, world: World, ref: Any) -> Snapshot[Any]:
        """Return what a poll sees in the world, as `Job.fetch` does, but outside of any event loop."""
        endpoint = self.endpoint
        seen = self._read(ref, world.receive(endpoint.ask(ref), 1.0).reply)
        while endpoint.then and endpoint.read_then and (request := endpoint.then(ref, seen)) is not None:
            reply = world.receive(request, 1.0).reply
            (endpoint.classify_then or endpoint.classify)(reply)
            seen = endpoint.read_then(seen, reply)
        return seen

    def _read(self, ref: Any, reply: Reply) -> Snapshot[Any]:
        endpoint = self.endpoint
        endpoint.classify(reply)
        reply = reply if endpoint.about is None else endpoint.about(ref, reply)
        if endpoint.same_job is not None and not endpoint.same_job(ref, reply):
            raise BadReply("it does not repeat the id at the place that echo names")
        return endpoint.read(reply)

    def _reference_in(self, reply: Reply) -> Any:
        """Return the reference that the answer of an example repeats; what it does not repeat is "1"."""
        spec, fields = self.spec, dict.fromkeys(self.spec.required, "1")
        places = dict(spec.echo)
        if spec.about is not None:
            items = _paths.first(spec.about.each)(reply.json, reply)
            reply = evolve(reply, json=items[0] if isinstance(items, list) and items else None)
            places |= spec.about.id
        found = {name: _paths.first(paths)(reply.json, reply) for name, paths in places.items()}
        return self.endpoint.restore({**fields, **{name: str(one) for name, one in found.items() if one is not None}})


def _mark(snapshot: Any) -> str | None:
    return "partial" if snapshot.partial else snapshot.kind


def example_reply(example: Example) -> Reply:
    """Return the answer of an example."""
    reply = ReplyDraft(example.http, example.reply, dict(example.headers)).reply()
    if example.body is None:
        return reply
    try:
        return evolve(reply, json=json.loads(example.body), body=example.body.encode())
    except ValueError:
        return evolve(reply, json=None, body=example.body.encode(), problem="the body is not JSON")
