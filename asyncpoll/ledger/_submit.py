"""Start many jobs, each at most once, whatever happens to the process or to the answers.

An item is written down before it is sent. If its answer is lost, the job may or may not run: the item is then left
alone, unless its API takes an idempotency key; then it is sent again with the same one.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from uuid import uuid4

from attrs import define, field, frozen

from asyncpoll._checks import function, refusal, whole
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import Rejected, Throttled, TransportError
from asyncpoll._json import canonical_json
from asyncpoll._schedule import Exponential, Progress
from asyncpoll.http import Transport
from asyncpoll.ledger._submissions import Submissions, Submitted
from asyncpoll.waiting._misses import is_condemning
from asyncpoll.waiting._run import aiter_any

T = TypeVar("T")
Item = TypeVar("Item")
Fate = Literal["submitted", "known", "refused", "unknown"]

NOT_ACCEPTED = frozenset({"connect", "dns", "throttled", "overloaded"})
"""Kinds of failure after which it is certain that there is no job: nothing was sent, or the API itself said no.

Refusals are as certain. All others, such as a timeout, a lost connection or trouble at the server, may have come after
the job was made.
"""

_MOST_ATTEMPTS = 6  # of an item that is throttled
_LONGEST_PAUSE = 120.0  # seconds; an item that is to stay away for longer is sent in another run
_PAUSES = Exponential(1.0, _LONGEST_PAUSE)


@frozen
class Submission(Generic[Item, T]):
    """What became of one item.

    Attributes:
        item: The item, the very object that was given.
        fate: "submitted": its job was started; "known": an earlier process started it; "refused": there is no job;
            "unknown": its answer was lost, so that its job may or may not run, and it was not sent again.
        job: Its job, for the first two.
        error: Why there is none; None also for an item of an earlier process whose answer was lost.
    """

    item: Item
    fate: Fate
    job: Job[T] | None = None
    error: Exception | None = None


@define
class Submitter:
    """Submits items one by one, and writes down what becomes of them.

    Attributes:
        submissions: The open file for that; None to write nothing down.
        retry_unknown: Whether items are sent again that may have been sent.
        stop: Done when a throttled item is not to be sent again.
        accepted: How many items were accepted.
    """

    submissions: Submissions | None
    retry_unknown: bool = False
    stop: asyncio.Future[None] = field(factory=lambda: asyncio.get_running_loop().create_future())
    accepted: int = field(default=0, init=False)
    _file: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def before(self, key: str) -> Submitted | None:
        """Return what is written down about an item."""
        return None if self.submissions is None else await self._do(self.submissions.find, key)

    def may_send(self, before: Submitted | None, *, takes_token: bool) -> bool:
        """Return whether an item may be sent, given what is written down about it."""
        if before is None or before.standing == "refused":
            return True
        return before.standing == "begun" and (takes_token or self.retry_unknown)

    async def send(
        self,
        key: str,
        start: Callable[[str | None], Awaitable[Job[T]]],
        stored: Callable[[Job[T]], str],
        *,
        endpoint: str = "",
        before: Submitted | None = None,
        takes_token: bool = False,
    ) -> tuple[Fate, Job[T] | None, Exception | None]:
        """Send an item, and write down what became of it.

        Args:
            key: Its key, unique in the file.
            start: Starts its job, with an idempotency key or None. It is called again when it is throttled.
            stored: Returns a job as the text to write down.
            endpoint: The name of its endpoint, where that is known.
            before: What is written down about it.
            takes_token: Whether its API takes an idempotency key, which is always the same for the same item.

        Returns:
            Its fate, and its job or the error.

        Raises:
            Rejected: The client is refused, so that all items would be.
            LedgerError: The file cannot be written.
        """
        token = None
        if takes_token:
            token = uuid4().hex if before is None else before.token
        number = await self._begin(key, endpoint, token)
        try:
            job = await self._start(start, token)
        except (ValueError, TypeError, OSError) as error:  # an argument is wrong; nothing was sent
            await self._end(number, "refused", None, str(error))
            return "refused", None, error
        except TransportError as error:
            is_certain = isinstance(error, Rejected) or error.kind in NOT_ACCEPTED
            await self._end(number, "refused" if is_certain else "begun", None, str(error))
            if isinstance(error, Rejected) and is_condemning(error, first_contact=not self.accepted):
                raise
            return "refused" if is_certain else "unknown", None, error
        await self._end(number, "known", stored(job), None)
        self.accepted += 1
        return "submitted", job, None

    async def _start(self, start: Callable[[str | None], Awaitable[Job[T]]], token: str | None) -> Job[T]:
        attempts = 0
        while True:
            attempts += 1
            try:
                return await start(token)
            except Throttled as error:
                pause = max(error.retry_after or 0.0, _PAUSES.delay(Progress(attempts, 0.0)))
                if attempts == _MOST_ATTEMPTS or pause > _LONGEST_PAUSE:
                    raise
                await asyncio.wait({self.stop}, timeout=pause)
                if self.stop.done():
                    raise

    async def _begin(self, key: str, endpoint: str, token: str | None) -> int:
        return 0 if self.submissions is None else await self._do(self.submissions.begin, key, endpoint, token)

    async def _end(self, number: int, standing: str, job: str | None, problem: str | None) -> None:
        if self.submissions is not None:
            await self._do(self.submissions.end, number, standing, job, problem)

    async def _do(self, work: Callable[..., Any], *args: Any) -> Any:
        async with self._file:
            return await asyncio.to_thread(work, *args)


async def submit_all(
    items: Iterable[Item] | AsyncIterable[Item],
    start: Callable[[Item], Awaitable[Job[T]]] | Endpoint[Any, T],
    *,
    transport: Transport | None = None,
    concurrency: int = 10,
    ledger: str | os.PathLike[str] | None = None,
    restore: Callable[[str], Job[T]] | None = None,
    key: Callable[[Item], str] | None = None,
    retry_unknown: bool = False,
) -> AsyncGenerator[Submission[Item, T], None]:
    """Start a job for each item, and yield what became of it, in the order in which the answers come.

        async for submission in submit_all(paths, start, ledger="reports.submitted", restore=client.job_from_json):
            ...

    A submit is never repeated by itself, except when the API throttles it, since then it did not accept it. With a
    *ledger* an item is written down before it is sent, so that another process goes on where this one stopped, and
    sends no item twice. If *start* is an endpoint with an idempotency key (`Start.key`), an item whose answer was lost
    is sent again with the same key. Equal items are items of their own. Leaving the loop waits for the submits that
    are under way, so that their jobs are known; leave it early by `contextlib.aclosing`.

    Args:
        items: What to submit.
        start: Starts the job of an item, such as `lambda path: client.file_parser.start(path, tool_type="prime")`. Or
            an endpoint that can start jobs: then each item is a mapping with the arguments of its `start`.
        transport: What sends the requests, if *start* is an endpoint.
        concurrency: The most submits at the same time.
        ledger: The file in which items are written down, on a local disk; made when there is none. It holds keys of
            items and ids of jobs, and no contents.
        restore: Makes the job of an item of an earlier process from its `Job.to_json`: `client.job_from_json`. Needed
            with a *ledger*, unless *start* is an endpoint.
        key: Returns a text that tells an item from all others; by default `str(item)` for text, paths and integers, and
            a digest of the arguments of an endpoint.
        retry_unknown: Whether to send again items of earlier processes whose answer was lost. Such a job may run twice.

    Raises:
        Rejected: The client is refused (a bad key, a wrong address); the items that are left are not sent.
        LedgerError: The *ledger* cannot be used, or another process has it open.
        TypeError: An argument has a wrong type, or *key* is needed; nothing is sent for such an item.
    """
    whole(1)("submit_all(): concurrency", concurrency)
    takes_token = False
    if isinstance(start, Endpoint):
        if transport is None:
            raise TypeError("submit_all(): an endpoint needs transport=, over which its jobs are started")
        takes_token = start.start_key is not None
        send, restore = partial(_start_from, start, transport), restore or partial(start.job_from_json, transport)
        key = key or _digest
    else:
        function("submit_all(): start", start)
        send = partial(_start_by, start)
    if ledger is not None and restore is None:
        raise TypeError("submit_all(): with a ledger, restore= is needed, such as client.job_from_json")
    async with AsyncExitStack() as stack:
        submissions = None if ledger is None else Submissions(Path(ledger))
        if submissions is not None:
            await asyncio.to_thread(submissions.__enter__)
            stack.push(submissions)
        sender = _Sender(Submitter(submissions, retry_unknown), send, restore, key or _key_of, takes_token)
        async with aclosing(_each(items, sender, concurrency)) as each:
            async for submission in each:
                yield submission


@define
class _Sender(Generic[Item, T]):
    submitter: Submitter
    start: Callable[[Item, str | None], Awaitable[Job[T]]]
    restore: Callable[[str], Job[T]] | None
    key: Callable[[Item], str]
    takes_token: bool
    seen: Counter[str] = field(factory=Counter, init=False)

    def key_of(self, item: Item) -> str:
        """Return the key of an item, which has the number of its place among equal ones."""
        key = self.key(item)
        self.seen[key] += 1
        return key if self.seen[key] == 1 else f"{key} ({self.seen[key]})"

    async def send(self, item: Item, key: str) -> Submission[Item, T]:
        before = await self.submitter.before(key)
        if before is not None and before.job is not None and self.restore is not None:
            return Submission(item, "known", self.restore(before.job))
        if not self.submitter.may_send(before, takes_token=self.takes_token):
            return Submission(item, "unknown")
        start, token = partial(self.start, item), self.takes_token
        sent = await self.submitter.send(key, start, Job.to_json, before=before, takes_token=token)
        return Submission(item, *sent)


def _start_by(start: Callable[[Item], Awaitable[Job[T]]], item: Item, _token: str | None) -> Awaitable[Job[T]]:
    return start(item)


def _start_from(endpoint: Endpoint[Any, T], transport: Transport, item: Any, token: str | None) -> Awaitable[Job[T]]:
    """Start the job of an endpoint with the arguments in *item*; an idempotency key in there comes first."""
    name = endpoint.start_key
    return endpoint.start(transport, **(item if name is None or token is None else {name: token, **item}))


async def _each(
    items: Iterable[Item] | AsyncIterable[Item], sender: _Sender[Item, T], concurrency: int
) -> AsyncGenerator[Submission[Item, T], None]:
    under_way: set[asyncio.Task[Submission[Item, T]]] = set()
    given: Any = aiter_any(items)  # type: ignore[arg-type]  # it yields the items of whatever is iterable
    try:
        async with aclosing(given):
            async for item in given:
                under_way.add(asyncio.create_task(sender.send(item, sender.key_of(item))))
                while len(under_way) >= concurrency:
                    for task in await _some(under_way):
                        yield task.result()
        while under_way:
            for task in await _some(under_way):
                yield task.result()
    finally:
        if under_way:  # their answers are written down
            sender.submitter.stop.set_result(None)
            await asyncio.gather(*under_way, return_exceptions=True)


async def _some(tasks: set[asyncio.Task[T]]) -> list[asyncio.Task[T]]:
    """Wait until some of the tasks are done; remove and return those, the ones that failed last."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks -= done
    return sorted(done, key=lambda task: task.exception() is not None)


def _digest(item: Any) -> str:
    """Return the key of arguments. They may be confidential, and are not to be in the ledger themselves."""
    return sha256(canonical_json(item).encode()).hexdigest()


def _key_of(item: object) -> str:
    if isinstance(item, str | os.PathLike | int):
        return str(item)
    raise refusal(TypeError, "submit_all(): an item", "text, a path or an integer, unless key= names it", item)
