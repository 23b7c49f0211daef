"""What may be uploaded to the file parser, checked before the first byte is sent.

Source: the guide to the file parser in the BigModel documentation. It speaks of MB; they are taken as 2**20 bytes,
so that nothing is refused here that the server would accept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from attrs import frozen

from asyncpoll.http._message import Upload

ToolType = Literal["lite", "expert", "prime"]
File = str | os.PathLike[str] | bytes | tuple[str, bytes]

_MB = 1 << 20
_SHEETS = frozenset({"XLS", "XLSX", "CSV"})
_IMAGES = frozenset({"PNG", "JPG", "JPEG"})


@frozen
class Tool:
    """What one tool takes.

    Attributes:
        types: The file types that it knows, or None where it knows too many to list here.
        limit: The most MB of a file.
        limits: The same for types of which it takes less.
    """

    limit: int
    types: frozenset[str] | None = None
    limits: Mapping[str, int] = MappingProxyType({})


TOOLS: Mapping[ToolType, Tool] = MappingProxyType(
    {
        "lite": Tool(50),
        "expert": Tool(100, types=frozenset({"PDF"})),
        "prime": Tool(100, limits={**dict.fromkeys(_SHEETS, 10), **dict.fromkeys(_IMAGES, 20)}),
    }
)


def upload_form(
    file: File, *, tool_type: ToolType, file_type: str | None = None, name: str | None = None
) -> dict[str, str | Upload]:
    """Return the fields of the upload form. It looks at the file, so call it off the event loop.

    Raises:
        OSError: The file cannot be looked at.
        ValueError: The file does not suit the tool, or lacks a name or a type; the message says what would do.
    """
    if tool_type not in TOOLS:
        raise ValueError(f"tool_type must be one of {', '.join(TOOLS)}, not {str(tool_type)[:40]!r}")
    upload = _upload(file, name)
    kind = _type_of(upload.name) if file_type is None else file_type.upper()
    _check(upload, TOOLS[tool_type], tool_type, kind)
    return {"file": upload, "tool_type": tool_type, "file_type": kind}


def _upload(file: File, name: str | None) -> Upload:
    if isinstance(file, tuple):
        own_name, content = file
        return Upload(name or own_name, content)
    if isinstance(file, bytes):
        if not name:
            raise ValueError("bytes have no file name; pass name= beside them")
        return Upload(name, file)
    path = Path(file)
    return Upload(name or path.name, path)


def _type_of(name: str) -> str:
    suffix = Path(name).suffix[1:]
    if not suffix:
        raise ValueError("the file name has no extension; pass file_type=, such as 'PDF'")
    return suffix.upper()


def _check(upload: Upload, tool: Tool, tool_type: str, kind: str) -> None:
    if tool.types is not None and kind not in tool.types:
        raise ValueError(f"{tool_type} takes {', '.join(tool.types)} only, not {kind[:20]}; choose another tool_type")
    limit = tool.limits.get(kind, tool.limit)
    content = upload.content
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size == 0:
        raise ValueError("the file is empty")
    if size > limit * _MB:
        raise ValueError(f"the file has {size} bytes, but {tool_type} takes {kind[:20]} up to {limit} MB only")
