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
        tests.append(has_content if wanted.present else lambda value: value is None)
    if (least := wanted.above) is not None:
        tests.append(lambda value: (count := number(value)) is not None and count > least)
    if (most := wanted.below) is not None:
        tests.append(lambda value: (count := number(value)) is not None and count < most)
    if wanted.any:
        is_one = _among(wanted.any)
        tests.append(lambda value: isinstance(value, list) and any(map(is_one, value)))
    if wanted.every:
        is_known = _among(wanted.every)
        tests.append(lambda value: isinstance(value, list) and bool(value) and all(map(is_known, value)))
    if wanted.negated is not None:
        is_unwanted = test_of(wanted.negated)
        tests.append(lambda value: not is_unwanted(value))
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
