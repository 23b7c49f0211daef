"""The file parser: uploads and their limits, what answers say, and the download of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from memory_kit import answering_once
from schemas import check, example, request_example, request_schema

from asyncpoll._endpoint import Job
from asyncpoll._errors import BadReply, JobFailed, Rejected, TransportError
from asyncpoll._state import State
from asyncpoll.http import Request, Upload
from asyncpoll.providers.bigmodel import BigModel, FileParserRef, ParsedFile
from asyncpoll.testing import MemoryTransport

DOCUMENT = "file_parser_result"
LINK = "https://cdn.example.com/a.zip?sig=s3cret"
CREATED = {"success": True, "message": "任务创建成功", "task_id": "t"}
MB = 1 << 20


def _client(*payloads: Any, status: int = 200) -> tuple[BigModel, MemoryTransport]:
    transport = answering_once(*payloads, status=status)
    return BigModel("key", transport=transport), transport


def _job(*payloads: Any, task_id: str = "t", status: int = 200) -> Job[ParsedFile]:
    client, _ = _client(*payloads, status=status)
    return client.file_parser.job(task_id=task_id)


def _is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def test_the_documented_request_is_sent() -> None:
    """A poll is a GET with id and format in its path."""
    wanted = request_example(DOCUMENT)
    check(wanted, request_schema(DOCUMENT))
    client, transport = _client({"status": "processing"}, {"status": "processing"})
    await client.file_parser.job(task_id=wanted["taskId"]).fetch()
    await client.file_parser.job(task_id="a b", format="download_link").fetch()
    assert list(transport.sent) == [
        Request("GET", f"/paas/v4/files/parser/result/{wanted['taskId']}/{wanted['format_type']}", repeatable=True),
        Request("GET", "/paas/v4/files/parser/result/a%20b/download_link", repeatable=True),
    ]


async def test_the_documented_answer_gives_every_field() -> None:
    """The document's own example comes out field by field, with the raw payload beside it."""
    payload = example(DOCUMENT)
    snapshot = await _job(payload, task_id=payload["task_id"]).fetch()
    assert (snapshot.state, snapshot.status, snapshot.raw) == (State.SUCCESS, "succeeded", payload)
    assert snapshot.unwrap() == ParsedFile(
        task_id="task_123456789",
        status="succeeded",
        message="结果获取成功",
        content="这是解析后的文本内容…",
        parsing_result_url="https://example.com/download/result.zip",
    )


@pytest.mark.parametrize(
    ("fields", "content", "link"),
    [
        ({"content": "text", "parsing_result_url": None}, "text", None),
        ({"content": None, "parsing_result_url": LINK}, None, LINK),
        ({"parsing_result_url": ""}, None, ""),
        ({"content": ""}, "", None),
        ({}, None, None),
    ],
)
async def test_the_field_asked_for_may_be_empty(fields: dict[str, Any], content: str | None, link: str | None) -> None:
    """A success with nothing in it is told apart by the result: None, or empty, as on the wire."""
    result = (await _job({"status": "succeeded", "message": None, **fields}).fetch()).unwrap()
    assert (result.content, result.parsing_result_url, result.message) == (content, link, "")


async def test_a_link_is_not_shown() -> None:
    """Whoever has the link can fetch the file, so no repr has it."""
    snapshot = await _job({"status": "succeeded", "parsing_result_url": LINK}).fetch()
    assert "s3cret" not in repr(snapshot) + repr(snapshot.value)


@pytest.mark.parametrize("fields", [{}, {"content": None, "parsing_result_url": None, "message": "任务处理中"}])
async def test_a_task_that_goes_on_has_no_result(fields: dict[str, Any]) -> None:
    """Processing answers have null fields."""
    snapshot = await _job({"status": "processing", "task_id": "t", **fields}).fetch()
    assert (snapshot.state, snapshot.value, snapshot.reason) == (State.PROCESSING, None, None)


@pytest.mark.parametrize(("message", "reason"), [("文件解析失败", "文件解析失败"), (None, None)])
async def test_a_failed_task_says_why(message: str | None, reason: str | None) -> None:
    """The reason of a failure is in its message."""
    snapshot = await _job({"status": "FAILED", "message": message, "task_id": "t"}).fetch()
    assert (snapshot.state, snapshot.reason) == (State.FAILED, reason)
    with pytest.raises(JobFailed):
        snapshot.unwrap()


