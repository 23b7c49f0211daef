"""`asyncpoll simulate`: the simulated APIs in a process of their own, to try things out with."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from asyncpoll.cli import Exit
from asyncpoll.cli._output import note, say
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
    """Serve until Ctrl-C or SIGTERM."""
    if not (args.expose or is_loopback(args.host)):
        raise ValueError(f"other machines could reach {args.host}; if they may, add --expose")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(args))
    return Exit.SUCCESS


async def _serve(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows: only Ctrl-C ends it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pending, processing = _DURATIONS[args.durations]
    world = Simulator(args.seed, host=args.host, port=args.port, pending=pending, processing=processing)
    async with world:
        _announce(world.url)
        await stop.wait()


def _announce(url: str) -> None:
    for client, path in _CLIENTS:
        say(f"export {client.url_variable}={url}{path} {client.key_variable}=any")
    note("the simulator is running; Ctrl-C ends it")
