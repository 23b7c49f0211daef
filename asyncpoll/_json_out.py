"""Write results as JSON: for the command line, the ledger, and the files that it fills."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs


def as_json_data(value: Any) -> Any:
    """Return what `json.dumps` can write in place of *value*: its `default`, for whatever results are made of.

    Classes made by attrs become objects, times ISO 8601, and all else that JSON lacks becomes text.
    """
    if attrs.has(type(value)):
        return {one.name: getattr(value, one.name) for one in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def json_line(data: Any, *, ascii_only: bool = False) -> str:
    """Return *data* as one line of JSON in which nothing is left that a terminal would obey.

    Args:
        data: Whatever results are made of; see `as_json_data`.
        ascii_only: Escape every character that is not ASCII, for a stream that takes no other.
    """
    text = json.dumps(data, ensure_ascii=ascii_only, default=as_json_data)
    # What is not printable can only be inside a string, where an escape means the same.
    return (
        text if text.isprintable() else "".join(mark if mark.isprintable() else json.dumps(mark)[1:-1] for mark in text)
    )
