"""`asyncpoll demo`: many jobs over three APIs and real HTTP, awaited at once and checked against the truth."""

from __future__ import annotations

import argparse
import asyncio
import logging

from asyncpoll.cli.demo.play import Oracle, play
from asyncpoll.cli.demo.scene import Scene
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.output import say
from asyncpoll.simulator import Simulator

__all__ = ["run"]


def run(args: argparse.Namespace, oracle: Oracle = Simulator.truth) -> int:
    """Play the demo, and say whether every outcome is the truth, which the oracle knows."""
    logging.getLogger("asyncpoll").addHandler(logging.NullHandler())  # the report says what would be warned about
    return asyncio.run(_show(Scene(args.jobs, args.seed, args.pace), oracle, plain=args.plain))


async def _show(scene: Scene, oracle: Oracle, *, plain: bool) -> Exit:
    report = await play(scene, plain=plain, oracle=oracle)
    for line in report.lines():
        say(line)
    return Exit.FAILED if report.problems() else Exit.SUCCESS
