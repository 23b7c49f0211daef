"""A table as a value, and how it looks as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

_GAP = "  "


@frozen
class Grid:
    """A table of texts.

    Attributes:
        head: The title of every column.
        align: One sign per column: "<" keeps it to the left, ">" to the right, as numbers are.
        rows: The cells, row by row.
    """

    head: tuple[str, ...]
    align: str
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> Iterator[str]:
        """Yield the table line by line, each column as wide as its widest cell."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        for row in (self.head, rule, *self.rows):
            cells = zip(row, self.align, widths, strict=True)
            yield _GAP.join(f"{cell:{align}{width}}" for cell, align, width in cells).rstrip()
