"""HTML that cannot be broken out of: what is not `Html` already is text, and text is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from attrs import frozen

_EMPTY = frozenset({"col", "link", "meta"})  # HTML has no end tag for these,
_BARE = frozenset({"line", "path", "rect"})  # and SVG a short form for those.


@frozen
class Html:
    """A piece of HTML, known to be sound."""

    markup: str


Content = Html | str | Iterable["Html | str"]


def element(name: str, *content: Content, **attributes: str | float) -> Html:
    """Return an element.

    Args:
        name: The name of its tag.
        content: What is inside; all text is escaped.
        attributes: Its attributes; `class_` is spelled without the underline, all other underlines become hyphens.
    """
    pairs = "".join(f' {_spelled(key)}="{escape(f"{value}")}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Html(f"<{name}{pairs}>")
    if name in _BARE:
        return Html(f"<{name}{pairs}/>")
    return Html(f"<{name}{pairs}>{joined(*content).markup}</{name}>")


def joined(*content: Content) -> Html:
    """Return pieces one after the other; all text is escaped."""
    return Html("".join(map(_markup, content)))


def _markup(content: Content) -> str:
    if isinstance(content, str):
        return escape(content, quote=False)
    return content.markup if isinstance(content, Html) else "".join(map(_markup, content))


def _spelled(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
