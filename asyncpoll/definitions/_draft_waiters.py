"""Draft a definition from a waiter of botocore: `waiters-2.json`, and the model of the service beside it."""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field

from asyncpoll.definitions._draft import DraftWriter, read_document, snake, snaked
from asyncpoll.definitions._openapi import Table, items, table
from asyncpoll.definitions._spots import DefinitionError

_STATES = {"success": "success", "failure": "failed", "retry": "processing"}
_TESTS = {"path": "", "pathAll": "every", "pathAny": "any"}
_STEP = r"[A-Za-z_]\w*(?:\[(?:-?\d+|\*)?\])*"
_PATH = rf"{_STEP}(?:\.{_STEP})*"
_PART = re.compile(r"(\w+)((?:\[[^\]]*\])*)", re.ASCII)
_PLAIN = re.compile(_PATH, re.ASCII)
_LENGTH = re.compile(rf"length\(({_PATH})(?: *\|\| *'')?\) *(>|==) *`0`", re.ASCII)
_UNEQUAL = re.compile(rf"({_PATH}) *!= *'([^']*)'", re.ASCII)
_REGION = "us-east-1"
_DAY = 86_400


def draft_waiter(text: str, name: str, *, service: str | None = None) -> str:
    """Return the draft of a definition, as TOML, for one waiter of botocore.

    Its rules read answers in JSON as the waiter reads them. What it cannot know it marks with `TODO`.

    Args:
        text: The text of `waiters-2.json`.
        name: The name of the waiter in it, such as "TableExists".
        service: The text of `service-2.json` beside it. Without it the request has to be written by hand.

    Raises:
        DefinitionError: A document cannot be read, or there is no such waiter, or no rule can say what it asks.
    """
    waiters = table(read_document(text, "waiters").get("waiters"))
    waiter = table(waiters.get(name))
    if not waiter:
        known = ", ".join(sorted(waiters)[:20]) or "(there are none)"
        raise DefinitionError(f"there is no waiter {name!r}; write one of: {known}", source="waiters")
    model = _Model(read_document(service, "service") if service is not None else {}, str(waiter.get("operation")))
    draft = DraftWriter("waiters", f"{name}, which asks {model.operation}")
    draft.put("name", f"aws.{snake(model.host)}.{snake(name)}")
    draft.put("base", f"https://{model.host}.{_REGION}.amazonaws.com", "TODO the address for your region")
    signing = {"scheme": "sigv4", "region": _REGION, "service": model.about("signingName", model.host)}
    draft.put("auth", signing, "TODO your region; sign with an `Auth` of `register_auth`")
    model.write_request(draft)
    verdicts = _Verdicts(f"waiters: {name}", model)
    for one in items(waiter.get("acceptors")):
        verdicts.add(table(one))
    verdicts.write(draft)
    delay = waiter.get("delay")
    if type(delay) is int and 0 < delay <= _DAY:
        draft.table("pace")
        draft.put("at_least", delay, f"the waiter asks {waiter.get('maxAttempts')} times")
    return draft.checked()


