"""Sending an item: written down before it leaves, and then with what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, TypeVar
from uuid import uuid4

from attrs import define, field

from asyncpoll._endpoint import Job
from asyncpoll._errors import PollError, Rejected, Throttled, TransportError
from asyncpoll._schedule import Exponential, Progress
from asyncpoll.cli.output import note
from asyncpoll.cli.result import result_of
from asyncpoll.cli.run.stop import halt
from asyncpoll.cli.submit.items import Item
from asyncpoll.events import Ended
from asyncpoll.ledger._serialize import json_text
from asyncpoll.ledger._submissions import Submissions, Submitted
from asyncpoll.waiting._misses import CONDEMNING

T = TypeVar("T")
What = Literal["submitted", "known", "refused", "unknown"]

NOT_ACCEPTED = frozenset({"connect", "dns", "throttled", "overloaded"})
"""Kinds of failure after which it is certain that there is no job: nothing was sent, or the API itself said no.

Refusals are as certain. All the rest, such as a timeout, a lost connection or trouble at the server, may have come
after the job was made.
"""

_MOST_ATTEMPTS = 6  # of an item that is throttled
_LONGEST_PAUSE = 120.0  # seconds; who is told to stay away for longer comes back in another run
_PAUSES = Exponential(1.0, _LONGEST_PAUSE)
_MOST_REPORTED = 20


@define
class Sender:
    """Sends items, each of which may run twice only if that was asked for.

    Attributes:
        submissions: Where it is written down.
        asked: Done when no more is to be sent.
        links: Whether signed links in results are kept as they are.
        retry_unknown: Send again what may have been sent.
        counts: What became of the items.
    """

    submissions: Submissions
    asked: asyncio.Future[None]
    links: bool = False
    retry_unknown: bool = False
    counts: Counter[What] = field(factory=Counter)
    _file: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def send(self, item: Item) -> None:
        """Send an item, unless its job is known, or nobody knows whether it has one.

        When the credential is refused, or nothing can be written down any more, that ends the whole undertaking.
        """
        try:
            await self._deal_with(item)
        except PollError as error:
            halt(self.asked, error)

    async def _deal_with(self, item: Item) -> None:
        before = await self._write(self.submissions.find, item.key)
        if before is not None and before.standing == "known":
            self.counts["known"] += 1
        elif before is not None and before.standing == "begun" and not (item.takes_token or self.retry_unknown):
            self._report("unknown", item, before.problem or "the process ended before the answer came")
        else:
            token = _token(item, before)
            number = await self._write(self.submissions.begin, item.key, item.endpoint, token)
            await self._send(item, number, token)

    async def _send(self, item: Item, number: int, token: str | None) -> None:
        try:
            job = await self._start(item, token)
        except (ValueError, TypeError, OSError) as problem:  # of an argument; nothing was sent
            await self._end(item, number, "refused", str(problem))
        except TransportError as error:
            certain = isinstance(error, Rejected) or error.kind in NOT_ACCEPTED
            await self._end(item, number, "refused" if certain else "unknown", str(error))
            if error.kind in CONDEMNING:
                raise
        else:
            await self._write(self.submissions.end, number, "known", self._line(job), None)
            self.counts["submitted"] += 1

    async def _start(self, item: Item, token: str | None) -> Job[Any]:
        """Start the job of an item; one that is throttled waits and is sent again."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return await item.start(**item.under(token))
            except Throttled as error:
                pause = max(error.retry_after or 0.0, _PAUSES.delay(Progress(attempts, 0.0)))
                if attempts == _MOST_ATTEMPTS or pause > _LONGEST_PAUSE:
                    raise
                await asyncio.wait({self.asked}, timeout=pause)
                if self.asked.done():
                    raise

    async def _end(self, item: Item, number: int, what: Literal["refused", "unknown"], problem: str) -> None:
        standing = "refused" if what == "refused" else "begun"
        await self._write(self.submissions.end, number, standing, None, problem)
        self._report(what, item, problem)

    def _report(self, what: What, item: Item, problem: str) -> None:
        self.counts[what] += 1
        if self.counts[what] <= _MOST_REPORTED:
            note(f"asyncpoll: line {item.line}: {what}: {problem}")

    def _line(self, job: Job[Any]) -> str:
        """Return the line that names a job for `asyncpoll run`; of one that has ended at once, its result."""
        if job.submitted is None:
            return json_text({"endpoint": job.endpoint.name, "ref": job.endpoint.plain(job.ref)}, links=True)
        return json_text(result_of(job, Ended(None, job.submitted, None, polls=0, waited=0.0)), links=self.links)

    async def _write(self, write: Callable[..., T], *args: Any) -> T:
        async with self._file:
            return await asyncio.to_thread(write, *args)


def _token(item: Item, before: Submitted | None) -> str | None:
    """Return the idempotency key to send an item with, which is always the same for the same item."""
    if not item.takes_token:
        return None
    return uuid4().hex if before is None else before.token
