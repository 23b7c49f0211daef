"""Write the answers that a definition reads: its paths are run backwards.

A `Case` is one way in which an answer says what has become of a job: a word, a rule, an HTTP status, or the lack of a
word. `fabricate` writes an answer for a case, and `complain` one that is not about the job at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from asyncpoll._state import State
from asyncpoll.definitions import _paths
from asyncpoll.definitions._model import MARKS, NOTHING, EndpointSpec, ListSpec, MeasureSpec, Rule, Wanted
from asyncpoll.definitions._paths import Path, has_content
from asyncpoll.definitions._values import Paths, Word
from asyncpoll.http import Reply
from asyncpoll.http._classify import STATUSES

_ABSENT = object()
_LISTS = (State.PENDING, State.PROCESSING, State.SUCCESS, State.FAILED, State.TIMEOUT, State.CANCELLED)


@frozen
class Case:
    """One way in which an answer says what has become of a job.

    Attributes:
        name: The word as text, or "when[0]", "http.202" or "missing".
        state: The state that it means; that of a word for a job that the server does not know is `UNKNOWN`.
        key: The key of the definition that says so.
        kind: "partial", "expired", "needs_action" or None.
        word: The status word, or None.
        rule: The rule, or None.
        http: The HTTP status.
    """

    name: str
    state: State
    key: str
    kind: str | None = None
    word: Word | None = None
    rule: Rule | None = None
    http: int = 200


@define
class ReplyDraft:
    """An answer in the making."""

    http: int = 200
    body: Any = None
    headers: dict[str, str] = field(factory=dict)
    content: bytes | None = None

    def put(self, paths: Paths, value: Any) -> None:
        """Place a value where the first of some paths finds it.

        Raises:
            ValueError: Something else stands in the way, or it is not an HTTP status.
        """
        if not paths:
            return
        path = paths[0]
        if path.place == "json":
            self.body = path.put(self.body, value)
        elif path.place == "header":
            self.headers[str(path.steps[0])] = value if isinstance(value, str) else json.dumps(value)
        elif path.place == "http":
            if type(value) is not int:
                raise ValueError(f"{value!r} is not an HTTP status")
            self.http = value
        else:
            self.content = value if isinstance(value, bytes) else json.dumps(value).encode()

    def value(self, paths: Paths | Mapping[str, Paths], form: str = "json") -> Any:
        """Return the value that stands at these paths, or all of the answer in another form than JSON."""
        content = self.content or b""
        if form in {"text", "bytes"}:
            return content.decode() if form == "text" else content
        if form == "jsonl":
            return ReplyDraft(body=[json.loads(line) for line in content.splitlines()]).value(paths)
        if isinstance(paths, Mapping):
            return {name: self.value(one) for name, one in paths.items()}
        return _paths.first(paths)(self.body, self.reply()) if paths else self.body

    def reply(self) -> Reply:
        """Return the answer."""
        if self.content is not None:
            return Reply(self.http, None, self.headers, self.content, "the body is not JSON")
        body = {} if self.body is None else self.body
        headers = {"content-type": "application/json", **self.headers}
        return Reply(self.http, body, headers, json.dumps(body).encode())


def cases(spec: EndpointSpec) -> dict[str, Case]:
    """Return all cases of an endpoint by name: its words, its rules, its HTTP statuses, and the lack of a word."""
    known: dict[str, Case] = {}
    for case in (*_words(spec), *_others(spec)):
        known.setdefault(case.name, case)
    return known


def _words(spec: EndpointSpec) -> Iterator[Case]:
    states, kinds = spec.words, {word: mark for mark in MARKS for word in getattr(spec, mark)}
    for key in (*(state.value for state in _LISTS), *MARKS, "absent"):
        for word in getattr(spec, key):
            name = word if isinstance(word, str) else json.dumps(word)
            yield Case(name, states.get(word, State.UNKNOWN), key, kinds.get(word), word)


def _others(spec: EndpointSpec) -> Iterator[Case]:
    for number, rule in enumerate(spec.when):
        yield Case(f"when[{number}]", rule.state, f"when[{number}]", rule.kind, rule=rule)
    for status, state in spec.http.items():
        if state != "body":
            yield Case(f"http.{status}", State(state), f"http.{status}", http=status)
    if spec.missing is not None:
        yield Case("missing", spec.missing, "missing")


def case_for(known: Mapping[str, Case], wanted: str) -> Case | None:
    """Return the case of this name, or else the first that means the state of this name, or None."""
    return known.get(wanted) or next((case for case in known.values() if case.state.value == wanted), None)


def fabricate(
    spec: EndpointSpec, case: Case, *, ref: Mapping[str, Any] = NOTHING, value: Any = None, **details: Any
) -> ReplyDraft:
    """Write what an answer to `ask` says about one job; without `about` that is nearly all of the answer.

    Args:
        spec: The endpoint.
        case: What it says.
        ref: The reference of the job, for what an answer repeats.
        value: The value of a success.
        **details: What the answer says besides, as far as the definition has a place for it: `reason`, `code`,
            `ended_at`, and numbers as `progress` and `retry_after`.

    Raises:
        ValueError: Two paths of the definition stand in each other's way.
    """
    draft = ReplyDraft(case.http)
    if case.state is State.SUCCESS:
        put_value(draft, spec.value, value)
    for name, detail in details.items():
        place = getattr(spec, name)
        if isinstance(place, MeasureSpec):
            _put_measure(draft, place, detail)
        elif place is not None:
            draft.put(place, detail)
    put_fields(draft, spec.echo, ref)
    if case.word is not None:
        draft.put(spec.status[:1] if case.state.is_terminal else spec.status[-1:], case.word)
    _put_conditions(draft, case.rule.conditions if case.rule else ())
    return draft


def enclose(
    spec: EndpointSpec, listed: ListSpec | None, parts: Sequence[tuple[Mapping[str, Any], ReplyDraft]]
) -> ReplyDraft:
    """Write the answer around parts about jobs: a list of them, or the only one as it is.

    Args:
        spec: The endpoint.
        listed: Where the list is, or None.
        parts: References, and what is said about the jobs.
    """
    draft = parts[0][1] if parts else ReplyDraft()
    if listed is not None:
        for ref, part in parts:
            put_fields(part, listed.id, ref)
        draft = ReplyDraft(headers={name: text for _, part in parts for name, text in part.headers.items()})
        draft.put(listed.each, [part.body for _, part in parts])
    _put_conditions(draft, spec.error.ok if spec.error else ())
    return draft


def put_fields(draft: ReplyDraft, places: Mapping[str, Paths], ref: Mapping[str, Any]) -> None:
    """Place fields of a reference, each at the first of its paths."""
    for name, paths in places.items():
        draft.put(paths, ref.get(name, "?"))


def put_value(draft: ReplyDraft, paths: Paths | Mapping[str, Paths], value: Any) -> None:
    """Place the value of a success: at the first path, or at that of each name."""
    for one in paths.values() if isinstance(paths, Mapping) else [paths]:
        draft.put(one, value)


def _put_measure(draft: ReplyDraft, spec: MeasureSpec, number: float) -> None:
    whole = 100 if isinstance(spec.of, Path) else spec.of or 1
    if isinstance(spec.of, Path):
        draft.put((spec.of,), whole)
    for path in spec.at[1:] if spec.of is not None else ():
        draft.put((path,), 0)
    draft.put(spec.at, round(number * whole, 3))


def _put_conditions(draft: ReplyDraft, conditions: tuple[tuple[Path, Wanted], ...]) -> None:
    for path, wanted in conditions:
        value = _value_for(wanted)
        is_there = wanted.present and has_content(draft.value((path,)))
        if value is not _ABSENT and not is_there:
            draft.put((path,), value)


def _value_for(wanted: Wanted) -> Any:
    """Return a value that fulfils a condition; `_ABSENT` where nothing at all does."""
    if wanted.equals:
        return wanted.equals[0]
    if wanted.any or wanted.every:
        return [(wanted.any or wanted.every)[0]]
    if wanted.above is not None:
        return wanted.above + 1 if wanted.below is None else (wanted.above + wanted.below) / 2
    if wanted.below is not None:
        return wanted.below - 1
    is_wanted = wanted.negated.present is False if wanted.negated else wanted.present
    return {"is": "there"} if is_wanted else _ABSENT


def complain(spec: EndpointSpec, kind: str, code: str | None = None) -> ReplyDraft:
    """Write an answer that is not about the job, but says what is wrong.

    Args:
        spec: The endpoint.
        kind: The kind of trouble, a key of `KINDS`.
        code: The code, by default the first that the definition has for it.
    """
    error = spec.error
    statuses = {**STATUSES, **({} if error is None else error.http)}
    usual = next((status for status, one in reversed(statuses.items()) if one == kind), 400)
    if error is not None and code is None:
        code = next((code for code, one in error.codes.items() if one == kind), None)
    if error is None or code is None:
        return ReplyDraft(usual, {"error": {"message": kind}})
    draft = ReplyDraft(200 if error.ok or error.object else usual)
    if error.object is not None:
        draft.put((error.object,), {"message": kind})
    for path, _ in error.ok:
        draft.put((path,), "not ok")
    place = "error" if error.object is None else error.object.text
    draft.put(error.message or (_paths.compile(f"{place}.message"),), kind)
    are_numbers = any(isinstance(one, int) for _, wanted in error.ok for one in wanted.equals)
    draft.put(
        error.code or (_paths.compile(f"{place}.code"),),
        int(code) if are_numbers and code.removeprefix("-").isdecimal() else code,
    )
    return draft
