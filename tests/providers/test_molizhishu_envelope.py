"""What Molizhishu's envelopes mean when they hold nothing about the job, and how its times are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from asyncpoll._errors import BadReply, Rejected, TransportError
from asyncpoll._structure import timestamp
from asyncpoll.http import Reply
from asyncpoll.providers.molizhishu._envelope import CODES, classify

REFUSALS = [
    (300001, "请求参数错误", "bad_request", False),
    (400, "参数错误", "bad_request", False),
    (400002, "用户账户不存在", "credential", False),
    (500001, "余额不足", "unpaid", False),
    (403, "无权访问该任务", "forbidden", False),
    (404, "任务不存在", "not_found", False),
    (500, "系统异常", "internal", True),
    (500, "", "internal", True),
    (500, "Token失效", "credential", False),
    (500, "token 已过期", "credential", False),
    (500, "账户已冻结", "forbidden", False),
    (500, "账户已暂停", "forbidden", False),
    (500, "任务已结束，不能停止", "already_ended", False),  # noqa: RUF001  the vendor's own comma
    (401, "未登录", "credential", False),
    (401, "登录 token 无效", "credential", False),
    (500, "余额不足", "unpaid", False),
    (500, "请求过于频繁", "throttled", True),
    (429, "请求过多", "throttled", True),
    (502, "网关错误", "internal", True),
    (503, "服务不可用", "overloaded", True),
    (504, "网关超时", "internal", True),
    (777, "新的错误", "unknown_code", True),
]


def _raised(reply: Reply) -> TransportError:
    with pytest.raises(TransportError) as raised:
        classify(reply)
    return raised.value


@pytest.mark.parametrize(("code", "message", "kind", "passing"), REFUSALS)
@pytest.mark.parametrize("data", [{}, {"data": None}], ids=["no data", "null"])
def test_a_refusal_means_what_its_code_and_words_say(
    code: int,
    message: str,
    kind: str,
    passing: bool,  # noqa: FBT001  a parameter
    data: dict[str, None],
) -> None:
    """HTTP 200 says nothing here; of the code 500 only the words tell a bad token from a passing trouble."""
    for name in ("message", "msg"):
        error = _raised(Reply(200, {"success": False, "code": code, name: message, **data}))
        assert str(code) in str(error)
    assert (error.kind, error.code, error.passing, error.status) == (kind, str(code), passing, 200)
    assert message in str(error)


def test_the_table_has_each_code_once() -> None:
    """Every code that is listed is among those above."""
    assert set(CODES.by_code) == {str(code) for code, *_ in REFUSALS} - {"777"}


def test_a_bad_token_is_one_under_every_http_status() -> None:
    """It has been seen with HTTP 401, too, and with the same body."""
    error = _raised(Reply(401, {"success": False, "code": 500, "message": "Token失效"}))
    assert isinstance(error, Rejected)
    assert error.kind == "credential"


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "credential"), (404, "not_found"), (429, "throttled"), (502, "server")]
)
def test_without_an_envelope_the_http_status_counts(status: int, kind: str) -> None:
    """A gateway in between answers in its own way."""
    assert _raised(Reply(status, None, problem="no JSON", body=b"<html>")).kind == kind


@pytest.mark.parametrize(
    "envelope",
    [
        {"success": True, "code": 200},
        {"success": True},
        {"code": 200},
        {"success": None, "code": "200"},
        {"success": True, "code": 0},
        {"code": "0"},
        {"code": "SUCCESS", "msg": "ok"},
        {"success": True, "code": "success"},
    ],
)
def test_an_envelope_is_good_when_nothing_in_it_says_otherwise(envelope: dict[str, Any]) -> None:
    """Either of `success` and `code` may be missing."""
    classify(Reply(200, {**envelope, "data": {}}))


@pytest.mark.parametrize(
    "envelope",
    [
        {"success": True, "code": 500},
        {"success": False, "code": 200},
        {"success": False, "code": 0},
        {"success": "true", "code": 200},
        {"success": True, "code": False},
        {"success": True, "code": ["200"]},
        {"success": True, "code": 200.5},
    ],
)
def test_an_envelope_that_contradicts_itself_is_a_refusal(envelope: dict[str, Any]) -> None:
    """Both `success` and `code` must be good."""
    _raised(Reply(200, envelope))


@pytest.mark.parametrize("payload", [[], "ok", 200, {}, {"data": {}}, {"status": "completed"}])
def test_an_answer_without_an_envelope_is_malformed(payload: Any) -> None:
    """JSON that is no envelope holds no answer."""
    assert isinstance(_raised(Reply(200, payload)), BadReply)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1769758043000, datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        (1769758043, datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        (1769758043.5, datetime(2026, 1, 30, 7, 27, 23, 500000, tzinfo=UTC)),
        (1769758043250, datetime(2026, 1, 30, 7, 27, 23, 250000, tzinfo=UTC)),
        (datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 1, 30, tzinfo=UTC)),
        (None, None),
        ("1769758043000", datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        (" 1769758043 ", datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        ("2026-01-30T15:27:23+08:00", datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        ("2026-01-30T07:27:23Z", datetime(2026, 1, 30, 7, 27, 23, tzinfo=UTC)),
        (0, None),
        ("0", None),
    ],
)
def test_times_are_read_by_their_magnitude(value: Any, time: datetime | None) -> None:
    """Seconds, milliseconds, either as text, and ISO 8601 with an offset are points in time; 0 is none."""
    assert timestamp(value) == time


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "2026-01-30 15:27:23",
        -1,
        "-1",
        False,
        True,
        [],
        {},
        float("inf"),
        float("nan"),
        10**18,
        10**400,
        "\u00b2",
    ],
)
def test_what_is_not_a_time_is_refused(value: Any) -> None:
    """The reader of a result names it as a misfit."""
    with pytest.raises((ValueError, OverflowError)):
        timestamp(value)
