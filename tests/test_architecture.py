"""The rules of the house, held by reading its source."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from attrs import frozen

import asyncpoll

PACKAGE = Path(str(asyncpoll.__file__)).parent
TESTS = Path(__file__).parent

GROUND = {
    "_affinity",
    "_atomic_file",
    "_checks",
    "_errors",
    "_json_out",
    "_schedule",
    "_snapshot",
    "_state",
    "_timeout",
    "_version",
    "events",
}
COLUMNS = {"waiting", "http"}
MEETING = {"_endpoint", "_structure"}
MAY_IMPORT: dict[str, set[str]] = {
    "": {"_version"},
    "_version": set(),
    "_affinity": {"_errors"},
    "_atomic_file": set(),
    "_checks": set(),
    "_errors": set(),
    "_schedule": {"_checks"},
    "_state": {"_errors"},
    "_snapshot": {"_checks", "_errors", "_state"},
    "_timeout": {"_checks", "_schedule", "_state"},
    "events": GROUND,
    "waiting": GROUND,
    "http": GROUND,
    "_json_out": set(),
    "_structure": GROUND,
    "_endpoint": GROUND | COLUMNS,
    "testing": GROUND | COLUMNS,
    "providers": GROUND | COLUMNS | MEETING,
    "ledger": GROUND | COLUMNS | MEETING,
    "simulator": set(),
    "sync": set(),
    "cli": GROUND | COLUMNS | MEETING | {"providers", "ledger", "simulator"},
    "__main__": {"cli"},
}
"""Which rooms, apart from itself, each room may import from: what is drawn below it. The front door is ""."""

ANYWHERE = [""]
OWNERS: dict[str, list[str]] = {
    "attr": ANYWHERE,
    "attrs": ANYWHERE,
    "aiohttp": ["http.transport", "simulator"],
    "backoff": ["_schedule"],
    "cattrs": ["_structure"],
    "filelock": ["ledger"],
    "jinja2": ["cli.report"],
    "multidict": ["http", "simulator"],
    "orjson": ["http._json"],
    "rich": ["cli"],
    "sqlite3": ["ledger"],
    "yarl": ["http", "simulator"],
}
"""Where each dependency, and each module of the standard library with an owner, may be imported."""

MOST_LINES, MOST_LINES_OF_A_FUNCTION, MEDIAN_LINES_OF_A_FUNCTION = 500, 50, 8
BANNED = {"time.time", "asyncio.wait_for"}
SEEDED = {"random.Random", "random.SystemRandom"}


@frozen
class Module:
    """One source file: its dotted name (below the package, where it is part of it) and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The part of the house that it belongs to."""
        return self.name.partition(".")[0]


@cache
def modules_below(root: Path) -> dict[str, Module]:
    """Return every module below *root*, by name."""
    found: dict[str, Module] = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return found


def package() -> dict[str, Module]:
    """Return the modules of the package, by their names below it."""
    return modules_below(PACKAGE)


def every(*roots: Path) -> list[object]:
    """Return the modules below the roots, as parameters of a test."""
    modules = [module for root in roots for module in modules_below(root).values()]
    return [pytest.param(module, id=str(module.path.relative_to(PACKAGE.parent))) for module in modules]


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what only type checkers see."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from at_run_time(child)


def imported_by(module: Module) -> Iterator[str]:
    """Give the full dotted name of all that a module imports at run time, inside functions too."""
    for node in at_run_time(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: import absolutely"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module: Module) -> set[str]:
    """Return the modules of the package that a module imports, by their names below it."""
    inside = [name.removeprefix("asyncpoll").removeprefix(".") for name in imported_by(module) if is_ours(name)]
    return {name if name in package() else name.rpartition(".")[0] for name in inside}


def is_ours(name: str) -> bool:
    """Return whether an imported name is one of the package."""
    return name.partition(".")[0] == "asyncpoll"


def below(name: str, owner: str) -> bool:
    """Return whether a module is *owner* or inside it."""
    return owner in {"", name} or name.startswith(f"{owner}.")


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    spoken = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - spoken


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function of a tree."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def uses(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Give every dotted name of another module that a tree uses, in full whatever it is called there, with its node."""
    called: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            called |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            yield f"{called[node.value.id]}.{node.attr}", node


def used_names(tree: ast.AST) -> set[str]:
    """Return every dotted name of another module that a tree uses."""
    return {name for name, _ in uses(tree)}


# floors and columns


def test_every_room_is_drawn() -> None:
    """A new part of the house is given its floor in the table above."""
    assert {module.room for module in package().values()} <= set(MAY_IMPORT)


