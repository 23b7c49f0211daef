"""Define `World`: the jobs of a definition at an imaginary server, and its answers to requests.

A request is matched with the requests of the definition, from the one with the most fixed text to the one with the
least; what stands in their slots says which job it is about. The life of a job is scripted or drawn from the seed, as
in `asyncpoll.simulator`. The answer is fabricated from the definition alone. There is neither a clock nor a socket
here: an HTTP server and a rehearsal in virtual time both ask the same `World`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import define, evolve, field, frozen

from asyncpoll._snapshot import number
from asyncpoll._state import State
from asyncpoll.definitions import _paths
from asyncpoll.definitions._chains import FurtherCall, joined
from asyncpoll.definitions._document import DefinitionSpec
from asyncpoll.definitions._fabricate import (
    Case,
    ReplyBuilder,
    case_for,
    cases,
    complain,
    enclose,
    fabricate,
    put_fields,
    put_value,
)
from asyncpoll.definitions._model import EndpointSpec, GroupSpec, PagesSpec, RequestSpec, StartSpec, ThenSpec
from asyncpoll.definitions._reading import value_getter
from asyncpoll.definitions._templates import Slot, pieces
from asyncpoll.http import Reply, Request
from asyncpoll.simulator._http import Call
from asyncpoll.simulator._lives import Life, LifeGenerator, fingerprint

USUAL: Mapping[str, float] = MappingProxyType({"success": 9.0, "failed": 1.0})
Place = tuple[object, ...]
_ENDED_AT = 1_750_000_000  # seconds since 1970
_DETAILS: Mapping[State, Mapping[str, Any]] = MappingProxyType(
    {State.FAILED: {"reason": "the job has failed", "code": "job_failed"}, State.SUCCESS: {"ended_at": _ENDED_AT}}
)


@frozen(eq=False)
class _Entry:
    """A request of the definition: its endpoint and its verb, and which step of `then` it is."""

    spec: EndpointSpec
    verb: str
    request: RequestSpec
    step: int = 0

    @property
    def route(self) -> str:
        return self.spec.name if self.verb == "ask" else f"{self.spec.name}.{self.verb}"

    @property
    def pages(self) -> PagesSpec | None:
        return self.request.pages if isinstance(self.request, ThenSpec) else self.spec.pages

    @property
    def last_page(self) -> int:
        """Return the number of pages; lines and bytes have no place for the way to the next one."""
        form = self.request.form_of_answer if isinstance(self.request, ThenSpec) else "json"
        places = [path.place for path in self.pages.next[:1]] if self.pages else []
        return 2 if places and (form == "json" or places != ["json"]) else 1

    @property
    def fixed(self) -> tuple[bool, int]:
        """Return a key that sorts requests: first addresses, which fit all, and last those with most fixed text."""
        request = self.request
        found = pieces((request.path, request.query, request.json, request.headers))
        return not request.is_address, sum(len(piece) for piece in found if isinstance(piece, str))

    def slots_of(self, call: Call) -> dict[str, Any] | None:
        """Return what a request has in the slots, or None if it is another request."""
        found: dict[str, Any] = {}
        request, plain = self.request, str if self.request.is_address else unquote
        if call.method != request.method or not _match(request.path, call.path, found, plain):
            return None
        pairs = [(template, call.query.get(name)) for name, template in request.query]
        pairs += [(template, call.headers.get(name.lower())) for name, template in request.headers.items()]
        pairs += [] if request.json is None else [(request.json, call.json)]
        return found if all(_match(template, value, found) for template, value in pairs) else None


def _entries(spec: EndpointSpec) -> list[_Entry]:
    group = spec.group.ask if spec.group else None
    if group is not None and spec.about is not None and group.call == spec.ask.call:
        group = None  # the list answers both
    verbs = {"start": spec.start, "cancel": spec.cancel, "group": group, "ask": spec.ask}
    steps = [_Entry(spec, "then", step, number) for number, step in enumerate(spec.then)]
    return [*(_Entry(spec, verb, request) for verb, request in verbs.items() if request is not None), *steps]


def _match(template: Any, value: Any, found: dict[str, Any], plain: Callable[[str], str] = str) -> bool:
    """Return whether a value has the form of a template, and add what stands in its slots to *found*."""
    if isinstance(template, Mapping):
        is_table = isinstance(value, Mapping)
        return is_table and all(_match(one, value.get(name), found) for name, one in template.items())
    if isinstance(template, list):
        same_size = isinstance(value, list) and len(value) == len(template)
        return same_size and all(_match(one, item, found) for one, item in zip(template, value, strict=True))
    if not isinstance(template, tuple):
        return bool(template == value)
    if len(template) == 1 and isinstance(template[0], Slot) and not isinstance(value, str):
        found[template[0].name] = value
        return value is not None
    pattern = (("(.+)" if one.open else "([^/]+)") if isinstance(one, Slot) else re.escape(one) for one in template)
    fits = re.fullmatch("".join(pattern), value, re.DOTALL) if isinstance(value, str) else None
    if fits is not None:
        found |= zip((one.name for one in template if isinstance(one, Slot)), map(plain, fits.groups()), strict=True)
    return fits is not None


@frozen
class JobTruth:
    """The facts that a wait should find.

    Attributes:
        state: The state in which the job ends.
        outcome: The status word that says so, or the name of a rule, such as "when[0]".
        value: The value of a success, else None.
        submitted_at: When the job was submitted or first polled, in seconds of the event loop's clock.
        finished_at: When it ends, on the same clock; this may be in the future.
    """

    state: State
    outcome: str
    value: Any
    submitted_at: float
    finished_at: float


@define(eq=False)
class ServedJob:
    """A job at the server."""

    spec: EndpointSpec
    known: Mapping[str, Case]
    ident: str
    ref: Mapping[str, Any]
    life: Life
    born: float  # not a number until it is first polled, for a job that was scripted before

    @property
    def end(self) -> float:
        """The time of the end."""
        return self.born + self.life.length

    @property
    def reference(self) -> dict[str, Any]:
        """The reference by which a client asks about the job."""
        return {name: self.ref[name] for name in self.spec.fields}

    def case(self, now: float) -> Case:
        """Return what an answer says of the job at a time."""
        pending, running, end = (case_for(self.known, one) for one in ("pending", "processing", self.life.outcome))
        is_pending = self.life.phase(now - self.born) == 0
        case = end if now >= self.end else (pending or running) if is_pending else (running or pending)
        return case or Case("", State.UNKNOWN, "")

    def sample(self, page: int | None) -> Any:
        """Return the value of a success, or the rows on a page of it."""
        if page is None:
            return {"sample": self.ident}
        return [{"sample": self.ident, "row": row} for row in (2 * page - 1, 2 * page)]


@frozen
class Served:
    """An answer, the name of the request that it is for, and the seconds for which it is held back."""

    reply: Reply
    route: str
    hold: float = 0.0


@define(eq=False)
class World:
    """The jobs of a definition and the answers about them; the same requests get the same answers.

    Args:
        definition: The definition.
        lives: The generator of the lives of jobs without a script.
        outcomes: The weights of how jobs end, by a word of the API or a state.
        accept_unknown: Whether an id that was never submitted has a job, too.

    Attributes:
        home: The address that the addresses of jobs begin with.
    """

    definition: DefinitionSpec
    lives: LifeGenerator
    outcomes: Mapping[str, float] = USUAL
    accept_unknown: bool = True
    home: str = field(init=False)
    _entries: list[_Entry] = field(init=False)
    _known: dict[str, Mapping[str, Case]] = field(init=False)
    _jobs: dict[Place, ServedJob] = field(init=False, factory=dict)
    _about: dict[Place, list[ServedJob]] = field(init=False, factory=dict)  # by what stands in the slots of a request
    _pages: dict[str, tuple[_Entry, ServedJob, int]] = field(init=False, factory=dict)  # by their addresses
    _keys: dict[Any, ServedJob] = field(init=False, factory=dict)  # by idempotency key

    def __attrs_post_init__(self) -> None:
        self.home = self.base_path
        specs = self.definition.endpoints
        self._known = {name: cases(spec) for name, spec in specs.items()}
        entries = [entry for spec in specs.values() for entry in _entries(spec)]
        self._entries = sorted(entries, key=lambda entry: entry.fixed, reverse=True)

    @property
    def base_path(self) -> str:
        """Return the path of the base address."""
        return urlsplit(self.definition.base or "").path.rstrip("/")

    # jobs

    def script(self, spec: EndpointSpec, ref: Mapping[str, Any], life: Life) -> None:
        """Set the life of one job, whether or not it is there already.

        Raises:
            ValueError: The definition has no such outcome.
        """
        known = self._known[spec.name]
        if case_for(known, life.outcome) is None:
            raise ValueError(f"{spec.name} has no outcome {life.outcome!r}; choose one of: {', '.join(known)}")
        job = self._jobs.get(self._place(spec, ref))
        if job is None:
            self._settle(spec, self._ident(*ref.values()), ref, math.nan, life)
        else:
            job.life = life

    def begin(self, spec: EndpointSpec, given: Mapping[str, Any], now: float, life: Life | None = None) -> ServedJob:
        """Begin a job, with a new value in each field of the reference that is not given."""
        ident = self._ident(spec.name, len(self._jobs))
        names = (*spec.required, *(spec.start.ref if spec.start else ()))
        ref = {name: self._value(spec, name, ident) for name in names}
        return self._settle(spec, ident, {**ref, **given}, now, life)

    def truth(self, spec: EndpointSpec, ref: Mapping[str, Any]) -> JobTruth:
        """Return the facts about a job.

        Raises:
            ValueError: There is no such job yet.
        """
        job = self._jobs.get(self._place(spec, ref))
        if job is None or math.isnan(job.born):
            raise ValueError(f"{spec.name} has not seen this job yet; submit it or poll it first")
        case = job.case(job.end)
        value = self._result(job) if case.state is State.SUCCESS else None
        return JobTruth(case.state, case.name, value, job.born, job.end)

    def _settle(
        self, spec: EndpointSpec, ident: str, ref: Mapping[str, Any], now: float, life: Life | None = None
    ) -> ServedJob:
        """Return the job with a reference. A new one is born *now*."""
        place, known = self._place(spec, ref), self._known[spec.name]
        if place in self._jobs:
            return self._jobs[place]
        life = life or self._life(known, place)
        job = self._jobs[place] = ServedJob(spec, known, ident, {**spec.ref, **ref}, life, now)
        for entry in self._entries:
            if entry.spec is spec and entry.verb != "start":
                slots = {name: job.ref.get(name) or self._value(spec, name, ident) for name in entry.request.names}
                self._about.setdefault(self._slots(entry, slots), []).append(job)
        return job

    def _ident(self, *names: object) -> str:
        return fingerprint(self.lives.seed, *map(str, names)).hex()

    def _life(self, known: Mapping[str, Case], place: Place) -> Life:
        weights = {outcome: weight for outcome, weight in self.outcomes.items() if weight and case_for(known, outcome)}
        return self.lives.draw(weights or {"success": 1.0}, *map(str, place))

    def _place(self, spec: EndpointSpec, ref: Mapping[str, Any]) -> Place:
        """Return what tells the jobs of an endpoint apart: the fields that say which one is asked about."""
        names = dict.fromkeys((*spec.ask.names, *(spec.about.id if spec.about else ())))
        return spec.name, *(self._plain({**spec.ref, **ref}.get(name)) for name in names)

    def _slots(self, entry: _Entry, slots: Mapping[str, Any]) -> Place:
        return entry, *(self._plain(slots.get(name)) for name in entry.request.names)

    def _plain(self, value: Any) -> str:
        return (value if isinstance(value, str) else json.dumps(value)).removeprefix(self.home)

    def _value(self, spec: EndpointSpec, name: str, ident: str) -> str:
        """Return the value of a field of a new job, or of a slot that answers fill: an address or an id."""
        requests = (spec.ask, spec.cancel, *spec.then)
        is_address = any(one is not None and one.is_address and name in one.names for one in requests)
        return f"{self.home}/at/{ident}/{name}" if is_address else f"{name}-{ident[:12]}"

    # answers

    def receive(self, request: Request, now: float) -> Served:
        """Return the answer to a request that is not sent over a network."""
        target = urlsplit(request.address or "")
        path = request.path or target.path.removeprefix(self.base_path)
        pairs = request.query.items() if isinstance(request.query, Mapping) else request.query
        query = {**dict(parse_qsl(target.query)), **{name: value for name, value in pairs if isinstance(value, str)}}
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self.answer(Call(request.method, path, query, headers, request.json), now)

    def answer(self, call: Call, now: float) -> Served:
        """Return the answer to a request, whose path begins below the base address."""
        if call.path in self._pages:
            entry, job, page = self._pages[call.path]
            return Served(self._said(entry, job, now, page).reply(), entry.route)
        matches = [(entry, slots) for entry in self._entries if (slots := entry.slots_of(call)) is not None]
        if not matches:
            return Served(ReplyBuilder(404, {"error": {"message": "there is no such call"}}).reply(), "nowhere")
        known = (match for match in matches if self._slots(*match) in self._about)
        return self._answer(*next(known, matches[0]), call, now)

    def _answer(self, entry: _Entry, slots: Mapping[str, Any], call: Call, now: float) -> Served:
        spec, jobs = entry.spec, self._about.get(self._slots(entry, slots), [])
        if not jobs and entry.verb == "ask" and spec.about is None and self.accept_unknown:
            jobs = [self._settle(spec, self._ident(*slots.values()), slots, now)]
        for job in jobs:
            job.born = now if math.isnan(job.born) else job.born
        if isinstance(entry.request, StartSpec):
            draft = self._start(entry.request, spec, slots, call, now)
        elif spec.group is not None and entry.verb == "group":
            draft = self._list(spec, spec.group, jobs, now)
        elif not jobs:
            draft = complain(spec, "not_found")
        elif entry.verb == "cancel":
            draft = self._cancel(jobs[0], now)
        elif entry.verb == "ask" and spec.about is not None:
            draft = enclose(spec, spec.about, [(job.ref, self._part(job, now)) for job in jobs])
        else:
            return self._poll(entry, jobs[0], call, now)
        return Served(draft.reply(), entry.route)

    def _poll(self, entry: _Entry, job: ServedJob, call: Call, now: float) -> Served:
        """Answer `ask` or `then`: with a page, after a long poll, or with HTTP 304 if the client has the answer."""
        cursor = call.query.get(entry.pages.query or "", "") if entry.pages else ""
        page = int(cursor[5:]) if re.fullmatch(r"page-[0-9]{1,4}", cursor) else 1
        wait = entry.spec.long_poll
        asked = number(call.query.get(wait.query)) if wait and entry.verb == "ask" else None
        hold = 0.0 if wait is None or asked is None else max(0.0, min(asked / wait.per_second, job.end - now))
        reply = self._said(entry, job, now + hold, page).reply()
        seen = repr((reply.status, reply.headers, reply.body)).encode()
        tag = f'"{hashlib.blake2b(seen, digest_size=8).hexdigest()}"'
        if call.headers.get("if-none-match") == tag:
            return Served(Reply(304, headers={"etag": tag}), entry.route, hold)
        return Served(evolve(reply, headers={**reply.headers, "etag": tag}), entry.route, hold)

    def _said(self, entry: _Entry, job: ServedJob, now: float, page: int) -> ReplyBuilder:
        """Write the answer to `ask` about one job, or to a step of `then`."""
        if isinstance(entry.request, ThenSpec):
            draft = self._step(job, entry.request, page)
            self._put_slots(draft, job, entry.spec.then[entry.step + 1 :])
        else:
            draft = enclose(job.spec, None, [(job.ref, self._part(job, now, page))])
        pages = entry.pages if job.case(now).state is State.SUCCESS else None
        if pages is not None and page < entry.last_page:
            address = f"/at/{job.ident}/{entry.verb}-{entry.step}-{page + 1}"
            self._pages[address] = entry, job, page + 1
            draft.put(pages.next, f"page-{page + 1}" if pages.query else self.home + address)
        if pages is not None and pages.more:
            draft.put(pages.more, page < entry.last_page)
        return draft

    def _part(self, job: ServedJob, now: float, page: int = 1) -> ReplyBuilder:
        """Write what an answer to `ask` says about one job."""
        case, spec, length = job.case(now), job.spec, job.life.length
        done = 1.0 if now >= job.end else (now - job.born) / length
        value = job.sample(page if spec.pages else None)
        part = fabricate(spec, case, ref=job.ref, value=value, progress=done, **_DETAILS.get(case.state, {}))
        self._put_slots(part, job, spec.then if case.state is State.SUCCESS else ())
        return part

    def _step(self, job: ServedJob, step: ThenSpec, page: int) -> ReplyBuilder:
        form = step.form_of_answer
        sample = job.sample(page if step.pages or form == "jsonl" else None)
        if form in {"text", "bytes"}:
            return ReplyBuilder(content=f"the result of {job.ident}".encode())
        draft = ReplyBuilder(body=None if step.value else sample)
        put_value(draft, step.value, sample)
        if form == "jsonl":
            draft.content = "".join(f"{json.dumps(row)}\n" for row in draft.body).encode()
        return draft

    def _put_slots(self, draft: ReplyBuilder, job: ServedJob, steps: Sequence[ThenSpec]) -> None:
        """Place what later calls take out of this answer."""
        for name in dict.fromkeys(name for step in steps for name in step.names):
            if name not in job.spec.fields and draft.content is None:
                draft.put((_paths.compile(name),), self._value(job.spec, name, job.ident))

    def _result(self, job: ServedJob) -> Any:
        """Return the value that a wait should have in the end: that of the last request, and of all its pages."""
        entry = _entries(job.spec)[-1]
        answers = [self._said(entry, job, job.end, page).reply() for page in range(1, entry.last_page + 1)]
        if isinstance(entry.request, ThenSpec):
            read = FurtherCall.of(entry.request, job.spec.fields).read
            return joined(tuple(map(read, answers)))
        value_of = value_getter(job.spec.value)
        return joined(tuple(value_of(reply.json, reply) for reply in answers))

    def _start(
        self, start: StartSpec, spec: EndpointSpec, slots: Mapping[str, Any], call: Call, now: float
    ) -> ReplyBuilder:
        given = {**(call.json if isinstance(call.json, dict) else {}), **slots}
        name = start.idempotency or ""
        key = call.headers.get(name[7:].lower()) if name.startswith("header:") else given.get(name)
        kept = {name: given[name] for name in spec.fields if name in given and name not in start.ref}
        job = self._keys.get(key) or self.begin(spec, kept, now)
        if key is not None:
            self._keys[key] = job
        draft = ReplyBuilder()
        put_fields(draft, start.ref, job.ref)
        return enclose(spec, None, [(job.ref, draft)])

    def _cancel(self, job: ServedJob, now: float) -> ReplyBuilder:
        error = job.spec.error
        if job.end <= now and "already_ended" in {*error.codes.values(), *error.http.values()}:
            return complain(job.spec, "already_ended")
        if job.end > now:
            outcome = next((one for one in ("cancelled", "failed") if case_for(job.known, one)), job.life.outcome)
            job.life = Life(pending=now - job.born, outcome=outcome)
        return enclose(job.spec, job.spec.about, [(job.ref, self._part(job, now))])

    def _list(self, spec: EndpointSpec, group: GroupSpec, jobs: Sequence[ServedJob], now: float) -> ReplyBuilder:
        """Write the answer about a group; jobs whose state is not said by a word are left out."""
        parts: list[tuple[Mapping[str, Any], ReplyBuilder]] = []
        for job in jobs:
            case, part = job.case(now), ReplyBuilder()
            if case.word is not None:
                part.put(group.status, case.word)
                put_value(part, group.value if case.state is State.SUCCESS else (), job.sample(None))
                parts.append((job.ref, part))
        draft = enclose(spec, group, parts)
        put_fields(draft, group.echo, jobs[0].ref if jobs else {})
        return draft
