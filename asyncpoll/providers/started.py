"""The id in the answer to a submit."""

from __future__ import annotations

from collections.abc import Callable

from asyncpoll._errors import BadReply
from asyncpoll.codec import at, text_of
from asyncpoll.http._ids import segment
from asyncpoll.http._message import Reply


def started_id(reply: Reply, *path: str, check: Callable[[str, str], object] = segment) -> str:
    """Return the id at *path* of an answer, text or an integer.

    Args:
        reply: The answer.
        path: Where the id is.
        check: `segment` for an id that goes into paths, `identifier` for one that goes into bodies.

    Raises:
        BadReply: There is none, or none that could be asked about. What was submitted may be running all the same.
    """
    where = ".".join(("$", *path))
    value = text_of(at(reply.json, *path))
    if value is None:
        raise BadReply(f"the answer is malformed at {where}: an id is expected", reply=reply)
    try:
        check(where, value)
    except ValueError as problem:
        raise BadReply(f"the answer has no usable id: {problem}", reply=reply) from None
    return value
