"""Sizes, names and docstrings, of the package and of its tests."""

from __future__ import annotations

import ast
import re
import statistics

import pytest
from source_kit import PACKAGE, TESTS, Module, for_every, functions, package, used_names

pytestmark = pytest.mark.no_cover

LEAST_LINES, MOST_LINES = 40, 500
MOST_LINES_OF_A_FUNCTION, MEDIAN_LINES_OF_A_FUNCTION = 50, 8
LONGEST_NAME_OF_A_TEST = 60  # characters
PUBLIC = {
    *("", "http", "events", "ledger", "providers", "testing", "simulator", "definitions", "clients"),
    *("sync", "web", "telemetry", "progress"),
}
ENTRIES = {"__main__", "cli"}
"""What is started rather than imported: `python -m asyncpoll`, and the console script."""


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    described = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - described


def is_interface(module: Module) -> bool:
    """Return whether a module defines nothing but the version, or starts the command line."""
    return module.name in {"_version", "__main__"}


@for_every(PACKAGE)
def test_a_file_is_a_concept(module: Module) -> None:
    """A file has 40 to 500 lines; an `__init__` may be shorter."""
    least = 0 if module.is_package or is_interface(module) else LEAST_LINES
    assert least <= module.lines <= MOST_LINES


@for_every(TESTS)
def test_no_test_file_is_long(module: Module) -> None:
    """No test file has more than 500 lines."""
    assert module.lines <= MOST_LINES


@for_every(PACKAGE)
def test_no_function_is_long(module: Module) -> None:
    """No function has more than 50 lines, without its docstring."""
    long = {function.name: length(function) for function in functions(module.tree)}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_functions_are_short() -> None:
    """Half of all functions have fewer than 8 lines, without their docstrings."""
    lengths = [length(function) for module in package().values() for function in functions(module.tree)]
    assert statistics.median(lengths) < MEDIAN_LINES_OF_A_FUNCTION


@for_every(PACKAGE)
def test_a_module_is_public_or_private(module: Module) -> None:
    """A module is listed as public, or its name, or that of a package around it, begins with an underscore."""
    is_private = any(part.startswith("_") for part in module.name.split("."))
    assert module.name in PUBLIC | ENTRIES or is_private or module.is_package


@for_every(PACKAGE)
def test_every_module_has_a_docstring(module: Module) -> None:
    """Every module says what it is, and where there is code it begins with `from __future__ import annotations`."""
    assert ast.get_docstring(module.tree)
    assert not functions(module.tree) or "__future__.annotations" in used_names(module.tree)


def test_class_names_are_unique() -> None:
    """A name stands for one thing: no two classes of the package have the same, but those of the simulator."""
    homes: dict[str, list[str]] = {}
    for module in package().values():
        if module.part != "simulator":
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(module.name)
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert twice.keys() <= {"Throttled"}, twice  # the error and the event of the same fact


@for_every(TESTS)
def test_every_test_says_what_it_shows(module: Module) -> None:
    """Every test has a name of at most 60 characters, and states the behaviour in the one line of its docstring."""
    tests = [function for function in functions(module.tree) if function.name.startswith("test_")]
    assert [test.name for test in tests if len(test.name) > LONGEST_NAME_OF_A_TEST] == []
    assert [test.name for test in tests if len((ast.get_docstring(test) or "\n").splitlines()) != 1] == []


@for_every(PACKAGE, TESTS)
def test_every_suppression_has_a_reason(module: Module) -> None:
    """A `noqa`, a `type: ignore` and a `pyright: ignore` name the rule, and a reason follows."""
    for line in module.path.read_text(encoding="utf-8").splitlines():
        for found in re.finditer(r"# (?:noqa|type: ignore|pyright: ignore)(.*)$", line):
            assert re.match(r"(: [A-Z0-9, ]+|\[[\w, -]+\])\s+\S", found[1]), line


def test_tests_lie_in_folders() -> None:
    """The folders of the tests mirror the package; the top has only what all tests share."""
    assert {path.name for path in TESTS.glob("*.py")} <= {"conftest.py"}
