"""Jobs as text: what `Job.to_json` writes, and `job_from_json` reads; and references as they are shown."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import attrs

TOKEN_VERSION = 1

_LONGEST_SHOWN = 200

_SUBMITTED_AT, _PACING = "submitted_at", "pacing"


_MARKS = {_SUBMITTED_AT, _PACING}


def as_plain(ref: Any) -> Any:
    """Return a reference as JSON data, for `Job.key` and `Job.to_json`."""
    return ref if isinstance(ref, str) or not attrs.has(type(ref)) else attrs.asdict(ref)


def as_text_alone(data: Any) -> Any:
    """Return a reference that is text; without `Endpoint.restore`, no other can be made from JSON data.

    Raises:
        ValueError: It is not text.
    """
    if isinstance(data, str):
        return data
    raise ValueError("a reference that is not text can be made again only by Endpoint(restore=...); give it")


def read_token(text: str) -> tuple[str, Any]:
    """Return the name of the endpoint and the reference as JSON data that `Job.to_json` wrote.

    Raises:
        ValueError: The text was not written by it, or in another version.
    """
    try:
        token = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("this is not a job written by to_json(): it is not JSON") from None
    match token:
        case {"version": int(version), "endpoint": str(endpoint), "ref": ref, **rest} if rest.keys() <= _MARKS:
            pass
        case _:
            raise ValueError("this is not a job written by to_json(): version, endpoint and ref are expected")
    if version != TOKEN_VERSION:
        raise ValueError(f"the job was written in version {version}; this one reads version {TOKEN_VERSION}")
    return endpoint, ref


def token_marks(text: str) -> tuple[float | None, str | None]:
    """Return what a valid token tells beside the reference: the Unix time of the submit, and `Job.pacing`.

    Raises:
        ValueError: The one is not a time of the past, or the other is not text.
    """
    token = json.loads(text)
    at, pacing = token.get(_SUBMITTED_AT), token.get(_PACING)
    if not isinstance(pacing, str | None):
        raise ValueError(f"the job has an unusable {_PACING}: text is expected")  # noqa: TRY004  as all bad tokens
    if at is None:
        return None, pacing
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 < at < math.inf:
        raise ValueError(f"the job has an unusable {_SUBMITTED_AT}: Unix time in seconds is expected")
    return min(float(at), datetime.now(UTC).timestamp()), pacing


def write_token(endpoint: str, ref: Any, submitted_at: float | None = None, pacing: str | None = None) -> str:
    """Return the text for a job.

    Args:
        endpoint: The name of its endpoint.
        ref: Its reference as JSON data.
        submitted_at: The Unix time of its submit, if that is known.
        pacing: What predicts its duration, if the reference does not tell.
    """
    known: dict[str, Any] = {} if submitted_at is None else {_SUBMITTED_AT: round(submitted_at, 3)}
    known |= {} if pacing is None else {_PACING: pacing}
    return json.dumps({"version": TOKEN_VERSION, "endpoint": endpoint, "ref": ref, **known}, ensure_ascii=False)


def shown_ref(ref: Any) -> str:
    """Return a reference as it is shown, at most 200 characters."""
    if not attrs.has(type(ref)):
        return repr(ref)[:_LONGEST_SHOWN]
    given = [(one.name, getattr(ref, one.name)) for one in attrs.fields(type(ref))]
    return " ".join(f"{name}={value!r}" for name, value in given if value is not None)[:_LONGEST_SHOWN]
