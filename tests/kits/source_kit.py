"""The source of the package and of its tests as data: modules, imports, names used, functions."""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
PACKAGE, TESTS = ROOT / "asyncpoll", ROOT / "tests"


@frozen
class Module:
    """One source file: its dotted name (below the package, where it is part of it) and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def part(self) -> str:
        """The part of the package that it belongs to, which stands directly below the package."""
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__` of a directory."""
        return self.path.stem == "__init__"

    @property
    def lines(self) -> int:
        """The number of its lines."""
        return len(self.path.read_text(encoding="utf-8").splitlines())


@cache
def modules_below(root: Path) -> dict[str, Module]:
    """Return every module below *root*, by name."""
    found: dict[str, Module] = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    gc.freeze()  # a million nodes that are kept: later collections of garbage leave them out
    return found


def package() -> dict[str, Module]:
    """Return the modules of the package, by their names below it."""
    return modules_below(PACKAGE)


def for_every(*roots: Path) -> Callable[[Callable[[Module], None]], Callable[[], None]]:
    """Make one test of a check of a module, for all modules below the roots; its failure names the module."""

    def decorate(check: Callable[[Module], None]) -> Callable[[], None]:
        def test() -> None:
            for root in roots:
                for module in modules_below(root).values():
                    try:
                        check(module)
                    except AssertionError as error:
                        error.add_note(f"in {module.path.relative_to(ROOT)}")
                        raise

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without what only type checkers see."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from at_run_time(child)


def imported_by(module: Module, *, by_type_checkers: bool = False) -> Iterator[str]:
    """Yield the full dotted name of all that a module imports, inside functions too."""
    for node in ast.walk(module.tree) if by_type_checkers else at_run_time(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: import absolutely"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(module: Module, *, by_type_checkers: bool = False) -> set[str]:
    """Return the modules of the package that a module imports, by their names below it."""
    names = imported_by(module, by_type_checkers=by_type_checkers)
    inside = [name.removeprefix("asyncpoll").removeprefix(".") for name in names if is_ours(name)]
    return {name if name in package() else name.rpartition(".")[0] for name in inside}


def is_ours(name: str) -> bool:
    """Return whether an imported name is one of the package."""
    return name.partition(".")[0] == "asyncpoll"


def below(name: str, owner: str) -> bool:
    """Return whether a module is *owner* or inside it."""
    return owner in {"", name} or name.startswith(f"{owner}.")


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function of a tree."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def uses(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield every dotted name of another module that a tree uses, in full, with its node."""
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
