"""`asyncpoll submit`: start many jobs, each at most once, whatever becomes of the process or of the answers.

An item is written down before it is sent. One whose answer was lost may run or not: it is named and left alone, unless
its API takes an idempotency key; then it is sent again under the same one.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from asyncpoll._atomic_file import replacing
from asyncpoll.cli.access import settings_of
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.output import note
from asyncpoll.cli.run.clients import Clients
from asyncpoll.cli.run.complaints import Complaints
from asyncpoll.cli.run.feed import Feed
from asyncpoll.cli.run.lines import Bad, Lines, read_objects
from asyncpoll.cli.run.source import reading
from asyncpoll.cli.run.stop import halt, run_stoppable, stoppable
from asyncpoll.cli.submit.items import Item, Items
from asyncpoll.cli.submit.sending import Sender
from asyncpoll.ledger._submissions import Submissions

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Submit the items of a file, and write the jobs that are known to another."""
    output: Path = args.output
    path: Path = args.ledger or output.with_name(f"{output.name}.submitted")
    with reading(args.items) as file, Submissions(path) as submissions:
        if output.exists() and not submissions.owns(output):
            raise ValueError(f"{output} is there already and is not made from {path}; choose another --output")
        submissions.own(output)
        try:
            return run_stoppable(_submit(args, read_objects(file), submissions))
        finally:
            with replacing(output) as jobs:
                for item in submissions.items():
                    jobs.write(b"" if item.job is None else f"{item.job}\n".encode())


async def _submit(args: argparse.Namespace, lines: Lines, submissions: Submissions) -> Exit:
    bad = Complaints()
    async with Clients(settings_of(args)) as clients:
        with stoppable() as asked:
            sender = Sender(submissions, asked, links=args.links, retry_unknown=args.retry_unknown)
            try:
                async with asyncio.TaskGroup() as group:
                    items = _items(Items(clients), lines, bad)
                    feeder = group.create_task(_feed(items, sender, group, args))
                    asked.add_done_callback(lambda _: _stop(feeder, asked))
            finally:
                _sum_up(sender, bad)
            if asked.done():
                await asked  # which raises what the reason was, unless it was a signal
                return Exit.INTERRUPTED
    counts = sender.counts
    return Exit.FAILED if bad.number or counts["refused"] or counts["unknown"] else Exit.SUCCESS


def _stop(feeder: asyncio.Task[None], asked: asyncio.Future[None]) -> None:
    """Have no more items sent; those that are under way come to their ends."""
    feeder.cancel()
    if not asked.cancelled() and asked.exception() is None:
        note("asyncpoll: waiting for what is under way; Ctrl-C again stops at once")


async def _feed(
    items: AsyncGenerator[Item, None], sender: Sender, group: asyncio.TaskGroup, args: argparse.Namespace
) -> None:
    """Have items sent, so many at once, and one after the other at the rate that is allowed."""
    room = asyncio.Semaphore(args.concurrency)
    try:
        async with aclosing(items):
            async for item in items:
                await room.acquire()
                group.create_task(sender.send(item)).add_done_callback(lambda _: room.release())
                if args.rate is not None:
                    await asyncio.sleep(1 / args.rate)
    except (ValueError, OSError) as error:  # there is no key, say
        halt(sender.asked, error)


async def _items(items: Items, lines: Lines, bad: Complaints) -> AsyncGenerator[Item, None]:
    async with aclosing(Feed(lines).each()) as each:
        async for line in each:
            item = items.read(line)
            if isinstance(item, Bad):
                bad.add(item)
            else:
                yield item


def _sum_up(sender: Sender, bad: Complaints) -> None:
    bad.sum_up()
    counts = sender.counts
    note(
        f"asyncpoll: {counts['submitted']:,} submitted, {counts['known']:,} submitted before, "
        f"{counts['refused']:,} refused, {counts['unknown']:,} unknown"
    )
    if counts["unknown"]:
        note("asyncpoll: nobody knows whether the unknown ones run; --retry-unknown submits them again")
