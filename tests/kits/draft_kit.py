"""Documents to draft definitions from, and what a draft says."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from asyncpoll.definitions import Definition, draft_openapi

PATH = "/renders/{renderId}"

Table = dict[str, Any]


def words(*listed: Any, **more: Any) -> Table:
    """Return the schema of a status."""
    return {"type": "string", "enum": list(listed), **more}


def shape(**properties: Any) -> Table:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties}


def answer(schema: Table, **more: Any) -> Table:
    """Return a response in JSON."""
    return {"description": "", "content": {"application/json": {"schema": schema, **more}}}


def parameter(name: str, where: str = "path", **schema: Any) -> Table:
    """Return a parameter that is required."""
    return {"name": name, "in": where, "required": True, "schema": {"type": "string", **schema}}


def document(schema: Table, *, path: str = PATH, method: str = "get", **operation: Any) -> Table:
    """Return an OpenAPI document with one operation whose answer has a schema."""
    operation = {"parameters": [], "responses": {"200": answer(schema)}, **operation}
    return {
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.acme.com/v1/"}],
        "security": [{"key": []}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}, "schemas": {}},
        "paths": {path: {method: operation}},
    }


def drafted(given: Table, path: str = PATH, method: str | None = None) -> tuple[Table, str]:
    """Return a draft as the table that it is, and its text. It is checked to be a definition."""
    text = draft_openapi(json.dumps(given), path=path, method=method)
    assert Definition.parse(text).endpoints
    return tomllib.loads(text), text


def draft_of(schema: Table, **options: Any) -> tuple[Table, str]:
    """Return the draft for an answer with a schema."""
    return drafted(document(schema, **options), options.get("path", PATH))


def comment(text: str, key: str) -> str:
    """Return the comment behind a key of a draft, or ""."""
    line = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
    return line.partition("  # ")[2]
