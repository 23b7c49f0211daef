"""The file parser: upload a file, then get its text or a link to an archive with its text and images.

Sources: the file-parser result document of the BigModel documentation, and its guide to the file parser. The guide has
the limits of an upload in MB. Here they are 2**20 bytes, so that every file that the server accepts can be sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job, started
from asyncpoll._errors import Rejected
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import echoes, fit, status_at
from asyncpoll.http import Reply, Request, Transport, TransportSettings, Upload, segment
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import complaint, fault
from asyncpoll.http._urls import as_text, checked_origins, is_segment
from asyncpoll.providers._catalog import predictor_of
from asyncpoll.providers._client import started_id
from asyncpoll.providers.bigmodel._codes import CODES, classify, ends_job

ToolType = Literal["lite", "expert", "prime"]
File = str | os.PathLike[str] | bytes | tuple[str, bytes]

_MB = 1 << 20
_SHEETS = frozenset({"XLS", "XLSX", "CSV"})
_IMAGES = frozenset({"PNG", "JPG", "JPEG"})


@frozen
class Tool:
    """The files that one tool accepts.

    Attributes:
        limit: The largest size of a file, in MB.
        types: The file types, or None for a tool with many of them.
        limits: The largest size by file type, for types with another limit.
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
    file: File, *, tool_type: ToolType, file_type: str | None = None, name: str | None = None, extra: Mapping[str, Any]
) -> tuple[dict[str, str | Upload], int]:
    """Return the fields of the upload form, and the size of the file. This reads that, so call it in a thread.

    Raises:
        OSError: The size of the file cannot be read.
        ValueError: The file does not suit the tool, or lacks a name or a type, or a further field is unusable.
    """
    if tool_type not in TOOLS:
        raise ValueError(f"tool_type must be one of {', '.join(TOOLS)}, not {str(tool_type)[:40]!r}")
    upload = _upload(file, name)
    kind = _type_of(upload.name) if file_type is None else file_type.upper()
    size = _checked_size(upload, TOOLS[tool_type], tool_type, kind)
    further = {field: _form_text(field, value) for field, value in extra.items()}
    return {"file": upload, "tool_type": tool_type, "file_type": kind, **further}, size


def _form_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float):
        raise ValueError(f"{name} must be text, a number or a boolean, not {type(value).__name__}")  # noqa: TRY004  as all bad arguments
    return json.dumps(value, allow_nan=False)


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


def _checked_size(upload: Upload, tool: Tool, tool_type: str, kind: str) -> int:
    if tool.types is not None and kind not in tool.types:
        raise ValueError(f"{tool_type} takes {', '.join(tool.types)} only, not {kind[:20]}; choose another tool_type")
    limit = tool.limits.get(kind, tool.limit)
    content = upload.content
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size == 0:
        raise ValueError("the file is empty")
    if size > limit * _MB:
        raise ValueError(f"the file has {size} bytes, but {tool_type} takes {kind[:20]} up to {limit} MB only")
    return size


if TYPE_CHECKING:
    from asyncpoll.http._download import OnProgress

Format = Literal["text", "download_link"]
FORMATS: tuple[Format, ...] = get_args(Format)


def _known(wanted: Format) -> Format:
    if wanted not in FORMATS:
        raise ValueError(f"the format must be one of {', '.join(FORMATS)}, not {str(wanted)[:40]!r}")
    return wanted


@frozen(weakref_slot=False)
class FileParserRef:
    """A file that is being parsed.

    Attributes:
        task_id: The id of the task.
        format: What to ask for: "text", the text itself, up to about 1 MB, or "download_link", a link to an archive,
            which is there sooner.
    """

    task_id: str = field(converter=as_text, validator=is_segment)
    format: Format = field(default="text", converter=_known)


STATUSES = Vocabulary(
    "bigmodel.file_parser", {"processing": State.PROCESSING, "succeeded": State.SUCCESS, "failed": State.FAILED}
)


@frozen
class ParsedFile:
    """The content of a file.

    A task may succeed without the field that was asked for. Then the field is None.

    Attributes:
        task_id: The id of the task.
        status: The status word.
        message: The server's message about the task.
        content: The text, for `format="text"`.
        parsing_result_url: A link to an archive of Markdown and images, for `format="download_link"`. Everyone who has
            the link can fetch the file, for 24 hours, so it is left out of the repr.
    """

    task_id: str = ""
    status: str = ""
    message: str = ""
    content: str | None = field(default=None, repr=reprlib.repr)
    parsing_result_url: str | None = field(default=None, repr=False)


