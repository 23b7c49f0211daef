"""Write the page: one HTML file without a script, which makes no request to anywhere.

The template is `page.html.j2`, its tables and charts are in `macros.html.j2`. All text that goes into them is escaped;
the style sheet alone, which is our own, is not.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from asyncpoll.cli._output import duration
from asyncpoll.cli.report._stats import RunStats
from asyncpoll.cli.report._view import LedgerInfo, view_of
from asyncpoll.cli.report._words import count, date, iso

if TYPE_CHECKING:
    from jinja2 import Template

_FILES = files("asyncpoll.cli.report")


def load_template() -> Template:
    """Return the template of the page.

    Raises:
        ValueError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415  Jinja2 is an extra
    except ModuleNotFoundError as error:
        raise ValueError("a report needs Jinja2; install it with: pip install 'asyncpoll[cli]'") from error
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_source),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=count, date=date, duration=duration, iso=iso, pct=_percent)
    return environment.get_template("page.html.j2")


def render(template: Template, stats: RunStats, info: LedgerInfo) -> str:
    """Return the page; its figures are those of *stats*, to the last job."""
    style = _source("style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render(view_of(stats, info), style=style, digest=digest)


def _source(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"
