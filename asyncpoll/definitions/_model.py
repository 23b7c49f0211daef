"""The model of a definition: what its TOML says, after the checks that one key alone allows.

A definition has one `EndpointSpec` for each endpoint, and these have the classes above it. The fields made by `key` are
the keys of the format, and `where` is the spot of the table, with its lines. Nothing here knows how to ask or to read;
`_compile` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from attrs import evolve, field, frozen

from asyncpoll._state import State, Words
from asyncpoll.definitions import _paths
from asyncpoll.definitions import _values as read
from asyncpoll.definitions._paths import Path
from asyncpoll.definitions._patterns import checked_pattern
from asyncpoll.definitions._spots import Provenance, Spot, build, key
from asyncpoll.definitions._templates import Template, is_address, parse_call, slots
from asyncpoll.definitions._values import STATES, Paths, Word
from asyncpoll.http._classify import KINDS

T = TypeVar("T")
NOTHING: Mapping[str, Any] = MappingProxyType({})
FORMS = ("json", "jsonl", "text", "bytes")
MARKS: Mapping[str, State] = MappingProxyType(
    {"partial": State.SUCCESS, "expired": State.TIMEOUT, "needs_action": State.PROCESSING}
)
"""From a mark to the state of a word that is nothing but marked."""
_BODY = "body"


@frozen(kw_only=True)
class TableSpec:
    """A table of a definition, and where it stands."""

    where: Spot = field(repr=False, eq=False)


def _table(cls: type[T], short: str = "") -> Callable[[Spot], T]:
    """Return a reader of a table. The value of the key *short* may stand in place of the table."""

    def read_table(spot: Spot) -> T:
        is_short = short and not isinstance(spot.value, Mapping)
        return build(cls, spot, {short: spot} if is_short else None)

    return read_table


@frozen(kw_only=True)
class RequestSpec(TableSpec):
    """A request: "GET /tasks/{id}", or a table with `call`. It has one body: `json` or `form`."""

    call: tuple[str, Template, tuple[tuple[str, Template], ...]] = key(read.text_by(parse_call))
    further: Mapping[str, Any] = key(read.named(read.json_template), NOTHING, name="query")
    json: Any = key(read.json_template, None)
    form: Mapping[str, Template] | None = key(read.named(read.text_template), None)
    headers: Mapping[str, Template] = key(read.named(read.header), NOTHING)

    @property
    def method(self) -> str:
        return self.call[0]

    @property
    def path(self) -> Template:
        return self.call[1]

    @property
    def query(self) -> tuple[tuple[str, Any], ...]:
        """Return names and values, those of the call first."""
        return (*self.call[2], *self.further.items())

    @property
    def is_address(self) -> bool:
        return is_address(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all slots, each once."""
        values = (value for _, value in self.query)
        found = slots((self.path, *values, self.json, self.form, self.headers))
        return tuple(dict.fromkeys(slot.name for slot in found))


def _request(cls: type[T]) -> Callable[[Spot], T]:
    """Return a reader of a request, whose call alone may stand in place of the table."""

    def read_request(spot: Spot) -> T:
        if isinstance(spot.value, str):
            return build(cls, spot, {"call": spot})
        spot.table('a call such as "GET /tasks/{id}", or a table with call = ...')
        request = build(cls, spot)
        if isinstance(request, RequestSpec) and request.json is not None and request.form is not None:
            spot.refuse("a request has one body; write json or form, not both")
        return request

    return read_request


@frozen(kw_only=True)
class StartSpec(RequestSpec):
    """The request that starts a job.

    Attributes:
        ref: From a field of the reference to where the answer has it. Other fields come from the arguments.
        open: Whether arguments without a slot go into the JSON body.
        answers: Whether the answer is read like one about the job, so that a job may end with it.
        idempotency: The argument that is the idempotency key, or "header:NAME" for a header that is.
    """

    ref: Mapping[str, Paths] = key(read.named(read.some_paths, read.field_name), NOTHING)
    open: bool = key(read.flag, default=False)
    answers: bool = key(read.flag, default=False)
    idempotency: str | None = key(read.text, None, name="key")


@frozen(kw_only=True)
class PagesSpec(TableSpec):
    """How a result goes on in further pages.

    Attributes:
        next: Where an answer has the address of the next page, or with `query` the cursor that leads to it.
        query: The name of the query parameter that a cursor is sent as, or None for an address.
        more: Where an answer says whether there is another page, or nothing: as long as there is something at `next`.
    """

    next: Paths = key(read.some_paths)
    query: str | None = key(read.text, None)
    more: Paths = key(read.paths, ())