class _Model:
    """What the model of a service says about one operation; nothing, if there is no model."""

    def __init__(self, document: Table, operation: str) -> None:
        self.operation = operation
        self._about = table(document.get("metadata"))
        self._shapes = table(document.get("shapes"))
        self._raw = table(table(document.get("operations")).get(operation))
        protocols = [*map(str, items(self._about.get("protocols"))), self.about("protocol", "")]
        known = [one for one in ("json", "rest-json") if one in protocols]
        self.protocol = known[0] if known else protocols[-1]
        self.is_json = bool(known)
        self.host = self.about("endpointPrefix", "service")

    def about(self, key: str, usual: str) -> str:
        """Return what the model says about the service."""
        return str(self._about.get(key, usual))

    def write_request(self, draft: DraftWriter) -> None:
        """Write `ask`."""
        if not self._raw:
            draft.put("ask", "POST /", f"TODO the request {self.operation}; the model of the service has it")
            return
        shape = self._shape(self._raw.get("input"))
        http = table(self._raw.get("http"))
        places: dict[str, Table] = {"headers": {}, "query": {}, "json": {}}
        for member in map(str, items(shape.get("required"))):
            one = table(table(shape.get("members")).get(member))
            where = {"querystring": "query", "header": "headers", "uri": ""}.get(str(one.get("location")), "json")
            if where:
                places[where][str(one.get("locationName", member))] = f"{{{snake(member)}}}"
        if self.protocol == "json":
            kind = f"application/x-amz-json-{self.about('jsonVersion', '1.0')}"
            places["headers"] = {
                "X-Amz-Target": f"{self.about('targetPrefix', '')}.{self.operation}",
                "Content-Type": kind,
            }
        elif self.protocol in {"query", "ec2"}:
            version = {"Action": self.operation, "Version": self.about("apiVersion", "")}
            places["query"] = {**version, **places.pop("json")}
        if not self.is_json:
            draft.todo(f"the service answers by the protocol {self.protocol}; a definition reads JSON only")
        call = f"{http.get('method', 'POST')} {snaked(str(http.get('requestUri', '/')))}"
        draft.put("ask", {"call": call, **{place: part for place, part in places.items() if part}})
        if self.protocol == "json":
            draft.put("open", True, "further parameters are further fields of a reference")

    def path(self, expression: str) -> str:
        """Return the path to what an expression of JMESPath names; the wire has other names than botocore."""
        shape = self._shape(self._raw.get("output"))
        steps: list[str] = []
        for name, brackets in _PART.findall(expression):
            member = table(table(shape.get("members")).get(name))
            if steps or not self.is_json or name != shape.get("payload"):
                steps.append(str(member.get("locationName", name)) if self.is_json else name)
            shape = self._shape(member)
            for _ in range(brackets.count("[")):
                shape = self._shape(shape.get("member"))
            steps[-1:] = [(steps[-1] if steps else "$") + brackets.replace("[]", "[*]")]
        return ".".join(steps).removeprefix("$.")

    def _shape(self, reference: object) -> Table:
        return table(self._shapes.get(str(table(reference).get("shape"))))

    def error(self, code: str) -> tuple[int, Table]:
        """Return the HTTP status of an error of the operation, and what must stand in an answer that is this error."""
        errors = {str(table(one).get("shape")) for one in items(self._raw.get("errors"))}
        known = {
            str((error := table(table(self._shapes.get(name)).get("error"))).get("code", name)): error
            for name in errors
        }
        status = known.get(code, {}).get("httpStatusCode")
        status = status if type(status) is int else 400
        if self.protocol == "json":
            space = f"com.amazonaws.{self.host}"
            dated = f"{space}.v{self.about('apiVersion', '').replace('-', '')}"
            return status, {"__type": [code, f"{space}#{code}", f"{dated}#{code}"]}
        return status, {"header:x-amzn-errortype" if self.protocol == "rest-json" else "Error.Code": code}


