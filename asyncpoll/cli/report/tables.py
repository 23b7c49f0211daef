"""Tables that turn into a list of cards where the page is narrow."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from asyncpoll.cli.report.html import Content, Html, element


@frozen
class Column:
    """A column: its title, and whether it holds numbers, which stand to the right."""

    title: str
    numeric: bool = False


def table(caption: str, columns: tuple[Column, ...], rows: Iterable[tuple[Content, ...]]) -> Html:
    """Return a table.

    Args:
        caption: What it shows, for those who hear the page.
        columns: From left to right; the first one names the row.
        rows: The cells, row by row.
    """
    head = (element("th", one.title, **_look(one), scope="col", role="columnheader") for one in columns)
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head, role="row"), role="rowgroup"),
        element("tbody", (_row(columns, row) for row in rows), role="rowgroup"),
        role="table",  # said again, because what is laid out as cards no longer counts as a table otherwise
    )


def _row(columns: tuple[Column, ...], cells: tuple[Content, ...]) -> Html:
    first, *rest = zip(columns, cells, strict=True)
    name = element("th", first[1], **_look(first[0]), scope="row", role="rowheader", data_label=first[0].title)
    others = (element("td", cell, **_look(one), role="cell", data_label=one.title) for one, cell in rest)
    return element("tr", name, others, role="row")


def _look(column: Column) -> dict[str, str]:
    return {"class_": "number"} if column.numeric else {}
