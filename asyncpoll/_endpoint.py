"""Define `Endpoint`, how to poll one API, and `Job`, an endpoint with a reference and a transport."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

import attrs
from attrs import evolve, field, frozen

from asyncpoll._checks import by_field, function, refusal, whole
from asyncpoll._errors import BadReply, PollError, TransportError
from asyncpoll._json_out import canonical_json
from asyncpoll._snapshot import Snapshot
from asyncpoll._timeout import Timeout
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import MESSAGE_LIMIT, classify_status
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.http._secrets import printable
from asyncpoll.waiting._policy import WaitOptions
from asyncpoll.waiting._wait import single_wait, single_watch

Ref = TypeVar("Ref")
T = TypeVar("T")

TOKEN_VERSION = 1

_NAME = re.compile(r"[a-z0-9_.-]+")
_INDEX = re.compile(r"\[[0-9]+\]")
_ACCIDENTS = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)
_MOST_LOGGED = 100
_LONGEST_HINT = 100
_LONGEST_SHOWN = 200
_log = logging.getLogger(__name__)


def as_plain(ref: Any) -> Any:
    """Return a reference as JSON data, for `Job.key` and `Job.to_json`."""
    return ref if isinstance(ref, str) or not attrs.has(type(ref)) else attrs.asdict(ref)


def _check_name(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise refusal(TypeError, name, "text such as 'vendor.things'", value)
    if not _NAME.fullmatch(value):
        wanted = "made of lower-case letters, digits, '.', '-' and '_', such as 'vendor.things'"
        raise refusal(ValueError, name, wanted, value)


def _check_group(name: str, value: object) -> None:
    if not (value is None or isinstance(value, Group)):
        raise refusal(TypeError, name, "a Group or None", value)


def _check_optional_function(name: str, value: object) -> None:
    if not (value is None or callable(value)):
        raise refusal(TypeError, name, "a function or None", value)


_FUNCTION, _OPTIONAL_FUNCTION = by_field(function), by_field(_check_optional_function)


@frozen
class Group(Generic[Ref, T]):
    """A request about many jobs, for an API that has such a call.

    Attributes:
        key: A function from a reference to a key. Jobs with the same key can be asked about together.
        ask: A function from references with the same key to the request about their jobs.
        read: A function from the reply and the references to a snapshot per reference. A job that it leaves out is
            asked about with a request of its own. An error that it raises, other than a `PollError`, is logged once
            per endpoint.
        size: The largest number of jobs in one request.
    """

    key: Callable[[Ref], Hashable] = field(validator=_FUNCTION)
    ask: Callable[[Sequence[Ref]], Request] = field(validator=_FUNCTION)
    read: Callable[[Reply, Sequence[Ref]], Mapping[Ref, Snapshot[T]]] = field(validator=_FUNCTION)
    size: int = field(validator=by_field(whole(1)))


@frozen
class Endpoint(Generic[Ref, T]):
    """The way to ask one API about a job, and to read its answers, as data and pure functions.

    Attributes:
        name: A name such as "vendor.things". It consists of lower-case letters, digits, ".", "-" and "_", and is part
            of the key of every job.
        ask: A function from a reference to the request that asks about the job.
        read: A function from a reply to a snapshot of the job.
        classify: A function that raises an error for a reply that does not answer the request. It is called with
            every reply before `read`, whatever its status, and with the reply to `cancel`. There it raises
            `Rejected(..., kind="already_ended")` if the server says that the job has already ended: then `Job.cancel`
            succeeds. With a `Codes` table, list the server's code for that as "already_ended".
        cancel: A function from a reference to the request that cancels the job, or None if the API has no such call.
            If the API refuses to cancel a job that has ended, `classify` must report this refusal with the kind
            "already_ended". Otherwise `Job.cancel` raises it.
        group: How to ask about many jobs with one request, or None if the API has no such call.
        predicts: A function from a reference to the part of it that predicts how long the job takes, or None.
        same_job: A function that returns whether a reply is about the job with a reference, or None if the API does
            not repeat the id in its replies.
        plain: A function from a reference to JSON data, from which the provider can make the reference again.

    Raises:
        TypeError: An argument has a wrong type. The message names it.
        ValueError: The name has other characters, or none.
    """

    name: str = field(validator=by_field(_check_name))
    ask: Callable[[Ref], Request] = field(kw_only=True, validator=_FUNCTION)
    read: Callable[[Reply], Snapshot[T]] = field(kw_only=True, validator=_FUNCTION)
    classify: Callable[[Reply], None] = field(default=classify_status, kw_only=True, validator=_FUNCTION)
    cancel: Callable[[Ref], Request] | None = field(default=None, kw_only=True, validator=_OPTIONAL_FUNCTION)
    group: Group[Ref, T] | None = field(default=None, kw_only=True, validator=by_field(_check_group))
    predicts: Callable[[Ref], Hashable] | None = field(default=None, kw_only=True, validator=_OPTIONAL_FUNCTION)
    same_job: Callable[[Ref, Reply], bool] | None = field(default=None, kw_only=True, validator=_OPTIONAL_FUNCTION)
    plain: Callable[[Ref], Any] = field(default=as_plain, kw_only=True, validator=_FUNCTION)
    _logged: set[str] = field(init=False, factory=set, repr=False, eq=False)

    def job(self, transport: Transport, ref: Ref) -> Job[T]:
        """Return the job with the reference *ref*. Its requests are sent over *transport*."""
        return Job(self, transport, ref)

    def _check(self, reply: Reply) -> None:
        """Classify a reply. An unexpected error of `classify` becomes a `BadReply`."""
        try:
            if "retry-after" in reply.headers and reply.retry_after is None:
                unreadable = printable(str(reply.headers["retry-after"]), _LONGEST_HINT)
                self._log_once("Retry-After", "the Retry-After of the server is unreadable and ignored: %s", unreadable)
            self.classify(reply)
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except _ACCIDENTS as error:
            raise self._unreadable("classify", error, reply) from error

    def _is_about(self, ref: Ref, reply: Reply) -> bool:
        if self.same_job is None:
            return True
        try:
            return self.same_job(ref, reply)
        except _ACCIDENTS as error:
            raise self._unreadable("same_job", error, reply) from error

    def _read(self, reply: Reply) -> Snapshot[T]:
        """Read a reply. An unexpected error of `read` becomes a `BadReply`."""
        try:
            seen = self.read(reply)
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except PollError:
            raise
        except Exception as error:
            raise self._unreadable("read", error, reply) from error
        self._log_misfits(seen)
        return seen

    def _unreadable(self, function: str, error: Exception, reply: Reply) -> BadReply:
        problem = f"{type(error).__name__}: {printable(str(error), MESSAGE_LIMIT)}"
        cure = "so jobs may be polled one by one; correct it" if function == "Group.read" else "so the poll is a miss"
        self._log_once(function, f"{function} failed, {cure}: %s", problem)
        return BadReply(f"{self.name}: {function} failed, the reply has another form: {problem}", reply=reply)

    def _log_misfits(self, seen: object) -> None:
        if isinstance(seen, Snapshot) and seen.misfits:
            for path in seen.misfits:  # of the items of an array with the same misfit, only the first is logged
                message = "the reply does not fit the result at %s; it is left out there, see Snapshot.misfits"
                self._log_once(_INDEX.sub("[]", path), message, path)

    def _log_once(self, key: str, message: str, shown: str) -> None:
        if key not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(key)
            _log.warning(f"%s: {message}", self.name, shown)


def _add_reply(error: BadReply, reply: Reply) -> None:
    if error.reply is None:
        error.reply = reply
        error.status = reply.status if error.status is None else error.status
        error.origin = error.origin or reply.origin


@frozen(eq=False, repr=False, weakref_slot=False)
class Job(Generic[T]):
    """A remote job, and a function `async () -> Snapshot`. It stores no state: a second wait sends requests again.

    Attributes:
        endpoint: How to ask about the job.
        transport: What sends the requests.
        ref: The reference of the job, such as its id.
        submitted: The terminal snapshot, if the reply to the submit already contained it, or None. With a snapshot
            here, no request is sent about the job.
    """

    endpoint: Endpoint[Any, T]
    transport: Transport
    ref: Any
    submitted: Snapshot[T] | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        return f"<Job {self.endpoint.name} {_shown(self.ref)}>"

    @property
    def meta(self) -> Mapping[str, Any] | None:
        """Return what the caller wants back with the outcome, such as a row number; see `with_meta`."""
        return None

    @property
    def origin(self) -> Any:
        """Return what the submit hands to the wait in this process, such as a trace context; see `with_origin`."""
        return None

    def with_meta(self, meta: Mapping[str, Any]) -> Job[T]:
        """Return the same job with data of the caller's own, which come back in `Outcome.job.meta` and in a ledger.

        They are never sent, and two jobs that differ in nothing else are equal.

        Args:
            meta: JSON data by name.

        Raises:
            TypeError: It is not a mapping with texts as keys.
        """
        if not isinstance(meta, Mapping) or not all(isinstance(name, str) for name in meta):  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
            raise refusal(TypeError, "Job.with_meta(): meta", "a mapping with texts as keys", meta)
        return _MarkedJob(
            self.endpoint, self.transport, self.ref, submitted=self.submitted, meta=dict(meta), origin=self.origin
        )

    def with_origin(self, origin: Any) -> Job[T]:
        """Return the same job with something that belongs to its submit. It is neither sent, compared nor stored."""
        return _MarkedJob(
            self.endpoint, self.transport, self.ref, submitted=self.submitted, meta=self.meta, origin=origin
        )

    @property
    def key(self) -> str:
        """Return a stable text that is unique per endpoint and reference."""
        return f"{self.endpoint.name}:{canonical_json(self.endpoint.plain(self.ref))}"

    def __eq__(self, other: object) -> bool:
        """Return whether both jobs have the same endpoint, transport and reference."""
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
        """Return a key that jobs share if one request can ask about them, or None if the job needs its own request."""
        group = self.endpoint.group
        if group is None or self.submitted is not None:
            return None
        return id(self.endpoint), id(self.transport), group.key(self.ref)

    @property
    def pacing_key(self) -> str:
        """Return a text that jobs share if they are expected to take about the same time."""
        predicts = self.endpoint.predicts
        return self.endpoint.name if predicts is None else f"{self.endpoint.name}:{predicts(self.ref)}"

    @property
    def can_cancel(self) -> bool:
        """Return whether the API has a call to cancel a job."""
        return self.endpoint.cancel is not None

    async def fetch(self) -> Snapshot[T]:
        """Ask about the job once, and return the snapshot that the endpoint reads from the reply.

        Raises:
            TransportError: There was no answer about the job. If it was about another job, or could not be read, this
                is a `BadReply`.
            UnknownStatus: A strict vocabulary does not list the status word.
            ClientClosed: The transport is closed.
        """
        if self.submitted is not None:
            return self.submitted
        endpoint, request = self.endpoint, self.endpoint.ask(self.ref)
        reply = await exchange(self.transport, request, endpoint._check)  # noqa: SLF001  a method of this module
        if not endpoint._is_about(self.ref, reply):  # noqa: SLF001  a method of this module
            reply = await self._ask_afresh(request)
        return endpoint._read(reply)  # noqa: SLF001  a method of this module

    __call__ = fetch

    async def fetch_together(self, jobs: Sequence[Job[T]]) -> dict[Job[T], Snapshot[T]]:
        """Ask about *jobs* with one request, and return a snapshot per job that the answer contains.

        Args:
            jobs: Jobs with the same `group_key` as this job.

        Raises:
            NotImplementedError: The API has no such call.
            TransportError: There was no answer about the jobs.
        """
        group = self.endpoint.group
        if group is None:
            raise NotImplementedError(f"{self.endpoint.name} has no call about many jobs")
        refs = [job.ref for job in jobs]
        reply = await exchange(self.transport, group.ask(refs), self.endpoint._check)  # noqa: SLF001  as above
        try:
            answers = group.read(reply, refs)
            seen = {job: answers[job.ref] for job in jobs if job.ref in answers}
        except BadReply as error:
            _add_reply(error, reply)
            raise
        except PollError:
            raise
        except Exception as error:
            raise self.endpoint._unreadable("Group.read", error, reply) from error  # noqa: SLF001  a method of this module
        for one in seen.values():
            self.endpoint._log_misfits(one)  # noqa: SLF001  a method of this module
        return seen

    async def _ask_afresh(self, request: Request) -> Reply:
        # A connection of the pool may still contain the answer to an earlier request. A new connection cannot.
        afresh = evolve(request, fresh=True)
        reply = await exchange(self.transport, afresh, self.endpoint._check)  # noqa: SLF001  a method of this module
        if not self.endpoint._is_about(self.ref, reply):  # noqa: SLF001  a method of this module
            raise BadReply(
                f"{self.endpoint.name}: the answer is about another job, even on a new connection; "
                "look for a proxy or a cache that mixes up answers",
                kind="identity",
                reply=reply,
            )
        return reply

    async def wait(self, *, timeout: float | Timeout | None, **options: Unpack[WaitOptions]) -> Snapshot[T]:
        """Wait until the job is terminal, and return the terminal snapshot; see `wait_until_terminal`."""
        return await single_wait("Job.wait", self, timeout, options)

    async def result(self, *, timeout: float | Timeout | None, **options: Unpack[WaitOptions]) -> T:
        """Wait until the job is terminal, and return its result.

        Raises:
            JobError: The job did not succeed. Otherwise as `wait_until_terminal`.
        """
        return (await single_wait("Job.result", self, timeout, options)).unwrap()

    def watch(self, *, changes_only: bool = False, **options: Unpack[WaitOptions]) -> AsyncGenerator[Snapshot[T], None]:
        """Yield what every poll sees, up to and including the terminal snapshot; see `asyncpoll.watch`."""
        return single_watch("Job.watch", self, options, changes_only=changes_only)

    async def cancel(self) -> None:
        """Cancel the remote job.

        A job that has already ended is not an error, if the endpoint reports this with the kind "already_ended" (see
        `Endpoint.classify`). For a job that ended at its submit, no request is sent.

        Raises:
            NotImplementedError: The API has no such call.
            TransportError: The server did not answer, or refused.
        """
        if self.endpoint.cancel is None:
            raise NotImplementedError(f"{self.endpoint.name} has no call to cancel a job")
        if self.submitted is not None:
            return
        request = self.endpoint.cancel(self.ref)
        try:
            await exchange(self.transport, request, self.endpoint._check)  # noqa: SLF001  a method of this module
        except TransportError as error:
            if error.kind != "already_ended":
                raise

    def to_json(self) -> str:
        """Return a token without secrets. The provider's `job_from_json` makes the job from it in any process."""
        token = {"version": TOKEN_VERSION, "endpoint": self.endpoint.name, "ref": self.endpoint.plain(self.ref)}
        return json.dumps(token, ensure_ascii=False)


@frozen(eq=False, repr=False, weakref_slot=False)
class _MarkedJob(Job[T]):
    """A job with data of the caller's own; a class of its own, because a million others need no place for them."""

    meta: Mapping[str, Any] | None = field(kw_only=True)  # pyright: ignore[reportIncompatibleMethodOverride]  frozen, so as good as a property
    origin: Any = field(kw_only=True)


def _shown(ref: Any) -> str:
    """Return a reference as it is shown, at most 200 characters."""
    if not attrs.has(type(ref)):
        return repr(ref)[:_LONGEST_SHOWN]
    given = [(one.name, getattr(ref, one.name)) for one in attrs.fields(type(ref))]
    return " ".join(f"{name}={value!r}" for name, value in given if value is not None)[:_LONGEST_SHOWN]