def ask(ref: FileParserRef) -> Request:
    """Ask about a task."""
    path = f"/paas/v4/files/parser/result/{segment('task_id', ref.task_id)}/{ref.format}"
    return Request("GET", path, repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[ParsedFile]:
    """Read a reply about a task. The reason of a failure is in its `message` or its `error` object.

    Args:
        reply: The reply.
        words: The status words.
    """
    payload = reply.json
    state, word = status_at(payload, words, "status")
    if not state.is_terminal and ends_job(reply):
        state = State.FAILED
    if state is State.SUCCESS:
        value, misfits = fit(payload, ParsedFile)
        return Snapshot(state, word, value, retry_after=reply.retry_after, raw=payload, misfits=misfits)
    code, message = complaint(reply) if state.is_terminal else (None, "")
    return Snapshot(state, word, None, message or None, code, retry_after=reply.retry_after, raw=payload)


def _same_job(ref: FileParserRef, reply: Reply) -> bool:
    return echoes(reply.json, ref.task_id, "task_id")


predicts = predictor_of("bigmodel.file_parser")
_PREDICTED = {wanted: predicts({"format": wanted}) for wanted in FORMATS}

ENDPOINT: Endpoint[FileParserRef, ParsedFile] = Endpoint(
    "bigmodel.file_parser",
    ask=ask,
    read=read,
    classify=classify,
    predicts=lambda ref: _PREDICTED[ref.format],
    same_job=_same_job,
)


def read_started(reply: Reply) -> str:
    """Read the id in the answer to an upload. A refusal may have HTTP 200.

    Raises:
        TransportError: The file was refused.
        BadReply: There is no id in the answer.
    """
    classify(reply)
    if reply.json.get("success") is False:
        code, message = complaint(reply)
        raise fault(CODES.kind(code, message) or "rejected", message, reply=reply, code=code)
    return started_id(reply, "task_id")


@frozen
class FileParser:
    """Uploads files, returns their jobs, and downloads their archives (`bigmodel.file_parser`)."""

    transport: Transport = field(repr=False)
    trusted_origins: tuple[str, ...] = ()
    settings: TransportSettings = field(factory=TransportSettings, repr=False, eq=False)
    endpoint: Endpoint[FileParserRef, ParsedFile] = field(default=ENDPOINT, repr=False)

    def job(
        self,
        *,
        task_id: str | int,
        format: Format = "text",  # noqa: A002  the API's own word
        submitted_at: Time | None = None,
    ) -> Job[ParsedFile]:
        """Return a task that was started earlier.

        Args:
            task_id: The id of the task.
            format: What to ask for: "text" or "download_link".
            submitted_at: The time of its start, if it is known; see `Job.with_submitted_at`.

        Raises:
            ValueError: The id is unusable in a path, the format is unknown, or the time is in the future.
        """
        return self.endpoint.job(self.transport, FileParserRef(task_id, format), submitted_at=submitted_at)

    async def start(
        self,
        file: File,
        *,
        tool_type: ToolType,
        file_type: str | None = None,
        format: Format = "text",  # noqa: A002  the API's own word
        name: str | None = None,
        **extra: Any,
    ) -> Job[ParsedFile]:
        """Upload a file. It is sent once and never repeated: if the answer is lost, the task may exist or not.

        Args:
            file: A path, a pair of name and content, or the content together with *name*.
            tool_type: "lite" (any office file, up to 50 MB, text only), "expert" (PDF up to 100 MB) or "prime" (most
                formats; spreadsheets up to 10 MB, images up to 20 MB, the rest up to 100 MB).
            file_type: The type as the API names it, such as "PDF"; by default the extension of the name.
            format: What the job asks for: "text" or "download_link".
            name: The file name that is sent to the server.
            **extra: Further fields of the form: text, numbers or booleans.

        Raises:
            OSError: The file cannot be read.
            TransportError: The file was refused, or it is not known whether it arrived.
            ValueError: An argument is unknown, or the file is too large or of a wrong type. Nothing was sent.
        """
        wanted = _known(format)
        form, size = await asyncio.to_thread(
            upload_form, file, tool_type=tool_type, file_type=file_type, name=name, extra=extra
        )
        request = Request("POST", "/paas/v4/files/parser/create", form=form)
        reply = await exchange(self.transport, request, classify)
        pacing = predicts({**form, "file": size, "format": wanted})
        return started(self.job(task_id=read_started(reply), format=wanted), reply, pacing)

    async def download(
        self,
        result: ParsedFile,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 5 << 30,
        on_progress: OnProgress | None = None,
        trusted_origins: Collection[str] = (),
    ) -> Path:
        """Download the archive of a result into the file *path*. The archive is not unpacked.

        The link is fetched without the API key, over https, and from public addresses only. The proxy, certificates and
        time limits are those of the client. A lent session is not used.

        Args:
            result: The result of a job with `format="download_link"`.
            path: The file to create, in a directory that exists. An existing file is never replaced.
            max_bytes: The largest size that is accepted.
            on_progress: A function that is called after each piece with the number of bytes received and the total, or
                None if the server does not send the total.
            trusted_origins: Origins such as `https://storage.internal:9000`, with any scheme, port and address.

        Raises:
            ValueError: The result has no link, or one of *trusted_origins* is not an origin.
            FileExistsError: *path* exists.
            Rejected: The link has expired (kind "link-expired"), so parse the file again, or the link is unsafe.
            TransportError: The archive could not be fetched or written.
        """
        from asyncpoll.http._download import download, used_settings  # noqa: PLC0415  only those who download need it

        if not result.parsing_result_url:
            raise ValueError('the result has no link; ask for it with format="download_link"')
        trusted = checked_origins(trusted_origins)
        try:
            return await download(
                result.parsing_result_url,
                path,
                max_bytes=max_bytes,
                on_progress=on_progress,
                trusted_origins=(*self.trusted_origins, *map(str, trusted)),
                **used_settings(self.settings),
            )
        except Rejected as error:
            if error.kind != "link-expired":
                raise
            message = "the link has expired, as each does after 24 hours; parse the file again with start()"
            raise Rejected(message, kind=error.kind, status=error.status, origin=error.origin) from None
