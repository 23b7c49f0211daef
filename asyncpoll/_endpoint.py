"""Where the columns meet: an `Endpoint` is two pure functions, a `Job` binds one to a reference and a transport."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

import attrs
from attrs import evolve, field, frozen, validators

from asyncpoll._errors import BadReply, TransportError
from asyncpoll._snapshot import Snapshot
from asyncpoll.http.classify import classify_status
from asyncpoll.http.message import Reply, Request, Transport
from asyncpoll.waiting._timeout import Timeout
from asyncpoll.waiting._wait import WaitOptions, wait_until_terminal, watch

Ref = TypeVar("Ref")
T = TypeVar("T")

TOKEN_VERSION = 1

_compact = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def as_plain(ref: Any) -> Any:
    """Return a reference as JSON data: what `Job.key` and `Job.to_json` are made of."""
    return ref if isinstance(ref, str) or not attrs.has(type(ref)) else attrs.asdict(ref)


@frozen
class Group(Generic[Ref, T]):
    """How to ask about many jobs at once, where an API has a call for that.

    Attributes:
        key: What jobs must share to be asked about together.
        ask: The request for the jobs of one group.
        read: What its reply says about each of them; a job left out is asked about on its own.
        size: The most jobs in one call.
    """

    key: Callable[[Ref], Hashable]
    ask: Callable[[Sequence[Ref]], Request]
    read: Callable[[Reply, Sequence[Ref]], Mapping[Ref, Snapshot[T]]]
    size: int = field(validator=validators.ge(1))


@frozen
class Endpoint(Generic[Ref, T]):
    """How one API is asked about a job, and how its answers read. Everything in it is a pure function or data.

    Attributes:
        name: A name such as "vendor.things", part of every job's key.
        ask: The request that asks about a job.
        read: What a reply says about the job.
        classify: Raises for a reply that is no answer about the job; it sees every status code.
        cancel: The request that cancels a job, where the API can.
        group: How to ask about many jobs at once, where the API can.
        predicts: What of a reference predicts how long the job takes.
        same_job: Whether a reply speaks of the job asked about, where the API echoes an id.
        plain: A reference as JSON data, from which the provider can make it again.
    """

    name: str
    ask: Callable[[Ref], Request] = field(kw_only=True)
    read: Callable[[Reply], Snapshot[T]] = field(kw_only=True)
    classify: Callable[[Reply], None] = field(default=classify_status, kw_only=True)
    cancel: Callable[[Ref], Request] | None = field(default=None, kw_only=True)
    group: Group[Ref, T] | None = field(default=None, kw_only=True)
    predicts: Callable[[Ref], Hashable] | None = field(default=None, kw_only=True)
    same_job: Callable[[Ref, Reply], bool] | None = field(default=None, kw_only=True)
    plain: Callable[[Ref], Any] = field(default=as_plain, kw_only=True)

    def job(self, transport: Transport, ref: Ref) -> Job[T]:
        """Return the job that *ref* names, to be asked about over *transport*."""
        return Job(self, transport, ref)


@frozen(eq=False, weakref_slot=False)
class Job(Generic[T]):
    """One remote job. It holds no state: waiting again asks again. It is an `async def () -> Snapshot` too.

    Attributes:
        endpoint: How to ask about it.
        transport: Whom to ask.
        ref: Its reference, such as its id.
        submitted: The terminal answer that the submit itself already gave, or None; then nobody is asked.
    """

    endpoint: Endpoint[Any, T]
    transport: Transport = field(repr=False)
    ref: Any
    submitted: Snapshot[T] | None = field(default=None, kw_only=True)

    @property
    def key(self) -> str:
        """A stable text, unique per endpoint and reference."""
        return f"{self.endpoint.name}:{_compact(self.endpoint.plain(self.ref))}"

    def __eq__(self, other: object) -> bool:
        """Whether both ask the same server about the same job."""
        if not isinstance(other, Job):
            return NotImplemented
        same_place = self.endpoint is other.endpoint and self.transport is other.transport
        return same_place and bool(self.ref == other.ref)

    def __hash__(self) -> int:
        try:
            return hash((self.endpoint.name, self.ref))
        except TypeError:  # the reference holds a list or a dictionary
            return hash(self.key)

    @property
    def group_key(self) -> Hashable:
        """What jobs share that can be asked about together; None for a job that is asked about on its own."""
        group = self.endpoint.group
        if group is None or self.submitted is not None:
            return None
        return id(self.endpoint), id(self.transport), group.key(self.ref)

    @property
    def pacing_key(self) -> str:
        """What jobs share that should take about as long."""
        predicts = self.endpoint.predicts
        return self.endpoint.name if predicts is None else f"{self.endpoint.name}:{predicts(self.ref)}"

    @property
    def can_cancel(self) -> bool:
        """Whether its API has a call to cancel it."""
        return self.endpoint.cancel is not None

    async def fetch(self) -> Snapshot[T]:
        """Ask once.

        Raises:
            TransportError: No answer about the job could be had; `BadReply` if it was about another job.
            UnknownStatus: A strict vocabulary met a word it does not list.
            ClientClosed: The transport is closed.
        """
        if self.submitted is not None:
            return self.submitted
        endpoint, request = self.endpoint, self.endpoint.ask(self.ref)
        reply = await self.transport.send(request)
        endpoint.classify(reply)
        if endpoint.same_job is not None and not endpoint.same_job(self.ref, reply):
            reply = await self._ask_afresh(request)
        return endpoint.read(reply)

    __call__ = fetch

    async def fetch_together(self, jobs: Sequence[Job[T]]) -> dict[Job[T], Snapshot[T]]:
        """Ask once about *jobs*, which all have the `group_key` of this one; what the answer leaves out is left out.

        Raises:
            TransportError: As `fetch`.
        """
        group = self.endpoint.group
        if group is None:
            raise NotImplementedError(f"{self.endpoint.name} has no call about many jobs")
        refs = [job.ref for job in jobs]
        reply = await self.transport.send(group.ask(refs))
        self.endpoint.classify(reply)
        answers = group.read(reply, refs)
        return {job: answers[job.ref] for job in jobs if job.ref in answers}

    async def _ask_afresh(self, request: Request) -> Reply:
        # A pooled connection may hold an answer that belongs to somebody else; a new one cannot.
        reply = await self.transport.send(evolve(request, fresh=True))
        self.endpoint.classify(reply)
        if not (self.endpoint.same_job and self.endpoint.same_job(self.ref, reply)):
            raise BadReply(
                f"{self.endpoint.name}: the answer is about another job, even on a fresh connection",
                kind="identity",
                status=reply.status,
                origin=reply.origin,
            )
        return reply

    async def wait(self, *, timeout: float | Timeout | None, **options: Unpack[WaitOptions]) -> Snapshot[T]:
        """Wait until the job is terminal, and return the terminal snapshot; see `wait_until_terminal`."""
        return await wait_until_terminal(self, timeout=timeout, **options)

    async def result(self, *, timeout: float | Timeout | None, **options: Unpack[WaitOptions]) -> T:
        """Wait until the job is terminal, and return its result.

        Raises:
            JobError: The job did not succeed. Otherwise as `wait_until_terminal`.
        """
        return (await self.wait(timeout=timeout, **options)).unwrap()

    def watch(self, *, changes_only: bool = False, **options: Unpack[WaitOptions]) -> AsyncGenerator[Snapshot[T], None]:
        """Yield what every poll sees, up to and including the terminal snapshot; see `asyncpoll.watch`."""
        return watch(self, changes_only=changes_only, **options)

    async def cancel(self) -> None:
        """Cancel the remote job; also fine when it has already ended.

        Raises:
            NotImplementedError: Its API has no such call.
            TransportError: The server could not be asked, or refused.
        """
        if self.endpoint.cancel is None:
            raise NotImplementedError(f"{self.endpoint.name} has no call to cancel a job")
        reply = await self.transport.send(self.endpoint.cancel(self.ref))
        try:
            self.endpoint.classify(reply)
        except TransportError as error:
            if error.kind != "already_ended":
                raise

    def to_json(self) -> str:
        """Return a token without secrets from which the provider's `job_from_json` makes the job again, anywhere."""
        token = {"version": TOKEN_VERSION, "endpoint": self.endpoint.name, "ref": self.endpoint.plain(self.ref)}
        return json.dumps(token, ensure_ascii=False)
