"""The page about the format of definitions lists every key, and no other."""

from __future__ import annotations

import re

from pages_kit import DOCS

from asyncpoll.definitions import Definition, _document, _model
from asyncpoll.definitions._spots import keys_of
from asyncpoll.http._classify import KINDS

PAGE = (DOCS / "definitions.md").read_text(encoding="utf-8")
SPECS = [
    *(_document.DefinitionSpec, _model.EndpointSpec, _model.StartSpec, _model.ThenSpec, _model.PagesSpec),
    *(_model.MeasureSpec, _model.Wanted, _model.Rule, _model.PhraseSpec, _model.ErrorSpec, _model.GroupSpec),
    *(_model.LongPollSpec, _model.PaceSpec, _model.Example),
]
KEYS = {name for spec in SPECS for name in keys_of(spec)}


def test_the_page_lists_every_key() -> None:
    """Every key that a definition may have is on the page, as code."""
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    shown = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert shown >= KEYS


def test_the_page_lists_no_other_key() -> None:
    """The first cell of a row names keys, apart from the tables of paths and of credentials."""
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"[a-z_]+", row)}
    assert named <= KEYS | {"endpoints", "http", "body", "about", "pages"}


def test_the_page_lists_the_kinds() -> None:
    """The kinds of trouble that codes may have are those of the package, but for those of the transport alone."""
    paragraph = PAGE.partition("The kinds are")[2].partition("\n\n")[0]
    kinds = set(re.findall(r"`([a-z_]+)`", paragraph))
    assert KINDS.keys() - kinds <= {"link-expired", "redirect", "login", "not_modified", "foreign_address"}
    assert kinds <= KINDS.keys()


def test_the_smallest_definition_is_one() -> None:
    """The six lines at the top of the page are a definition."""
    text = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert text is not None
    assert Definition.parse(text[1]).endpoints["acme"]
