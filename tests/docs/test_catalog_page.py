"""The page about the catalogue lists what is in it."""

from __future__ import annotations

import re

from pages_kit import DOCS

from asyncpoll.definitions import catalog

_ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
ROWS = {row[1]: row for row in _ROW.finditer((DOCS / "catalog.md").read_text(encoding="utf-8"))}


def test_every_endpoint_is_listed() -> None:
    """In the order of the names, with what its jobs are."""
    described = {name: one.spec.endpoints[name].description for name, one in sorted(catalog().items())}
    assert {name: row[2] for name, row in ROWS.items()} == described
    assert list(ROWS) == list(described)


def test_every_reference_is_listed() -> None:
    """The fields that a reference must have."""
    required = {name: one.spec.endpoints[name].required for name, one in catalog().items()}
    assert {name: tuple(re.findall("`([^`]+)`", row[3])) for name, row in ROWS.items()} == required


def test_every_variable_is_listed() -> None:
    """The one that a client reads the key from."""
    variables = {
        name: "" if one.spec.auth.scheme == "none" else f"`{one.env or f'{one.vendor.upper()}_API_KEY'}`"
        for name, one in catalog().items()
    }
    assert {name: row[4] for name, row in ROWS.items()} == variables


def test_what_an_endpoint_can_do_is_listed() -> None:
    """Whether it submits, cancels, makes further calls, asks about many, and what a user has to add."""
    marks = {name: set(filter(None, row[5].split(", "))) for name, row in ROWS.items()}
    for name, definition in catalog().items():
        spec = definition.spec.endpoints[name]
        can = {
            "submits": spec.start is not None,
            "cancels": spec.cancel is not None,
            "further calls": bool(spec.then or spec.pages),
            "many at once": spec.group is not None,
            "no address": definition.base is None,
            "signature": definition.spec.auth.scheme in {"sigv4", "tc3"},
        }
        assert marks[name] == {mark for mark, is_so in can.items() if is_so}, name
