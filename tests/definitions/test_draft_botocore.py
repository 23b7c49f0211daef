"""Every waiter of the installed botocore as a definition, and both on the same answers.

It is an opt-in lane, since botocore is large and nothing else needs it: `pip install botocore`, then `pytest -m slow`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncpoll import Rejected, State
from asyncpoll._endpoint import Endpoint
from asyncpoll._errors import TransportError
from asyncpoll.definitions import Definition, DefinitionError, draft_waiter
from asyncpoll.http import Reply

pytestmark = pytest.mark.slow
waiting = pytest.importorskip("botocore.waiter", reason="botocore is not installed; run: pip install botocore")
parsing = pytest.importorskip("botocore.parsers")
ServiceModel = pytest.importorskip("botocore.model").ServiceModel
HTTPHeaders = pytest.importorskip("botocore.compat").HTTPHeaders

REPLIES = 30  # for each waiter
NOT_A_RULE = {"dynamodb KinesisStreamingDestinationActive", "ecs ServicesStable", "ses IdentityExists"}
"""The waiters that compare two counts, or look at each value of a table: no rule says that."""

Tree = Any


def text_of(path: Path) -> str:
    """Return the text of a file of botocore, which may be compressed."""
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def models() -> Iterator[tuple[str, str, str]]:
    """Yield for each service its name, and the texts of its waiters and of its model."""
    data = Path(waiting.__file__).parent / "data"
    for path in sorted(data.glob("*/*/waiters-2.json*")):
        [service] = path.parent.glob("service-2.json*")
        yield path.parent.parent.name, text_of(path), text_of(service)


class World:
    """Makes answers for one waiter, as they go over the wire and as botocore reads them."""

    def __init__(self, service: Any, waiter: Tree, chance: random.Random) -> None:
        self.operation = service.operation_model(waiter["operation"])
        self.acceptors = [waiting.AcceptorConfig(one) for one in waiter["acceptors"]]
        self.raw, self.chance = waiter["acceptors"], chance
        protocols = [*service.metadata.get("protocols", ()), service.metadata["protocol"]]
        self.protocol = next((one for one in ("json", "rest-json") if one in protocols), None)

    def reply(self) -> tuple[Reply, Tree]:
        """Return one answer, in both forms."""
        if self.chance.random() < 0.25:
            return self._refusal()
        tree: Tree = {}
        for one in self.raw:
            named = re.sub(r"'[^']*'|length\(|`\d+`", " ", one.get("argument", ""))
            for path in re.findall(r"[A-Za-z_][\w.\[\]]*", named if one["matcher"].startswith("path") else ""):
                self._grow(tree, self.operation.output_shape, re.findall(r"\w+", path))
        statuses = [one["expected"] for one in self.raw if one["matcher"] == "status"]
        status = self.chance.choice([200, 200, 200, *statuses])
        return self._both(status, tree if status < 300 else {})

    def _grow(self, holder: Tree, shape: Any, steps: list[str]) -> None:
        """Place a value at a path, or several where there is a list, unless something stands there."""
        step, *inner = steps
        shape = shape.members[step]
        value = holder.get(step, self._value(shape))
        if self.chance.random() < 0.85:
            holder[step] = value
        for one in (value if isinstance(value, list) else [value]) if inner else ():
            self._grow(one, shape.member if shape.type_name == "list" else shape, inner)

    def _value(self, shape: Any) -> Any:
        if shape.type_name == "structure":
            return {}
        if shape.type_name == "list":
            return [self._value(shape.member) for _ in range(self.chance.choice([0, 1, 1, 2, 3]))]
        if shape.type_name == "boolean":
            return self.chance.choice([True, False])
        wanted = [one["expected"] for one in self.raw if isinstance(one["expected"], str)]
        quoted = [word for one in self.raw for word in re.findall(r"!= '([^']*)'", str(one.get("argument")))]
        return self.chance.choice([*wanted, *quoted, "another", ""])

    def _refusal(self) -> tuple[Reply, Tree]:
        codes = [one["expected"] for one in self.raw if one["matcher"] == "error" and isinstance(one["expected"], str)]
        code = self.chance.choice([*codes, *codes, "SomethingElse"])
        shapes = {shape.error_code: shape for shape in self.operation.error_shapes}
        status = shapes[code].metadata.get("error", {}).get("httpStatusCode", 400) if code in shapes else 400
        if self.protocol == "rest-json":
            return self._both(status, {"message": "no"}, {"x-amzn-errortype": code})
        body = {"__type": code, "message": "no"} if self.protocol else {"Error": {"Code": code, "Message": "no"}}
        return self._both(status, body)

    def _both(self, status: int, tree: Tree, headers: dict[str, str] | None = None) -> tuple[Reply, Tree]:
        headers = {"content-type": "application/json", **(headers or {})}
        if self.protocol is None and self.operation.http["method"] == "HEAD":
            error = {"Error": {"Code": str(status)}} if status >= 300 else {}
            return Reply(status, headers=headers), {**error, "ResponseMetadata": {"HTTPStatusCode": status}}
        if self.protocol is None:
            return Reply(status, tree, headers, b"{}"), {**tree, "ResponseMetadata": {"HTTPStatusCode": status}}
        shape = self.operation.output_shape
        wire = self._wire(shape, tree) if status < 300 else tree
        wire = wire.get(shape.serialization.get("payload"), wire) if shape is not None and status < 300 else wire
        body = json.dumps(wire).encode()
        given = {"status_code": status, "headers": HTTPHeaders.from_dict(headers), "body": body}
        return Reply(status, wire, headers, body), parsing.create_parser(self.protocol).parse(given, shape)

    def _wire(self, shape: Any, tree: Tree) -> Tree:
        """Return a tree with the names of the wire in place of botocore's."""
        if isinstance(tree, list):
            return [self._wire(shape.member, one) for one in tree]
        if not isinstance(tree, dict):
            return tree
        payload = shape.serialization.get("payload")
        return {
            name if name == payload else shape.members[name].serialization.get("name", name): self._wire(
                shape.members[name], one
            )
            for name, one in tree.items()
        }

    def verdict(self, parsed: Tree) -> str:
        """Return what botocore's waiter says: "success", "failure", "retry", or "error" if it gives up."""
        for one in self.acceptors:
            if one.matcher_func(parsed):
                return str(one.state)
        return "error" if waiting.is_valid_waiter_error(parsed) else "retry"


