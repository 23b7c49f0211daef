"""aioresponses 0.7.9 with aiohttp 3.14, which it does not know yet.

Since aiohttp 3.14 a response is made with the stream that its request was written to, and its reader is asked for
more room than aioresponses gives it. Both are mended here, for this very version and only as long as aiohttp wants
that stream: a repaired release is left alone.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aioresponses import aioresponses, core

_ROOM = 1 << 26

NEEDED = version("aioresponses") == "0.7.9" and "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters


class _Sent:
    output_size = 0


class _Response(aiohttp.ClientResponse):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **{"stream_writer": _Sent(), **named})


def _reader(loop: asyncio.AbstractEventLoop) -> aiohttp.StreamReader:
    return aiohttp.StreamReader(ResponseHandler(loop=loop), limit=_ROOM, loop=loop)


@contextmanager
def wire() -> Generator[aioresponses]:
    """Catch every request of aiohttp's clients where it would go out; what is caught is in `.requests`."""
    with pytest.MonkeyPatch.context() as patch:
        if NEEDED:
            patch.setattr(core, "ClientResponse", _Response)
            patch.setattr(core, "stream_reader_factory", _reader)
        with aioresponses() as caught:
            yield caught
