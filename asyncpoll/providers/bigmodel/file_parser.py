"""The file parser: a file is uploaded, and later there is its text, or a link to an archive of what was in it.

Sources: the file-parser result document of the BigModel documentation, and its guide to the file parser.
"""

from __future__ import annotations

import asyncio
import os
import reprlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from attrs import field, frozen

from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import Rejected
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll.codec import echoes, fit, status_at
from asyncpoll.http._auth import exchange
from asyncpoll.http._classify import complaint, fault
from asyncpoll.http._ids import as_text, is_segment, segment
from asyncpoll.http._message import Reply, Request, Transport
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers.bigmodel.codes import CODES, classify, ends_job
from asyncpoll.providers.bigmodel.upload import File, ToolType, upload_form
from asyncpoll.providers.started import started_id

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
        task_id: The id that the task was given.
        format: What to ask for: the text itself, up to about 1 MB of it, or a link to an archive, which comes sooner.
    """

    task_id: str = field(converter=as_text, validator=is_segment)
    format: Format = field(default="text", converter=_known)


STATUSES = Vocabulary(
    "bigmodel.file_parser", {"processing": State.PROCESSING, "succeeded": State.SUCCESS, "failed": State.FAILED}
)


@frozen
class ParsedFile:
    """What a file holds.

    A task may succeed and yet leave the field empty that was asked for; then that is None, here as on the wire.

    Attributes:
        task_id: The id of the task.
        status: The status word.
        message: What the server says about it.
        content: The text, where `format="text"` was asked for.
        parsing_result_url: A link to an archive of Markdown and images, where `format="download_link"` was. Whoever
            has it can fetch the file, for 24 hours; it is left out of the repr.
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
    """Read a reply about a task; the reason of a failure is in its `message` or its `error` object.

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


ENDPOINT: Endpoint[FileParserRef, ParsedFile] = Endpoint(
    "bigmodel.file_parser", ask=ask, read=read, classify=classify, same_job=_same_job
)


def read_started(reply: Reply) -> str:
    """Read the id in the answer to an upload, which may say no with HTTP 200.

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
    """The door to `bigmodel.file_parser`."""

    transport: Transport = field(repr=False)
    trusted_origins: tuple[str, ...] = ()
    settings: TransportSettings = field(factory=TransportSettings, repr=False, eq=False)
    endpoint: Endpoint[FileParserRef, ParsedFile] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int, format: Format = "text") -> Job[ParsedFile]:  # noqa: A002  the API's own word
        """Return a task that was started earlier, by whomever.

        Args:
            task_id: The id that the task was given.
            format: What to ask for: "text" or "download_link".

        Raises:
            ValueError: The id is unusable as a part of a path, or the format is unknown.
        """
        return self.endpoint.job(self.transport, FileParserRef(task_id, format))

    async def start(
        self,
        file: File,
        *,
        tool_type: ToolType,
        file_type: str | None = None,
        format: Format = "text",  # noqa: A002  the API's own word
        name: str | None = None,
    ) -> Job[ParsedFile]:
        """Upload a file to be parsed. It is sent once and never repeated: a lost answer leaves it open what happened.

        Args:
            file: A path, a pair of name and content, or the content alone with *name* beside it.
            tool_type: "lite" (any office file, up to 50 MB, text only), "expert" (PDF up to 100 MB) or "prime" (most
                formats; spreadsheets up to 10 MB, images up to 20 MB, the rest up to 100 MB).
            file_type: The type as the API names it, such as "PDF"; by default the extension of the name.
            format: What the job asks for afterwards: "text" or "download_link".
            name: The file name that the server is told.

        Raises:
            OSError: The file cannot be read.
            TransportError: The file was refused, or it is not known whether it arrived.
            ValueError: An argument is unknown, or the file is too large or of a wrong type; nothing was sent.
        """
        wanted = _known(format)
        form = await asyncio.to_thread(upload_form, file, tool_type=tool_type, file_type=file_type, name=name)
        request = Request("POST", "/paas/v4/files/parser/create", form=form)
        reply = await exchange(self.transport, request, classify)
        return self.job(task_id=read_started(reply), format=wanted)

    async def download(
        self,
        result: ParsedFile,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 5 << 30,
        on_progress: OnProgress | None = None,
        trusted_origins: Collection[str] = (),
    ) -> Path:
        """Fetch the archive of a result into the file *path*; see `asyncpoll.http.download`.

        The link is fetched without the API key, and only from public addresses over https. It is not unpacked. The
        proxy, the certificates and the time limits are those of the client.

        Args:
            result: What a job with `format="download_link"` came to.
            path: The file to make, in a directory that exists; nothing is replaced.
            max_bytes: The most bytes to accept.
            on_progress: Called after each piece with the bytes received and the total, or None where it is not told.
            trusted_origins: Origins such as `https://storage.internal:9000` that may have any scheme, port and address.

        Raises:
            ValueError: The result has no link.
            FileExistsError: *path* exists.
            Rejected: The link has expired (kind "link-expired"): parse the file again. Or it is no link to follow.
            TransportError: It could not be fetched or written.
        """
        from asyncpoll.http._download import download, used_settings  # noqa: PLC0415  only those who download need it

        if not result.parsing_result_url:
            raise ValueError('the result has no link; ask for it with format="download_link"')
        try:
            return await download(
                result.parsing_result_url,
                path,
                max_bytes=max_bytes,
                on_progress=on_progress,
                trusted_origins=(*self.trusted_origins, *trusted_origins),
                **used_settings(self.settings),
            )
        except Rejected as error:
            if error.kind != "link-expired":
                raise
            message = "the link has expired, as each does after 24 hours; parse the file again with start()"
            raise Rejected(message, kind=error.kind, status=error.status, origin=error.origin) from None
