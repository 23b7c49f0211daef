"""Read one operation out of an OpenAPI document: OpenAPI 3, Swagger 2, or the dialect of Mintlify's pages."""

from __future__ import annotations

import difflib
from datetime import date
from typing import Any

from attrs import field, frozen

from asyncpoll.definitions._spots import DefinitionError

_MOST_STEPS = 20_000
_DEEPEST = 12
_METHODS = ("get", "post", "put", "patch", "delete")
_MIXED = ("allOf", "anyOf", "oneOf", "schemaArray")

Table = dict[str, Any]


def table(value: object) -> Table:
    """Return *value* if it is a table, with its keys as text, else an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """Return *value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


class Document:
    """A document whose local references are followed, within a bound on all that is read of it.

    Args:
        root: The document.
        source: What to call it in messages.
    """

    def __init__(self, root: Table, source: str) -> None:
        self.root = _standard(root)
        self.source = source
        self._steps = 0

    def fault(self, message: str) -> DefinitionError:
        """Return the error that says what is wrong with the document."""
        return DefinitionError(message, source=self.source)

    def follow(self, node: object) -> Table:
        """Return a table, or the one that its `$ref` leads to inside of the document; an empty one if there is none."""
        while True:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise self.fault("its references are too many or lead in a circle; draft from a smaller document")
            here = table(node)
            target = here.get("$ref")
            if not isinstance(target, str):
                return here
            node = self.root if target.startswith("#/") else None
            for key in target[2:].split("/"):
                node = table(node).get(key.replace("~1", "/").replace("~0", "~"))

    def schema(self, node: object, depth: int = 0) -> Table:
        """Return a schema, with all schemas that it is mixed of merged into it."""
        here = self.follow(node)
        mixed = [part for key in _MIXED for part in items(here.get(key))] if depth < _DEEPEST else []
        merged: Table = {"properties": {}, "required": [], "enum": [], "type": None}
        for part in [*(self.schema(part, depth + 1) for part in mixed), here]:
            required = [*items(part.get("required")), *items(part.get("requiredProperties"))]
            words = [*merged["enum"], *items(part.get("enum")), *([part["const"]] if "const" in part else [])]
            words = [str(word) if isinstance(word, date) else word for word in words]  # YAML makes one of a version
            merged = {
                **merged,
                **part,
                "properties": {**merged["properties"], **table(part.get("properties"))},
                "required": list(dict.fromkeys([*merged["required"], *map(str, required)])),
                "type": next((kind for kind in _listed(part.get("type", merged["type"])) if kind != "null"), None),
                "enum": list({(type(word), word): word for word in words if isinstance(word, str | int)}.values()),
            }
        return merged

    def content(self, node: object) -> tuple[Table, object]:
        """Return the schema of the JSON body of a request or an answer, and an example of it or None."""
        here = self.follow(node)
        kinds = table(here.get("content")) or {"json": here}  # of Swagger 2
        kind = self.follow(next((kinds[name] for name in sorted(kinds) if "json" in name), None))
        examples = [table(example).get("value") for example in table(kind.get("examples")).values()]
        return self.schema(kind.get("schema", kind)), kind.get("example", next(iter(examples), None))


def _standard(root: Table) -> Table:
    """Return the document as OpenAPI 3, if it is in the dialect of Mintlify's pages."""
    only = table(table(root).get("paths"))
    if not isinstance(only.get("path"), str):
        return table(root)
    request = table(only.get("request"))
    first = table(next(iter(items(request.get("security"))), None))
    schemes = {
        name: {"in": place, "name": name, **table(scheme)}
        for place, named in table(first.get("parameters")).items()
        for name, scheme in table(named).items()
    }
    parameters = [
        {"name": name, "in": place, "required": kinds[0].get("required"), "schema": {"allOf": kinds}}
        for place, named in table(request.get("parameters")).items()
        for name, one in table(named).items()
        if (kinds := [table(kind) for kind in items(table(one).get("schema"))])
    ]
    operation = {
        **only,
        "parameters": parameters,
        "requestBody": {"content": request.get("body")},
        "responses": {status: {"content": kinds} for status, kinds in table(only.get("response")).items()},
        "security": [schemes],
    }
    paths = {only["path"]: {str(only.get("method", "get")).lower(): operation}}
    return {"paths": paths, "components": {"securitySchemes": schemes}}


