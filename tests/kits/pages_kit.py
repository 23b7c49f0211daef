"""The pages of the documentation as data: their code blocks, code spans, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=fence)$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r":caption: (?P<name>[\w.-]+)\n\n")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@frozen
class Block:
    """A fenced block of a page: its language, its text, and the line of the page that it begins at."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def file(self) -> tuple[str, str] | None:
        """Return the name and the content of the file that the block shows, or None."""
        found = _FILE.match(self.text) if self.language == "{code-block}" else None
        return None if found is None else (found["name"], self.text[found.end() :])

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield every command of a console block, without its comment, and the output that follows it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield re.sub(r"\s+# .*$", "", command), output


def pages() -> list[Path]:
    """Return every page that readers are given: those of the root, and those below `docs`."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("text")) + 1, found["language"], found["text"])
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> set[str]:
    """Return what stands between single backticks in the prose of a page."""
    return set(_SPAN.findall(prose(page)))


def links(page: Path) -> set[str]:
    """Return the targets of the links of a page."""
    return set(_LINK.findall(prose(page)))


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(page)))
    return {word.strip().replace(" ", "-") for word in words}
