"""How a client adapts the endpoints of its provider: further status words, and the name of an account.

The name becomes the field `client` of the reference as it is written down, so it is a part of the key of a job, of
`Job.to_json`, and of what a ledger stores. That is how two accounts of one provider have different jobs in one run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from asyncpoll._endpoint import Endpoint
from asyncpoll._state import State, Vocabulary

T = TypeVar("T")
Ref = TypeVar("Ref")

CLIENT = "client"
"""The field of a reference that names the client, in keys, ledgers and lines."""

Words = Mapping[str, Mapping[Any, State]]
"""Further status words: from the name of an endpoint to a mapping from words to states."""

_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def check_name(name: object) -> str | None:
    """Return the name of a client, which is None for a client without one.

    Raises:
        ValueError: It is not made of 1 to 40 lower-case letters, digits, dashes and underscores.
    """
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name)):
        return name
    raise ValueError("name must be 1 to 40 lower-case letters, digits, '-' and '_'")


@frozen
class Adaptation:
    """What a client changes in the endpoints of its provider.

    Attributes:
        name: The name of the client, or None.
        words: Further status words, by the name of the endpoint.
    """

    name: str | None = field(default=None, converter=check_name)
    words: Words = field(default=MappingProxyType({}))

    def apply(self, endpoint: Endpoint[Ref, T], statuses: Vocabulary) -> Endpoint[Ref, T]:
        """Return *endpoint*, adapted; the same object if there is nothing to change.

        Args:
            endpoint: An endpoint whose functions that read take the keyword `words`.
            statuses: Its vocabulary.

        Raises:
            TypeError: A word is not text, an integer or a boolean.
            ValueError: A word stands for two states, or something is not a state.
        """
        if self.words.get(endpoint.name):
            words = statuses.extended(self.words[endpoint.name])
            endpoint = evolve(endpoint, read=_with(endpoint.read, words))
            if endpoint.group is not None:
                group = evolve(endpoint.group, read=_with(endpoint.group.read, words))
                endpoint = evolve(endpoint, group=group)
        if self.name is not None:
            endpoint = evolve(endpoint, plain=partial(_named, endpoint.plain, self.name))
        return endpoint


def _with(read: Callable[..., Any], words: Vocabulary) -> Callable[..., Any]:
    return partial(read, words=words)


def _named(plain: Callable[[Any], Any], name: str, ref: Any) -> dict[str, Any]:
    return {**plain(ref), CLIENT: name}
