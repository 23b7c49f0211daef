"""Define `Endpoint`, how to poll one API, and `Job`, an endpoint with a reference and a transport."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, Self, TypeVar, Unpack, cast
from uuid import uuid4

from attrs import Factory, evolve, field, frozen

from asyncpoll._calls import FUNCTION, NAME, OPTIONAL_FUNCTION, OPTIONAL_TEXT, Group, Poll, Start, optional_instance
from asyncpoll._checks import Time, by_field, flag
from asyncpoll._conditional import NOT_MODIFIED, conditional, keep, same_again
from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll._guard import ACCIDENTS, Guard, check_first
from asyncpoll._job_tokens import as_plain, as_text_alone, read_token, shown_ref, token_marks, write_token
from asyncpoll._json import canonical_json
from asyncpoll._marks import Marks, as_pacing, pacing_key, time_of_submit
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._timeout import Timeout
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import classify_status
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._policy import Pace, WaitOptions
from asyncpoll.waiting._wait import single_wait, single_watch

Ref = TypeVar("Ref")
T = TypeVar("T")

_MOST_CALLS = 1000  # of `then` in one poll


@frozen
class Endpoint(Generic[Ref, T]):
    """The way to ask one API about a job, and to read its answers, as data and pure functions.

    Attributes:
        name: A name such as "vendor.things". It consists of lower-case letters, digits, ".", "-" and "_", and is part
            of the key of every job.
        ask: A function from a reference to the request that asks about the job.
        read: A function from a reply to a snapshot of the job.
        classify: A function that raises an error for a reply that does not answer the request. It is called with
            every reply before `read`, whatever its status, and with the replies to `start` and `cancel`. There it
            raises `Rejected(..., kind="already_ended")` if the server says that the job has already ended: then
            `Job.cancel` succeeds. With a `Codes` table, list the server's code for that as "already_ended".
        start: How to submit a job, for `Endpoint.start`, or None.
        cancel: A function from a reference to the request that cancels the job, or None if the API has no such call.
            If the API refuses to cancel a job that has ended, `classify` must report this refusal with the kind
            "already_ended". Otherwise `Job.cancel` raises it.
        then: A function from a reference and a snapshot to the next request of the same poll, or None if there is
            nothing more to ask. It is called when a poll has seen a success, and again after each `read_then`, so that
            results that need a call of their own, or come in pages, are read. After 1,000 calls the wait ends with
            `Rejected`, of the kind "too_many_pages". If one of the calls fails, the poll is a miss. A success that
            `Group.read` sees is asked about with `ask` first.
        read_then: A function from the snapshot so far and the reply to `then` to the new snapshot. Needed with `then`.
        classify_then: As `classify`, for the replies to `then`; by default `classify` itself.
        about: A function from a reference and a reply to the part of the reply that speaks of this job, as a `Reply`
            for `same_job` and `read`; or None. It raises `BadReply` if the job is not in there. For an API that only
            lists jobs.
        group: How to ask about many jobs with one request, or None if the API has no such call.
        pace: How often the API may be asked, as defaults for each wait, or None.
        predicts: A function from a reference to the part of it that predicts how long the job takes, or None.
        submitted_at: A function from a reference to the time of its submit, if it holds that, or None. See `time_in_id`
            for ids. A time that is given with a job goes before it, and nonsense counts as None.
        same_job: A function that returns whether a reply is about the job with a reference, or None if the API does
            not repeat the id in its replies.
        again: A function from a reference and a `Poll` to the request of a poll of a wait, or None to use `ask` there,
            too. For requests that depend on the last reply, such as an address in it, or on the time that is left, such
            as a long poll (see `Request.attempt`).
        conditional: Whether the polls of a wait ask for news alone if the last good reply had an `ETag`: the request, a
            GET, is then sent with `If-None-Match`, and the answer 304 means that nothing has changed.
        plain: A function from a reference to JSON data, from which `restore` can make the reference again.
        restore: A function from what `plain` returned, after a passage through JSON, to the reference, for
            `job_from_json`. It raises a `ValueError` for data that do not fit. By default it returns text as it is, and
            refuses anything else.
        definition: The text that the endpoint was made from, if it was made from a definition.

    Raises:
        TypeError: An argument has a wrong type. The message names it.
        ValueError: The name has other characters, or none.
    """

    name: str = field(validator=NAME)
    ask: Callable[[Ref], Request] = field(kw_only=True, validator=FUNCTION)
    read: Callable[[Reply], Snapshot[T]] = field(kw_only=True, validator=FUNCTION)
    classify: Callable[[Reply], None] = field(default=classify_status, kw_only=True, validator=FUNCTION)
    _start: Start[Ref, T] | None = field(default=None, kw_only=True, alias="start", validator=optional_instance(Start))
    cancel: Callable[[Ref], Request] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    then: Callable[[Ref, Snapshot[T]], Request | None] | None = field(
        default=None, kw_only=True, validator=OPTIONAL_FUNCTION
    )
    read_then: Callable[[Snapshot[T], Reply], Snapshot[T]] | None = field(
        default=None, kw_only=True, validator=OPTIONAL_FUNCTION
    )
    classify_then: Callable[[Reply], None] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    about: Callable[[Ref, Reply], Reply] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    group: Group[Ref, T] | None = field(default=None, kw_only=True, validator=optional_instance(Group))
    pace: Pace | None = field(default=None, kw_only=True, validator=optional_instance(Pace))
    predicts: Callable[[Ref], Hashable] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    submitted_at: Callable[[Ref], Time | None] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    same_job: Callable[[Ref, Reply], bool] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    again: Callable[[Ref, Poll], Request] | None = field(default=None, kw_only=True, validator=OPTIONAL_FUNCTION)
    conditional: bool = field(default=True, kw_only=True, validator=by_field(flag))
    plain: Callable[[Ref], Any] = field(default=as_plain, kw_only=True, validator=FUNCTION)
    restore: Callable[[Any], Ref] = field(default=as_text_alone, kw_only=True, validator=FUNCTION)
    definition: str | None = field(default=None, kw_only=True, repr=False, validator=OPTIONAL_TEXT)
    _guard: Guard = field(
        init=False, repr=False, eq=False, default=Factory(lambda self: Guard(self.name), takes_self=True)
    )
    _makes_more_of_polls: bool = field(
        init=False, repr=False, eq=False,
        default=Factory(lambda self: bool(self.then or self.about or self.again), takes_self=True),
    )  # fmt: skip
    _check: Callable[[Reply], None] = field(
        init=False, repr=False, eq=False,
        default=Factory(lambda self: partial(self._guard.check, self.classify), takes_self=True),
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        if (self.then is None) != (self.read_then is None):
            raise TypeError("Endpoint.then and Endpoint.read_then belong together: give both or neither")

    def job(self, transport: Transport, ref: Ref, *, submitted_at: Time | None = None) -> Job[T]:
        """Return the job with the reference *ref*. Its requests are sent over *transport*."""
        job = Job(self, transport, ref)
        if submitted_at is None and self.submitted_at is not None:
            submitted_at = time_of_submit(self.submitted_at(ref))
        return job if submitted_at is None else job.with_submitted_at(submitted_at)

    @property
    def can_start(self) -> bool:
        """Whether `start` can submit jobs."""
        return self._start is not None

    @property
    def start_key(self) -> str | None:
        """The name of the argument of `start` that is the idempotency key, or None if there is none."""
        return None if self._start is None else self._start.key

    async def start(self, transport: Transport, /, **arguments: Any) -> Job[T]:
        """Submit a job over *transport*, and return it.

        Unless the API has an idempotency key (`Start.key`), the request is sent once and never repeated: if the answer
        is lost, the job may exist or not.

        Args:
            transport: What sends the requests.
            **arguments: The arguments of `Start.ask`.

        Returns:
            The job. If the answer already has its end, its first poll returns that without a request.

        Raises:
            TypeError: The endpoint has no `start`, or an argument is missing or unknown. Nothing was sent.
            ValueError: An argument is unusable. Nothing was sent.
            TransportError: The job was refused, or it is not known whether it was accepted; or it was accepted, and the
                server wants it to be polled at an address of another API (a `Rejected`, kind "foreign_address").
        """
        start = self._start
        if start is None:
            cure = "give Endpoint(start=Start(ask=..., read=...))" if self.definition is None else "write start = ..."
            raise TypeError(f"{self.name} cannot start jobs; {cure}")
        if start.key is not None and arguments.get(start.key) is None:
            arguments[start.key] = uuid4().hex
        request = await start.request(self.name, arguments)
        pacing = None if start.predicts is None else as_pacing(start.predicts(arguments))
        reply = await exchange(transport, request, self._check)
        submitted, call = None, self._guard.call
        if start.snapshot is not None:
            seen: Any = call("Start.snapshot", reply, (Snapshot, type(None)), start.snapshot, reply)
            has_more = self.then is not None and seen is not None and seen.state is State.SUCCESS
            submitted = seen if seen is not None and seen.state.is_terminal and not has_more else None
        ref: Any = call("Start.read", reply, object, start.read, reply, arguments)
        if submitted is None:
            check_first(self.ask, transport, ref)
        return started(Job(self, transport, ref, submitted=submitted), reply, pacing)

    def job_from_json(self, transport: Transport, text: str) -> Job[T]:
        """Return the job of this endpoint that `Job.to_json` wrote, in this process or another one.

        Raises:
            ValueError: The text was not written by `Job.to_json`, was written by another version or for another
                endpoint, or its reference does not fit (see `restore`).
        """
        name, data = read_token(text)
        if name != self.name:
            raise ValueError(f"the job belongs to the endpoint {name!r:.80}, not to {self.name!r}; use that one")
        try:
            ref = self.restore(data)
        except ACCIDENTS as error:
            problem = f"{error}" if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise ValueError(f"{self.name}: the reference of the job cannot be restored: {problem:.200}") from error
        return with_token_marks(self.job(transport, ref), text)

    # polls

    async def _poll(self, transport: Transport, ref: Ref, wait: Decision | None) -> Snapshot[T]:
        """Ask about one job, as a poll of *wait* if there is one."""
        began = get_running_loop().time()
        memory = None if wait is None else wait.memory
        if memory is not None:
            memory.calls.clear()
        request = self.ask(ref) if wait is None or self.again is None else self._ask_again(self.again, ref, wait)
        sent = request if memory is None else conditional(request, memory)
        reply = await exchange(transport, sent, self._check if sent is request else self._check_conditional)
        if memory is not None and sent is not request and reply.status == NOT_MODIFIED:
            return same_again(memory, reply)
        part = self._part(ref, reply)
        if not self._is_about(ref, part):
            reply, part = await self._ask_afresh(transport, ref, request)
        seen = self._guard.read(self.read, part)
        if self.then is not None:
            seen = await self._poll_further(transport, ref, seen, wait, began)
        if wait is not None:
            if self.again is not None:
                wait.own_memory().reply = reply
            if self.conditional:
                keep(wait, request, reply, seen)
        return seen

    async def _ask_afresh(self, transport: Transport, ref: Ref, request: Request) -> tuple[Reply, Reply]:
        # A connection of the pool may still contain the answer to an earlier request. A new connection cannot.
        reply = await exchange(transport, evolve(request, fresh=True), self._check)
        part = self._part(ref, reply)
        if not self._is_about(ref, part):
            problem = f"{self.name}: the answer is about another job, even on a new connection"
            cure = "look for a proxy or a cache that mixes up answers"
            raise BadReply(f"{problem}; {cure}", kind="identity", reply=reply)
        return reply, part

    async def _poll_further(
        self, transport: Transport, ref: Ref, seen: Snapshot[T], wait: Decision | None, began: float
    ) -> Snapshot[T]:
        """Make the further calls of a poll that *began* then and has seen *seen*; return the whole snapshot."""
        call: Any = self._guard.call
        reply: Reply | None = None
        further = 0
        while getattr(seen, "state", None) is State.SUCCESS:
            request = call("then", reply, (Request, type(None)), self.then, ref, seen)
            if request is None:
                break
            if further == _MOST_CALLS:
                raise Rejected(
                    f"{self.name}: the result has more than {_MOST_CALLS} pages; correct then=, which must return None "
                    "after the last one",
                    kind="too_many_pages",
                )
            further += 1
            if wait is not None:
                calls, now = wait.own_memory().calls, get_running_loop().time()
                calls.append(now - began)
                began = now
            try:
                reply = await exchange(transport, request, self._check_then)
            except ValueError as error:  # what the server sent cannot be sent back
                raise self._guard.unreadable("then", error, reply) from error
            seen = call("read_then", reply, Snapshot, self.read_then, seen, reply)
        return seen

    async def _poll_group(self, transport: Transport, refs: Sequence[Ref]) -> Mapping[Ref, Snapshot[T]]:
        """Ask about many jobs."""
        if self.group is None:
            raise NotImplementedError(f"{self.name} has no call about many jobs")
        reply = await exchange(transport, self.group.ask(refs), self._check)
        answers = self._guard.call("Group.read", reply, Mapping, self.group.read, reply, refs)
        for seen in answers.values():
            self._guard.log_misfits(seen)
        if self.then is None:
            return answers
        return {ref: seen for ref, seen in answers.items() if getattr(seen, "state", None) is not State.SUCCESS}

    def _ask_again(self, again: Callable[[Ref, Poll], Request], ref: Ref, wait: Decision) -> Request:
        last: Reply | None = None if wait.memory is None else wait.memory.reply
        poll = Poll(wait.seconds_left(get_running_loop().time()), last)
        return self._guard.call("again", last, Request, again, ref, poll)

    def _check_conditional(self, reply: Reply) -> None:
        if reply.status != NOT_MODIFIED:
            self._check(reply)

    def _check_then(self, reply: Reply) -> None:
        if self.classify_then is None:
            self._check(reply)
        else:
            self._guard.check(self.classify_then, reply, "classify_then")

    def _part(self, ref: Ref, reply: Reply) -> Reply:
        """Return the part of a reply that speaks of one job."""
        return reply if self.about is None else self._guard.call("about", reply, Reply, self.about, ref, reply)

    def _is_about(self, ref: Ref, reply: Reply) -> bool:
        return self.same_job is None or bool(self._guard.call("same_job", reply, object, self.same_job, ref, reply))


@frozen(eq=False, repr=False, weakref_slot=False)
class Job(Marks, Generic[T]):
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
        return f"<Job {self.endpoint.name} {shown_ref(self.ref)}>"

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
    def pacing(self) -> str | None:
        """Return what predicts how long the job takes: what its submit or `with_pacing` told, else its reference."""
        predicts = self.endpoint.predicts
        return None if predicts is None else as_pacing(predicts(self.ref))

    @property
    def pacing_key(self) -> str:
        """Return a text that jobs share if they are expected to take about the same time."""
        return pacing_key(self.endpoint.name, self.pacing)

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
        return await self.poll_for(None)

    __call__ = fetch

    async def poll_for(self, wait: Decision | None) -> Snapshot[T]:
        """Do the same as a poll of *wait*, which keeps what its later polls may need."""
        if self.submitted is not None:
            return self.submitted
        endpoint = self.endpoint
        if endpoint._makes_more_of_polls or (wait is not None and wait.memory is not None):  # noqa: SLF001  a method of this module
            return await endpoint._poll(self.transport, self.ref, wait)  # noqa: SLF001  as above
        # The rest is `_poll` for most endpoints, without a coroutine of its own and without the questions.
        request = endpoint.ask(self.ref)
        reply = await exchange(self.transport, request, endpoint._check)  # noqa: SLF001  as above
        if not endpoint._is_about(self.ref, reply):  # noqa: SLF001  as above
            reply, _ = await endpoint._ask_afresh(self.transport, self.ref, request)  # noqa: SLF001  as above
        seen: Snapshot[T] = endpoint._guard.read(endpoint.read, reply)  # noqa: SLF001  as above
        if "etag" in reply.headers and endpoint.conditional and wait is not None:
            keep(wait, request, reply, seen)
        return seen

    async def fetch_together(self, jobs: Sequence[Job[T]]) -> dict[Job[T], Snapshot[T]]:
        """Ask about *jobs* with one request, and return a snapshot per job that the answer contains.

        Args:
            jobs: Jobs with the same `group_key` as this job.

        Raises:
            NotImplementedError: The API has no such call.
            TransportError: There was no answer about the jobs.
        """
        refs = [job.ref for job in jobs]
        answers = await self.endpoint._poll_group(self.transport, refs)  # noqa: SLF001  a method of this module
        return {job: answers[job.ref] for job in jobs if job.ref in answers}

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
        """Return a token without secrets. `job_from_json`, of the endpoint or client, makes the job from it again."""
        told: str | None = getattr(self, "told", None)
        return write_token(self.endpoint.name, self.endpoint.plain(self.ref), self.submitted_at, told)

    def _marked(self, **news: Any) -> Self:
        """Return the same job with some of its marks changed."""
        marks = {name: getattr(self, name, None) for name in ("meta", "origin", "submitted_at", "not_before", "told")}
        job = _MarkedJob(self.endpoint, self.transport, self.ref, submitted=self.submitted, **{**marks, **news})
        return cast("Self", job)


@frozen(eq=False, repr=False, weakref_slot=False)
class _MarkedJob(Job[T]):
    """A job of which more is known, such as when the server wants the first poll; others need no place for that."""

    meta: Mapping[str, Any] | None = field(kw_only=True)  # pyright: ignore[reportIncompatibleMethodOverride]  frozen, so as good as a property
    origin: Any = field(kw_only=True)
    submitted_at: float | None = field(kw_only=True)  # pyright: ignore[reportIncompatibleMethodOverride]  as above
    not_before: float | None = field(kw_only=True)  # pyright: ignore[reportIncompatibleMethodOverride]  as above
    told: str | None = field(kw_only=True)

    @property
    def pacing(self) -> str | None:
        return self.told or super().pacing


def started(job: Job[T], reply: Reply, pacing: str | None = None) -> Job[T]:
    """Return a job as one that was just submitted, given the reply to that and what it says about the duration."""
    now, pause = datetime.now(UTC).timestamp(), reply.retry_after
    not_before = None if pause is None else now + pause
    return job._marked(submitted_at=now, not_before=not_before, told=pacing)  # noqa: SLF001  a method of this module


def with_token_marks(job: Job[T], token: str) -> Job[T]:
    """Return the job of a valid token with what that tells beside the reference."""
    at, pacing = token_marks(token)
    marks = {"submitted_at": at, "told": as_pacing(pacing)}
    return job._marked(**marks) if any(marks.values()) else job  # noqa: SLF001  a method of this module