@frozen
class Operation:
    """One operation of a document.

    Attributes:
        document: The document.
        method: The HTTP method, in lower case.
        path: The path, as the document writes it.
        item: What stands at the path.
        raw: What stands at the method.
    """

    document: Document
    method: str
    path: str
    item: Table = field(repr=False)
    raw: Table = field(repr=False)

    @classmethod
    def find(cls, document: Document, path: str, method: str | None = None) -> Operation:
        """Return the operation at *path*.

        Raises:
            DefinitionError: There is none, or it has no such method. The message lists what there is.
        """
        paths = table(document.root.get("paths"))
        if path not in paths:
            near = difflib.get_close_matches(path, paths, 5, 0.3) or sorted(paths)[:5]
            raise document.fault(
                f"there is no path {path!r}; write one of: {', '.join(near) or '(it has none at all)'}"
            )
        item = document.follow(paths[path])
        methods = [name for name in _METHODS if isinstance(item.get(name), dict)]
        chosen = (method or next(iter(methods), "")).lower()
        if chosen not in methods:
            raise document.fault(f"{path} has no such method; write one of: {', '.join(methods) or '(it has none)'}")
        return cls(document, chosen, path, item, table(item[chosen]))

    @property
    def base(self) -> str | None:
        """Return the address of the server, with the defaults of its variables filled in."""
        root = self.document.root
        servers = [server for node in (self.raw, self.item, root) for server in items(node.get("servers"))]
        server = table(next(iter(servers), None))
        address = str(
            server.get("url") or (f"https://{root['host']}{root.get('basePath', '')}" if "host" in root else "")
        )
        for name, variable in table(server.get("variables")).items():
            address = address.replace(f"{{{name}}}", str(table(variable).get("default", name)))
        return address.rstrip("/") or None

    @property
    def auth(self) -> str | Table | None:
        """Return what `auth` says for the first way to sign in, or None if the document does not say."""
        root = self.document.root
        known = table(table(root.get("components")).get("securitySchemes")) | table(root.get("securityDefinitions"))
        names = [name for one in items(self.raw.get("security", root.get("security"))) for name in table(one)]
        scheme = self.document.follow(known.get(next(iter(names), "")))
        kind, detail = str(scheme.get("type")).lower(), str(scheme.get("scheme")).lower()
        if kind == "apikey" and str(scheme.get("in")) in {"header", "query"}:
            return {str(scheme["in"]): str(scheme.get("name"))}
        if "basic" in {kind, detail}:
            return "basic"
        return "bearer" if kind in {"http", "oauth2", "openidconnect"} else None

    @property
    def parameters(self) -> list[Table]:
        """Return the parameters that it needs, each with its schema."""
        given = [self.document.follow(one) for node in (self.item, self.raw) for one in items(node.get("parameters"))]
        named = {(str(one.get("name")), str(one.get("in"))): one for one in given}
        return [
            {"name": name, "in": place, "schema": self.document.schema(one.get("schema", {**one, "required": None}))}
            for (name, place), one in named.items()
            if one.get("required") is True and place in {"path", "query", "header"}
        ]

    @property
    def body(self) -> Table:
        """Return the schema of the JSON body that it sends."""
        given = [self.document.follow(one) for node in (self.item, self.raw) for one in items(node.get("parameters"))]
        body = [one for one in given if one.get("in") == "body"]
        return self.document.content(next(iter(body), self.raw.get("requestBody")))[0]

    def answer(self, *statuses: str) -> tuple[Table, object]:
        """Return schema and example of the first of these answers that the document describes."""
        answers = table(self.raw.get("responses"))
        described = (self.document.content(answers[status]) for status in statuses if status in answers)
        return next((found for found in described if found[0]["properties"]), (self.document.schema(None), None))
