"""`asyncpoll submit`: start many jobs, each at most once, whatever happens to the process or to the answers.

An item is written down before it is sent. If its answer is lost, the job may or may not run: the item is named and left
alone, unless its API takes an idempotency key; then it is sent again with the same one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import inspect
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from asyncpoll._atomic_file import replacing
from asyncpoll._endpoint import Job
from asyncpoll._errors import PollError, Rejected
from asyncpoll.cli import Exit
from asyncpoll.cli._ingest import Feed
from asyncpoll.cli._lines import (
    META,
    SUBMIT,
    SUBMITTED_AT,
    BadLine,
    BadLines,
    Line,
    Lines,
    address,
    read_objects,
    reading,
    with_checked_start,
)
from asyncpoll.cli._output import message_of, note, result_of
from asyncpoll.cli._parser import clients_of
from asyncpoll.cli._progress import ProgressView, follow, view_of
from asyncpoll.cli._signals import halt, run_stoppable, stoppable
from asyncpoll.clients._access import Target
from asyncpoll.clients._clients import Clients
from asyncpoll.events import Ended
from asyncpoll.ledger._records import json_text
from asyncpoll.ledger._submissions import Submissions, Submitted
from asyncpoll.ledger._submit import Fate, Submitter
from asyncpoll.providers._client import CLIENT

_USAGE = 'an item has an "endpoint" (text) and a "submit" (object); --endpoint names that of all lines'
_MOST_REPORTED = 20


@frozen
class Item:
    """Something to submit.

    Attributes:
        line: The number of its line.
        key: A text that tells it from all others: the content of its line, and how often that came before.
        target: Its endpoint.
        start: Starts its job.
        arguments: The arguments of *start*.
        meta: The caller's own keys of its line.
    """

    line: int
    key: str
    target: Target
    start: Callable[..., Awaitable[Job[Any]]] = field(repr=False)
    arguments: Mapping[str, Any] = field(repr=False)
    meta: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def takes_token(self) -> bool:
        """Whether it may be sent again with the same idempotency key without a second job."""
        return self.target.listing.token is not None

    def with_token(self, token: str | None) -> Mapping[str, Any]:
        """Return the arguments with an idempotency key: that of the line if it has one, else *token*."""
        name = self.target.listing.token
        return (
            self.arguments if name is None or self.arguments.get(name) is not None else {**self.arguments, name: token}
        )


@define
class Items:
    """Makes items of lines.

    Attributes:
        clients: Where jobs are started.
    """

    clients: Clients
    _seen: Counter[str] = field(factory=Counter, init=False)

    def read(self, line: Line | BadLine) -> Item | BadLine:
        """Return the item of a line, or what is wrong with the line.

        Raises:
            ValueError: There is no key for its endpoint, or the key or the address is unusable.
        """
        if isinstance(line, BadLine):
            return line
        named = address(line, SUBMIT, _USAGE, self.clients.targets)
        if isinstance(named, BadLine):
            return named
        target, arguments = named.target, named.content
        start = self.clients.starter(target.name, named.client)
        if start is None:
            return BadLine(line.number, f"jobs of {target.name} are not started on their own")
        try:
            inspect.signature(start).bind(**arguments)
        except TypeError as problem:
            return BadLine(line.number, f"start of {target.name}: {problem}")
        said = arguments if named.client is None else {**arguments, CLIENT: named.client}
        return Item(line.number, self._key(target.name, said), target, start, arguments, named.meta)

    def _key(self, endpoint: str, arguments: dict[str, Any]) -> str:
        content = json.dumps([endpoint, arguments], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(content.encode()).hexdigest()
        self._seen[digest] += 1
        return f"{digest}:{self._seen[digest]}"


@define
class Sender:
    """Sends items. None is sent twice without an idempotency key, unless the user asks for it.

    Attributes:
        submitter: Sends them, and writes it down.
        links: Whether signed links in results are kept as they are.
        counts: How many items had which fate.
    """

    submitter: Submitter
    links: bool = False
    counts: Counter[Fate] = field(factory=Counter)

    def summary(self) -> str:
        """Return the counts in words."""
        counts = self.counts
        return (
            f"{counts['submitted']:,} submitted, {counts['known']:,} submitted before, "
            f"{counts['refused']:,} refused, {counts['unknown']:,} unknown"
        )

    async def send(self, item: Item) -> None:
        """Send an item, unless its job is known, or may exist.

        A refused credential, or a file that cannot be written, ends the whole submit.
        """
        try:
            await self._send_once(item)
        except PollError as error:
            halt(self.submitter.stop, error)

    async def _send_once(self, item: Item) -> None:
        submitter = self.submitter
        before = await submitter.before(item.key)
        if before is not None and before.standing == "known":
            self.counts["known"] += 1
        elif not submitter.may_send(before, takes_token=item.takes_token):
            problem = None if before is None else before.problem
            self._report("unknown", item, problem or "the process ended before the answer came")
        else:
            await self._send(item, before)

    async def _send(self, item: Item, before: Submitted | None) -> None:
        try:
            fate, _, error = await self.submitter.send(
                item.key,
                lambda token: item.start(**item.with_token(token)),
                lambda job: self._line(item, job),
                endpoint=item.target.name,
                before=before,
                takes_token=item.takes_token,
            )
        except Rejected as refusal:  # of the client: all items would be refused
            self._report("refused", item, message_of(refusal))
            raise
        if error is None:
            self.counts[fate] += 1
        else:
            self._report(fate, item, message_of(error))

    def _report(self, fate: Fate, item: Item, problem: str) -> None:
        self.counts[fate] += 1
        if self.counts[fate] <= _MOST_REPORTED:
            note(f"asyncpoll: line {item.line}: {fate}: {problem}")

    def _line(self, item: Item, job: Job[Any]) -> str:
        """Return the line that names a job for `asyncpoll run`; of one that has ended at once, its result."""
        own = {} if item.meta is None else {META: item.meta}
        if job.submitted is None:
            at = {} if job.submitted_at is None else {SUBMITTED_AT: int(job.submitted_at)}
            named = {"endpoint": job.endpoint.name, "ref": job.endpoint.plain(job.ref)}
            return json_text({**named, **at, **own}, links=True)
        result = result_of(job, Ended(None, job.submitted, None, polls=0, waited=0.0))
        return json_text({**result, **own}, links=self.links)


# the verb


def run(args: argparse.Namespace) -> int:
    """Submit the items of a file, and write the jobs that are known to another file."""
    output: Path = args.output
    path: Path = args.ledger or output.with_name(f"{output.name}.submitted")
    clients = clients_of(args)
    usual = clients.targets.name(args.endpoint)
    with reading(args.items) as file:
        lines = read_objects(file, usual)
        if not path.exists():
            lines = with_checked_start(lines, Items(clients).read)
        with Submissions(path) as submissions:
            if output.exists() and not submissions.owns(output):
                raise ValueError(f"{output} exists already and is not made from {path}; choose another --output")
            submissions.own(output)
            try:
                return run_stoppable(_submit(args, lines, clients, submissions))
            finally:
                with replacing(output) as jobs:
                    for item in submissions.items():
                        jobs.write(b"" if item.job is None else f"{item.job}\n".encode())


async def _submit(args: argparse.Namespace, lines: Lines, clients: Clients, submissions: Submissions) -> Exit:
    bad = BadLines()
    async with clients:
        with stoppable() as asked:
            sender = Sender(Submitter(submissions, args.retry_unknown, asked), links=args.links)
            watch = asyncio.create_task(_watch(sender, plain=args.plain))
            try:
                async with asyncio.TaskGroup() as group:
                    items = _items(Items(clients), lines, bad)
                    feeder = group.create_task(_feed(items, sender, group, args))
                    asked.add_done_callback(lambda _: _stop(feeder, asked))
            finally:
                watch.cancel()
                await asyncio.wait({watch})
                _summarize(sender, bad)
            if asked.done():
                await asked  # which raises the error that is the reason, unless it was a signal
                return Exit.INTERRUPTED
    counts = sender.counts
    return Exit.FAILED if bad.number or counts["refused"] or counts["unknown"] else Exit.SUCCESS


async def _watch(sender: Sender, *, plain: bool) -> None:
    with view_of(lambda: ProgressView(sender.summary()), plain=plain) as view:
        await follow(view, sender.submitter.stop)


def _stop(feeder: asyncio.Task[None], asked: asyncio.Future[None]) -> None:
    """Have no more items sent; those that are under way come to their ends."""
    feeder.cancel()
    if not asked.cancelled() and asked.exception() is None:
        note("asyncpoll: waiting for submits under way; Ctrl-C again stops at once")


async def _feed(
    items: AsyncGenerator[Item, None], sender: Sender, group: asyncio.TaskGroup, args: argparse.Namespace
) -> None:
    """Have items sent, so many at once, and one after the other at the rate that is allowed."""
    slots = asyncio.Semaphore(args.concurrency)
    try:
        async with aclosing(items):
            async for item in items:
                await slots.acquire()
                group.create_task(sender.send(item)).add_done_callback(lambda _: slots.release())
                if args.rate is not None:
                    await asyncio.sleep(1 / args.rate)
    except (ValueError, OSError) as error:  # there is no key, say
        halt(sender.submitter.stop, error)


async def _items(items: Items, lines: Lines, bad: BadLines) -> AsyncGenerator[Item, None]:
    async with aclosing(Feed(lines).each()) as each:
        async for line in each:
            item = items.read(line)
            if isinstance(item, BadLine):
                bad.add(item)
            else:
                yield item


def _summarize(sender: Sender, bad: BadLines) -> None:
    bad.summarize()
    note(f"asyncpoll: {sender.summary()}")
    if sender.counts["unknown"]:
        note("asyncpoll: the unknown items may or may not run; --retry-unknown submits them again")
