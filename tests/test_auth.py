"""The credential of a transport."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from asyncpoll.http.auth import LONGEST, NO_CREDENTIAL, Bearer
from asyncpoll.http.redact import Secret

CANARY = "canary-0123456789"


@pytest.mark.parametrize("secret", [CANARY, Secret(CANARY), lambda: CANARY, lambda: Secret(CANARY)])
def test_a_bearer_token(secret: Any) -> None:
    """A key is sent as RFC 6750 has it, whether it is text, a secret, or a function that returns either."""
    bearer = Bearer(secret)
    assert bearer.credential().headers == {"Authorization": f"Bearer {CANARY}"}
    assert bearer.credential() is bearer.credential()


def test_a_key_is_masked_where_it_comes_back() -> None:
    """With the key comes the mask for it."""
    assert Bearer(CANARY).credential().mask.apply(f"<{CANARY}>".encode()) == b"<***>"


def test_a_function_is_asked_each_time() -> None:
    """A key can be rotated; as long as it stays the same, so does the credential."""
    keys = iter(["key-number-1", "key-number-1", "key-number-2"])
    bearer = Bearer(lambda: next(keys))
    first, same, other = bearer.credential(), bearer.credential(), bearer.credential()
    assert first is same
    assert other.headers == {"Authorization": "Bearer key-number-2"}


@pytest.mark.parametrize(
    ("secret", "cure"),
    [
        ("", "missing"),
        (None, "missing"),
        (b"bytes", "missing"),
        (Secret(""), "missing"),
        ("ключ", "beyond ASCII"),
        ("canary\n", "strip it"),
        ("can ary", "strip it"),
        ("can\x00ary", "strip it"),
        ("a" * (LONGEST + 1), "longer than 8192 characters"),
    ],
)
def test_what_cannot_be_a_key(secret: Any, cure: str) -> None:
    """What cannot be sent is refused when it is passed, without being repeated in the message."""
    with pytest.raises(ValueError, match=cure) as caught:
        Bearer(secret)
    assert "can" not in str(caught.value).replace("can be", "")


def test_what_a_function_must_not_return() -> None:
    """A key that a function returns is checked when it is asked for one."""
    bearer = Bearer(lambda: "")
    with pytest.raises(ValueError, match="missing"):
        bearer.credential()


def test_a_credential_does_not_show() -> None:
    """Neither the key nor its header is in a repr, and neither can be pickled."""
    bearer = Bearer(CANARY)
    assert CANARY not in repr(bearer) + repr(bearer.credential()) + repr(vars(bearer))
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(bearer)


def test_no_credential() -> None:
    """Without a credential nothing is sent and nothing masked."""
    assert NO_CREDENTIAL.headers == {}
    assert NO_CREDENTIAL.mask.apply(b"") == b""
