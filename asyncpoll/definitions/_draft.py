"""Read the documents that definitions are drafted from, and write the drafts: TOML with a comment at each guess."""

from __future__ import annotations

import json
import re
from typing import Any

from asyncpoll.definitions._definition import Definition
from asyncpoll.definitions._spots import DefinitionError

_FENCE = re.compile(r"^(`{3,})(?:ya?ml|json)\b[^\n]*\n(.*?)^\1", re.DOTALL | re.MULTILINE)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_COMMENT = 240


class DraftWriter:
    """The text of a definition, written line by line.

    Args:
        source: What to call the document in messages.
        part: What of it the definition is drafted from.
    """

    def __init__(self, source: str, part: str) -> None:
        self._source = source
        self._lines = [f"# {_comment(f'Drafted from {source}: {part}.')}"]
        self.note("Check every line that has a comment, then run `asyncpoll lint` on this file.")

    def put(self, key: str, value: Any, why: str = "") -> None:
        """Write `key = value`, and *why* it is a guess as a comment behind it. A value of None writes nothing."""
        if value is not None:
            self._lines.append(f"{_key(key)} = {inline(value)}" + (f"  # {_comment(why)}" if why else ""))

    def several(self, key: str, values: list[Any], why: str = "") -> None:
        """Write a key with several values: words or paths. One stands alone; without any it writes nothing."""
        self.put(key, values[0] if len(values) == 1 else values or None, why)

    def rules(self, rules: list[tuple[dict[str, Any], str]]) -> None:
        """Write the rules of `when`, one a line, each from what must hold and the state that follows."""
        lines = [f"  {inline({'if': wanted, 'state': state})}," for wanted, state in rules]
        self._lines += ["when = [", *lines, "]"]

    def note(self, text: str) -> None:
        """Write a comment on a line of its own."""
        self._lines.append(f"# {_comment(text)}")

    def todo(self, text: str) -> None:
        """Write a comment that says what a person must decide."""
        self.note(f"TODO {text}")

    def table(self, name: str) -> None:
        """Begin a table: what is written from here on belongs to it."""
        self._lines += ["", f"[{name}]"]

    def checked(self) -> str:
        """Return the text.

        Raises:
            DefinitionError: It does not compile, since the document holds what no definition can say.
        """
        text = "\n".join(self._lines) + "\n"
        Definition.parse(text, source=f"the draft of {self._source}")
        return text


def letters(text: str) -> str:
    """Return what two spellings of a name or a word have in common: letters and digits in lower case."""
    return re.sub(r"[\W_]+", "", text.casefold())


def snake(name: str) -> str:
    """Return *name* as a field of a reference is spelled, or "value" if nothing of it is left."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", parts).strip("_")[:60] or "value"


def snaked(path: str) -> str:
    """Return a path with its slots spelled as fields of a reference; AWS marks open ones with a plus behind them."""
    return re.sub(r"\{([^{}+]*)(\+?)\}", lambda slot: f"{{{slot[2]}{snake(slot[1])}}}", path)


def inline(value: Any) -> str:
    """Return *value* as TOML on one line: text, a number, a boolean, a list or a table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    # JSON's escapes are TOML's, but for DEL; a lone surrogate is not text in either.
    text = json.dumps(str(value).encode("utf-8", "replace").decode(), ensure_ascii=False)
    return text.replace("\x7f", "\\u007F")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else inline(key)


def _comment(text: str) -> str:
    """Return *text* as a comment can hold it: one line of printable characters, not too long."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_COMMENT])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_COMMENT else line[: _LONGEST_COMMENT - 3] + "..."


def read_document(text: str, source: str) -> dict[str, Any]:
    """Return the table that *text* holds: JSON, YAML, or a page of Markdown with a fenced block of one of them.

    Raises:
        DefinitionError: It holds neither, or it is YAML and PyYAML is not installed.
    """
    fenced = _FENCE.search(text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _read_yaml(fenced[2] if fenced and not text.lstrip().startswith("{") else text, source)
    if not isinstance(found, dict):
        raise DefinitionError("the document is not a table of keys and values; give another one", source=source)
    return found


def _read_yaml(text: str, source: str) -> object:
    try:
        import yaml  # noqa: PLC0415  an optional dependency
    except ImportError:
        raise DefinitionError(
            "the document is not JSON, and YAML needs PyYAML; run: pip install 'asyncpoll[draft]'", source=source
        ) from None
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe loaders
    except Exception as error:  # noqa: BLE001  odd scalars make PyYAML raise KeyError, IndexError and others
        cause = " ".join(str(error).split())[:200]
        raise DefinitionError(
            f"the document is neither JSON nor YAML ({cause}); check its syntax", source=source
        ) from None
