"""Decoding JSON that somebody else wrote."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll import _json as fast_module
from asyncpoll._json import DEPTH, DIGITS, decode, decode_lines


@pytest.fixture(scope="module", params=["installed", "missing"])
def either(request: pytest.FixtureRequest) -> Generator[ModuleType]:
    """The module as it is with orjson and without."""
    if request.param == "missing":
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "orjson", None)
            yield importlib.reload(fast_module)
    else:
        yield fast_module
    importlib.reload(fast_module)


ACCEPTED: list[tuple[bytes, Any]] = [
    (b'{"status": "done"}', {"status": "done"}),
    (b" [1, 2.5, true, null]\r\n", [1, 2.5, True, None]),
    (b"\xef\xbb\xbf{}", {}),
    ('"解析"'.encode(), "解析"),
    (b'"\\ud83d\\ude00"', "😀"),
    (b'"\\\\ud800"', "\\ud800"),
    (b"null", None),
    (b"18446744073709551615", 18446744073709551615),
    (b"18446744073709551616", 18446744073709551616),
    (b"-9999999999999999999", -9999999999999999999),
    (b"-" + b"9" * DIGITS, -int("9" * DIGITS)),
    (b'"' + b"9" * 5000 + b'"', "9" * 5000),
    (b"0.1234567890123456789012345", 0.1234567890123456789012345),
    (b"1e308", 1e308),
    (b"-0", 0),
    (b'{"a": 1, "a": 2}', {"a": 2}),
    (b"[" * DEPTH + b"]" * DEPTH, json.loads("[" * DEPTH + "]" * DEPTH)),
    (b'"' + b"[{" * 1000 + b'"', "[{" * 1000),
    (b'["\\"[[", ' + b"[], " * DEPTH + b"0]", ['"[[', *[[] for _ in range(DEPTH)], 0]),
]

NO_JSON: list[bytes] = [
    b"<html>",
    b"{",
    b"}",
    b"]" * 1000,
    b"[1] [2]",
    b"{} // comment",
    b"[1,]",
    b"01",
    b"1.",
    b"+1",
    b"nul",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"0" * 30 + b"1",
    b"1" * 30 + b"e999",
    b'"line\nbreak"',
    b'"open',
    b'"' + b'\\"' * 100_000,
    b'"\\ud800"',
    b'{"\\udfff": 0}',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b"\xff\xfe[\x00]\x00",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    b"+AHs-+AH0-",
    b"[1]\x00",
]


@pytest.mark.parametrize(("body", "value"), ACCEPTED)
def test_what_is_accepted(either: ModuleType, body: bytes, value: Any) -> None:
    """JSON in UTF-8 is decoded, with a byte order mark and integers of any size kept exact."""
    assert either.decode(body) == (value, None)
    assert type(either.decode(body)[0]) is type(value)


@pytest.mark.parametrize("body", NO_JSON)
def test_what_is_no_json(either: ModuleType, body: bytes) -> None:
    """Everything else is refused: other encodings, numbers that are none, halves of surrogate pairs, trailing text."""
    assert either.decode(body) == (None, "the body is not JSON")


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf "])
def test_nothing(either: ModuleType, body: bytes) -> None:
    """An empty body is a problem and not the value null."""
    assert either.decode(body) == (None, "the body is empty")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a": ', b"}"), (b'[{"[": ', b"}]")])
@pytest.mark.parametrize("depth", [DEPTH + 1, 5000, 100_000])
def test_deep_nesting(either: ModuleType, opening: bytes, closing: bytes, depth: int) -> None:
    """Nesting beyond the limit is refused, however deep the decoder could go."""
    body = opening * depth + b"0" + closing * depth
    assert either.decode(body) == (None, f"the body is nested deeper than {DEPTH} levels")
    assert either.decode(opening * depth) == (None, f"the body is nested deeper than {DEPTH} levels")


def test_many_keys(either: ModuleType) -> None:
    """Objects may hold any number of keys: results of OCR have several for every word."""
    words = [{"text": f"w{number}", "left": 1, "top": 2, "width": 3, "height": 4} for number in range(24_000)]
    assert either.decode(json.dumps(words).encode())[0] == words


@pytest.mark.parametrize("item", [b'{"":0},', b"{},", b"[],", b'"a",', b"0.5,"])
def test_memory_is_bounded(either: ModuleType, item: bytes) -> None:
    """What would take more memory than allowed is refused before it is made, with the setting that allows more."""
    body = b"[" + item * 10_000 + b"0]"
    assert either.decode(body, 4 << 20)[1] is None
    value, problem = either.decode(body, 150_000)
    assert value is None
    assert "MiB of memory; raise max_body" in problem


def test_texts_take_little_memory(either: ModuleType) -> None:
    """A long text is not mistaken for a large structure, whatever brackets and colons it holds."""
    body = json.dumps(["[{:,"] * 3 + ["x" * 100_000]).encode()
    assert either.decode(body, 150_000)[1] is None


@pytest.mark.parametrize("digits", [DIGITS + 1, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_long_integers(either: ModuleType, digits: int, sign: str) -> None:
    """An integer of more than 40 digits is refused."""
    body = f'{{"n": {sign}{"1" * digits}}}'.encode()
    assert either.decode(body) == (None, f"the body holds an integer of more than {DIGITS} digits")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**39), 10**39)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans())
def test_what_json_can_say(value: Any, ascii_only: bool) -> None:  # noqa: FBT001  drawn by Hypothesis
    """What was encoded from a value decodes to it."""
    assert decode(json.dumps(value, ensure_ascii=ascii_only).encode()) == (value, None)


@given(st.binary(max_size=50) | st.text('[]{}":,0123456789eE+-. \\undtruefals', max_size=40).map(str.encode))
def test_one_verdict(body: bytes) -> None:
    """With orjson and without, the same is accepted, as the same."""
    loads, fast_module._loads = fast_module._loads, fast_module._loads_exactly
    try:
        slow = decode(body)
    finally:
        fast_module._loads = loads
    assert repr(decode(body)) == repr(slow)


@pytest.mark.parametrize(("line", "count"), [(b"{}", 1000), (b"7", 1000), (b'{"a":[]}', 300)])
def test_lines_share_one_limit_of_memory(line: bytes, count: int) -> None:
    """Many small values are counted together before the first one is made."""
    body = b"\n".join([line] * count)
    values, problem = decode_lines(body, memory=1 << 20)
    assert (len(values), problem) == (count, None)
    values, problem = decode_lines(body, memory=30_000)
    assert values == []
    assert problem is not None
    assert "more than 0 MiB of memory" in problem


def test_large_lines_within_the_limit() -> None:
    """What could exceed the limit is counted, and decoded if it does not."""
    assert decode_lines(b'"' + b"x" * 900 + b'"\n1', memory=2000) == (["x" * 900, 1], None)
