"""What the tests of endpoints that are not built in share: an API as a definition, as Python, and a server of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server_kit import beside

from asyncpoll.definitions import Definition, DefinitionServer, simulate
from asyncpoll.simulator import Constant

ACME = """\
name = "acme.renders"
base = "https://api.acme.com/v1"
ask = "GET /renders/{id}"
cancel = "DELETE /renders/{id}"
start = { call = "POST /renders", json = { scene = "{scene}" }, ref = { id = "id" } }
status = "status"
pending = "queued"
processing = "rendering"
success = "done"
failed = "error"
cancelled = "deleted"
value = "url"
"""

MODULE = '''\
"""Endpoints in Python."""

import os

from asyncpoll import Endpoint, Snapshot, Start, State
from asyncpoll.definitions import Definition
from asyncpoll.http import AiohttpTransport, Bearer, Request

STATES = {"queued": State.PENDING, "rendering": State.PROCESSING, "done": State.SUCCESS, "error": State.FAILED}


def read(reply):
    return Snapshot(STATES[reply.json["status"]], reply.json["status"], reply.json.get("url"))


def ask(ref):
    return Request("GET", f"/renders/{ref}")


renders = Endpoint(
    "acme.renders",
    ask=ask,
    read=read,
    start=Start(lambda scene: Request("POST", "/renders", json={"scene": scene}), lambda reply, _: reply.json["id"]),
)
numbered = Endpoint(
    "acme.numbered",
    ask=lambda ref: Request("GET", f"/renders/{ref['number']}"),
    read=read,
    plain=lambda ref: ref,
    restore=lambda data: {"number": data["number"]},
)
defined = Definition.load("acme.toml")
several = Definition.of(
    {
        "name": "acme",
        "base": "https://api.acme.com/v1",
        "status": "status",
        "success": "done",
        "failed": "error",
        "endpoints": {"films": {"ask": "GET /renders/{id}"}, "stills": {"ask": "GET /stills/{id}"}},
    }
)
nothing = 7


class Acme:
    def __init__(self):
        self.endpoint = renders
        self.transport = AiohttpTransport(os.environ["ACME_URL"], auth=Bearer("own-key"))
        self.aclose = self.transport.aclose

    def job(self, number, kind="plain"):
        return renders.job(self.transport, number)
'''


@contextmanager
def serving(definition: Definition, **options: Any) -> Generator[DefinitionServer]:
    """Run the server of a definition beside the event loop that the command line opens for itself."""
    chosen: dict[str, Any] = {"pending": Constant(0), "processing": Constant(0), **options}
    with beside(lambda: simulate(definition, **chosen)) as server:
        yield server


def write_acme(directory: Path) -> None:
    """Write the definition and the module of the API."""
    (directory / "acme.toml").write_text(ACME)
    (directory / "acme_apis.py").write_text(MODULE)


def forget_modules() -> None:
    """Have the module imported anew, from the directory of the next test."""
    sys.modules.pop("acme_apis", None)
    importlib.invalidate_caches()
