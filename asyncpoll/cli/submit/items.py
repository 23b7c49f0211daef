"""What a line says is to be submitted, and how that is told from everything else."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from asyncpoll._endpoint import Job
from asyncpoll.cli.run.clients import Clients
from asyncpoll.cli.run.lines import Bad, Named
from asyncpoll.cli.run.told import told_of
from asyncpoll.providers._client import CLIENT

IDEMPOTENCY_KEYS: Mapping[str, str] = MappingProxyType({"molizhishu.tasks": "consumer_task_id"})
"""From the name of an endpoint to the argument with which its API tells a repeated submit from a new one."""


@frozen
class Item:
    """Something that is to be submitted.

    Attributes:
        line: The number of the line that says so.
        key: What tells it from all others: what its line says, and how often that was said before.
        endpoint: The name of its endpoint.
        start: Starts its job.
        arguments: What it is started with.
    """

    line: int
    key: str
    endpoint: str
    start: Callable[..., Awaitable[Job[Any]]] = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)

    @property
    def takes_token(self) -> bool:
        """Whether it may be sent again under the same idempotency key without a second job."""
        return self.endpoint in IDEMPOTENCY_KEYS

    def under(self, token: str | None) -> Mapping[str, Any]:
        """Return the arguments with an idempotency key among them; the one that the line gives goes before *token*."""
        if not self.takes_token or self._own_token is not None:
            return self.arguments
        return {**self.arguments, IDEMPOTENCY_KEYS[self.endpoint]: token}

    @property
    def _own_token(self) -> Any:
        return self.arguments.get(IDEMPOTENCY_KEYS[self.endpoint])


@define
class Items:
    """Makes items of lines.

    Attributes:
        clients: Where jobs are started.
    """

    clients: Clients
    _said: Counter[str] = field(factory=Counter, init=False)

    def read(self, line: Named | Bad) -> Item | Bad:
        """Return what a line says is to be submitted, or what is wrong with it.

        Raises:
            ValueError: There is no key for its endpoint, or the key or the address is unusable.
        """
        if isinstance(line, Bad):
            return line
        told = told_of(line, "submit", 'an item has an "endpoint" (text) and a "submit" (object)')
        if isinstance(told, Bad):
            return told
        endpoint, kind, arguments = told.endpoint, told.kind, told.content
        door = getattr(self.clients.open(kind, told.client), endpoint.removeprefix(f"{kind.provider}."))
        start = getattr(door, "start", None)
        if start is None:
            return Bad(line.number, f"jobs of {endpoint} are not started on their own")
        try:
            inspect.signature(start).bind(**arguments)
        except TypeError as problem:
            return Bad(line.number, f"start of {endpoint}: {problem}")
        said = arguments if told.client is None else {**arguments, CLIENT: told.client}
        return Item(line.number, self._key(endpoint, said), endpoint, start, arguments)

    def _key(self, endpoint: str, arguments: dict[str, Any]) -> str:
        content = json.dumps([endpoint, arguments], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(content.encode()).hexdigest()
        self._said[digest] += 1
        return f"{digest}:{self._said[digest]}"
