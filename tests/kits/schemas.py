"""The vendors' documents as JSON Schemas, for what a client may send and what a server may answer.

The documents lie in `tests/seeds` as data: two in the dialect of OpenAPI that their site exports, one as the tables and
the example of a manual page. `DOCUMENTS` are their names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

Schema = dict[str, Any]

DOCUMENTS = ("agents_async_result", "file_parser_result", "subtask_result")

_SEEDS = Path(__file__).parents[1] / "seeds"
_TABLE_TYPES = {"String": "string", "Integer": "integer", "Long": "integer", "Array": "array", "Object": "object"}
_PLAIN = ("type", "enum", "format")


def request_schema(document: str) -> Schema:
    """Return the schema of what the caller supplies: the JSON body, or an object of the path parameters."""
    seed = _load(document)
    if "fields" in seed:
        return _object({each["name"]: _typed(each["type"]) for each in seed["parameters"]}, list(_names(seed)))
    request = seed["paths"]["request"]
    if request["body"]:
        return _schema(request["body"]["application/json"]["schemaArray"][0])
    path = request["parameters"]["path"]
    return _object({name: _schema(each["schema"][0]) for name, each in path.items()}, list(path))


def request_example(document: str) -> dict[str, Any]:
    """Return what the document sends as an example: the JSON body, or an object of the path parameters."""
    seed = _load(document)
    if "fields" in seed:
        return {"taskId": "5a85cdd0ed9249cfb69daaeca2b91a09", "subTaskId": seed["example"]["data"]["subTaskId"]}
    request = seed["paths"]["request"]
    if request["body"]:
        return dict(request["body"]["application/json"]["examples"]["example"]["value"])
    return {name: each["schema"][0]["example"] for name, each in request["parameters"]["path"].items()}


def response_schema(document: str, *, closed: bool = False) -> Schema:
    """Return the schema of a good answer; a *closed* one refuses every field that the document does not name."""
    seed = _load(document)
    schema = _envelope(seed["fields"]) if "fields" in seed else _schema(_answer(seed, "200")["schemaArray"][0])
    return _closed(schema) if closed else schema


def error_schema(document: str) -> Schema:
    """Return the schema of an answer that is an error."""
    seed = _load(document)
    if "fields" not in seed:
        return {**_schema(_answer(seed, "default")["schemaArray"][0]), "required": ["error"]}
    fields = {"success": {"const": False}, "code": {"type": "integer"}, "message": {"type": "string"}}
    return _object({**fields, "data": {"type": "null"}}, list(fields))


def example(document: str) -> Any:
    """Return the good answer that the document gives as an example."""
    seed = _load(document)
    return seed["example"] if "fields" in seed else _answer(seed, "200")["examples"]["example"]["value"]


def words(document: str) -> tuple[str, ...]:
    """Return the status words that the document lists."""
    seed = _load(document)
    if "fields" in seed:
        return tuple(seed["states"])
    return tuple(response_schema(document)["properties"]["status"]["enum"])


def check(instance: Any, schema: Schema) -> None:
    """Raise a `jsonschema.ValidationError` unless the instance obeys the schema."""
    Draft202012Validator(schema).validate(instance)


@cache
def _load(document: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((_SEEDS / f"{document}.yaml").read_text("utf-8"))
    return loaded


def _answer(seed: dict[str, Any], status: str) -> dict[str, Any]:
    answer: dict[str, Any] = seed["paths"]["response"][status]["application/json"]
    return answer


def _names(seed: dict[str, Any]) -> tuple[str, ...]:
    return tuple(each["name"] for each in seed["parameters"])


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _schema(node: Schema) -> Schema:
    """Turn one node of the OpenAPI dialect into JSON Schema: `allOf` of one, `nullable`, `requiredProperties`."""
    if "allOf" in node:
        [node] = node["allOf"]
    schema = {key: node[key] for key in _PLAIN if key in node}
    if schema["type"].startswith("enum<"):
        schema["type"] = schema["type"].removeprefix("enum<").removesuffix(">")
    if node.get("nullable"):
        schema["type"] = [schema["type"], "null"]
    if "properties" in node:
        schema["properties"] = {name: _schema(each) for name, each in node["properties"].items()}
    if "items" in node:
        schema["items"] = _schema(node["items"])
    # Where the dialect lists `requiredProperties` it also says `required: true`, which is no list.
    required = node.get("requiredProperties", node.get("required"))
    return {**schema, "required": required} if isinstance(required, list) else schema


def _typed(name: str) -> Schema:
    return {"type": _TABLE_TYPES[name]}


def _envelope(fields: list[dict[str, str]]) -> Schema:
    """Return the schema of the manual's envelope around a table of fields, each of which may be null."""
    data = _object({}, ["subTaskId", "status"])
    for each in fields:
        parent, _, child = each["name"].replace("[]", "").rpartition(".")
        leaf = {"type": [_TABLE_TYPES[each["type"]], "null"]}
        if not parent:
            data["properties"][child] = leaf
        elif "[]" in each["name"]:
            data["properties"][parent].setdefault("items", _object({}, []))["properties"][child] = leaf
        else:
            data["properties"][parent].setdefault("properties", {})[child] = leaf
    fixed = {"success": {"const": True}, "code": {"const": 200}, "message": {"type": "string"}, "data": data}
    return _object(fixed, list(fixed))


def _closed(schema: Schema) -> Schema:
    """Return the schema with every object that names its fields closed to others."""
    inner = {
        key: {name: _closed(each) for name, each in value.items()} if key == "properties" else _closed(value)
        for key, value in schema.items()
        if key in {"properties", "items"}
    }
    return {**schema, **inner, **({"additionalProperties": False} if "properties" in schema else {})}