@frozen(kw_only=True)
class ThenSpec(RequestSpec):
    """A later call, made once the job has succeeded. Its slots are fields of the reference or paths into the answers.

    Attributes:
        form_of_answer: How the answer is read: "json", "jsonl", "text" or "bytes".
        value: Where the answer has the value; without paths it is the whole answer.
        failed: HTTP statuses by which the server says that the job has failed.
        pages: How the value goes on in further answers, or None.
    """

    form_of_answer: str = key(read.one_of(*FORMS), "json", name="as")
    value: Paths | Mapping[str, Paths] = key(read.value_paths, ())
    failed: tuple[int, ...] = key(read.listed(read.http_status), ())
    pages: PagesSpec | None = key(_table(PagesSpec, "next"), None)


@frozen(kw_only=True)
class MeasureSpec(TableSpec):
    """A number in an answer.

    Attributes:
        at: Paths. The first with something in it counts, or their sum where `of` is given.
        of: What 1 would be: a number or a path, or None.
    """

    at: Paths = key(read.some_paths)
    of: float | Path | None = key(read.path_or_number, None)


@frozen(kw_only=True)
class Wanted(TableSpec):
    """What a rule wants at a path. Every part that is given must hold.

    Attributes:
        equals: Values, one of which must stand there; () for any.
        present: True if something must stand there that is not empty, False if nothing or null must.
        above: The number that the value must exceed.
        below: The number that must exceed the value.
        any: Values, one of which must be in the list that stands there.
        every: Values; each item of the list that stands there must be one of them, and there must be an item.
        negated: What must not hold.
    """

    equals: tuple[Any, ...] = key(read.some(read.scalar), ())
    present: bool | None = key(read.flag, None)
    above: float | None = key(read.number, None)
    below: float | None = key(read.number, None)
    any: tuple[Any, ...] = key(read.some(read.scalar), ())
    every: tuple[Any, ...] = key(read.some(read.scalar), ())
    negated: Wanted | None = key(lambda spot: wanted(spot), None, name="not")  # noqa: PLW0108  it is defined below


def wanted(spot: Spot) -> Wanted:
    """Read a value, a list of values, or a table such as { present = true }."""
    if spot.value == {}:
        spot.refuse("an empty table wants nothing; write a value, or { present = true }")
    try:
        return _table(Wanted, "equals")(spot)
    except RecursionError:
        spot.refuse("this is nested too deep; write less")


def conditions(spot: Spot) -> tuple[tuple[Path, Wanted], ...]:
    """Read a table from paths to what must stand there; all of it must hold."""
    table = spot.table()
    if not table:
        spot.refuse("there is no condition; write { path = value }")
    return tuple((read.path(spot.below(name, name)), wanted(one)) for name, one in table.items())


@frozen(kw_only=True)
class Rule(TableSpec):
    """A rule that goes before the status words.

    Attributes:
        conditions: Paths and what must stand there. All must hold.
        state: The state that the answer then means.
        kind: "partial", "expired" or "needs_action", or None.
    """

    conditions: tuple[tuple[Path, Wanted], ...] = key(conditions, name="if")
    state: State = key(read.state)
    kind: str | None = key(read.one_of(*MARKS), None)


@frozen(kw_only=True)
class PhraseSpec(TableSpec):
    """A code that means several things, told apart by the message; see `asyncpoll.http.Phrase`."""

    code: str | None = key(lambda spot: str(read.word(spot)), None)
    pattern: str = key(read.text_by(checked_pattern), name="words")
    kind: str = key(read.one_of(*KINDS))
    http: int | None = key(read.http_status, None)


@frozen(kw_only=True)
class ErrorSpec(TableSpec):
    """How the API says that an answer is not about the job.

    Attributes:
        ok: Paths and what must stand there if anything does.
        object: A path to an object that is a complaint, although a status word may stand beside it; or None.
        code: Where the code is; without paths in the customary places.
        message: Where the message is, likewise.
        http: From an HTTP status to a kind of trouble; it goes before any code.
        codes: From a code to a kind of trouble; the kinds are the keys in the definition.
        phrases: Codes that mean several things.
    """

    ok: tuple[tuple[Path, Wanted], ...] = key(conditions, ())
    object: Path | None = key(read.path, None)
    code: Paths = key(read.paths, ())
    message: Paths = key(read.paths, ())
    http: Mapping[int, str] = key(read.by_status(read.one_of(*KINDS)), MappingProxyType({}))
    phrases: tuple[PhraseSpec, ...] = key(read.listed(_table(PhraseSpec)), (), name="words")
    codes: Mapping[str, str] = field(default=NOTHING, kw_only=True)


