"""The rules of `docs/architecture.md` about imports and dependencies, held by reading the source."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from itertools import chain

import pytest
from pages_kit import DOCS, blocks
from source_kit import (
    PACKAGE,
    TESTS,
    Module,
    below,
    for_every,
    functions,
    imported_by,
    imported_modules,
    is_ours,
    package,
    used_names,
    uses,
)

pytestmark = pytest.mark.no_cover

ANYWHERE = [""]
OWNERS: dict[str, list[str]] = {
    "attr": ANYWHERE,
    "attrs": ANYWHERE,
    "aiohttp": ["http.transport", "simulator", "web._frameworks"],
    "backoff": ["_schedule"],
    "cattrs": ["_structure"],
    "distributed": ["dask"],
    "filelock": ["ledger"],
    "jinja2": ["cli.report"],
    "litestar": ["web._frameworks"],
    "multidict": ["http", "simulator"],
    "opentelemetry": ["telemetry._opentelemetry"],
    "orjson": ["_json"],
    "prometheus_client": ["telemetry._prometheus"],
    "rich": ["cli", "progress"],
    "sqlite3": ["ledger"],
    "starlette": ["web._frameworks"],
    "tqdm": ["progress"],
    "yaml": ["definitions._draft"],
    "yarl": ["http", "simulator"],
}
"""Where each dependency, and each module of the standard library with an owner, may be imported."""

ONE_MODULE = ["backoff", "cattrs", "filelock", "jinja2", "litestar", "orjson", "starlette", "yaml"]
"""The dependencies that only one module imports."""

ABOUT = {"_errors"}
"""Errors have what they are about, a snapshot or a reply, whose modules raise errors: a circle of types alone."""

BANNED = {"time.time", "asyncio.wait_for"}
SEEDED = {"random.Random", "random.SystemRandom"}


def layers() -> list[list[str]]:
    """Return the layers that the page about the architecture draws, the highest first, as names of modules."""
    picture = next(block for block in blocks(DOCS / "architecture.md") if block.language == "text")
    drawn = [re.split(r"\s{3,}", line)[0].split() for line in picture.text.splitlines()]
    return [[name.removesuffix("/").removesuffix(".py") for name in names] for names in drawn]


def may_import(part: str) -> set[str]:
    """Return the parts that a part of the package may import: all that is drawn below it."""
    drawn = layers()
    height = next(number for number, names in enumerate(drawn) if part in names)
    return set(chain(*drawn[height + 1 :]))


def test_every_part_is_drawn() -> None:
    """Each part of the package is in the picture of the layers, once, and the picture has no other."""
    drawn = list(chain(*layers()))
    assert sorted(drawn) == sorted({module.part for module in package().values()} - {""})


@for_every(PACKAGE)
def test_a_module_imports_only_from_lower_layers(module: Module) -> None:
    """Nothing is imported from a higher layer or from beside; the package itself imports the names that it exports."""
    parts = {name.partition(".")[0] for name in imported_modules(module)} - {module.part}
    assert parts <= (may_import(module.part) if module.part else {"_version"})


@for_every(PACKAGE / "providers")
def test_providers_do_not_import_each_other(module: Module) -> None:
    """What two vendors share is beside them, in neither."""
    vendors = {path.name for path in (PACKAGE / "providers").iterdir() if path.is_dir()} - {"__pycache__"}
    imported = {name.split(".")[1] for name in imported_modules(module) if name.startswith("providers.")}
    if module.part in vendors:
        assert imported & vendors <= {module.part}


def test_few_parts_import_the_simulator() -> None:
    """Clients and servers have been written apart; a definition is both, and the simulator puts it on a socket."""
    parts = {
        module.part for module in package().values() if any(below(n, "simulator") for n in imported_modules(module))
    }
    assert parts <= {"cli", "definitions", "simulator"}


@pytest.mark.parametrize("by_type_checkers", [False, True], ids=["run-time", "type-checkers"])
def test_imports_do_not_go_in_circles(by_type_checkers: bool) -> None:  # noqa: FBT001  a parameter of the test
    """The files can be put into an order in which each imports only from those before it."""
    graph = {
        name: imported_modules(module, by_type_checkers=by_type_checkers and name not in ABOUT) - {name}
        for name, module in package().items()
        if not (by_type_checkers and module.is_package)  # it lends names that are defined elsewhere
    }
    TopologicalSorter(graph).prepare()


# owners


@for_every(PACKAGE)
def test_every_dependency_has_one_owner(module: Module) -> None:
    """The table above says where each dependency may be imported; what is not in it is not imported."""
    outside = {name.partition(".")[0] for name in imported_by(module) if not is_ours(name)}
    owned = {name for name in outside if name in OWNERS or name not in sys.stdlib_module_names}
    strangers = {name for name in owned if not any(below(module.name, owner) for owner in OWNERS.get(name, []))}
    assert strangers == set()


@pytest.mark.parametrize("dependency", ONE_MODULE)
def test_one_module_alone_imports_it(dependency: str) -> None:
    """Whoever exchanges this dependency has one file to change."""
    importers = [
        name
        for name, module in package().items()
        if dependency in {imported.partition(".")[0] for imported in imported_by(module)}
    ]
    assert len(importers) == 1


def test_private_names_of_aiohttp_are_in_one_file() -> None:
    """What may change with any release of aiohttp is used in the pool of connections only."""
    private = {"_factory", "_conns", "_acquired", "_available_connections", "_release", "_get", "_timer", "_request"}
    users = {
        name
        for name, module in package().items()
        if below(name, "http")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in private and ast.unparse(node.value) not in {"self", "cls"}
    }
    assert users <= {"http.transport._pool"}


@for_every(PACKAGE / "simulator")
def test_the_simulator_uses_the_server_alone(module: Module) -> None:
    """Of aiohttp the simulator has the server, never the client."""
    aiohttp = {name for name in imported_by(module) if name.partition(".")[0] == "aiohttp"}
    assert all(name.startswith("aiohttp.web") for name in aiohttp)


@for_every(PACKAGE / "http")
def test_the_transport_uses_the_client_alone(module: Module) -> None:
    """Of aiohttp the transport has the client, never the server."""
    assert not any(name.startswith("aiohttp.web") for name in used_names(module.tree))


@for_every(PACKAGE)
def test_the_environment_is_read_at_the_edge(module: Module) -> None:
    """Environment variables are read for the command line, and by constructors called `from_env`, nowhere else."""
    constructors = [function for function in functions(module.tree) if function.name == "from_env"]
    inside = {id(node) for function in constructors for node in ast.walk(function)}
    reads = [node for name, node in uses(module.tree) if name in {"os.environ", "os.getenv"}]
    assert module.part in {"cli", "clients"} or all(id(node) in inside for node in reads)


# what appears nowhere


@for_every(PACKAGE, TESTS)
def test_what_is_banned_appears_nowhere(module: Module) -> None:
    """Neither the wall clock, nor unseeded random numbers, nor `wait_for`, nor mocks are used, in the tests either."""
    used = used_names(module.tree)
    unseeded = {name for name in used if name.startswith("random.")} - SEEDED
    mocks = {name for name in used | set(imported_by(module)) if name.startswith("unittest.mock")}
    assert (used & BANNED) | unseeded | mocks == set()


@for_every(PACKAGE, TESTS)
def test_no_except_is_bare(module: Module) -> None:
    """Every `except` says what it catches."""
    handlers = [node for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)