def our_verdict(endpoint: Endpoint[Any, Any], reply: Reply) -> str:
    """Return what the definition says, in the same words; "miss" is an answer that the next poll repeats."""
    try:
        endpoint.classify(reply)
        state = endpoint.read(reply).state
    except Rejected:
        return "error"
    except TransportError:
        return "miss"
    return {State.SUCCESS: "success", State.FAILED: "failure"}.get(state, "retry")


def test_waiters_and_their_drafts_agree() -> None:
    """At least 95 % of all waiters become definitions, and these say of generated answers what the waiters say."""
    chance = random.Random(13)
    refused, converted, compared = [], 0, 0
    for name, text, service in models():
        model = ServiceModel(json.loads(service), name)
        for label, waiter in json.loads(text)["waiters"].items():
            try:
                draft = draft_waiter(text, label, service=service)
            except DefinitionError:
                refused.append(f"{name} {label}")
                continue
            converted += 1
            [endpoint] = Definition.parse(draft).endpoints.values()
            world = World(model, waiter, chance)
            for _ in range(REPLIES):
                reply, parsed = world.reply()
                try:
                    theirs = world.verdict(parsed)
                except waiting.jmespath.exceptions.JMESPathError:
                    theirs = "retry"  # the length of nothing breaks the waiter, and is no verdict
                ours = our_verdict(endpoint, reply)
                compared += 1
                agreed = {"retry", "miss"} if theirs == "retry" and reply.status >= 429 else {theirs}
                assert ours in agreed, (name, label, theirs, ours, reply, reply.json, draft)
    print(f"{converted} of {converted + len(refused)} waiters convert; {compared} answers compared")  # noqa: T201  the figure
    assert set(refused) <= NOT_A_RULE
    assert converted >= 0.95 * (converted + len(refused))