def _error(spot: Spot) -> ErrorSpec:
    given = spot.table()
    codes: dict[str, str] = {}
    for kind in [name for name in given if name in KINDS]:
        one = given.pop(kind)
        for code in chain.from_iterable(str(read.word(item)).split() for item in one.items()):
            if codes.setdefault(code, kind) != kind:
                one.refuse(f"the code {code[:40]!r} stands for {codes[code]} as well; list it once, or use words")
    return evolve(build(ErrorSpec, spot, given), codes=codes)


def _ids(spot: Spot) -> Mapping[str, Paths]:
    ids = read.named(read.some_paths, read.field_name)(spot)
    if not ids:
        spot.refuse("an item needs an id; write { id = ... } with a field of the reference and its path")
    return ids


@frozen(kw_only=True)
class ListSpec(TableSpec):
    """A list of jobs in an answer.

    Attributes:
        each: Where the list is.
        id: From fields of the reference to where an item of the list has them.
    """

    each: Paths = key(read.some_paths)
    id: Mapping[str, Paths] = key(_ids)


@frozen(kw_only=True)
class GroupSpec(ListSpec):
    """A request about many jobs.

    Attributes:
        ask: The request. Jobs whose fields in it are equal are asked about together.
        status: Where an item has its word; by default where an answer about one job has it.
        value: Where an item has the value of a success.
        size: The largest number of jobs in one request.
        tells: The states that the list is believed about; a job in another one is asked about alone.
        echo: From fields of the reference to where the answer repeats them, outside of the list.
    """

    ask: RequestSpec = key(_request(RequestSpec))
    status: Paths = key(read.some_paths, (_paths.compile("status"),))
    value: Paths | Mapping[str, Paths] = key(read.value_paths, ())
    size: int = key(read.count, 100)
    tells: tuple[str, ...] = key(read.listed(read.one_of(*STATES)), ())
    echo: Mapping[str, Paths] = key(read.named(read.some_paths, read.field_name), NOTHING)


@frozen(kw_only=True)
class LongPollSpec(TableSpec):
    """A query parameter that makes the server hold an answer back, for some seconds at most.

    In a second it counts `per_second`: 1, or 1000 for milliseconds.
    """

    query: str = key(read.text)
    seconds: float = key(read.above_zero)
    per_second: float = key(read.above_zero, 1.0)


@frozen(kw_only=True)
class PaceSpec(TableSpec):
    """Defaults of a wait: as the fields of `asyncpoll.Pace`, and a long poll."""

    at_least: float = key(read.seconds, 0.0)
    first: float = key(read.seconds, 0.0)
    not_found_grace: float = key(read.seconds, 0.0)
    stable_for: int = key(read.count, 1)
    per_second: float | None = key(read.above_zero, None)
    long_poll: LongPollSpec | None = key(_table(LongPollSpec), None)


@frozen(kw_only=True)
class Example(TableSpec):
    """An answer and what it means: a test that lives in the definition.

    The answer is `http`, `headers`, and `reply` for JSON or `body` for other text. It means a state, or raises an error
    of a kind; of the value and what follows, None is what the example does not say.
    """

    reply: Any = key(read.json_data, None)
    body: str | None = key(read.text, None)
    http: int = key(read.http_status, 200)
    headers: Mapping[str, str] = key(read.named(read.text), NOTHING)
    state: State | None = key(read.any_state, None)
    kind: str | None = key(read.one_of(*MARKS), None)
    error: str | None = key(read.one_of(*KINDS), None)
    value: Any = key(read.json_data, None)
    reason: str | None = key(read.text, None)
    code: str | None = key(read.text, None)
    progress: float | None = key(read.number, None)


def _example(spot: Spot) -> Example:
    example = build(Example, spot)
    if (example.state is None) == (example.error is None):
        spot.refuse('an example needs one verdict; write state = "..." or error = "..."')
    return example


