"""BigModel (open.bigmodel.cn): asynchronous agents and the file parser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from asyncpoll.http import TransportSettings
from asyncpoll.http._auth import Key
from asyncpoll.http._urls import Origin, is_loopback
from asyncpoll.providers._client import NO_WORDS, Client, Words
from asyncpoll.providers.bigmodel import _agents, _file_parser
from asyncpoll.providers.bigmodel._agents import AgentRef, AgentResult, Agents, Choice, Content, Message, Usage
from asyncpoll.providers.bigmodel._file_parser import FileParser, FileParserRef, ParsedFile

if TYPE_CHECKING:
    from asyncpoll.http import Transport

__all__ = [
    "AgentRef",
    "AgentResult",
    "Agents",
    "BigModel",
    "Choice",
    "Content",
    "FileParser",
    "FileParserRef",
    "Message",
    "ParsedFile",
    "Usage",
]

_URL = "https://open.bigmodel.cn/api"


class BigModel(Client):
    """A client of BigModel. It is an async context manager.

    Args:
        key: The API key: text, or a function, plain or async, that returns it before each request.
        base_url: The address of the API. That of the international API is `https://api.z.ai/api`.
        transport: A transport to use instead of a new one. It is not closed with the client.
        name: A name for the account, which is part of the keys of its jobs.
        words: Further status words by endpoint, such as `{"bigmodel.file_parser": {"success": State.SUCCESS}}`.
        **settings: `proxy=`, `ssl=`, `insecure=` and the rest of `asyncpoll.http.TransportSettings`.

    Attributes:
        agents: Asynchronous runs of agents.
        file_parser: Files to be parsed.
    """

    provider = "bigmodel"
    key_variable = "BIGMODEL_API_KEY"
    url_variable = "BIGMODEL_BASE_URL"
    default_url = _URL

    def __init__(
        self,
        key: Key,
        *,
        base_url: str = _URL,
        transport: Transport | None = None,
        name: str | None = None,
        words: Words = NO_WORDS,
        **settings: Unpack[TransportSettings],
    ) -> None:
        super().__init__(key, base_url=base_url, transport=transport, name=name, words=words, **settings)
        self.agents = Agents(self.transport, self._adaptation.apply(_agents.ENDPOINT, _agents.STATUSES))
        self.file_parser = FileParser(
            self.transport,
            _loopback(base_url),
            settings,
            self._adaptation.apply(_file_parser.ENDPOINT, _file_parser.STATUSES),
        )


def _loopback(base_url: str) -> tuple[str, ...]:
    """Return the origin of an API on this machine, such as a simulator, whose links are trusted; else nothing."""
    origin = Origin.of(base_url)
    return (str(origin),) if is_loopback(origin.host) else ()
