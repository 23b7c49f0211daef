"""What an answer means by a definition: words, rules, HTTP statuses, values, reasons and numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from definition_kit import answer, endpoint, seen, told

from asyncpoll import Pace, Rejected, State
from asyncpoll.testing import MemoryTransport, run_virtual


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("done", "success"),
        (" Done", "success"),
        ("queued", "pending"),
        ("new word", "unknown"),
        ("", "unknown"),
        (None, "malformed"),
        (1, "malformed"),
        (True, "malformed"),
        (["done"], "malformed"),
        ({"done": 1}, "malformed"),
    ],
)
def test_words_mean_states(status: Any, means: str) -> None:
    """A listed word is a state, another one is unknown, and what cannot be a word here is malformed."""
    assert told(endpoint(), answer({"status": status})) == means


def test_words_may_be_numbers_and_booleans() -> None:
    """Words of the types that are listed are words, and 1 and true are two of them."""
    made = endpoint(pending=[0], processing=1, success=True, failed="broken", status="s")
    means = [told(made, answer({"s": word})) for word in (0, 1, True, False, "broken", 1.0)]
    assert means == ["pending", "processing", "success", "unknown", "failed", "malformed"]
    assert [seen(made, answer({"s": word})).status for word in (1, True)] == ["1", "true"]


def test_the_first_path_with_content_has_the_word() -> None:
    """Of several paths the verdict comes first where there is one, and the phase counts where there is none."""
    made = endpoint(status=["conclusion", "status"])
    assert told(made, answer({"conclusion": None, "status": "queued"})) == "pending"
    assert told(made, answer({"conclusion": "", "status": "queued"})) == "pending"
    assert told(made, answer({"conclusion": "broken", "status": "done"})) == "failed"


@pytest.mark.parametrize(
    ("wanted", "body", "holds"),
    [
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": "x"}, {"a": ["x"]}, False),
        ({"a": {"present": True}}, {"a": 0}, True),
        ({"a": {"present": True}}, {"a": {}}, False),
        ({"a": {"present": False}}, {}, True),
        ({"a": {"above": 2}}, {"a": "3"}, True),
        ({"a": {"above": 2}}, {"a": 2}, False),
        ({"a": {"below": 0}}, {"a": -1}, True),
        ({"a": {"below": 0}}, {"a": None}, False),
        ({"a": {"above": 1, "below": 3}}, {"a": 2}, True),
        ({"a": {"above": 1, "below": 3}}, {"a": 3}, False),
        ({"a[*].s": {"any": "x"}}, {"a": [{"s": "y"}, {"s": "x"}]}, True),
        ({"a[*].s": {"any": "x"}}, {"a": []}, False),
        ({"a[*].s": {"any": "x"}}, {"a": "x"}, False),
        ({"a[*].s": {"every": ["x", "y"]}}, {"a": [{"s": "y"}, {"s": "x"}]}, True),
        ({"a[*].s": {"every": "x"}}, {"a": []}, False),
        ({"a": {"not": 1}}, {"a": 2}, True),
        ({"a": {"not": {"present": True}}}, {"a": 2}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"http": 202}, {}, False),
        ({"header:x-done": "yes"}, {}, True),
    ],
)
def test_rules_go_before_words(wanted: Any, body: Any, *, holds: bool) -> None:
    """A rule whose conditions all hold decides, whatever the word is; otherwise the word does."""
    made = endpoint(when=[{"if": wanted, "state": "cancelled"}])
    assert told(made, answer({**body, "status": "done"}, x_done="yes")) == ("cancelled" if holds else "success")


def test_the_first_rule_that_holds_decides() -> None:
    """Rules are tried in their order, and may mark a state."""
    rules: list[Any] = [
        {"if": {"failed": {"above": 0}, "status": "done"}, "state": "success", "kind": "partial"},
        {"if": {"failed": {"above": 0}}, "state": "processing", "kind": "needs_action"},
    ]
    made = endpoint(when=rules)
    assert seen(made, answer({"status": "done", "failed": 1})).partial
    assert seen(made, answer({"status": "queued", "failed": 1})).kind == "needs_action"
    assert not seen(made, answer({"status": "done", "failed": 0})).partial


@pytest.mark.parametrize(
    ("http", "reply", "means"),
    [
        ({"202": "processing"}, answer(None, 202), "processing"),
        ({"202": "processing"}, answer({"status": "done"}, 202), "success"),
        ({"404": "cancelled"}, answer({"status": 404}, 404), "cancelled"),
        ({"404": "cancelled"}, answer("<p>", 404), "cancelled"),
        ({"303": "success"}, answer(None, 303), "success"),
        ({"204": "success"}, answer(None, 204), "success"),
        ({"503": "body"}, answer({"status": "queued"}, 503), "pending"),
        ({"503": "body"}, answer("busy", 503), "server"),
        ({"200": "success"}, answer({"other": 1}), "success"),
        ({"200": "success"}, answer("<h1>Log in</h1>"), "malformed"),
        ({"200": "success"}, answer(None), "malformed"),
        ({}, answer({"status": "queued"}, 503), "server"),
        ({}, answer({"status": "done"}, 201), "success"),
        ({}, answer(None), "malformed"),
        ({}, answer(None, 204), "malformed"),
    ],
)
def test_http_statuses_may_be_states(http: Any, reply: Any, means: str) -> None:
    """A listed HTTP status is a state; of a 2xx the word says more, and "body" lets the answer be read."""
    assert told(endpoint(http=http), reply) == means


def test_a_missing_word_may_mean_a_state() -> None:
    """`missing` is the state without a word, if the answer is an object at all."""
    made = endpoint(missing="processing")
    bodies: list[Any] = [{}, {"status": None}, [], 5]
    assert [told(made, answer(body)) for body in bodies] == ["processing", "processing", "malformed", "malformed"]


def test_marks_tell_more_than_the_state() -> None:
    """A word that is a mark alone has the state of the mark, and one that has a state keeps it."""
    made = endpoint(partial=["half", "done"], expired="gone", needs_action=["ask", "queued"], absent="NONE")
    found = {word: seen(made, answer({"status": word})) for word in ("half", "done", "gone", "ask", "queued", "Half")}
    assert {word: (one.state.value, one.partial, one.kind) for word, one in found.items()} == {
        "half": ("success", True, None),
        "done": ("success", True, None),
        "gone": ("timeout", False, "expired"),
        "ask": ("processing", False, "needs_action"),
        "queued": ("pending", False, "needs_action"),
        "Half": ("success", True, None),
    }
    assert told(made, answer({"status": "none"})) == "not_found"


@pytest.mark.parametrize(
    ("value", "body", "found"),
    [
        (None, {"status": "done", "a": 1}, {"status": "done", "a": 1}),
        ("a", {"status": "done", "a": 1}, 1),
        ("a", {"status": "done"}, None),
        (["b", "a"], {"status": "done", "a": 1, "b": []}, 1),
        ({"x": "a", "y": ["q", "b[*].c"]}, {"status": "done", "b": [{"c": 2}]}, {"x": None, "y": [2]}),
    ],
)
def test_the_value_is_at_its_paths(value: Any, body: Any, found: Any) -> None:
    """The value of a success is at a path, or a table of them; without paths it is the whole answer."""
    snapshot = seen(endpoint(value=value), answer(body))
    assert (snapshot.value, snapshot.raw) == (found, body)


def test_the_value_may_be_the_bytes() -> None:
    """With `value = "body"` a success by its HTTP status is whatever the server sends."""
    made = endpoint(value="body", http={"200": "success", "202": "processing"})
    assert seen(made, answer(b"\x89PNG")).value == b"\x89PNG"
    assert told(made, answer({"status": "queued"}, 202)) == "pending"
    assert told(made, answer("<p>error</p>", 500)) == "server"


@pytest.mark.parametrize(
    ("keys", "body", "reason", "code"),
    [
        ({}, {"error": {"message": "no", "code": 7}}, "no", "7"),
        ({}, {"message": "no"}, "no", None),
        ({}, {}, None, None),
        ({"reason": ["a", "b[0].m"]}, {"b": [{"m": "deep"}]}, "deep", None),
        ({"reason": "a", "code": "c"}, {"a": {"x": 1}, "c": 12, "message": "other"}, '{"x":1}', "12"),
        ({"reason": "a", "code": "c"}, {"message": "other"}, None, None),
        ({"error": {"object": "err"}}, {"err": {"message": "inside", "code": "E1"}}, "inside", "E1"),
        ({"error": {"object": "err"}}, {"message": "beside"}, "beside", None),
    ],
)
def test_a_failure_has_reason_and_code(keys: Any, body: Any, reason: str | None, code: str | None) -> None:
    """They are at their paths, or without paths in the customary places; a success has none."""
    failed = seen(endpoint(**keys), answer({**body, "status": "broken"}))
    assert (failed.state, failed.reason, failed.code) == (State.FAILED, reason, code)
    if "error" not in keys and "error" not in body:
        assert seen(endpoint(**keys), answer({**body, "status": "done"})).reason is None


@pytest.mark.parametrize(
    ("progress", "body", "share"),
    [
        ("p", {"p": 0.25}, 0.25),
        ("p", {"p": "40%"}, 0.4),
        ("p", {"p": {}}, None),
        ({"at": "p", "of": 100}, {"p": 25}, 0.25),
        ({"at": ["c.done", "c.failed"], "of": "c.all"}, {"c": {"done": 2, "failed": 1, "all": 4}}, 0.75),
        ({"at": ["c.done", "c.failed"], "of": "c.all"}, {"c": {"done": 2, "all": 4}}, 0.5),
        ({"at": "p", "of": "all"}, {"p": 1}, None),
        ({"at": "p", "of": "all"}, {"p": 1, "all": 0}, None),
        ({"at": "p", "of": 100}, {}, None),
        (["q", "p"], {"p": "2/5"}, 0.4),
    ],
)
def test_progress_is_a_share(progress: Any, body: Any, share: float | None) -> None:
    """It stands there as a share, or is a sum of numbers of a whole; what is no number is nothing."""
    assert seen(endpoint(progress=progress), answer({**body, "status": "queued"})).progress == share


@pytest.mark.parametrize(
    ("retry_after", "body", "wait"),
    [
        ("w", {"w": 7}, 7.0),
        ("w", {"w": "7"}, 7.0),
        ({"at": "w", "of": 1000}, {"w": 1500}, 1.5),
        ({"at": "w", "of": "unit"}, {"w": 6, "unit": 2}, 3.0),
        ({"at": "w", "of": "unit"}, {"w": 6}, 9.0),
        ("w", {"w": "soon"}, 9.0),
        ("w", {"w": -1}, None),
        (None, {}, 9.0),
    ],
)
def test_the_server_may_suggest_a_wait(retry_after: Any, body: Any, wait: float | None) -> None:
    """The seconds are at a path, in any unit; without any there the header counts."""
    made = endpoint(retry_after=retry_after)
    assert seen(made, answer({**body, "status": "queued"}, retry_after="9")).retry_after == wait


@pytest.mark.parametrize(
    ("end", "time", "misfits"),
    [
        (1769758043, datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC), ()),
        (1769758043000, datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC), ()),
        ("2026-01-30T07:27:23Z", datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC), ()),
        (None, None, ()),
        ("soon", None, ("$.end",)),
        (10**18, None, ("$.end",)),
        (10**30, None, ("$.end",)),
        (1e300, None, ("$.end",)),
        ([], None, ("$.end",)),
    ],
)
def test_the_end_is_read_by_its_magnitude(end: Any, time: Any, misfits: tuple[str, ...]) -> None:
    """Seconds and milliseconds are told apart, and a number that no time has is a misfit, not an error."""
    snapshot = seen(endpoint(ended_at="end"), answer({"status": "done", "end": end}))
    assert (snapshot.ended_at, snapshot.misfits) == (time, misfits)


@pytest.mark.parametrize(("grace", "polls"), [(0, 1), (60, 3)])
def test_a_job_may_not_be_known_yet(grace: float, polls: int) -> None:
    """A word that says so ends the wait, but for the grace of `[pace]`."""
    words = ["unheard", "unheard", "done"]
    transport = MemoryTransport(lambda _: answer({"status": words.pop(0)}))
    made = endpoint(absent="unheard", pace={"not_found_grace": grace})
    wait = made.job(transport, made.restore({"id": "1"})).wait(timeout=600)
    if grace:
        assert run_virtual(wait).state is State.SUCCESS
    else:
        with pytest.raises(Rejected) as caught:
            run_virtual(wait)
        assert caught.value.kind == "not_found"
    assert transport.requests == polls


def test_a_definition_has_a_pace() -> None:
    """`[pace]` has the defaults of each wait."""
    pace: dict[str, Any] = {"at_least": 5, "first": 1.5, "not_found_grace": 9, "stable_for": 2, "per_second": 3}
    assert endpoint(pace=pace).pace == Pace(**pace)
    assert endpoint().pace is None
