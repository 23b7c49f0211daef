"""Write JSON: the keys of jobs, and results for the command line, the ledger, and the files that it fills."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical_json(data: Any) -> str:
    """Return JSON data as text that is the same for equal data, such as the key of a job."""
    return _canonical(data)


def as_json_data(value: Any) -> Any:
    """Return a value that `json.dumps` can write in place of *value*. This is a `default` for `json.dumps`.

    Instances of attrs classes become objects, times become ISO 8601, bytes become base64, and all other values become
    text.
    """
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if attrs.has(type(value)):
        return {one.name: getattr(value, one.name) for one in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def json_line(data: Any, *, ascii_only: bool = False) -> str:
    """Return *data* as one line of JSON without characters that control a terminal.

    Args:
        data: JSON data, or values that `as_json_data` accepts.
        ascii_only: Whether to escape all characters that are not ASCII, for a stream that cannot write them.
    """
    text = json.dumps(data, ensure_ascii=ascii_only, default=as_json_data)
    # A character that is not printable can only be inside a string, where an escape means the same.
    return (
        text if text.isprintable() else "".join(mark if mark.isprintable() else json.dumps(mark)[1:-1] for mark in text)
    )
