"""From results to the text that is stored: JSON that every reader accepts, without secrets in links."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from asyncpoll._errors import LedgerError
from asyncpoll._json_out import as_json_data
from asyncpoll.http._secrets import masked, printable
from asyncpoll.ledger._records import OutcomeInput

_encode_exactly = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_json_data).encode
_LONGEST_REASON = 1000
MOST_META = 65_536
"""The most characters of the JSON text of the meta of a job."""

_LONGEST_PROBLEM = 200
_LONGEST_KEY = 200


def outcome_columns(outcome: OutcomeInput, *, ended_at: float, links: bool) -> tuple[Any, ...]:
    """Return the columns of an outcome that are stored, from `state` to `value`.

    Raises:
        LedgerError: As `json_text`.
    """
    return (
        clean_text(outcome.state),
        clean_text(outcome.status),
        _short(outcome.reason, links=links),
        _short(outcome.code, links=links),
        outcome.error,
        int(outcome.polls),
        float(outcome.waited),
        None if outcome.running is None else float(outcome.running),
        outcome.kind,
        ended_at,
        json_text(outcome.value, links=links),
    )


def described(outcome: OutcomeInput, error: LedgerError) -> OutcomeInput:
    """Return *outcome* with a description in place of its value, which JSON cannot hold, as *error* says."""
    problem = printable(str(error.__cause__ or error), _LONGEST_PROBLEM)
    name = printable(type(outcome.value).__name__, _LONGEST_PROBLEM)
    reason = f"the result, a {name}, cannot be stored as JSON: {problem}"
    if outcome.reason:
        reason = f"{reason}; {outcome.reason}"
    return evolve(outcome, value={"type": name, "problem": problem}, reason=reason)


def meta_text(meta: Mapping[str, Any], key: str, *, links: bool) -> str:
    """Return the data of the caller's own that belong to the job with this *key* as JSON text.

    Raises:
        LedgerError: JSON cannot hold them, or they take more than 64 KiB; the kind is "value".
    """
    text = json_text(dict(meta), links=links)
    if len(text) > MOST_META:
        raise LedgerError(
            f"the meta of {key:.200} takes more than {MOST_META >> 10} KiB; keep a key to it", kind="value"
        )
    return text


def json_text(data: Any, *, links: bool) -> str:
    """Return *data* as JSON text that can be stored anywhere.

    Args:
        data: Any result. A number that is not finite becomes null, half a surrogate pair U+FFFD.
        links: Keep keys, signatures and user names in links; otherwise they are masked.

    Raises:
        LedgerError: JSON cannot hold it, such as a table with tuples for keys; the kind is "value".
    """
    try:
        text = _dump(data)
        if not links and _may_have_links(text):
            text = _dump(_mapped(json.loads(text), masked))
    except MemoryError:
        raise
    except Exception as error:
        raise LedgerError(
            f"a {type(data).__name__} cannot be stored as JSON; let the endpoint read text, numbers, lists, tables "
            "with text for keys, or attrs classes of these",
            kind="value",
        ) from error
    return text


def clean_text(text: str) -> str:
    """Return *text* with surrogates joined into the characters they stand for, half a pair as U+FFFD."""
    return str(text) if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def exact_text(ref: Any, key: str) -> str:
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
            f"the job {printable(key, _LONGEST_KEY)!r} cannot be stored; its reference must be JSON data in "
            "well-formed text, as its endpoint's `plain` makes it",
            kind="value",
        )
    return text


def _short(text: str | None, *, links: bool) -> str | None:
    if text is None:
        return None
    if not links:
        text = printable(text, _LONGEST_REASON)
    return clean_text("".join(mark if mark.isprintable() else " " for mark in text[:_LONGEST_REASON]))


def _dump(data: Any) -> str:
    try:
        text = _encode(data)
    except ValueError:
        text = _encode(_finite(json.loads(json.dumps(data, default=as_json_data))))
    return clean_text(text)


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