@frozen(kw_only=True)
class EndpointSpec(TableSpec):
    """One endpoint; see the format reference for its keys."""

    ask: RequestSpec = key(_request(RequestSpec))
    cancel: RequestSpec | None = key(_request(RequestSpec), None)
    start: StartSpec | None = key(_request(StartSpec), None)
    then: tuple[ThenSpec, ...] = key(read.listed(_request(ThenSpec)), ())
    pages: PagesSpec | None = key(_table(PagesSpec, "next"), None)
    description: str = key(read.prose, "")
    ref: Mapping[str, Any] = key(read.named(read.scalar, read.field_name), NOTHING)
    open: bool = key(read.flag, default=False)
    echo: Mapping[str, Paths] = key(read.named(read.some_paths, read.field_name), NOTHING)
    predicts: tuple[str, ...] = key(read.listed(read.fact), ())
    submitted_at: str | None = key(read.field_name, None)
    moved: Mapping[str, Paths] = key(read.named(read.some_paths, read.field_name), NOTHING)
    about: ListSpec | None = key(_table(ListSpec), None)
    status: Paths = key(read.paths, ())
    pending: tuple[Word, ...] = key(read.words, ())
    processing: tuple[Word, ...] = key(read.words, ())
    success: tuple[Word, ...] = key(read.words, ())
    failed: tuple[Word, ...] = key(read.words, ())
    timeout: tuple[Word, ...] = key(read.words, ())
    cancelled: tuple[Word, ...] = key(read.words, ())
    partial: tuple[Word, ...] = key(read.words, ())
    expired: tuple[Word, ...] = key(read.words, ())
    needs_action: tuple[Word, ...] = key(read.words, ())
    absent: tuple[Word, ...] = key(read.words, ())
    missing: State | None = key(read.state, None)
    when: tuple[Rule, ...] = key(read.listed(_table(Rule)), ())
    http: Mapping[int, str] = key(read.by_status(read.one_of(*STATES, _BODY)), MappingProxyType({}))
    value: Paths | Mapping[str, Paths] = key(read.value_paths, ())
    reason: Paths = key(read.paths, ())
    code: Paths = key(read.paths, ())
    progress: MeasureSpec | None = key(_table(MeasureSpec, "at"), None)
    retry_after: MeasureSpec | None = key(_table(MeasureSpec, "at"), None)
    ended_at: Paths = key(read.paths, ())
    error: ErrorSpec = key(_error, ErrorSpec(where=Spot(None, (), Provenance(""))))
    group: GroupSpec | None = key(_table(GroupSpec), None)
    pace: PaceSpec | None = key(_table(PaceSpec), None)
    examples: tuple[Example, ...] = key(read.listed(_example), (), name="example")
    name: str = field(default="", kw_only=True)
    given: Mapping[str, Spot] = field(factory=dict, repr=False, eq=False, kw_only=True)

    @property
    def requests(self) -> Mapping[str, RequestSpec]:
        """Return the requests about jobs that there are already, by their keys."""
        found = {"ask": self.ask, "cancel": self.cancel, "group": self.group.ask if self.group else None}
        return {name: request for name, request in found.items() if request is not None}

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields of a reference, in the order in which they are needed."""
        places = [
            *(request.names for request in self.requests.values()),
            *(one.id for one in (self.about, self.group) if one is not None),
            self.group.echo if self.group else (),
        ]
        return tuple(dict.fromkeys(chain(*places, self.echo, self.ref)))

    @property
    def required(self) -> tuple[str, ...]:
        """Return the fields that have no default."""
        return tuple(name for name in self.fields if name not in self.ref)

    @property
    def words(self) -> Words:
        """Return the states of all words but the absent ones; a word that is only a mark has the state of the mark."""
        stated = [(word, state) for state in State if state.value in STATES for word in getattr(self, state.value)]
        known = Words(stated)
        marks = [(word, state) for mark, state in MARKS.items() for word in getattr(self, mark)]
        return Words([*stated, *(pair for pair in marks if pair[0] not in known)])

    @property
    def is_body_value(self) -> bool:
        """Return whether an answer need not be JSON: the value is its bytes, or there are none by its method."""
        is_bytes = isinstance(self.value, tuple) and [one.place for one in self.value] == ["body"]
        return is_bytes or self.ask.method == "HEAD"

    @property
    def long_poll(self) -> LongPollSpec | None:
        return None if self.pace is None else self.pace.long_poll

    def refuse(self, name: str, problem: str) -> NoReturn:
        """Raise the error for one of the keys, wherever it stands: here, or shared by several endpoints."""
        self.given.get(name, self.where).refuse(problem)
