"""Keeping secrets secret, and what servers write harmless."""

from __future__ import annotations

import pickle
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll.http._secrets import LEAST_MASKED, MASK, Mask, Secret, printable

CANARY = "canary+/=é~0123456789"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{:>40}".format, "{!r:.40}".format, "%s".__mod__])
def test_a_secret_does_not_show(show: Callable[[object], str]) -> None:
    """No way of making text of a secret gives it away."""
    assert CANARY not in show(Secret(CANARY))
    assert MASK in show(Secret(CANARY))


def test_a_secret_is_revealed_on_request() -> None:
    """The one method that is meant to gives the text."""
    assert Secret(CANARY).reveal() == CANARY


def test_secrets_compare_by_their_text() -> None:
    """Secrets are equal, and hash alike, when their texts are; a text is no secret."""
    assert Secret("é") == Secret("é")
    assert hash(Secret("é")) == hash(Secret("é"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_secret_cannot_be_pickled() -> None:
    """A pickle would hold the secret in the clear."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(CANARY))


@pytest.mark.parametrize("wrap", ["{}", '{{"token": "{}"}}', "a {} and {} again"])
@pytest.mark.parametrize("spell", [str, lambda text: quote(text, safe="")])
def test_a_mask_finds_the_secret(wrap: str, spell: Callable[[str], str]) -> None:
    """The secret is replaced as it is and percent-encoded, wherever it stands and as often."""
    spelled = spell(CANARY)
    assert Mask.of(Secret(CANARY)).apply(wrap.format(spelled, spelled).encode()) == wrap.format(MASK, MASK).encode()


@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([b64encode, urlsafe_b64encode]))
def test_a_mask_finds_the_secret_inside_of_base64(
    before: bytes, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    """Whatever it was encoded together with, no more than its edges is left."""
    data = CANARY.encode()
    coded = encode(before + data + after)
    masked = Mask.of(Secret(CANARY)).apply(coded)
    assert MASK.encode() in masked
    assert len(masked) <= len(coded) - len(data) + len(MASK)


def test_a_short_secret_is_not_looked_for() -> None:
    """What has fewer than 8 characters would be found everywhere."""
    short = "a" * (LEAST_MASKED - 1)
    assert Mask.of(Secret(short)).apply(short.encode()) == short.encode()
    assert Mask.of(Secret(short + "a")).apply(short.encode() + b"a") == MASK.encode()


def test_a_mask_does_not_show_what_it_looks_for() -> None:
    """The repr of a mask is empty."""
    assert "canary" not in repr(Mask.of(Secret(CANARY)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("任务不存在", "任务不存在"),
        ("a\x1b[31mred\x07", "a [31mred "),
        ("a\r\nb\tc", "a  b c"),
        ("left\u202eright\u2066", "left right "),
        ("half \ud800", "half  "),
        ("https://host/a?sig=abc&x=1", "https://host/a?sig=***&x=1"),
        ("see https://h/a?x=1&OSSAccessKeyId=abc&Signature=a%2Fb%3D, please", "see https://h/a?x=1&OSSAccessKeyId=***"),
        ("https://h/?X-Amz-Credential=a/b&X-Amz-Date=1", "https://h/?X-Amz-Credential=***&X-Amz-Date=***"),
        ("'https://h/?security-token=a'", "'https://h/?security-token=***'"),
        ("https://user:word@host/", "https://***@host/"),
        ("mail me@host: key = value", "mail me@host: key = value"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """Control characters and marks of direction become spaces; keys, signatures and user names in links are masked."""
    assert printable(text, 200).startswith(shown)
    assert printable(text, 200).isprintable()


@given(st.text(), st.integers(1, 30))
def test_printable_is_bounded(text: str, limit: int) -> None:
    """The result is printable and never longer than asked for; a printable text that fits is not changed."""
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


def test_a_long_text_ends_in_an_ellipsis() -> None:
    """What is cut off shows that it is."""
    assert printable("abcdef", 6) == "abcdef"
    assert printable("abcdefg", 6) == "abcde…"
