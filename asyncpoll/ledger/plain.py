"""From results to the text that is stored: JSON that every reader takes, without secrets in links."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from asyncpoll._errors import LedgerError
from asyncpoll._json_out import as_json_data
from asyncpoll.http._secrets import masked, printable
from asyncpoll.ledger.records import Ending

_encode_exactly = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_json_data).encode
_LONGEST_REASON = 1000
_LONGEST_KEY = 200


def columns_of(ending: Ending, *, ended_at: float, links: bool) -> tuple[Any, ...]:
    """Return what is stored of an outcome: the columns from `state` to `value`.

    Raises:
        LedgerError: As `as_text`.
    """
    return (
        sound(ending.state),
        sound(ending.status),
        _short(ending.reason, links=links),
        _short(ending.code, links=links),
        ending.error,
        int(ending.polls),
        float(ending.waited),
        None if ending.running is None else float(ending.running),
        ended_at,
        as_text(ending.value, links=links),
    )


def as_text(data: Any, *, links: bool) -> str:
    """Return *data* as JSON text that can be stored anywhere.

    Args:
        data: Whatever results are made of. A number that is not finite becomes null, half a surrogate pair U+FFFD.
        links: Keep keys and signatures in links, and user names; otherwise they are masked.

    Raises:
        LedgerError: JSON cannot hold it, such as a table with tuples for keys; the kind is "value".
    """
    try:
        text = _dump(data)
        if not links and _may_have_links(text):
            text = _dump(_mapped(json.loads(text), masked))
    except (TypeError, ValueError, RecursionError):
        raise LedgerError(
            f"a {type(data).__name__} cannot be stored as JSON; let the endpoint read text, numbers, lists, tables "
            "with text for keys, or attrs classes of these",
            kind="value",
        ) from None
    return text


def sound(text: str) -> str:
    """Return *text* with surrogates joined into the characters they stand for, half a pair as U+FFFD."""
    return str(text) if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _short(text: str | None, *, links: bool) -> str | None:
    if text is None:
        return None
    if not links:
        text = printable(text, _LONGEST_REASON)
    return sound("".join(mark if mark.isprintable() else " " for mark in text[:_LONGEST_REASON]))


def _dump(data: Any) -> str:
    try:
        text = _encode(data)
    except ValueError:
        text = _encode(_finite(json.loads(json.dumps(data, default=as_json_data))))
    return sound(text)


def _may_have_links(text: str) -> bool:
    return ("=" in text and ("?" in text or "&" in text)) or ("//" in text and "@" in text)


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    """Return JSON data with every text changed, but for the names of members."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, list):
        return [_mapped(one, change) for one in data]
    return {name: _mapped(one, change) for name, one in data.items()} if isinstance(data, dict) else data


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, list):
        return [_finite(one) for one in data]
    return {name: _finite(one) for name, one in data.items()} if isinstance(data, dict) else data


def exactly(ref: Any, key: str) -> str:
    """Return the reference of the job with this *key* as JSON text from which the very same job can be made again.

    Raises:
        LedgerError: JSON cannot hold it as it is, or the key is not plain text; the kind is "value".
    """
    try:
        text = _encode_exactly(ref)
        f"{key}{text}".encode()
    except (TypeError, ValueError, RecursionError):  # half a surrogate pair is a ValueError, too
        text = "\0"
    if "\0" in key or "\0" in text:
        raise LedgerError(
            f"the job {printable(key, _LONGEST_KEY)!r} cannot be written down; its reference must be JSON data in "
            "proper text, as its endpoint's `plain` makes it",
            kind="value",
        )
    return text
