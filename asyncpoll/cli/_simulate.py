"""`asyncpoll simulate`: simulated APIs in a process of their own, to try things out with."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from io import FileIO
from types import MappingProxyType
from typing import Any

from asyncpoll.cli import Exit
from asyncpoll.cli._output import note, say
from asyncpoll.clients._resolution import definition_of
from asyncpoll.definitions import Definition, DefinitionServer, simulate
from asyncpoll.definitions._catalog import variables
from asyncpoll.http._urls import is_loopback
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.simulator import Constant, Duration, LogNormal, Simulator, Uniform

_DURATIONS: Mapping[str, tuple[Duration, Duration]] = MappingProxyType(
    {  # in the queue, and at work
        "instant": (Constant(0), Constant(0)),
        "short": (Uniform(0.5, 2), LogNormal(4, 0.6)),
        "real": (LogNormal(10, 1), LogNormal(90, 0.8)),
    }
)

_CLIENTS = ((BigModel, "/api"), (Molizhishu, "/api/business/monitor"))


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ValueError: The definition cannot be used, or other machines could reach the server.
        OSError: A file cannot be used, or the port is in use.
    """
    if not (args.expose or is_loopback(args.host)):
        raise ValueError(f"other machines could reach {args.host}; if they may, add --expose")
    pending, processing = _DURATIONS[args.durations]
    where: dict[str, Any] = {"seed": args.seed, "host": args.host, "port": args.port}
    where |= {"pending": pending, "processing": processing}
    with ExitStack() as files, suppress(KeyboardInterrupt):
        definition = None if args.file is None else definition_of(args.file)
        if args.log is not None:
            where["log"] = partial(_log, files.enter_context(args.log.open("wb", buffering=0)))
        if definition is None:
            world = Simulator(**where)
            asyncio.run(_serve(world, lambda: _announce(world.url)))
            return Exit.SUCCESS
        server = simulate(definition, **where)
        asyncio.run(_serve(server, lambda: _announce_definition(args.file, definition, server.base_url)))
    return Exit.SUCCESS


def _log(file: FileIO, line: str) -> None:
    """Write a line of the log; if it cannot be written, the server goes on."""
    try:
        file.write(f"{line}\n".encode())
    except OSError as error:
        note(f"asyncpoll: a line of {file.name} is lost: {error.strerror}")


async def _serve(world: Simulator | DefinitionServer, announce: Callable[[], None]) -> None:
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows: only Ctrl-C ends it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(world)
        except OSError as error:
            raise ValueError(f"the server cannot listen: {error.strerror}; pass another --host or --port") from None
        announce()
        await stop.wait()


def _announce(url: str) -> None:
    for client, path in _CLIENTS:
        say(f"export {client.url_variable}={url}{path} {client.key_variable}=any")
    note("the simulator is running; Ctrl-C ends it")


def _announce_definition(file: str, definition: Definition, base_url: str) -> None:
    key, address = variables(definition.spec)
    say(f"export {address}={base_url}" + ("" if definition.spec.auth.scheme == "none" else f" {key}=any"))
    name, spec = next(iter(definition.spec.endpoints.items()))
    part = "#" + name.removeprefix(f"{definition.name}.") if len(definition.spec.endpoints) > 1 else ""
    note(f"try: asyncpoll wait {file}{part} {' '.join(f'{name}=1' for name in spec.required)}")
    note("the simulator is running; Ctrl-C ends it")