@pytest.mark.parametrize("module", every(PACKAGE))
def test_a_module_imports_only_from_what_is_drawn_below_it(module: Module) -> None:
    """The columns never import each other, the ground imports nothing, and nothing imports from above."""
    rooms = {name.partition(".")[0] for name in imported_modules(module)} - {module.room}
    assert rooms <= MAY_IMPORT[module.room]


@pytest.mark.parametrize("module", every(PACKAGE / "providers"))
def test_providers_do_not_import_each_other(module: Module) -> None:
    """What two vendors share stands beside them, in neither."""
    vendors = {path.name for path in (PACKAGE / "providers").iterdir() if path.is_dir()} - {"__pycache__"}
    imported = {name.split(".")[1] for name in imported_modules(module) if name.startswith("providers.")}
    if module.room in vendors:
        assert imported & vendors <= {module.room}


def test_no_imports_go_in_circles() -> None:
    """The modules can be put into an order in which each imports only from those before it."""
    graph = {name: imported_modules(module) - {name} for name, module in package().items()}
    TopologicalSorter(graph).prepare()


# owners


@pytest.mark.parametrize("module", every(PACKAGE))
def test_every_dependency_has_one_owner(module: Module) -> None:
    """Who imports what from outside is written in the table above; nothing that is not is imported."""
    outside = {name.partition(".")[0] for name in imported_by(module) if not is_ours(name)}
    owned = {name for name in outside if name in OWNERS or name not in sys.stdlib_module_names}
    strangers = {name for name in owned if not any(below(module.name, owner) for owner in OWNERS.get(name, []))}
    assert strangers == set()


@pytest.mark.parametrize("module", every(PACKAGE / "simulator"))
def test_the_simulator_uses_the_server_alone(module: Module) -> None:
    """Of aiohttp the simulator has the server, never the client."""
    aiohttp = {name for name in imported_by(module) if name.partition(".")[0] == "aiohttp"}
    assert all(name.startswith("aiohttp.web") for name in aiohttp)


@pytest.mark.parametrize("module", every(PACKAGE / "http"))
def test_the_transport_uses_the_client_alone(module: Module) -> None:
    """Of aiohttp the package `http` has the client, never the server."""
    assert not any(name.startswith("aiohttp.web") for name in used_names(module.tree))


@pytest.mark.parametrize("module", every(PACKAGE))
def test_the_environment_is_read_at_the_edge(module: Module) -> None:
    """Environment variables are read by the command line and by constructors called `from_env`, nowhere else."""
    constructors = [function for function in functions(module.tree) if function.name == "from_env"]
    inside = {id(node) for function in constructors for node in ast.walk(function)}
    reads = [node for name, node in uses(module.tree) if name in {"os.environ", "os.getenv"}]
    assert module.room == "cli" or all(id(node) in inside for node in reads)


# what appears nowhere


@pytest.mark.parametrize("module", every(PACKAGE, TESTS))
def test_what_is_banned_appears_nowhere(module: Module) -> None:
    """Neither the wall clock, nor the module's own chance, nor `wait_for`, nor mocks, in the tests as little."""
    used = used_names(module.tree)
    chance = {name for name in used if name.startswith("random.")} - SEEDED
    mocks = {name for name in used | set(imported_by(module)) if name.startswith("unittest.mock")}
    assert (used & BANNED) | chance | mocks == set()


@pytest.mark.parametrize("module", every(PACKAGE, TESTS))
def test_no_except_is_bare(module: Module) -> None:
    """Every `except` says what it catches."""
    handlers = [node for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)


# size


@pytest.mark.parametrize("module", every(PACKAGE))
def test_no_file_is_long(module: Module) -> None:
    """No file has more than 500 lines."""
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", every(PACKAGE))
def test_no_function_is_long(module: Module) -> None:
    """No function has more than 50 lines, its docstring apart."""
    long = {function.name: length(function) for function in functions(module.tree)}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_functions_are_short() -> None:
    """Half of all functions have fewer than 8 lines, their docstrings apart."""
    lengths = [length(function) for module in package().values() for function in functions(module.tree)]
    assert statistics.median(lengths) < MEDIAN_LINES_OF_A_FUNCTION


# habits


@pytest.mark.parametrize("module", every(PACKAGE))
def test_every_module_has_a_docstring_and_late_annotations(module: Module) -> None:
    """Every module says what it is, and where there is code it begins with `from __future__ import annotations`."""
    assert ast.get_docstring(module.tree)
    assert not functions(module.tree) or "__future__.annotations" in used_names(module.tree)


@pytest.mark.parametrize("module", every(TESTS))
def test_every_test_says_what_it_shows(module: Module) -> None:
    """Every test states the behaviour in the one line of its docstring."""
    tests = [function for function in functions(module.tree) if function.name.startswith("test_")]
    assert [test.name for test in tests if len((ast.get_docstring(test) or "\n").splitlines()) != 1] == []
