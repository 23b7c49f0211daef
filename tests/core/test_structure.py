"""Structuring: what is accepted, what is refused, and how it is said."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
from attrs import field, frozen, make_class, validators

from asyncpoll._errors import BadReply
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, camel_case, echoes, fit, reading, status_at, structure, text_of


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
    half: float = field(default=0.0, metadata=reading(lambda value: value / 2))


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
    "half": 3,
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
        half=1.5,
    )


def test_what_is_unknown_is_ignored() -> None:
    """A field that a class does not know does no harm, at any depth."""
    assert structure({"wholeId": "w", "new": 1, "part": {"partId": "p", "new": []}}, Whole).part == Part("p")


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(FULL)], ids=["missing", "null"])
def test_what_is_missing_or_null_takes_its_default(absent: dict[str, None]) -> None:
    """A missing or null field is as if its default stood there, an empty tuple for an array."""
    assert structure({**absent, "wholeId": "w"}, Whole) == Whole("w")


def test_an_empty_string_is_only_text_where_text_belongs() -> None:
    """An empty string is kept as a text, and counts as missing where an array, an object or a number belongs."""
    blank = structure({**dict.fromkeys(FULL, ""), "wholeId": "w"}, Whole)
    assert blank == Whole("w", note="", title="", raw="")


def test_integers_become_text_or_floats_exactly() -> None:
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
        ({"wholeId": "w", "half": "x"}, "$.data.half: the value is refused"),
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


WORDS = Vocabulary("v", {"done": State.SUCCESS})
NUMBERS = Vocabulary("v", {1: State.SUCCESS})


def test_a_status_is_read_with_its_word_as_text() -> None:
    """A status word is text, maybe empty, or what else the vocabulary lists; it comes with its state."""
    assert status_at({"data": {"status": ""}}, WORDS, "data", "status") == (State.UNKNOWN, "")
    assert status_at({"status": " Done"}, WORDS, "status") == (State.SUCCESS, " Done")
    assert status_at({"status": 1}, NUMBERS, "status") == (State.SUCCESS, "1")
    assert status_at({"status": True}, WORDS.extended({True: State.FAILED}), "status") == (State.FAILED, "true")


@pytest.mark.parametrize(
    "payload", [{}, [], None, {"data": None}, {"data": {"status": 1}}, {"data": {"status": ["done"]}}]
)
def test_a_status_of_another_type_is_malformed(payload: Any) -> None:
    """Anything else than a word, or nothing, is a malformed answer; the message has the path."""
    with pytest.raises(BadReply, match=r"malformed at \$\.data\.status: text is expected"):
        status_at(payload, WORDS, "data", "status")


def test_a_path_that_leads_nowhere_gives_nothing() -> None:
    """`at` looks into nested objects, and finds None where there is no such thing."""
    assert at({"a": {"b": 0}}, "a", "b") == 0
    assert at({"a": {"b": 0}}, "a", "b", "c") is None
    assert at([], "a") is None


@pytest.mark.parametrize(
    ("echo", "same"),
    [("7", True), (7, True), ("", True), (None, True), ("8", False), (8, False), (0, False), ([], True), (True, True)],
)
def test_an_answer_echoes_the_id_unless_it_names_another(echo: Any, same: bool) -> None:  # noqa: FBT001  a parameter
    """An id may come as text or as a number, or not at all."""
    assert echoes({"data": {"id": echo}}, "7", "data", "id") is same
    assert echoes({}, "7", "data", "id")


SIDE_FIELDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"note": ["secret"]}, ["$.data.note"]),
    ({"size": "3", "share": "0.5", "ready": 1}, ["$.data.size", "$.data.share", "$.data.ready"]),
    ({"part": "secret"}, ["$.data.part"]),
    ({"part": {"partId": "p", "pageNo": "one"}}, ["$.data.part.pageNo"]),
    ({"part": {"partId": []}}, ["$.data.part.partId", "$.data.part.partId"]),
    ({"partList": {"a": 1}}, ["$.data.partList"]),
    ({"partList": "secret"}, ["$.data.partList"]),
    ({"names": "secret"}, ["$.data.names"]),
    ({"half": "x"}, ["$.data.half"]),
]


@pytest.mark.parametrize(("odd", "paths"), SIDE_FIELDS)
def test_what_does_not_fit_is_left_out_and_named(odd: dict[str, Any], paths: list[str]) -> None:
    """A side field of a wrong type has its default; its path is told, and the payload stays as it is."""
    payload = {"wholeId": "w", "title": "t", **copy.deepcopy(odd)}
    value, misfits = fit(payload, Whole, where="$.data")
    assert (value.whole_id, value.title) == ("w", "t")
    assert set(misfits) == set(paths)
    assert payload == {"wholeId": "w", "title": "t", **odd}


def test_an_item_that_does_not_fit_is_left_out_of_its_array() -> None:
    """The others keep their order, and every path has the index in the answer."""
    payload = {
        "wholeId": "w",
        "names": ["a", None, "c", {}],
        "partList": [
            7,
            {"partId": "p", "pageNo": "x"},
            {},
            {"partId": "q", "pageNo": 2},
            {"partId": [], "pageNo": "y"},
        ],
    }
    value, misfits = fit(payload, Whole)
    assert value.names == ("a", "c")
    assert value.part_list == (Part("p"), Part("q", 2))
    assert misfits == (
        "$.partList[0]",
        "$.partList[1].pageNo",
        "$.partList[2].partId",
        "$.partList[4].partId",
        "$.partList[4].pageNo",
        "$.names[1]",
        "$.names[3]",
    )


def test_what_fits_has_no_misfits() -> None:
    """A payload that fits gives the same value as `structure`, at once."""
    assert fit(FULL, Whole) == (structure(FULL, Whole), ())
    assert fit({"wholeId": "w"}, Whole) == (Whole("w"), ())


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ([], r"\$: an object is expected, not an array"),
        (None, r"\$: an object is expected, not null"),
        ("text", r"\$: an object is expected, not text"),
        ({}, r"\$\.wholeId: it is missing"),
        ({"wholeId": []}, r"\$\.wholeId: it is missing"),
        ({"wholeId": "w", "level": -1}, r"\$: the value is refused"),
    ],
)
def test_what_cannot_be_read_at_all_is_malformed(payload: Any, problem: str) -> None:
    """Only what is not an object, lacks what it must have or is refused as a whole is a bad reply."""
    with pytest.raises(BadReply, match=problem):
        fit(payload, Whole)


@frozen
class Chain:
    """A value that cannot do without the next one."""

    inner: Chain


def test_a_payload_that_never_fits_is_malformed() -> None:
    """The reader gives up after ten passes, each of which leaves one more level out."""
    payload: Any = 7
    for _ in range(20):
        payload = {"inner": payload}
    with pytest.raises(BadReply, match="too much of it does not fit"):
        fit(payload, Chain)


@frozen
class Pair:
    """A value with two fields that it cannot do without."""

    first: str
    second: Part


@frozen
class Pairs:
    """A value with an array of pairs."""

    pairs: tuple[Pair, ...] = ()


def test_an_item_that_lacks_a_field_is_left_out_as_a_whole() -> None:
    """Whatever else does not fit in it is named as well."""
    good = {"first": "a", "second": {"partId": "p"}}
    value, misfits = fit({"pairs": [{"second": {"partId": []}}, good]}, Pairs)
    assert value.pairs == (Pair("a", Part("p")),)
    assert misfits == ("$.pairs[0].first", "$.pairs[0].second.partId")


def test_an_error_while_reading_a_field_is_a_misfit() -> None:
    """A function that reads a field may refuse the value; the field has its default."""
    refusing = field(default=0, metadata=reading(_refuse))
    many = make_class("Many", {f"a{number}": refusing for number in range(3)})
    assert fit({"a0": 1, "a1": 1}, many) == (many(), ("$.a0", "$.a1"))


def _refuse(_value: Any) -> int:
    raise ValueError("secret")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (" a ", " a "), (7, "7"), ("", None), (" ", None), (None, None), (True, None), ([], None)],
)
def test_an_optional_text_is_read_or_left(value: Any, text: str | None) -> None:
    """A text with something in it, or an integer, is text; all else is nothing."""
    assert text_of(value) == text


def test_cattrs_is_imported_by_the_first_value_and_not_before() -> None:
    """Those who only poll do not pay for the import."""
    code = (
        "import sys, asyncpoll._structure as codec\n"
        "print('cattrs' in sys.modules, codec.structure('x', str), 'cattrs' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "x", "True"]
