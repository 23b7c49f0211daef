"""The public names of the package and of its public modules."""

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

PUBLIC = [
    "asyncpoll",
    "asyncpoll.clients",
    "asyncpoll.dask",
    "asyncpoll.definitions",
    "asyncpoll.http",
    "asyncpoll.events",
    "asyncpoll.ledger",
    "asyncpoll.progress",
    "asyncpoll.providers",
    "asyncpoll.simulator",
    "asyncpoll.sync",
    "asyncpoll.telemetry",
    "asyncpoll.testing",
    "asyncpoll.web",
]
LEAST = {
    "asyncpoll": """
        State Vocabulary Snapshot wait_until_terminal watch as_completed wait_all Hub Outcome Timeout
        Schedule Progress Fixed Exponential Learned Explanation Endpoint Job time_in_id
        PollError WaitTimeout JobError JobFailed JobTimedOut JobCancelled TransportError Throttled Rejected BadReply
        UnknownStatus ClientClosed
    """,
    "asyncpoll.http": """
        Request Reply Transport AiohttpTransport TransportSettings Upload Auth Bearer ApiKey Basic segment identifier
        classify_status Codes Phrase structure Retrying Paced download
    """,
    "asyncpoll.events": "Began Called Polled StateChanged UnknownWord Missed Throttled Ended Event Observer Observers",
    "asyncpoll.clients": "Clients",
    "asyncpoll.dask": "distributed_run DistributedRun connected",
    "asyncpoll.definitions": """
        Definition DefinitionError DefinedClient catalog find lint Finding simulate rehearse Rehearsal draft_openapi
    """,
    "asyncpoll.providers": "BigModel Molizhishu",
    "asyncpoll.ledger": "Ledger Reader Entry Record JsonLines Csv",
    "asyncpoll.sync": "Portal portal call enter block each client",
    "asyncpoll.testing": "Script MemoryTransport run_virtual",
    "asyncpoll.simulator": "Simulator",
    "asyncpoll.web": """
        lifespan state until_disconnect answer accepted preferred_wait sse webhook hmac_signature
        Response response_for starlette_errors litestar_errors aiohttp_errors
    """,
    "asyncpoll.progress": "Position Watched progress",
    "asyncpoll.telemetry": "Logging OpenTelemetry PrometheusCollector mark",
}


def undocumented(name: str, thing: Any) -> Iterator[str]:
    """Yield the names that lack a docstring: of the class or function itself, and of the public methods of a class."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return
    if not inspect.getdoc(thing):
        yield name
    for member, value in vars(thing).items():
        is_method = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
        if is_method and not member.startswith("_") and not inspect.getdoc(value):
            yield f"{name}.{member}"


def names_for_type_checkers(module: ModuleType) -> set[tuple[str, str]]:
    """Return the pairs of a module and a name that *module* imports for type checkers only."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for guard in guarded for node in guard.body if isinstance(node, ast.ImportFrom)]
    return {(str(node.module), alias.name) for node in imports for alias in node.names}


def loaded_by(module: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after importing *module*."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def modules_of_names() -> dict[str, str]:
    """Return for each public name of the package the module that it is imported from."""
    modules: dict[str, str] = vars(asyncpoll)["_MODULE_OF"]
    return modules


def test_the_two_lists_of_names_agree() -> None:
    """Type checkers see the same names, from the same modules, as the interpreter."""
    names = {(f"asyncpoll.{module}", name) for name, module in modules_of_names().items()}
    assert names_for_type_checkers(asyncpoll) == names
    assert set(vars(asyncpoll)["__all__"]) == {name for _, name in names}


def test_type_checkers_take_every_name_for_public() -> None:
    """A name that is imported without `as` would be private to a type checker."""
    tree = ast.parse(Path(str(asyncpoll.__file__)).read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    aliases = [alias for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [alias.name for alias in aliases] == [alias.asname for alias in aliases]


@pytest.mark.parametrize("name_of_module", PUBLIC)
def test_every_module_lists_its_names_once(name_of_module: str) -> None:
    """`__all__` has no name twice, and contains every name that the manual uses."""
    names = importlib.import_module(name_of_module).__all__
    assert len(names) == len(set(names))
    assert set(names) >= set(LEAST[name_of_module].split())


@pytest.mark.parametrize("name_of_module", PUBLIC)
def test_every_public_name_is_documented(name_of_module: str) -> None:
    """Every public class and function has a docstring, and so has every public method."""
    module = importlib.import_module(name_of_module)
    assert [gap for name in module.__all__ for gap in undocumented(name, getattr(module, name))] == []


@pytest.mark.parametrize("name_of_module", PUBLIC)
def test_type_checkers_see_every_name(name_of_module: str) -> None:
    """The module that type checkers read uses every public name; of some modules only those listed above."""
    names = set(LEAST[name_of_module].split())
    if name_of_module in {"asyncpoll", "asyncpoll.http", "asyncpoll.testing"}:
        names |= set(importlib.import_module(name_of_module).__all__)
    texts = (path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[1] / "typing").glob("*.py")))
    tree = ast.parse("\n".join(text.replace("from __future__ import annotations\n", "") for text in texts))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert names - used == set()


def test_every_name_can_be_imported() -> None:
    """Each public name is imported from its module once, and is an attribute of the package from then on."""
    for name, module_of_name in modules_of_names().items():
        module = importlib.import_module(f"asyncpoll.{module_of_name}")
        assert getattr(asyncpoll, name) is getattr(module, name)
        assert vars(asyncpoll)[name] is getattr(module, name)


def test_dir_lists_the_public_names() -> None:
    """Completion offers the public names."""
    assert dir(asyncpoll) == sorted(vars(asyncpoll)["__all__"])


@pytest.mark.parametrize("name_of_module", ["asyncpoll", "asyncpoll.definitions", "asyncpoll.http"])
def test_a_name_that_does_not_exist_is_an_attribute_error(name_of_module: str) -> None:
    """A module that imports its names lazily refuses an unknown name as any module does."""
    with pytest.raises(AttributeError, match=f"module '{name_of_module}' has no attribute 'wait_forever'"):
        _ = importlib.import_module(name_of_module).wait_forever


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("asyncpoll", {"aiohttp", "cattrs", "backoff", "attr", "asyncio", "rich"}),
        ("asyncpoll.http", {"aiohttp", "cattrs", "rich"}),
        ("asyncpoll._endpoint", {"aiohttp", "cattrs", "rich"}),
        ("asyncpoll.testing", {"aiohttp", "cattrs", "rich"}),
        ("asyncpoll.definitions", {"aiohttp", "cattrs", "rich", "yaml"}),
        ("asyncpoll.web", {"aiohttp", "cattrs", "rich", "starlette", "fastapi", "litestar", "uvicorn"}),
    ],
)
def test_importing_is_cheap(module: str, spared: set[str]) -> None:
    """Modules that are slow to import are loaded at their first use, not with the package."""
    assert loaded_by(module) & spared == set()
