"""Define `lint`: what is wrong, missing or doubtful in a definition that can be used.

Every word, rule and code is written into an answer by `World`, and read back through the real endpoint. Words that fold
alike, slots that nothing fills and patterns that backtrack are refused before, when the definition is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import evolve, frozen

from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import BadReply, PollError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.definitions import _paths
from asyncpoll.definitions._definition import Definition
from asyncpoll.definitions._fabricate import Draft, cases, complain
from asyncpoll.definitions._model import EndpointSpec, Example
from asyncpoll.definitions._paths import Path, has_content
from asyncpoll.definitions._spots import Spot
from asyncpoll.definitions._world import World
from asyncpoll.http import Reply
from asyncpoll.simulator._lives import Constant, LifeGenerator

_AMBIGUOUS = {"aborted", "completed", "done", "ended", "expired", "finished", "ready", "stopped"}
_IS_ID = re.compile(r"(?:^|_)(?:id|ids|file|uuid)$|Ids?$")
_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|key|api|xox[abp]|gh[opsu])[-_][A-Za-z0-9_-]{16,}|\bAKIA[A-Z0-9]{16}\b|\beyJ[A-Za-z0-9_-]{10,}\.[\w.-]+"
    r"|\b(?:Bearer|Basic) +[A-Za-z0-9+/=_.-]{16,}|\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b"
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

    level: Literal["error", "warning", "note"]
    key: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{'' if self.line is None else f'{self.line}: '}{self.level}: {self.key}: {self.message}"


def lint(definition: Definition) -> list[Finding]:
    """Return what is wrong, missing or doubtful in a definition, in the order of its lines.

    It sends nothing. Everything that the definition lists is written into answers and read back, and its examples are
    read.
    """
    found = [*_secrets(definition.spec.where)]
    for name, spec in definition.spec.endpoints.items():
        linter = _Linter(definition, spec, definition.endpoints[name])
        found += linter.findings()
    unique = dict.fromkeys(found)  # keys that several endpoints share are about one line
    return sorted(unique, key=lambda one: (one.line or 0, one.key))


def _secrets(spot: Spot) -> Iterator[Finding]:
    """Yield a finding for every text that looks like a credential."""
    if isinstance(spot.value, str) and _SECRETS.search(spot.value):
        yield Finding("error", spot.key, spot.line, "this looks like a credential; keep it in an environment variable")
    inside = (
        spot.value
        if isinstance(spot.value, Mapping)
        else dict(enumerate(spot.value))
        if isinstance(spot.value, list)
        else {}
    )
    for step, value in inside.items():
        yield from _secrets(spot.below(step, value))


class _Linter:
    """The checks of one endpoint."""

    def __init__(self, definition: Definition, spec: EndpointSpec, endpoint: Endpoint[Any, Any]) -> None:
        self._definition = definition
        self._spec = spec
        self._endpoint = endpoint
        self._known = cases(spec)

    def findings(self) -> Iterator[Finding]:
        """Yield all findings."""
        yield from self._words()
        yield from self._read_back()
        yield from self._codes()
        yield from self._order()
        yield from self._values()
        for example in self._spec.examples:
            yield from self._example(example)

    def _at(self, level: Literal["error", "warning", "note"], key: str, message: str) -> Finding:
        name, *rest = re.findall(r"[a-z_]+|\d+", key)
        spot = self._spec.given.get(name, self._spec.where)
        return Finding(level, key, spot.line_of(*(int(one) for one in rest[:1] if name == "when")), message)

    def _words(self) -> Iterator[Finding]:
        """Check that there is a success, a failure and, where jobs can be cancelled, a word for that."""
        states = {case.state for case in self._known.values()}
        if State.SUCCESS not in states:
            yield self._at(
                "error", "success", 'no answer means success, so every wait ends at its deadline; write success = "..."'
            )
        if not states & {State.FAILED, State.TIMEOUT} and not any(step.failed for step in self._spec.then):
            yield self._at("warning", "failed", 'no answer means that a job has failed; write failed = "..."')
        if self._spec.cancel is not None and State.CANCELLED not in states:
            yield self._at("warning", "cancel", 'no answer means that a job was cancelled; write cancelled = "..."')
        for case in self._known.values():
            if case.name.casefold() in _AMBIGUOUS:
                yield self._at(
                    "note",
                    case.key,
                    f"{case.name!r} means different things to different APIs; make sure that it is {case.state.value} here",
                )
        if not self._spec.echo and self._spec.about is None:
            yield self._at(
                "warning",
                "ask",
                'nothing tells an answer about another job; if answers repeat the id, write echo = { id = "..." }',
            )

    def _read_back(self) -> Iterator[Finding]:
        """Check that an answer with each word, and for each rule, is read as it is meant."""
        for case in self._known.values():
            world = World(self._definition.spec, LifeGenerator(0, Constant(0), Constant(0)), {case.name: 1.0})
            job = world.begin(self._spec, {}, 0.0)
            try:
                seen = self._poll(world, self._endpoint.restore(job.reference))
                truth = world.truth(self._spec, job.ref)
            except (PollError, ValueError) as problem:
                yield self._at("error", case.key, f"an answer that says {case.name!r} cannot be read: {problem}")
                continue
            if (seen.state, _mark(seen)) != (case.state, case.kind):
                yield self._at(
                    "error",
                    case.key,
                    f"{case.name!r} is read as {seen.state.value}, because a rule or word before it fits, too; make that one narrower",
                )
            elif case.state is State.SUCCESS and seen.value != truth.value:
                yield self._at("error", "value", f"the value of {case.name!r} is not read as it stands in the answer")

    def _codes(self) -> Iterator[Finding]:
        """Check that each code is read as the kind under which it is listed."""
        error = self._spec.error
        for code, kind in () if error is None else error.codes.items():
            try:
                self._endpoint.classify(complain(self._spec, kind, code).reply())
            except PollError as problem:
                read = getattr(problem, "kind", None)
            else:
                read = "an answer about the job"
            if read != kind:
                yield self._at(
                    "error",
                    f"error.{kind}",
                    f"the code {code} is read as {read}; say where codes stand, with code = ..., or make ok narrower",
                )

    def _order(self) -> Iterator[Finding]:
        """Check that a rule for a success does not hide a failure."""
        states = [rule.state for rule in self._spec.when]
        for number, state in enumerate(states):
            if state in {State.FAILED, State.TIMEOUT} and State.SUCCESS in states[:number]:
                yield self._at(
                    "warning",
                    f"when[{number}]",
                    "a rule for a success is above this failure and hides it when both fit; put failures first",
                )

    def _values(self) -> Iterator[Finding]:
        """Check that the value is the result rather than its id, and that later calls get what they need."""
        value, steps = self._spec.value, self._spec.then
        paths: list[Path] = [
            path for one in (value.values() if isinstance(value, Mapping) else [value]) for path in one
        ]
        for path in paths if not steps else ():
            if path.place == "json" and path.steps and _IS_ID.search(str(path.steps[-1])):
                yield self._at(
                    "warning",
                    "value",
                    f'{path.text} looks like an id of the result; write then = "GET ..." to fetch it',
                )
        replies = [example_reply(example) for example in self._spec.examples if example.state is State.SUCCESS]
        for name in dict.fromkeys(name for step in steps[:1] for name in step.names if name not in self._spec.fields):
            get = _paths.compile(name).get
            if replies and not any(has_content(get(reply.json, reply)) for reply in replies):
                yield self._at(
                    "warning",
                    "then",
                    f"not a single example of a success has something at {name}, which the call needs",
                )

    def _example(self, example: Example) -> Iterator[Finding]:
        """Check that an example is read as it says."""
        kinds: dict[str, Any] = {"kind": example.kind} if example.state else {}
        said = {name: getattr(example, name) for name in ("state", "error", "value", "reason", "code", "progress")}
        wanted = {name: value for name, value in said.items() if value is not None} | kinds
        try:
            reply = example_reply(example)
            seen = self._read(self._reference_in(reply), reply)
        except PollError as problem:
            read: Any = {"error": getattr(problem, "kind", None)}
            shown = f"an error: {problem}"
        else:
            value = seen.value if not (self._spec.then or self._spec.pages) else example.value
            value = value.decode(errors="replace") if isinstance(value, bytes) else value
            read = {name: getattr(seen, name, None) for name in wanted} | {"value": value, "kind": _mark(seen)}
            shown = ", ".join(f"{name} {read[name]!r}" for name in wanted)
        if wanted != {name: read.get(name) for name in wanted}:
            yield Finding("error", example.where.key, example.where.line, f"this example is read as {shown}")

    def _poll(self, world: World, ref: Any) -> Snapshot[Any]:
        """Return what a poll sees in the world, as `Job.fetch` does, but outside of any event loop."""
        endpoint = self._endpoint
        seen = self._read(ref, world.receive(endpoint.ask(ref), 1.0).reply)
        while endpoint.then and endpoint.read_then and (request := endpoint.then(ref, seen)) is not None:
            seen = endpoint.read_then(seen, world.receive(request, 1.0).reply)
        return seen

    def _read(self, ref: Any, reply: Reply) -> Snapshot[Any]:
        endpoint = self._endpoint
        endpoint.classify(reply)
        reply = reply if endpoint.about is None else endpoint.about(ref, reply)
        if endpoint.same_job is not None and not endpoint.same_job(ref, reply):
            raise BadReply("it does not repeat the id at the place that echo names")
        return endpoint.read(reply)

    def _reference_in(self, reply: Reply) -> Any:
        """Return the reference that the answer of an example repeats; what it does not repeat is "1"."""
        spec, fields = self._spec, dict.fromkeys(self._spec.required, "1")
        places = dict(spec.echo)
        if spec.about is not None:
            items = _paths.first(spec.about.each)(reply.json, reply)
            reply = evolve(reply, json=items[0] if isinstance(items, list) and items else None)
            places |= spec.about.id
        found = {name: _paths.first(paths)(reply.json, reply) for name, paths in places.items()}
        return self._endpoint.restore({**fields, **{name: str(one) for name, one in found.items() if one is not None}})


def _mark(snapshot: Any) -> str | None:
    return "partial" if snapshot.partial else snapshot.kind


def example_reply(example: Example) -> Reply:
    """Return the answer of an example."""
    draft = Draft(example.http, example.reply, dict(example.headers))
    if example.body is not None:
        try:
            draft.body = json.loads(example.body)
        except ValueError:
            draft.content = example.body.encode()
    return draft.reply()
