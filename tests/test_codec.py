"""Structuring: what is accepted, what is refused, and how it is said."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from attrs import field, frozen, validators

from asyncpoll._errors import BadReply
from asyncpoll.codec import at, camel_case, echoes, structure, text_at


@frozen(field_transformer=camel_case)
class Part:
    """A value with names of more than one word."""

    part_id: str
    page_no: int | None = None


def _upper(value: Any) -> str:
    return str(value).upper()


@frozen(field_transformer=camel_case)
class Whole:
    """A value with a field of every kind."""

    whole_id: str
    note: str | None = None
    title: str = ""
    size: int = 0
    share: float | None = None
    ready: bool | None = None
    part: Part | None = None
    part_list: tuple[Part, ...] = ()
    names: tuple[str, ...] = ()
    raw: Any = None
    shout: str = field(default="", converter=_upper)
    level: int = field(default=1, validator=validators.ge(0))


FULL = {
    "wholeId": "w",
    "note": "n",
    "title": "t",
    "size": 3,
    "share": 0.5,
    "ready": True,
    "part": {"partId": "p", "pageNo": 1},
    "partList": [{"partId": "q"}, {"partId": "r", "pageNo": 2}],
    "names": ["a", "b"],
    "raw": {"any": [1, None]},
    "shout": "hey",
    "level": 2,
}


def test_every_kind_of_field_is_read_under_its_name_on_the_wire() -> None:
    """Texts, numbers, booleans, values, arrays and raw JSON are read, with camelCase names."""
    assert structure(FULL, Whole) == Whole(
        whole_id="w",
        note="n",
        title="t",
        size=3,
        share=0.5,
        ready=True,
        part=Part("p", 1),
        part_list=(Part("q"), Part("r", 2)),
        names=("a", "b"),
        raw={"any": [1, None]},
        shout="HEY",
        level=2,
    )


def test_what_is_unknown_is_ignored() -> None:
    """A field that a class does not know does no harm, at any depth."""
    assert structure({"wholeId": "w", "new": 1, "part": {"partId": "p", "new": []}}, Whole).part == Part("p")


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(FULL)], ids=["missing", "null"])
def test_what_is_missing_or_null_takes_its_default(absent: dict[str, None]) -> None:
    """A missing or null field is as if its default stood there, an empty tuple for an array."""
    assert structure({**absent, "wholeId": "w"}, Whole) == Whole("w")


def test_an_empty_string_is_text_where_text_belongs_and_nothing_elsewhere() -> None:
    """An empty string is kept as a text, and counts as missing where an array, an object or a number belongs."""
    blank = structure({**dict.fromkeys(FULL, ""), "wholeId": "w"}, Whole)
    assert blank == Whole("w", note="", title="", raw="")


def test_an_integer_becomes_text_and_a_whole_number_a_float_exactly() -> None:
    """Ids arrive as numbers now and then; an integer of any size keeps all of its digits."""
    whole = structure({"wholeId": 2**70, "share": 1, "names": [7]}, Whole)
    assert (whole.whole_id, whole.share, whole.names) == (str(2**70), 1.0, ("7",))
    assert isinstance(whole.share, float)


@pytest.mark.parametrize(
    ("misfit", "message"),
    [
        ({}, "$.data.wholeId: it is missing"),
        ({"wholeId": None}, "$.data.wholeId: it is missing"),
        ({"wholeId": 1.5}, "$.data.wholeId: text is expected, not a number"),
        ({"wholeId": True}, "$.data.wholeId: text is expected, not a boolean"),
        ({"wholeId": {}}, "$.data.wholeId: text is expected, not an object"),
        ({"wholeId": "w", "note": ["secret"]}, "$.data.note: text is expected, not an array"),
        ({"wholeId": "w", "size": "secret"}, "$.data.size: an integer is expected, not text"),
        ({"wholeId": "w", "size": 1.0}, "$.data.size: an integer is expected, not a number"),
        ({"wholeId": "w", "size": True}, "$.data.size: an integer is expected, not a boolean"),
        ({"wholeId": "w", "share": "0.5"}, "$.data.share: a number is expected, not text"),
        ({"wholeId": "w", "share": False}, "$.data.share: a number is expected, not a boolean"),
        ({"wholeId": "w", "ready": 1}, "$.data.ready: a boolean is expected, not an integer"),
        ({"wholeId": "w", "part": "secret"}, "$.data.part: an object is expected, not text"),
        ({"wholeId": "w", "part": {"partId": []}}, "$.data.part.partId: text is expected, not an array"),
        ({"wholeId": "w", "partList": {"a": 1}}, "$.data.partList: an array is expected, not an object"),
        ({"wholeId": "w", "partList": "secret"}, "$.data.partList: an array is expected, not text"),
        ({"wholeId": "w", "partList": [{"partId": "p"}, {}]}, "$.data.partList[1].partId: it is missing"),
        ({"wholeId": "w", "partList": [None]}, "$.data.partList[0]: an object is expected, not null"),
        ({"wholeId": "w", "names": ["a", None]}, "$.data.names[1]: text is expected, not null"),
        ({"wholeId": "w", "names": [b"secret"]}, "$.data.names[0]: text is expected, not something else"),
        ({"wholeId": "w", "level": -1}, "$.data: the value is refused"),
        ([], "$.data: an object is expected, not an array"),
        (None, "$.data: an object is expected, not null"),
    ],
)
def test_a_misfit_is_named_by_its_path_and_never_repeated(misfit: Any, message: str) -> None:
    """What does not fit is a malformed answer; the message says where and what, without the value."""
    with pytest.raises(BadReply) as refused:
        structure(misfit, Whole, where="$.data")
    assert str(refused.value) == f"the answer is malformed at {message}"
    assert refused.value.kind == "malformed"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_text_at_a_path_must_be_text() -> None:
    """A status word is text, maybe empty; anything else, or nothing, is a malformed answer."""
    assert text_at({"data": {"status": ""}}, "data", "status") == ""
    misfits: list[Any] = [{}, [], None, {"data": None}, {"data": {"status": 1}}, {"data": {"status": ["done"]}}]
    for payload in misfits:
        with pytest.raises(BadReply, match=r"malformed at \$\.data\.status: text is expected"):
            text_at(payload, "data", "status")


def test_a_path_that_leads_nowhere_gives_nothing() -> None:
    """`at` looks into nested objects, and finds None where there is no such thing."""
    assert at({"a": {"b": 0}}, "a", "b") == 0
    assert at({"a": {"b": 0}}, "a", "b", "c") is None
    assert at([], "a") is None


@pytest.mark.parametrize(
    ("echo", "same"), [("7", True), (7, True), ("", True), (None, True), ("8", False), (8, False), (0, False)]
)
def test_an_answer_echoes_the_id_unless_it_names_another(echo: Any, same: bool) -> None:  # noqa: FBT001  a parameter
    """An id may come as text or as a number, or not at all."""
    assert echoes({"data": {"id": echo}}, "7", "data", "id") is same
    assert echoes({}, "7", "data", "id")


def test_cattrs_is_imported_by_the_first_value_and_not_before() -> None:
    """Those who only poll do not pay for the import."""
    code = (
        "import sys, asyncpoll.codec as codec\n"
        "print('cattrs' in sys.modules, codec.structure('x', str), 'cattrs' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "x", "True"]
