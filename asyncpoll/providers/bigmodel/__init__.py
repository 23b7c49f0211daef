"""BigModel (open.bigmodel.cn): asynchronous agents and the file parser."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from asyncpoll.http.link import Origin
from asyncpoll.providers.bigmodel.agent_result import AgentResult, Choice, Content, Message, Usage
from asyncpoll.providers.bigmodel.agents import AgentRef, Agents
from asyncpoll.providers.bigmodel.file_parser import FileParser, FileParserRef, ParsedFile
from asyncpoll.providers.client import Client

if TYPE_CHECKING:
    from asyncpoll.http.message import Transport

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
    """A client of BigModel, an async context manager.

    Args:
        api_key: The API key.
        base_url: Where the API is; `https://api.z.ai/api` is its international sister.
        transport: What to send over instead; it is not closed with the client.

    Attributes:
        agents: Asynchronous runs of agents.
        file_parser: Files to be parsed.
    """

    provider = "bigmodel"
    key_variable = "BIGMODEL_API_KEY"
    url_variable = "BIGMODEL_BASE_URL"
    default_url = _URL

    def __init__(self, api_key: str, *, base_url: str = _URL, transport: Transport | None = None) -> None:
        super().__init__(api_key, base_url=base_url, transport=transport)
        self.agents = Agents(self.transport)
        self.file_parser = FileParser(self.transport, _loopback(base_url))


def _loopback(base_url: str) -> tuple[str, ...]:
    """Return the origin of an API on this machine, such as a simulator, whose links lead to itself; or nothing."""
    origin = Origin.of(base_url)
    try:
        local = origin.host == "localhost" or ip_address(origin.host).is_loopback
    except ValueError:
        local = False
    return (str(origin),) if local else ()
