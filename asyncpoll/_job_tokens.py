"""Jobs as text: what `Job.to_json` writes, and `job_from_json` reads."""

from __future__ import annotations

import json
from typing import Any

import attrs

TOKEN_VERSION = 1


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
        case {"version": int(version), "endpoint": str(endpoint), "ref": ref, **rest} if not rest:
            pass
        case _:
            raise ValueError("this is not a job written by to_json(): version, endpoint and ref are expected")
    if version != TOKEN_VERSION:
        raise ValueError(f"the job was written in version {version}; this one reads version {TOKEN_VERSION}")
    return endpoint, ref


def write_token(endpoint: str, ref: Any) -> str:
    """Return the text for a job, given the name of its endpoint and its reference as JSON data."""
    return json.dumps({"version": TOKEN_VERSION, "endpoint": endpoint, "ref": ref}, ensure_ascii=False)