@define
class _Verdicts:
    """What the acceptors of a waiter say, in their order, as the rules and words of a definition."""

    source: str
    model: _Model
    rules: list[tuple[Table, str]] = field(factory=list)
    statuses: set[int] = field(factory=set)
    notes: list[str] = field(factory=list)

    def add(self, acceptor: Table) -> None:
        """Handle one acceptor."""
        matcher, expected = str(acceptor.get("matcher")), acceptor.get("expected")
        state = _STATES.get(str(acceptor.get("state")), "")
        if state and matcher == "status" and isinstance(expected, int):
            self._add_http(expected, {}, state)
        elif state and matcher == "error" and isinstance(expected, bool):
            self.rules.append(({"http": {"above": 399} if expected else {"below": 400}}, state))
        elif state and matcher == "error" and isinstance(expected, str):
            self._add_http(*self.model.error(expected), state)
        elif state and matcher in _TESTS and isinstance(expected, str | int):
            self._add_path(self._condition(_TESTS[matcher], str(acceptor.get("argument")), expected), state)
        else:
            problem = "the state, the matcher or what is expected of an acceptor is not as botocore has it"
            raise DefinitionError(f"{problem}; write the definition by hand", source=self.source)

    def _add_http(self, status: int, wanted: Table, state: str) -> None:
        if state == "processing" and (status == 429 or status >= 500):  # noqa: PLR2004  a full or broken server
            self.notes.append(f"HTTP {status} is a miss, which the next poll repeats.")
            return
        if status >= 300:  # noqa: PLR2004  all that is refused unless it is let through
            self.statuses.add(status)
        self.rules.append(({"http": status, **wanted}, state))

    def _add_path(self, wanted: Table, state: str) -> None:
        """Add a rule for a path, or its word to the rule before it, if that looks for another in the same list."""
        before, its_state = self.rules[-1] if self.rules else ({}, "")
        for path, one in wanted.items():
            if its_state == state and isinstance(one, dict) and "any" in one and "any" in table(before.get(path)):
                before[path]["any"] += one["any"]
                return
        self.rules += [(wanted, state)] if wanted else []

    def _condition(self, test: str, argument: str, expected: Any) -> Table:
        """Return what a rule wants for an expression of JMESPath, or nothing if it never holds."""
        if _PLAIN.fullmatch(argument):
            path = self.model.path(argument)
            if test:
                return {path: {test: [expected] if test == "any" else expected}}
            return {} if "[*]" in path else {path: expected}
        unequal = [_UNEQUAL.fullmatch(part.strip()) for part in argument.split("&&")]
        length = _LENGTH.fullmatch(argument)
        if expected is not True or not (length or all(unequal)):
            raise DefinitionError(f"no rule says {argument!r}; write the definition by hand", source=self.source)
        if test:
            return {}
        if length:
            path = self.model.path(length[1].removesuffix("[]"))
            if length[2] == ">":
                return {path: {"present": True}}
            empty: Table = {path: {"not": {"present": True}}}  # and there: a second spelling, for a second condition
            return empty if path.startswith("$") else {**empty, f"$.{path}": {"not": {"present": False}}}
        excluded: dict[str, list[str]] = {}
        for found in filter(None, unequal):
            excluded.setdefault(found[1], []).append(found[2])
        return {self.model.path(path): {"not": words} for path, words in excluded.items()}

    def write(self, draft: DraftWriter) -> None:
        """Write the status words, if the acceptors look at one word alone, and a rule for everything else."""
        asked = [(wanted, state) for wanted, state in self.rules if "http" not in wanted]
        words = {(path, str(word).casefold()): state for one, state in asked for path, word in one.items()}
        paths = {path for path, _ in words}
        plain = all(isinstance(word, str | bool) for one, _ in asked for word in one.values())
        rules = self.rules
        running = {"http": {"below": 300}}
        if len(paths) == 1 and plain and len(words) == len(asked):
            path = paths.pop()
            draft.put("status", path)
            for key in _STATES.values():
                draft.several(key, [word for one, state in asked for word in one.values() if state == key])
            rules = [(wanted, state) for wanted, state in rules if "http" in wanted]
            running[path] = {"present": False}
        for note in dict.fromkeys(self.notes):
            draft.note(note)
        draft.put("http", dict.fromkeys(map(str, sorted(self.statuses)), "body") or None)
        draft.rules([*((_of_success(wanted), state) for wanted, state in rules), (running, "processing")])


def _of_success(wanted: Table) -> Table:
    """Return a condition, bound to answers that are no errors if it would hold where nothing stands."""
    is_open = any(isinstance(one, dict) and "not" in one for one in wanted.values())
    return {"http": {"below": 300}, **wanted} if is_open else wanted
