"""What the README and the documentation name is there: files, names, links; and how they are written."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import fields_dict, has
from pages_kit import DOCS, README, anchors, links, pages, prose, spans
from source_kit import PACKAGE, ROOT, package

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
ABOUT_NOW = pytest.mark.parametrize(
    "page",
    [page for page in pages() if page.name not in {"CHANGELOG.md", "releasing.md"}],
    ids=lambda page: str(page.relative_to(ROOT)),
)
"""Every page but those that also tell of names that are gone, and of the options of other programs."""

PUBLIC = [
    "asyncpoll",
    "asyncpoll.http",
    "asyncpoll.events",
    "asyncpoll.definitions",
    "asyncpoll.clients",
    "asyncpoll.dask",
    "asyncpoll.ledger",
    "asyncpoll.providers",
    "asyncpoll.testing",
    "asyncpoll.simulator",
    "asyncpoll.sync",
    "asyncpoll.telemetry",
    "asyncpoll.progress",
]
VENDORS = ["asyncpoll.providers.bigmodel", "asyncpoll.providers.molizhishu"]
MOST_LINES_OF_THE_README = 165

_PATH = re.compile(r"[\w.-]*/[\w./-]*|[\w-]+\.(?:py|md|toml)")
_DOTTED = re.compile(r"asyncpoll(?:\.\w+)+")
_NAME = re.compile(r"[A-Z]\w*[a-z]\w*(?:\.\w+)*")
_METAPHORS = re.compile(
    r"\b(doors?|columns?|rooms?|house|floors?|nobody|somebody|whom|whoever|whomever|take[ns]? in)\b", re.IGNORECASE
)
_NOT_HERE = {"asyncpoll/providers/NAME/", "docs/_build", "release.yml", "acme.toml"}
"""What readers are to fill in, what Sphinx and a reader make, and what a page calls by its last name."""

_NOT_OURS = {
    *("Any", "ClientSession", "LanguageCode", "MediaFormat", "Num", "QueryExecutionContext.Database", "Resolution"),
    "WorkGroup",
}
"""Names of other libraries, and of fields of other APIs."""


def resolved(dotted: str) -> Any:
    """Return what a dotted name stands for: a module, or a name in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = member(found, name)
        return found
    raise AttributeError(dotted)


def member(thing: Any, name: str) -> Any:
    """Return a member of a module or a class; a field of a class, or what its docstring lists, will do."""
    if isinstance(thing, type) and not hasattr(thing, name):
        described = re.search(rf"^ +{name}: ", thing.__doc__ or "", re.MULTILINE)
        if not described and not (has(thing) and name in fields_dict(thing)):
            raise AttributeError(f"{thing.__name__} has no {name}")
        return None
    return getattr(thing, name)


def public_names() -> dict[str, Any]:
    """Return every public name, and those of the standard library that pages use without a module."""
    modules: list[ModuleType] = [builtins, *(importlib.import_module(name) for name in PUBLIC + VENDORS)]
    return {name: getattr(module, name) for module in modules for name in getattr(module, "__all__", dir(module))}


@PAGES
def test_every_path_exists(page: Path) -> None:
    """A file or directory that a page names is in the repository, or in the package under this name."""
    named = {span for span in spans(page) if _PATH.fullmatch(span)} - _NOT_HERE
    assert {path for path in named if not (ROOT / path).exists() and not list(PACKAGE.rglob(path))} == set()


def private_names() -> dict[str, Any]:
    """Return the classes of the package that are not public, for pages about the code itself."""
    return {node.name: node for node in nodes() if isinstance(node, ast.ClassDef)}


@cache
def words_of_the_source() -> set[str]:
    """Return the arguments, fields and texts of the package."""
    fields = {
        node.target.id for node in nodes() if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    texts = {node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {node.arg for node in nodes() if isinstance(node, ast.arg)} | fields | texts


def nodes() -> Iterator[ast.AST]:
    """Yield every node of the source of the package."""
    for module in package().values():
        yield from ast.walk(module.tree)


@ABOUT_NOW
def test_every_name_exists(page: Path) -> None:
    """A dotted name can be imported, and a capitalised one is public, with the attributes that a page names."""
    known = public_names()
    if page.name == "architecture.md":
        known = private_names() | known
    for span in spans(page):
        word = span.removesuffix("()")
        if _DOTTED.fullmatch(word):
            if word not in words_of_the_source():  # else the name of a metric, an attribute or a logger
                resolved(word)
        elif _NAME.fullmatch(word) and word not in _NOT_OURS:
            first, *rest = word.split(".")
            assert first in known, f"{page.name} names `{word}`, which is not public"
            for name in rest:
                member(known[first], name)


@ABOUT_NOW
def test_every_option_exists(page: Path) -> None:
    """A keyword such as `timeout=` is an argument of the package, and `--rate` is an option of the command line."""
    written = " ".join(spans(page))
    keywords = set(re.findall(r"\b([a-z]\w*)=(?!=)", written))
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", written))
    assert keywords - words_of_the_source() - {"handler_cancellation"} == set()  # that of aiohttp
    assert options - words_of_the_source() - {"--help", "--rounds"} == set()  # those of argparse, and of the benchmarks


@PAGES
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link leads to a file of the repository, and to a heading that it has."""
    for link in links(page):
        target, _, anchor = link.partition("#")
        if not target.startswith("https://"):
            file = page if not target else page.parent / target
            assert file.exists(), link
            assert not anchor or anchor in anchors(file) or f"({anchor})=" in prose(file), link


def test_the_readme_is_short() -> None:
    """The README has at most 165 lines: it says what this is, and where to read on."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_THE_README


@PAGES
def test_the_words_are_plain(page: Path) -> None:
    """Pages have none of the words that only those who wrote the code would understand."""
    found = set(_METAPHORS.findall(prose(page)))
    allowed = {"column", "columns"} if "CSV" in prose(page) else set[str]()
    assert found - allowed == set()


def test_every_package_is_on_the_map() -> None:
    """The page about the architecture lists every directory of the package."""
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in PACKAGE.rglob("__init__.py")}
    assert packages - spans(DOCS / "architecture.md") == set()


def test_every_page_is_linked() -> None:
    """Every page of the documentation is in one of the lists of the first page."""
    listed = set((DOCS / "index.md").read_text(encoding="utf-8").split())
    written = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")} - {"index"}
    assert written - listed == set()


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """The page of a module is made from its docstrings: from those of all its names, or of each in its group."""
    page = (DOCS / "reference" / f"{module.rpartition('.')[2]}.md").read_text(encoding="utf-8")
    names = set(importlib.import_module(module).__all__) - {"__version__"}
    if f".. automodule:: {module}\n" not in page:
        assert set(re.findall(r"^\.\. auto\w+:: (\w+)$", page, re.MULTILINE)) == names
