"""Conditions: what a rule wants to stand at a path, as functions of an answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from asyncpoll._snapshot import number
from asyncpoll.definitions._model import Wanted
from asyncpoll.definitions._paths import Path, has_content
from asyncpoll.http import Reply

Test = Callable[[Any], bool]
Condition = Callable[[Any, Reply], bool]
"""A function from the decoded body of an answer, and the answer, to whether the condition holds."""


def condition(pairs: Collection[tuple[Path, Wanted]]) -> Condition:
    """Return a function that tells whether all that is wanted stands in an answer."""
    tests = [(path.get, test_of(wanted)) for path, wanted in pairs]
    if len(tests) == 1:
        [(get, test)] = tests
        return lambda body, reply: test(get(body, reply))
    return lambda body, reply: all(test(get(body, reply)) for get, test in tests)


def test_of(wanted: Wanted) -> Test:
    """Return a function that tells whether a value is as wanted."""
    tests: list[Test] = []
    if wanted.equals:
        tests.append(_among(wanted.equals))
    if wanted.present is not None:
        tests.append(has_content if wanted.present else _is_null)
    if wanted.above is not None:
        tests.append(_beyond(wanted.above, 1))
    if wanted.below is not None:
        tests.append(_beyond(wanted.below, -1))
    if wanted.any:
        tests.append(_any(_among(wanted.any)))
    if wanted.every:
        tests.append(_every(_among(wanted.every)))
    if wanted.negated is not None:
        tests.append(_not(test_of(wanted.negated)))
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _among(values: tuple[Any, ...]) -> Test:
    """Return a test for one of some values; 1 and true are two values, while 1 and 1.0 are one."""
    texts = frozenset(value for value in values if isinstance(value, str))
    flags = [value for value in values if isinstance(value, bool)]
    numbers = [value for value in values if not isinstance(value, str | bool)]

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return value in texts
        return value in (flags if isinstance(value, bool) else numbers)

    return test


def _is_null(value: Any) -> bool:
    return value is None


def _beyond(limit: float, sign: int) -> Test:
    def test(value: Any) -> bool:
        counted = number(value)
        return counted is not None and counted * sign > limit * sign

    return test


def _any(test: Test) -> Test:
    return lambda value: isinstance(value, list) and any(map(test, value))


def _every(test: Test) -> Test:
    return lambda value: isinstance(value, list) and bool(value) and all(map(test, value))


def _not(test: Test) -> Test:
    return lambda value: not test(value)
