"""Read answers by a definition: first `Faults`, for answers that are not about the job, then `reader`.

An answer means the state of the first of these that says something: a rule of `when`; `http`, unless the status is a
2xx and there is a word; the status word; `missing`. Anything else is malformed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from attrs import evolve, frozen

from asyncpoll._errors import TransportError
from asyncpoll._json import canonical_json
from asyncpoll._snapshot import Snapshot, number, share
from asyncpoll._state import State, Vocabulary, Words, kind_of, spelled
from asyncpoll._structure import text_of, timestamp
from asyncpoll.definitions._conditions import condition, test_of
from asyncpoll.definitions._model import MARKS, EndpointSpec, ErrorSpec, MeasureSpec
from asyncpoll.definitions._paths import Getter, Path, first, has_content
from asyncpoll.definitions._patterns import LONGEST_TEXT
from asyncpoll.definitions._values import STATES, Word
from asyncpoll.http import Codes, Phrase, Reply
from asyncpoll.http._classify import ABOUT_ACCOUNT, ABOUT_SERVICE, STATUSES, complaint, fault, status_kind

_SUCCESS = 2
_WITH_BODY = (200, 201, 202, 203)
_EXACT = 1 << 53
_WORDS = (str, int, bool)
_TERMINAL = frozenset(state for state in State if state.is_terminal)
_LONGEST_REASON = 1000


class Meaning(NamedTuple):
    """What a word, a status or a rule says about the job."""

    state: State
    word: str = ""
    partial: bool = False
    kind: str | None = None


def marked(state: State, mark: str | None, word: str = "") -> Meaning:
    """Return a verdict with one of the marks "partial", "expired" and "needs_action", or without."""
    return Meaning(state, word, mark == "partial", None if mark == "partial" else mark)


@frozen
class Faults:
    """Tells answers that are not about the job, and makes their errors.

    Attributes:
        spec: The `[error]` of the definition.
        codes: The kinds of the API's own codes.
        through: The HTTP statuses that are let through to be read.
        named: Getters of what an answer repeats of the reference.
        word: The getter of the status word.
        raw: Whether the value is the bytes of an answer, which then need not be JSON.
    """

    spec: ErrorSpec
    codes: Codes
    through: frozenset[int]
    named: tuple[Getter, ...]
    word: Getter | None
    raw: bool

    @classmethod
    def of(cls, spec: EndpointSpec) -> Faults:
        """Return the faults of an endpoint."""
        error = spec.error
        phrases = tuple(Phrase(one.code, one.pattern, one.kind, status=one.http) for one in error.phrases)
        named = tuple(first(paths) for paths in spec.echo.values())
        word = first(spec.status) if spec.status else None
        return cls(error, Codes(error.codes, phrases), frozenset(spec.http), named, word, spec.is_body_value)

    def classifier(self) -> Callable[[Reply], None]:
        """Return a function that raises the error for an answer that is not about the job."""
        spec = self.spec
        by_http = spec.http
        wanted = [(path.get, test_of(one)) for path, one in spec.ok]
        complains = None if spec.object is None else spec.object.get

        def classify(reply: Reply) -> None:
            status = reply.status
            if by_http and status in by_http:
                raise self.fault(reply)
            if (status != 200 or reply.json is None) and not self._passes(reply):  # noqa: PLR2004  nearly all are
                raise self.fault(reply)
            body = reply.json
            for get, test in wanted:
                value = get(body, reply)
                if value is not None and not test(value):
                    raise self.fault(reply)
            if complains is not None and has_content(complains(body, reply)) and not self._is_verdict(reply):
                raise self.fault(reply)

        return classify

    def _passes(self, reply: Reply) -> bool:
        """Return whether an answer that is not a 200 with JSON is read all the same.

        A success without a body is: it may be the answer to a submit or a cancel.
        """
        if reply.status in self.through and (reply.status // 100 != _SUCCESS or not self.lacks_json(reply)):
            return True
        if reply.status // 100 != _SUCCESS:
            return False
        return not reply.body if reply.json is None and not self.raw else reply.status not in STATUSES

    def lacks_json(self, reply: Reply) -> bool:
        """Return whether an answer should hold JSON and does not; it may be the page of a proxy."""
        return reply.json is None and not self.raw and bool(reply.body)

    def fault(self, reply: Reply) -> TransportError:
        """Return the error for an answer that is not about the job."""
        code, message = self._told(reply)
        known = self.codes.kind(code, message[:LONGEST_TEXT], reply.status)
        kind = self.spec.http.get(reply.status) or known or status_kind(reply)
        from_api = reply.json is not None and (known is not None or code is not None or not self.codes.by_code)
        return fault(kind, message, reply=reply, code=code, from_api=from_api)

    def complaint(self, reply: Reply) -> tuple[str | None, str]:
        """Return the code and the message in an answer, in the customary places or in the object that complains."""
        if self.spec.object is None or self.spec.object.text == "error":
            return complaint(reply)
        found = self.spec.object.get(reply.json, reply)
        return complaint(evolve(reply, json={"error": found})) if has_content(found) else complaint(reply)

    def ends_job(self, reply: Reply) -> bool:
        """Return whether an answer has a complaint about the account or the content, which a job cannot survive."""
        there = self.spec.object
        return (
            there is not None
            and has_content(there.get(reply.json, reply))
            and self._kind(reply) in ABOUT_ACCOUNT | {"content_policy"}
        )

    def unreadable(self, reply: Reply, word: Any, expected: str) -> TransportError:
        """Return the error for an answer without a usable status word; a refusal that was let through is one still."""
        if reply.json is None or reply.status // 100 != _SUCCESS:
            return self.fault(reply)
        problem = f"the status must be {expected}, not {kind_of(word)}" if self.word else "it fits none of the rules"
        return fault("malformed", problem, reply=reply)

    def check_success(self, reply: Reply) -> None:
        """Check that a success without JSON is meant: by its bytes, or by an HTTP status that says it alone."""
        if not self.raw and reply.status in _WITH_BODY:
            raise fault("malformed", "a success is expected to hold JSON", reply=reply)

    def _told(self, reply: Reply) -> tuple[str | None, str]:
        code, message = self.complaint(reply)
        if self.spec.code:
            code = text_of(first(self.spec.code)(reply.json, reply))
        if self.spec.message:
            message = text_in(first(self.spec.message)(reply.json, reply)) or message
        return code, message

    def _kind(self, reply: Reply) -> str | None:
        code, message = self._told(reply)
        return self.codes.kind(code, message[:LONGEST_TEXT], reply.status)

    def _is_verdict(self, reply: Reply) -> bool:
        """Return whether a complaint beside a status word is why the job failed, and not about the request."""
        if self.word is None or self.word(reply.json, reply) is None:
            return False
        is_named = any(text_of(get(reply.json, reply)) for get in self.named)
        return is_named or self._kind(reply) not in ABOUT_ACCOUNT | ABOUT_SERVICE


def text_in(value: Any) -> str | None:
    """Return a value as a text for people: an object or a list as JSON, and None for nothing."""
    if isinstance(value, dict | list) and value:
        return canonical_json(value)[:_LONGEST_REASON]
    return text_of(value)


def first_text(paths: tuple[Path, ...]) -> Getter:
    """Return a getter of the first text at one of some paths."""
    getters = [path.get for path in paths]

    def get(body: Any, reply: Reply) -> str | None:
        return next((text for one in getters if (text := text_in(one(body, reply))) is not None), None)

    return get


def value_getter(value: tuple[Path, ...] | Mapping[str, tuple[Path, ...]]) -> Getter:
    """Return a getter of the value: what stands at its paths, or a table of that; without paths the whole body."""
    if isinstance(value, Mapping):
        getters = {name: first(paths) for name, paths in value.items()}
        return lambda body, reply: {name: get(body, reply) for name, get in getters.items()}
    return first(value) if value else lambda body, _reply: body


def measure(spec: MeasureSpec) -> Getter:
    """Return a getter of a number: what stands there itself, or its share of something."""
    get, of = first(spec.at), spec.of
    if of is None:
        return get
    getters = [path.get for path in spec.at]

    whole_of = of.get if isinstance(of, Path) else lambda _body, _reply: of

    def get_share(body: Any, reply: Reply) -> float | None:
        found = [value for one in getters if (value := one(body, reply)) is not None]
        counts = [value if type(value) is int else number(value) for value in found]
        done = sum([count for count in counts if count is not None])
        whole = whole_of(body, reply)
        if type(done) is int and type(whole) is int and 0 <= done <= whole <= _EXACT:
            return done / whole if whole and counts else None
        return share(done, whole) if counts != [None] * len(counts) else None

    return get_share


def _seconds(spec: MeasureSpec) -> Getter:
    """Return a getter of a number of seconds; `of` is what a second counts, such as 1000 for milliseconds."""
    get, of = first(spec.at), spec.of

    def get_seconds(body: Any, reply: Reply) -> float | None:
        count = number(get(body, reply))
        divisor = number(of.get(body, reply)) if isinstance(of, Path) else of or 1.0
        return count / divisor if count is not None and divisor else reply.retry_after

    return get_seconds


def _moment(paths: tuple[Path, ...]) -> Callable[[Any, Reply], tuple[Any, tuple[str, ...]]]:
    """Return a getter of a point in time, and of the path where something stands that is none."""
    get = first(paths)

    def get_moment(body: Any, reply: Reply) -> tuple[Any, tuple[str, ...]]:
        try:
            return timestamp(get(body, reply)), ()
        except (ValueError, OverflowError, TypeError, OSError):
            return None, (f"$.{paths[0].text}",)

    return get_moment


def _nothing(_body: Any, _reply: Reply) -> None:
    return None


Judge = Callable[[Any, Reply], Meaning]
"""A function from the body of an answer, and the answer, to what it says about the job."""


def judge(spec: EndpointSpec, faults: Faults) -> Judge:
    """Return the judge of an endpoint. It raises the error for an answer that says nothing about the job."""
    read_word = _word_reader(spec)
    words = {word: read_word(word) for state in STATES for word in getattr(spec, state) if isinstance(word, str)}
    get_word = first(spec.status) if spec.status else _nothing
    rules = [(condition(rule.conditions), rule.state, rule.kind) for rule in spec.when]
    by_http = {status: Meaning(State(state)) for status, state in spec.http.items() if state != "body"}
    judge_rest = _judge_rest(spec, faults, read_word, by_http)

    def judge_all(body: Any, reply: Reply) -> Meaning:
        word = get_word(body, reply)
        for holds, state, mark in rules:
            if holds(body, reply):
                return marked(state, mark, word if isinstance(word, str) else "")
        if by_http and reply.status // 100 != _SUCCESS and reply.status in by_http:
            return by_http[reply.status]
        meaning = words.get(word) if type(word) is str else None
        return judge_rest(word, reply) if meaning is None else meaning

    return judge_all


def _word_reader(spec: EndpointSpec) -> Callable[[Any], Meaning]:
    """Return the function that reads a word of a type that is listed."""
    vocabulary = Vocabulary(spec.name, spec.words)
    marks = [(name, _listed(getattr(spec, name))) for name in MARKS]

    def read_word(word: Any) -> Meaning:
        mark = next((name for name, words in marks if word in words), None)
        return marked(vocabulary.read(word), mark, spelled(word))

    return read_word


def _judge_rest(
    spec: EndpointSpec, faults: Faults, read_word: Callable[[Any], Meaning], by_http: Mapping[int, Meaning]
) -> Callable[[Any, Reply], Meaning]:
    """Return the judge of answers without one of the words as they are listed."""
    vocabulary, absent = Vocabulary(spec.name, spec.words), _listed(spec.absent)

    def judge_rest(word: Any, reply: Reply) -> Meaning:
        if word is None and (meaning := by_http.get(reply.status)) is not None:
            return meaning
        if word is None and spec.missing is not None and isinstance(reply.json, dict):
            return Meaning(spec.missing)
        if type(word) in _WORDS and word in absent:
            raise fault("not_found", f"the status is {word!r:.60}", reply=reply)
        if not spec.status or not vocabulary.accepts(word):
            raise faults.unreadable(reply, word, vocabulary.expected)
        return read_word(word)

    return judge_rest


Why = Callable[[Reply], tuple[str | None, str | None]]
"""A function from an answer to the code and the reason of a failure."""


def reasons(spec: EndpointSpec, faults: Faults) -> Why:
    """Return the function that reads why a job failed: at the paths of the definition, else in the customary places."""
    code_of, reason_of = first_text(spec.code), first_text(spec.reason)

    def why(reply: Reply) -> tuple[str | None, str | None]:
        code, reason = (None, "") if spec.code and spec.reason else faults.complaint(reply)
        return (
            code_of(reply.json, reply) if spec.code else code,
            reason_of(reply.json, reply) if spec.reason else reason or None,
        )

    return why


def reader(
    spec: EndpointSpec, faults: Faults, why: Why, begin: Callable[[Reply, Any], Any] | None = None
) -> Callable[[Reply], Snapshot[Any]]:
    """Return the function that reads an answer about a job.

    Args:
        spec: The endpoint.
        faults: Its faults.
        why: What reads code and reason of a failure.
        begin: What begins the further calls after a success, or None if there are none.
    """
    verdict_of, value_of = judge(spec, faults), value_getter(spec.value)
    progress = _nothing if spec.progress is None else measure(spec.progress)
    hint = _retry_after if spec.retry_after is None else _seconds(spec.retry_after)
    moment = _moment(spec.ended_at) if spec.ended_at else None

    def read(reply: Reply) -> Snapshot[Any]:
        body = reply.json
        state, word, partial, kind = verdict_of(body, reply)
        done, later = progress(body, reply), hint(body, reply)
        if state is State.SUCCESS:
            if body is None:
                faults.check_success(reply)
            ended, misfits = moment(body, reply) if moment else (None, ())
            value = value_of(body, reply)
            value = value if begin is None else begin(reply, value)
            return Snapshot(state, word, value, None, None, done, later, ended, body, misfits, partial, kind)
        is_terminal = state in _TERMINAL
        if not is_terminal:
            if not faults.ends_job(reply):
                return Snapshot(state, word, None, None, None, done, later, None, body, (), partial, kind)
            state = State.FAILED
        code, reason = why(reply)
        return Snapshot(state, word, None, reason, code, done, later, None, body, (), partial, kind)

    return read


def _listed(words: tuple[Word, ...]) -> Words:
    return Words([(word, State.UNKNOWN) for word in words])


def _retry_after(_body: Any, reply: Reply) -> float | None:
    return reply.retry_after
