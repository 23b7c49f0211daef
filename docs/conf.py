"""How the documentation is built: `sphinx-build -W -n -q docs docs/_build`.

The build needs no network.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import asyncpoll

project = "asyncpoll"
author = copyright = "The asyncpoll developers"  # noqa: A001  Sphinx asks for this name
release = version = asyncpoll.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"asyncpoll {release}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# Errors and events have one name in common. Where both could be meant, the error is.
suppress_warnings = ["ref.python"]

default_role = "code"  # docstrings have single backticks around code
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes in one list, as parameters are

PUBLIC = (
    "asyncpoll",
    "asyncpoll.http",
    "asyncpoll.events",
    "asyncpoll.definitions",
    "asyncpoll.clients",
    "asyncpoll.dask",
    "asyncpoll.ledger",
    "asyncpoll.providers",
    "asyncpoll.providers.bigmodel",
    "asyncpoll.providers.molizhishu",
    "asyncpoll.testing",
    "asyncpoll.web",
    "asyncpoll.simulator",
    "asyncpoll.sync",
    "asyncpoll.telemetry",
    "asyncpoll.progress",
)


def public_names() -> dict[str, str]:
    """Return the public name of each object by the full name of where it is defined."""
    found: dict[str, str] = {}
    for module in map(importlib.import_module, PUBLIC):
        for name in getattr(module, "__all__", vars(module)):
            thing = getattr(module, name)
            # Names that are imported on first use must be there for autodoc.
            setattr(module, name, thing)
            home: str = getattr(thing, "__module__", "")
            if home.startswith("asyncpoll."):
                full_name = f"{home}.{getattr(thing, '__qualname__', name)}"
                found.setdefault(full_name, f"{module.__name__}.{name}")
    return found


NAMES = public_names()


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element
) -> Element | None:
    """Point a reference to the place where a name is public.

    Names of other libraries, and private ones, stay text. A public name of asyncpoll
    that does not exist stays an error.
    """
    target: str = node["reftarget"]
    if target in NAMES and NAMES[target] != target:
        domain = env.get_domain("py")
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, node["reftype"], NAMES[target], node, text
        )
    module, _, name = target.rpartition(".")
    is_private = module not in PUBLIC or hasattr(importlib.import_module(module), name)
    return text if is_private else None


def as_markup(
    _app: Sphinx, what: str, _name: str, _thing: Any, _options: Any, lines: list[str]
) -> None:
    """Make the text of a docstring into markup.

    Code may be followed by a letter, as in `Snapshot`s. The colon keeps Napoleon from
    taking the text of a property before a colon for its type.
    """
    for number, line in enumerate(lines):
        lines[number] = re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line)
    if what in {"attribute", "property"} and lines:
        lines[0] = f":{lines[0]}"


def skip(
    _app: Sphinx, _what: str, _name: str, thing: Any, skipped: object, _options: Any
) -> bool:
    """Leave out the fields of named tuples, which their docstrings explain."""
    return bool(skipped) or type(thing).__name__ == "_tuplegetter"


def as_code(
    _app: Sphinx,
    _what: str,
    _name: str,
    _thing: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write functions that are defaults by their names: then they can be parsed."""
    return None if signature is None else re.sub(
        r"<function ([\w.]+)>", r"\1", signature
    ), returned


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", as_code)
    app.connect("autodoc-skip-member", skip)
    app.connect(
        "autodoc-process-docstring", as_markup, priority=400
    )  # before Napoleon, which has 500
