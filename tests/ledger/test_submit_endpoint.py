"""Starting many jobs of an endpoint of one's own, and a run over them that is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from asyncpoll import Endpoint, Hub, Snapshot, Start, State, TransportError
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Ledger, Submission, submit_all
from asyncpoll.testing import MemoryTransport


@frozen
class Ref:
    """A reference that is no text."""

    id: str
    queue: str


class Api:
    """An API whose jobs are started with a text, and have a result of two calls."""

    def __init__(self, key: str | None = None) -> None:
        self.lost: set[str] = set()
        self.transport = MemoryTransport(self._answer)
        self.endpoint: Endpoint[Ref, str] = Endpoint(
            "v.texts",
            ask=lambda ref: Request("GET", f"/{ref.queue}/{ref.id}", repeatable=True),
            read=lambda reply: Snapshot(State.SUCCESS, raw=reply.json),
            start=Start(
                self._ask_to_start, lambda reply, given: Ref(reply.json["id"], given.get("queue", "q")), key=key
            ),
            then=lambda ref, seen: None if seen.value else Request("GET", f"/{ref.queue}/{ref.id}/text"),
            read_then=lambda seen, reply: evolve(seen, value=reply.json["text"]),
            restore=lambda data: Ref(**data),
        )

    @property
    def starts(self) -> list[Any]:
        """The bodies of the submits."""
        return [request.json for request in self.transport.sent if request.method == "POST"]

    @staticmethod
    def _ask_to_start(*, text: str, queue: str = "q", token: str | None = None) -> Request:
        return Request("POST", f"/{queue}", json={"text": text, "token": token})

    def _answer(self, request: Request) -> Reply:
        if request.method == "POST":
            if request.json["text"] in self.lost:
                raise TransportError("no answer", kind="timeout")
            return Reply(200, {"id": f"job-{request.json['text']}"})
        return Reply(200, {"text": request.path.split("/")[2]})


ITEMS = [{"text": text, "queue": "q"} for text in "abc"]


async def submitted(api: Api, path: Path | None, **options: Any) -> dict[str, Submission[Any, str]]:
    """Submit the items; return what became of each, by its text."""
    each = submit_all(ITEMS, api.endpoint, transport=api.transport, ledger=path, **options)
    return {one.item["text"]: one async for one in each}


def fates(submissions: Mapping[str, Submission[Any, str]]) -> dict[str, str]:
    """Return the fate of each."""
    return {text: one.fate for text, one in sorted(submissions.items())}


async def test_the_jobs_of_an_endpoint_are_started_once(tmp_path: Path) -> None:
    """Each item holds the arguments; another process knows the jobs, and makes them again by itself."""
    api, path = Api(), tmp_path / "texts.submitted"
    first = await submitted(api, path)
    again = await submitted(api, path)
    assert fates(first) == dict.fromkeys("abc", "submitted")
    assert fates(again) == dict.fromkeys("abc", "known")
    assert [again[text].job for text in "abc"] == [first[text].job for text in "abc"]
    assert len(api.starts) == 3


async def test_a_lost_answer_is_not_sent_again_without_a_key(tmp_path: Path) -> None:
    """Its job may be running."""
    api, path = Api(), tmp_path / "texts.submitted"
    api.lost = {"b"}
    for _ in range(2):
        assert fates(await submitted(api, path)) | {"a": "", "c": ""} == {"a": "", "b": "unknown", "c": ""}
    assert len(api.starts) == 3


async def test_a_lost_answer_is_sent_again_with_its_key(tmp_path: Path) -> None:
    """The API knows by the key whether it has the job already."""
    api, path = Api(key="token"), tmp_path / "texts.submitted"
    api.lost = {"b"}
    assert fates(await submitted(api, path))["b"] == "unknown"
    api.lost = set()
    assert fates(await submitted(api, path)) == {"a": "known", "b": "submitted", "c": "known"}
    tokens: dict[str, set[str]] = {start["text"]: set() for start in api.starts}
    for start in api.starts:
        tokens[start["text"]].add(start["token"])
    assert [len(tokens[text]) for text in "abc"] == [1, 1, 1]
    assert len(set.union(*tokens.values())) == 3
    assert len(api.starts) == 4


async def test_a_key_in_the_item_is_kept() -> None:
    """The caller may have keys of his own."""
    api = Api(key="token")
    each = submit_all([{"text": "a", "token": "mine"}], api.endpoint, transport=api.transport)
    assert [one.fate async for one in each] == ["submitted"]
    assert api.starts == [{"text": "a", "token": "mine"}]


async def test_the_ledger_has_no_contents_of_items(tmp_path: Path) -> None:
    """An item that is a mapping is known by its digest."""
    path, api = tmp_path / "texts.submitted", Api()
    secret = "very confidential text"
    each = submit_all([{"text": secret}], api.endpoint, transport=api.transport, ledger=path)
    api.lost = {secret}
    assert [one.fate async for one in each] == ["unknown"]
    assert secret.encode() not in path.read_bytes()


async def test_an_endpoint_needs_a_transport() -> None:
    """The message says what it is for."""
    with pytest.raises(TypeError, match="an endpoint needs transport="):
        _ = [one async for one in submit_all(ITEMS, Api().endpoint)]


async def test_a_run_over_jobs_of_an_endpoint_is_remembered(tmp_path: Path) -> None:
    """Jobs that were started are waited for once, and made again from what the ledger holds."""
    api = Api()
    jobs = [one.job for one in (await submitted(api, None)).values() if one.job is not None]
    async with Ledger(tmp_path / "run.db") as ledger:
        await ledger.enter([(job.key, job.endpoint.name, job.endpoint.plain(job.ref)) for job in jobs])
    async with Ledger(tmp_path / "run.db") as ledger, Hub() as hub:
        made = [api.endpoint.job(api.transport, api.endpoint.restore(one.ref)) async for one in ledger.unfinished()]
        async with hub.run(made, ledger=ledger, timeout=60) as run:
            values = {item.record.value async for item in run}
    assert made == jobs
    assert values == {"job-a", "job-b", "job-c"}
