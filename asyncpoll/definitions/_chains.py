"""Further calls of a poll that has seen a success: those of `then`, and the pages of a result.

A chain goes on as long as the value of the snapshot is a `Pending`: the next call and what is known so far. The slots
of a call are filled from the reference, else from the answers so far, the latest first. A call whose slots are not all
filled by them is left out: there is no result to fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, frozen

from asyncpoll._errors import BadReply
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._structure import text_of
from asyncpoll.definitions import _paths
from asyncpoll.definitions._model import EndpointSpec, PagesSpec, ThenSpec
from asyncpoll.definitions._paths import Getter, first, has_content
from asyncpoll.definitions._reading import Faults, Why, value_getter
from asyncpoll.definitions._requests import Make, Reference, request_maker
from asyncpoll.definitions._templates import Slot, fill_slot
from asyncpoll.http import Reply, Request
from asyncpoll.http._classify import fault

_OWN_PAGES = -1


@frozen
class Pending:
    """A call that is still to be made.

    Attributes:
        step: The number of the call in `then`, or `_OWN_PAGES` for the further pages of the first answer.
        filled: The values of its slots that are in the answers.
        cursor: What leads to the next page, or None for the first one.
        answers: The answers so far, the latest first.
        pages: The values of the pages so far.
    """

    step: int
    filled: Mapping[str, Any]
    cursor: str | None
    answers: tuple[Reply, ...]
    pages: tuple[Any, ...]


@frozen
class FurtherCall:
    """One compiled call: how it is made and read."""

    spec: ThenSpec
    make: Make
    value: Getter
    getters: Mapping[str, Getter]
    slots: Mapping[str, Slot]

    @classmethod
    def of(cls, spec: ThenSpec, fields: tuple[str, ...]) -> FurtherCall:
        """Return the compiled call *spec*, for references with these fields."""
        getters = {name: _paths.compile(name).get for name in spec.names if name not in fields}
        slots = {slot.name: slot for slot in spec.path if isinstance(slot, Slot)}
        make = request_maker(spec, lambda name: name, decode=spec.form_of_answer == "json")
        return cls(spec, make, value_getter(spec.value), getters, {} if spec.is_address else slots)

    def fill(self, answers: tuple[Reply, ...]) -> dict[str, Any] | None:
        """Return the values of the slots that are no fields of the reference, or None if one is in no answer."""
        filled: dict[str, Any] = {}
        for name, get in self.getters.items():
            found = (get(reply.json, reply) for reply in answers)
            value = next(filter(has_content, found), None)
            if value is None:
                return None
            filled[name] = self._checked(name, value, answers[0])
        return filled

    def _checked(self, name: str, value: Any, reply: Reply) -> Any:
        if self.spec.is_address and not isinstance(value, str):
            raise _malformed(name, "an address is expected", reply)
        if name in self.slots:
            try:
                fill_slot(self.slots[name], value)
            except ValueError as problem:
                raise _malformed(name, str(problem), reply) from None
        return value

    def read(self, reply: Reply) -> Any:
        """Return the value in the answer to the call."""
        form = self.spec.form_of_answer
        if form != "json":
            return reply.text if form == "text" else reply.body if form == "bytes" else self.value(reply.jsonl, reply)
        if reply.json is None:
            raise fault("malformed", "the answer to a call of then is expected to hold JSON", reply=reply)
        return self.value(reply.json, reply)


@frozen
class Chain:
    """The further calls of one endpoint.

    Attributes:
        spec: The endpoint.
        ask: Makes the request that asks about the job.
        why: Returns code and reason of a failure.
        steps: The calls.
        value: The getter of the value in an answer about the job.
    """

    spec: EndpointSpec
    ask: Callable[[Reference], Request]
    why: Why
    steps: tuple[FurtherCall, ...]
    value: Getter

    @classmethod
    def of(cls, spec: EndpointSpec, ask: Callable[[Reference], Request], why: Why) -> Chain:
        """Return the chain of an endpoint."""
        return cls(
            spec, ask, why, tuple(FurtherCall.of(one, spec.fields) for one in spec.then), value_getter(spec.value)
        )

    def begin(self, reply: Reply, value: Any) -> Any:
        """Return the value of a success as it is, or a `Pending` if there is another call to make."""
        return self._go_on(_OWN_PAGES, self.spec.pages, {}, (reply,), (value,))

    def then(self, ref: Reference, snapshot: Snapshot[Any]) -> Request | None:
        """Return the next request, or None at the end."""
        pending = snapshot.value
        if not isinstance(pending, Pending):
            return None
        step = None if pending.step == _OWN_PAGES else self.steps[pending.step]
        pages = self.spec.pages if step is None else step.spec.pages
        if pending.cursor is not None and pages is not None and pages.query is None:
            decode = step is None or step.spec.form_of_answer == "json"
            return Request.to("GET", pending.cursor, repeatable=True, decode=decode)
        request = self.ask(ref) if step is None else step.make({**ref.plain(), **pending.filled})
        if pending.cursor is None or pages is None:
            return request
        query: Any = request.query
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        return evolve(request, query=[*pairs, (pages.query, pending.cursor)])

    def read_then(self, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Return the snapshot with what the answer to the last call says."""
        pending: Any = snapshot.value
        if pending.step == _OWN_PAGES:
            value, pages = self.value(reply.json, reply), self.spec.pages
        else:
            step = self.steps[pending.step]
            if reply.status in step.spec.failed:
                code, reason = self.why(reply)
                return evolve(snapshot, state=State.FAILED, value=None, code=code, reason=reason, partial=False)
            value, pages = step.read(reply), step.spec.pages
        answers = (reply, *pending.answers)
        return evolve(
            snapshot, value=self._go_on(pending.step, pages, pending.filled, answers, (*pending.pages, value))
        )

    def _go_on(
        self,
        step: int,
        pages: PagesSpec | None,
        filled: Mapping[str, Any],
        answers: tuple[Reply, ...],
        values: tuple[Any, ...],
    ) -> Any:
        cursor = None if pages is None else _cursor(pages, answers[0])
        if cursor is not None:
            return Pending(step, filled, cursor, answers, values)
        for number in range(step + 1, len(self.steps)):
            found = self.steps[number].fill(answers)
            if found is not None:
                return Pending(number, found, None, answers, ())
        return _joined(values)


