"""What predicts how long a job takes: the text of it, who tells it, and where it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hub_kit import JOBS, jobs_of, transport_of

from asyncpoll import Endpoint, Job, Snapshot, Start
from asyncpoll._marks import LONGEST_PACING, predictor
from asyncpoll.http import Reply, Request
from asyncpoll.testing import MemoryTransport, run_virtual
from asyncpoll.waiting.learning._history import LONGEST_KEY

TRANSPORT = transport_of(lambda _: {"state": "success"})


def job(ref: str = "a") -> Job[str]:
    """Return a job of which nothing is known."""
    return jobs_of(TRANSPORT, [ref])[0]


def word(path: str, **data: Any) -> str | None:
    """Return what is found at a path."""
    return predictor([path])(data)


# the text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(("fast", "fast"), (5, "5"), (0.5, "0.5"), (True, "true"), (False, "false"), ("5s", "5s")),
        *((["b", "a", "b"], "a+b"), ([1, {"x": 2}], "1"), ("https://x/a?sig=secret", "https://x/a")),
        *(("a\nb\x1b", "ab"), ("x" * 90, "x" * 40), (["x" * 30, "y" * 30], "x" * 30 + "+" + "y" * 9)),
    ],
)
def test_a_word_is_as_it_was_given(value: Any, text: str) -> None:
    """Shortened, without what cannot be printed, and without the query of an address; those of a list once each."""
    assert word("mode", mode=value) == f"mode={text}"


@pytest.mark.parametrize("value", [None, "", [], {}, {"a": 1}, "?x", b"bytes"])
def test_what_is_no_word_is_left_out(value: Any) -> None:
    """Such a job is like one of which nothing is known."""
    assert word("mode", mode=value) is None


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        *((0, "0"), (1, "1"), (2, "2+"), (3, "2+"), (4, "4+"), (16, "16+"), (31, "16+"), (32, "32+"), (63, "32+")),
        *((64, "64+"), (255, "64+"), (256, "256+"), (1023, "256+"), (1024, "1K+"), (5000, "4K+"), (1 << 20, "1M+")),
        *((3 << 30, "1G+"), (10**15, "256T+"), (10**30, "256T+"), (2.5, "2+"), ("a text", "4+"), ([1, 2], "2+")),
    ],
)
def test_a_size_is_a_class(amount: Any, text: str) -> None:
    """Of a number, or of the length of a text or a list: powers of 2 up to 64, and of 4 above."""
    assert word("size:pages", pages=amount) == f"pages={text}"


@pytest.mark.parametrize("amount", [None, -1, float("nan"), float("inf"), True, {"a": 1}])
def test_what_has_no_size_is_left_out(amount: Any) -> None:
    """Such as a number below 0."""
    assert word("size:pages", pages=amount) is None


def test_there_are_few_sizes() -> None:
    """However many bytes a file may have."""
    assert len({word("size:file", file=round(1.1**power)) for power in range(800)}) <= 32


def test_a_path_leads_through_objects_and_lists() -> None:
    """A list on the way stands for each of its items, whether the path says so or not."""
    data = {"requests": [{"params": {"model": "b"}}, {"params": {"model": "a"}}, {}, 7], "n": 3}
    for path in ("requests[*].params.model", "requests.params.model"):
        assert word(path, **data) == "model=a+b"
    assert predictor(["n", "size:requests", "absent.at.all"])(data) == "n=3,requests=4+"
    assert word("n.deeper", **data) is None
    assert predictor(["n"])("no object") is None


# a job with it


def test_a_job_without_it_has_the_plain_key() -> None:
    """So has one that is told nothing."""
    assert (job().pacing, job().pacing_key) == (None, JOBS.name)
    assert job().with_pacing("").pacing_key == JOBS.name


def test_a_caller_may_tell_it() -> None:
    """The job is the same; its other marks stay, and they keep it."""
    told = job().with_meta({"row": 1}).with_pacing("large\n").with_submitted_at(5.0)
    assert told == job()
    assert told.key == job().key
    assert (told.meta, told.submitted_at, told.pacing) == ({"row": 1}, 5.0, "large")
    assert told.pacing_key == f"{JOBS.name}:large"
    with pytest.raises(TypeError, match=r"Job.with_pacing\(\): pacing must be text, not int"):
        job().with_pacing(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  as it says


def test_what_is_told_goes_before_the_reference() -> None:
    """The submit knows more."""
    end: Endpoint[str, str] = Endpoint("v.kinds", ask=JOBS.ask, read=JOBS.read, predicts=lambda ref: ref[0])
    plain = end.job(TRANSPORT, "ab")
    assert [one.pacing_key for one in (plain, plain.with_submitted_at(5.0), plain.with_pacing("b"))] == [
        *("v.kinds:a", "v.kinds:a", "v.kinds:b")
    ]


def test_the_key_is_never_too_long() -> None:
    """A text that is longer is cut, for schedules and wherever it is kept."""
    long = job().with_pacing("x" * 10_000)
    assert long.pacing == "x" * LONGEST_PACING
    assert len(long.pacing_key) < LONGEST_KEY
    assert json.loads(long.to_json())["pacing"] == long.pacing


def test_its_text_has_what_was_told() -> None:
    """A job made from it again is paced alike; what is not text is refused."""
    text = job().with_pacing("model=large").to_json()
    assert JOBS.job_from_json(TRANSPORT, text).pacing == "model=large"
    assert "pacing" not in job().to_json()
    with pytest.raises(ValueError, match="the job has an unusable pacing: text is expected"):
        JOBS.job_from_json(TRANSPORT, json.dumps({**json.loads(text), "pacing": 7}))


# submits


def submitting(predicts: Any, **arguments: Any) -> tuple[Job[Any], MemoryTransport]:
    """Start a job; return it and what has sent its submit."""
    start: Start[str, None] = Start(
        ask=lambda **_: Request("POST", "/"), read=lambda reply, _: reply.json["id"], predicts=predicts
    )
    end: Endpoint[str, None] = Endpoint("v.jobs", ask=JOBS.ask, read=lambda _: Snapshot("success"), start=start)
    transport = MemoryTransport(lambda _: Reply(200, {"id": "a"}))
    return run_virtual(end.start(transport, **arguments)), transport


def test_a_submit_tells_what_predicts() -> None:
    """By a function of its arguments; None says nothing."""

    def mode(arguments: Mapping[str, Any]) -> Any:
        return arguments.get("mode")

    assert submitting(mode, mode="fast")[0].pacing_key == "v.jobs:fast"
    assert submitting(mode, mode=3)[0].pacing_key == "v.jobs:3"
    for predicts in (mode, None):
        assert submitting(predicts, size=1)[0].pacing_key == "v.jobs"


def test_a_submit_that_cannot_tell_is_not_sent() -> None:
    """The error of the function comes before the request, so that no job is lost."""
    sent: list[Request] = []
    start: Start[str, None] = Start(
        ask=lambda: Request("POST", "/"), read=lambda reply, _: reply.json["id"], predicts=lambda given: given["mode"]
    )
    end: Endpoint[str, None] = Endpoint("v.jobs", ask=JOBS.ask, read=lambda _: Snapshot("success"), start=start)
    with pytest.raises(KeyError, match="mode"):
        run_virtual(end.start(transport_of(sent.append)))
    assert sent == []
