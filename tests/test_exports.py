"""The front doors of the package."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import asyncpoll

FRONTS = [
    "asyncpoll",
    "asyncpoll.http",
    "asyncpoll.ledger",
    "asyncpoll.providers",
    "asyncpoll.simulator",
    "asyncpoll.testing",
]
DOORS = {
    "asyncpoll": """
        State Vocabulary Snapshot wait_until_terminal watch as_completed wait_all Hub Outcome Timeout
        Schedule Progress Fixed Exponential Learned Endpoint Job
        PollError WaitTimeout JobError JobFailed JobTimedOut JobCancelled TransportError Throttled Rejected BadReply
        UnknownStatus ClientClosed
    """,
    "asyncpoll.http": "Request Reply Transport AiohttpTransport",
    "asyncpoll.providers": "BigModel Molizhishu",
    "asyncpoll.ledger": "Ledger Reader Entry Record JsonLines Csv",
    "asyncpoll.testing": "Script MemoryTransport run_virtual",
    "asyncpoll.simulator": "Simulator",
}


def undocumented(name: str, thing: Any) -> Iterator[str]:
    """Give what lacks a docstring: the class or function itself, or public methods of the class."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return
    if not inspect.getdoc(thing):
        yield name
    for member, value in vars(thing).items():
        is_method = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
        if is_method and not member.startswith("_") and not inspect.getdoc(value):
            yield f"{name}.{member}"


def names_for_type_checkers(module: ModuleType) -> set[tuple[str, str]]:
    """Return the (home, name) pairs that a front imports for type checkers only."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for guard in guarded for node in guard.body if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), alias.name) for node in imports for alias in node.names}


def loaded_by(module: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after importing *module*."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_lists_of_names_agree() -> None:
    """What the front door exports, where it finds it, and what type checkers see are the same names."""
    homes = {(f"asyncpoll.{home}", name) for home, names in asyncpoll._HOMES.items() for name in names}
    assert names_for_type_checkers(asyncpoll) == homes
    assert set(asyncpoll.__all__) == {name for _, name in homes} | {"__version__"}


@pytest.mark.parametrize("front", FRONTS)
def test_every_front_lists_its_names_once(front: str) -> None:
    """`__all__` has no name twice, and holds every name that the manual knocks on."""
    names = importlib.import_module(front).__all__
    assert len(names) == len(set(names))
    assert set(names) >= set(DOORS[front].split())


@pytest.mark.parametrize("front", FRONTS)
def test_every_public_name_is_documented(front: str) -> None:
    """Every public class and function has a docstring, and so has every public method."""
    module = importlib.import_module(front)
    assert [gap for name in module.__all__ for gap in undocumented(name, getattr(module, name))] == []


@pytest.mark.parametrize("front", FRONTS)
def test_type_checkers_see_every_name(front: str) -> None:
    """The module that type checkers read uses every public name; of providers and simulator the doors."""
    names = set(DOORS[front].split())
    if front in {"asyncpoll", "asyncpoll.http", "asyncpoll.testing"}:
        names |= set(importlib.import_module(front).__all__)
    tree = ast.parse((Path(__file__).parent / "typing" / "api.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert names - used == set()


def test_every_name_can_be_fetched() -> None:
    """Each public name is found at its home, and found again without looking."""
    for home, names in asyncpoll._HOMES.items():
        module = importlib.import_module(f"asyncpoll.{home}")
        for name in names:
            assert getattr(asyncpoll, name) is getattr(module, name)
            assert vars(asyncpoll)[name] is getattr(module, name)


def test_dir_lists_the_public_names() -> None:
    """What completion offers is what is public."""
    assert dir(asyncpoll) == sorted(asyncpoll.__all__)


@pytest.mark.parametrize("front", ["asyncpoll", "asyncpoll.http"])
def test_a_name_that_does_not_exist_is_an_attribute_error(front: str) -> None:
    """A lazy front answers for an unknown name as any module does."""
    with pytest.raises(AttributeError, match=f"module '{front}' has no attribute 'wait_forever'"):
        _ = importlib.import_module(front).wait_forever


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("asyncpoll", {"aiohttp", "cattrs", "backoff", "attr", "asyncio", "rich"}),
        ("asyncpoll.http", {"aiohttp", "cattrs", "rich"}),
        ("asyncpoll._endpoint", {"aiohttp", "cattrs", "rich"}),
        ("asyncpoll.testing", {"aiohttp", "cattrs", "rich"}),
    ],
)
def test_importing_is_cheap(module: str, spared: set[str]) -> None:
    """What is heavy is loaded when it is first used, not when the package is imported."""
    assert loaded_by(module) & spared == set()