@pytest.mark.parametrize("payload", [{}, {"status": None}, {"status": 1}, {"status": {}}])
async def test_an_answer_that_makes_no_sense_is_malformed(payload: dict[str, Any]) -> None:
    """A status that is not text is a miss."""
    with pytest.raises(BadReply, match="malformed at"):
        await _job(payload).fetch()


async def test_a_side_field_costs_no_result() -> None:
    """A parsed file is kept when another field has an odd type; so is the message when the text is odd."""
    snapshot = await _job({"status": "succeeded", "content": "text", "message": {"cn": "ok"}, "task_id": "t"}).fetch()
    assert (snapshot.unwrap().content, snapshot.misfits) == ("text", ("$.message",))
    snapshot = await _job({"status": "succeeded", "content": ["text"], "message": "ok"}).fetch()
    assert (snapshot.unwrap().message, snapshot.misfits) == ("ok", ("$.content",))


@pytest.mark.parametrize("word", ["failed", "processing"])
async def test_a_code_of_the_account_fails_the_task_it_names(word: str) -> None:
    """An answer that names the task by its id says why that task has failed."""
    snapshot = await _job({"status": word, "task_id": "t", "error": {"code": "1113", "message": "no"}}).fetch()
    assert (snapshot.state, snapshot.code, snapshot.reason) == (State.FAILED, "1113", "no")


async def test_an_unknown_task_is_rejected() -> None:
    """The server answers 404 with an error object."""
    with pytest.raises(Rejected) as refused:
        await _job({"error": {"code": "1222", "message": "任务不存在"}}, status=404).fetch()
    assert (refused.value.kind, refused.value.status) == ("not_found", 404)


async def test_an_answer_about_another_task_is_never_taken() -> None:
    """The id that the answer echoes must be the one asked about."""
    with pytest.raises(BadReply) as strange:
        await _job(*[{"status": "succeeded", "task_id": "u"}] * 2).fetch()
    assert strange.value.kind == "identity"


@pytest.mark.parametrize("bad", ["", ".", "..", "%2e%2e", "a/b", "a\r", " a", "\ud800", "x" * 513, None])
async def test_a_bad_id_is_refused_before_any_request(bad: Any) -> None:
    """What would lead to another path is never sent."""
    client, transport = _client()
    with pytest.raises(ValueError, match="task_id must"):
        client.file_parser.job(task_id=bad)
    assert transport.requests == 0


@pytest.mark.parametrize("bad", ["", "TEXT", "html", None, 7, ["text"]])
async def test_an_unknown_format_is_refused_before_any_request(bad: Any) -> None:
    """There are two formats, and the message says which."""
    client, transport = _client()
    with pytest.raises(ValueError, match="one of text, download_link"):
        client.file_parser.job(task_id="t", format=bad)
    with pytest.raises(ValueError, match="one of text, download_link"):
        await client.file_parser.start(("a.pdf", b"x"), tool_type="lite", format=bad)
    assert transport.requests == 0