def then_classifier(spec: EndpointSpec, faults: Faults) -> Callable[[Reply], None]:
    """Return the function that classifies the answers to further calls, which need not hold JSON."""
    failed = frozenset(status for step in spec.then for status in step.failed)
    classify = evolve(faults, raw=True).classifier()

    def classify_then(reply: Reply) -> None:
        if reply.status not in failed:
            classify(reply)

    return classify_then


def _cursor(pages: PagesSpec, reply: Reply) -> str | None:
    """Return what leads to the page after an answer, or None if it was the last one."""
    body = reply.json
    if pages.more and not first(pages.more)(body, reply):
        return None
    value = first(pages.next)(body, reply)
    if not has_content(value):
        return None
    cursor = text_of(value)
    if cursor is None:
        raise _malformed(pages.next[0].text, "a text is expected", reply)
    return cursor


def _malformed(where: str, problem: str, reply: Reply) -> BadReply:
    return BadReply(f"the answer is malformed at $.{where}: {problem}", reply=reply)


def _joined(values: tuple[Any, ...]) -> Any:
    """Return the value of all pages: lists, texts and bytes are put together, and anything else becomes a list."""
    if len(values) == 1:
        return values[0]
    kinds = {type(value) for value in values}
    if kinds == {list}:
        return [one for value in values for one in value]
    if kinds == {str}:
        return "".join(values)
    return b"".join(values) if kinds == {bytes} else list(values)
