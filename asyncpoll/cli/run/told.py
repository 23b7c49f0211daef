"""What a line says: which endpoint, and what about it."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from asyncpoll.cli.access import client_of
from asyncpoll.cli.run.lines import Bad, Named
from asyncpoll.providers._client import CLIENT, Client, check_name


@frozen
class Told:
    """What a line says.

    Attributes:
        endpoint: The name of the endpoint.
        kind: The class of client that has it.
        content: What is said about it: a reference, or the arguments of a submit.
        client: The name of the client, or None.
    """

    endpoint: str
    kind: type[Client]
    content: dict[str, Any]
    client: str | None = None


def told_of(line: Named, member: str, complaint: str) -> Told | Bad:
    """Return what a line says, or what is wrong with it.

    Args:
        line: The line.
        member: The name of the member that has the content.
        complaint: What to say of a line that has not both.
    """
    endpoint, content = line.data.get("endpoint"), line.data.get(member)
    if not (isinstance(endpoint, str) and isinstance(content, dict)):
        return Bad(line.number, complaint)
    try:
        client = check_name(content.get(CLIENT))
        return Told(endpoint, client_of(endpoint), {name: content[name] for name in content if name != CLIENT}, client)
    except ValueError as problem:
        return Bad(line.number, str(problem))
