"""Three endpoints of the catalogue read what the typed clients read, in over 10,000 answers of the simulator."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, get_args

import pytest
from attrs import evolve

from asyncpoll import Endpoint, PollError, TransportError
from asyncpoll._json import decode
from asyncpoll.definitions import find
from asyncpoll.http import Reply
from asyncpoll.providers.bigmodel import _agents, _file_parser
from asyncpoll.providers.bigmodel._codes import CODES as CODES_OF_BIGMODEL
from asyncpoll.providers.molizhishu import _subtasks
from asyncpoll.simulator import EmptyBody, Envelope, ErrorStatus, HtmlPage, Malformed, Omit, Redirect, Rewrite, WrongId
from asyncpoll.simulator._batches import Subtask
from asyncpoll.simulator._bigmodel import agent_error, agent_output, error, parsed_text, parser_result
from asyncpoll.simulator._http import Response, Shapes, json_response
from asyncpoll.simulator._molizhishu import envelope, refusal, subtask_result

SEEDS = 16
MOST_DIFFERENCES = 3

CODES = list(CODES_OF_BIGMODEL.by_code)
ENVELOPES = [300001, 400, 400002, 401, 500001, 403, 404, 429, 500, 502, 503, 504, 1, 99999]
MESSAGES = ["系统繁忙", "Token已失效", "余额不足", "账户已冻结", "任务已结束", "请求过于频繁", "token expired", ""]
ODD_WORDS: list[Any] = ["new", "SUCCESS", " failed ", 1, True, None, [], {}]
FAULTS: list[Callable[[Response], Response]] = [
    *(ErrorStatus(status) for status in (301, 400, 401, 402, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503, 504)),
    *(ErrorStatus(status, code=code, message=code) for status in (200, 400, 404, 429, 500) for code in CODES),
    *(ErrorStatus(429, retry_after=wait) for wait in (1, 2.5)),
    *(Envelope(code, message, name) for code in ENVELOPES for message in MESSAGES for name in ("message", "msg")),
    Redirect("/elsewhere"),
    HtmlPage(),
    EmptyBody(),
    Malformed(),
    WrongId(),
    *(Omit(name) for name in ("status", "task_id", "async_id", "choices", "error", "data", "success", "code", "time")),
    *(Rewrite("status", word) for word in ODD_WORDS),
    *(Rewrite(name, value) for name in ("success", "code") for value in (None, True, False, 0, 200, "200", "x")),
    *(Rewrite("time", value) for value in (0, 1769758043, "soon", 10**18, None, "2026-01-30T07:27:23Z")),
]

Case = tuple[Any, Endpoint[Any, Any], Any, Callable[[Random, Shapes], Iterator[Response]]]


def agents(random: Random, shapes: Shapes) -> Iterator[Response]:
    """Yield the answers about runs of agents."""
    known = {"agent_id": "translation", "async_id": "a1"}
    yield json_response({**known, "status": "pending"})
    output = agent_output(random, "file", shapes)
    yield json_response({**known, "status": "success", **output})
    yield json_response({"agent_id": "translation", **output})
    yield json_response({**known, "status": "failed", "error": agent_error(random)})
    yield json_response({"status": "failed", "error": {"code": "400", "message": "任务不存在"}})
    for code in random.sample(CODES, 4):
        complaint = {"error": {"code": code, "message": f"code {code}"}}
        for status in ("failed", "pending", "success"):
            yield json_response({**known, "status": status, **complaint})
            yield json_response({"status": status, **complaint})
    yield error(401, "1000", "身份验证失败")


def parsed_files(random: Random, shapes: Shapes) -> Iterator[Response]:
    """Yield the answers about parsed files."""
    known = {"task_id": "t1", "message": "消息"}
    for word in ("processing", "failed"):
        yield json_response({**known, "status": word, "content": None, "parsing_result_url": None})
    for wanted in ("text", "download_link"):
        fields = parser_result(random, parsed_text(random), "https://a.example/x.zip", wanted=wanted, shapes=shapes)
        yield json_response({**known, "status": "succeeded", **fields})
    for code in random.sample(CODES, 2):
        yield json_response({"task_id": "t1", "status": "failed", "error": {"code": code, "message": "no"}})
        yield json_response({"status": "failed", "error": {"code": code, "message": "no"}})
    yield error(404, "1222", "任务不存在")


def subtasks(random: Random, shapes: Shapes) -> Iterator[Response]:
    """Yield the answers about subtasks."""
    subtask = Subtask("2", "哪个好?", "doubao", "search")
    for word in ("pending", "assigned", "processing", "completed", "failed", "timeout", "error", "stopped"):
        ended = 1769758043000 + random.randrange(10**6)
        yield envelope(subtask_result(random, subtask, word, None if word == "pending" else ended, shapes))
    yield refusal(404, "子任务不存在")
    yield refusal(500, "Token失效")


CASES: dict[str, Case] = {
    "bigmodel.agents": (
        _agents.AgentRef("a1", "translation"),
        _agents.ENDPOINT,
        {"async_id": "a1", "agent_id": "translation"},
        agents,
    ),
    "bigmodel.file_parser": (_file_parser.FileParserRef("t1"), _file_parser.ENDPOINT, {"task_id": "t1"}, parsed_files),
    "molizhishu.subtasks": (
        _subtasks.SubtaskRef("1", "2"),
        _subtasks.ENDPOINT,
        {"task_id": "1", "sub_task_id": "2"},
        subtasks,
    ),
}


def as_reply(response: Response) -> Reply:
    """Return a response of the simulator as a transport would."""
    value, problem = decode(response.body)
    return Reply(response.status, value, dict(response.headers), response.body, problem)


def meaning(endpoint: Endpoint[Any, Any], ref: Any, reply: Reply) -> tuple[Any, ...]:
    """Return what an endpoint reads: state, word, reason, code, end and hint, or the kind of an error."""
    try:
        endpoint.classify(reply)
        if endpoint.same_job is not None and not endpoint.same_job(ref, reply):
            return ("another job",)
        seen = endpoint.read(reply)
    except PollError as problem:
        told: Any = problem
        passing = isinstance(problem, TransportError) and problem.passing
        return type(problem), told.kind, told.code, passing, told.from_api
    return seen.state, seen.status, seen.reason, seen.code, seen.ended_at, seen.retry_after


def answers(make: Callable[[Random, Shapes], Iterator[Response]]) -> Iterator[Reply]:
    """Yield answers of both shapes, and each of them with some of the faults."""
    for seed in range(SEEDS):
        random = Random(seed)
        for shapes in get_args(Shapes):
            for response in make(random, shapes):
                yield as_reply(response)
                for fault in random.sample(FAULTS, 6):
                    yield as_reply(fault(evolve(response)))


def test_definitions_read_what_typed_clients_read() -> None:
    """State, word, reason, code, end and kind of error are equal in each of over 10,000 answers."""
    counts: Counter[str] = Counter()
    differences: list[str] = []
    for name, (ref, typed, given, make) in CASES.items():
        defined = find(name).endpoints[name]
        for reply in answers(make):
            counts[name] += 1
            wanted, found = meaning(typed, ref, reply), meaning(defined, defined.restore(given), reply)
            if wanted != found:
                differences.append(f"{name}: HTTP {reply.status} {json.dumps(reply.json)[:300]}: {wanted} != {found}")
    assert differences[:MOST_DIFFERENCES] == []
    assert counts.total() >= 10_000


@pytest.mark.parametrize("name", CASES)
def test_definitions_ask_what_typed_clients_ask(name: str) -> None:
    """The request about a job is the same, and so is what predicts its duration and its key."""
    ref, typed, given, _ = CASES[name]
    defined = find(name).endpoints[name]
    made = defined.restore(given)
    assert defined.ask(made) == typed.ask(ref)
    assert defined.plain(made) == typed.plain(ref)
    assert (defined.predicts is None) == (typed.predicts is None)
    if defined.predicts is not None and typed.predicts is not None:
        assert defined.predicts(made) == typed.predicts(ref)


def test_a_group_is_read_as_the_typed_one_reads_it() -> None:
    """The states of a hundred subtasks in the status of their task are the same."""
    words = ["pending", "assigned", "processing", "completed", "failed", "timeout", "error", "stopped", "new", "", 7]
    random = Random(7)
    typed, defined = _subtasks.ENDPOINT.group, find("molizhishu.subtasks").endpoints["molizhishu.subtasks"]
    group = defined.group
    assert typed is not None
    assert group is not None
    for task in ("1", "other"):
        items = [{"subTaskId": str(number), "status": random.choice(words)} for number in range(100)]
        reply = as_reply(envelope({"taskId": task, "status": "processing", "subTaskList": items}))
        typed_refs = [_subtasks.SubtaskRef("1", str(number)) for number in range(105)]
        refs = [defined.restore({"task_id": "1", "sub_task_id": str(number)}) for number in range(105)]
        assert group.ask(refs) == typed.ask(typed_refs)
        assert _told(group, reply, refs, lambda ref: ref.plain()["sub_task_id"]) == _told(
            typed, reply, typed_refs, lambda ref: ref.sub_task_id
        )


def _told(group: Any, reply: Reply, refs: list[Any], ident: Callable[[Any], str]) -> Any:
    try:
        return {ident(ref): (one.state, one.status) for ref, one in group.read(reply, refs).items()}
    except PollError as problem:
        return getattr(problem, "kind", None)