async def test_a_file_is_uploaded_once_and_then_asked_about(tmp_path: Path) -> None:
    """A path, a pair or bytes beside a name are sent as a form, not to be repeated; the type is in upper case."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF")
    client, transport = _client(CREATED, CREATED, CREATED, CREATED)
    jobs = [
        await client.file_parser.start(path, tool_type="prime", format="download_link"),
        await client.file_parser.start(str(path), tool_type="expert", name="other.pdf"),
        await client.file_parser.start(("a.docx", b"x"), tool_type="lite"),
        await client.file_parser.start(b"y", name="notes", file_type="md", tool_type="lite"),
    ]
    assert [job.ref for job in jobs] == [FileParserRef("t", "download_link"), *[FileParserRef("t", "text")] * 3]
    assert {(request.method, request.path, request.repeatable) for request in transport.sent} == {
        ("POST", "/paas/v4/files/parser/create", False)
    }
    assert [request.form for request in transport.sent] == [
        {"file": Upload("report.pdf", path), "tool_type": "prime", "file_type": "PDF"},
        {"file": Upload("other.pdf", path), "tool_type": "expert", "file_type": "PDF"},
        {"file": Upload("a.docx", b"x"), "tool_type": "lite", "file_type": "DOCX"},
        {"file": Upload("notes", b"y"), "tool_type": "lite", "file_type": "MD"},
    ]


@pytest.mark.parametrize(
    ("name", "tool", "limit"),
    [
        ("a.txt", "lite", 50),
        ("a.png", "lite", 50),
        ("a.pdf", "expert", 100),
        ("a.pdf", "prime", 100),
        ("a.pptx", "prime", 100),
        ("a.xlsx", "prime", 10),
        ("a.CSV", "prime", 10),
        ("a.jpeg", "prime", 20),
    ],
)
async def test_a_file_is_weighed_before_it_is_sent(tmp_path: Path, name: str, tool: Any, limit: int) -> None:
    """A file of exactly the limit passes; one byte more is refused, with the size and the limit in the message."""
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(limit * MB)
    client, transport = _client(CREATED)
    await client.file_parser.start(path, tool_type=tool)
    with path.open("ab") as file:
        file.truncate(limit * MB + 1)
    with pytest.raises(ValueError, match=f"{limit * MB + 1} bytes, but {tool} .* up to {limit} MB"):
        await client.file_parser.start(path, tool_type=tool)
    assert transport.requests == 1


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        (("a.docx", b"x"), {"tool_type": "expert"}, "expert takes PDF only, not DOCX"),
        (("a.pdf", b"x"), {"tool_type": "cheap"}, "tool_type must be one of lite, expert, prime"),
        (("a.pdf", b"x"), {"tool_type": None}, "tool_type must be one of"),
        (("a.pdf", b""), {"tool_type": "lite"}, "the file is empty"),
        (b"x", {"tool_type": "lite"}, "pass name="),
        (("noext", b"x"), {"tool_type": "lite"}, "pass file_type="),
    ],
)
async def test_a_file_that_does_not_suit_is_refused_before_any_request(file: Any, options: Any, message: str) -> None:
    """The tool, the type and the name are checked, and the message says what would do."""
    client, transport = _client()
    with pytest.raises(ValueError, match=message):
        await client.file_parser.start(file, **options)
    assert transport.requests == 0


async def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """As with `open`."""
    client, transport = _client()
    with pytest.raises(FileNotFoundError):
        await client.file_parser.start(tmp_path / "nowhere.pdf", tool_type="lite")
    assert transport.requests == 0


async def test_an_upload_that_is_refused_inside_a_success_raises() -> None:
    """`success: false` with HTTP 200 is a refusal, in the server's words."""
    client, _ = _client({"success": False, "message": "不支持的文件", "task_id": None})
    with pytest.raises(Rejected, match="不支持的文件") as refused:
        await client.file_parser.start(("a.pdf", b"x"), tool_type="lite")
    assert refused.value.kind == "rejected"


async def test_an_upload_that_is_refused_by_code_raises_what_it_means() -> None:
    """The table of codes holds for uploads, too."""
    client, _ = _client({"success": False, "code": 1113, "message": "您的账户已欠费"})
    with pytest.raises(TransportError) as refused:
        await client.file_parser.start(("a.pdf", b"x"), tool_type="lite")
    assert refused.value.kind == "unpaid"


@pytest.mark.parametrize(
    "payload", [{"success": True}, {"task_id": None}, {"task_id": ""}, {"task_id": ["t"]}, {"task_id": "a/b"}]
)
async def test_an_upload_without_an_id_is_a_bad_reply(payload: dict[str, Any]) -> None:
    """Nobody could ask about it, and it may be running: that must not go unnoticed."""
    client, _ = _client(payload)
    with pytest.raises(BadReply, match="task_id"):
        await client.file_parser.start(("a.pdf", b"x"), tool_type="lite")


@pytest.mark.parametrize("link", [None, ""])
async def test_a_result_without_a_link_cannot_be_downloaded(tmp_path: Path, link: str | None) -> None:
    """The message says how to ask for one."""
    client, _ = _client()
    with pytest.raises(ValueError, match='format="download_link"'):
        await client.file_parser.download(ParsedFile(parsing_result_url=link), tmp_path / "a.zip")


async def test_a_link_into_ones_own_network_is_refused(tmp_path: Path) -> None:
    """A client of the real API fetches from public addresses only, whatever the server says."""
    client, _ = _client()
    with pytest.raises(Rejected) as refused:
        await client.file_parser.download(ParsedFile(parsing_result_url="http://127.0.0.1:9/a.zip"), tmp_path / "a.zip")
    assert refused.value.kind == "link"
    assert _is_empty(tmp_path)
