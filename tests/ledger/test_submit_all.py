"""Starting many jobs from Python, each at most once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from asyncpoll import Endpoint, Job, LedgerError, Rejected, Snapshot, State, Throttled, TransportError
from asyncpoll.http import Reply, Request
from asyncpoll.ledger import Submission, submit_all
from asyncpoll.testing import MemoryTransport, run_virtual

TRANSPORT = MemoryTransport(lambda _: Reply(200, {}))
JOBS: Endpoint[str, str] = Endpoint(
    "made.up", ask=lambda ref: Request("GET", f"/{ref}"), read=lambda _: Snapshot(State.SUCCESS)
)
LOST = TransportError("no answer", kind="timeout")


def restore(token: str) -> Job[str]:
    """Make a job of its token."""
    return JOBS.job(TRANSPORT, token.rpartition('"ref": "')[2].removesuffix('"}'))


class Api:
    """An API that starts jobs, or raises what it is told to for an item."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.started: list[str] = []
        self.at_once = self.most_at_once = 0

    async def start(self, item: Any) -> Job[str]:
        """Start the job of an item."""
        self.started.append(str(item))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if str(item) in self.errors:
            raise self.errors[str(item)]
        return JOBS.job(TRANSPORT, f"job-{item}")


async def fates(items: Any, start: Callable[[Any], Awaitable[Job[str]]], **options: Any) -> dict[str, str]:
    """Return the fate of each item; of the last one among equal ones."""
    return await fates_of(submit_all(items, start, **options))


async def fates_of(each: AsyncIterator[Submission[Any, str]]) -> dict[str, str]:
    """Return the fate of each item that is left."""
    return {str(one.item): one.fate async for one in each}


async def test_every_item_is_started_once() -> None:
    """So many at the same time as is said, and each comes back with its job."""
    api = Api()
    given = [7, "b", Path("c")]
    seen: list[Submission[Any, str]] = [one async for one in submit_all(given, api.start, concurrency=2)]
    assert [(one.item, one.fate, one.job) for one in sorted(seen, key=lambda one: given.index(one.item))] == [
        (item, "submitted", JOBS.job(TRANSPORT, f"job-{item}")) for item in given
    ]
    assert api.most_at_once == 2


async def test_items_may_come_one_by_one() -> None:
    """From an async iterable, too."""

    async def arriving() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert await fates(arriving(), Api().start) == {"a": "submitted", "b": "submitted"}


async def test_the_next_process_goes_on(tmp_path: Path) -> None:
    """What is known is not sent again, what was refused is, and a lost answer is left alone."""
    first = Api(b=Rejected("bad field"), c=LOST, d=ValueError("no such file"))
    options: dict[str, Any] = {"ledger": tmp_path / "x.submitted", "restore": restore, "concurrency": 1}
    assert await fates("abcd", first.start, **options) == {
        "a": "submitted", "b": "refused", "c": "unknown", "d": "refused"
    }  # fmt: skip
    second = Api()
    seen = {one.item: one async for one in submit_all("abcde", second.start, **options)}
    assert {item: one.fate for item, one in seen.items()} == {
        "a": "known", "b": "submitted", "c": "unknown", "d": "submitted", "e": "submitted"
    }  # fmt: skip
    assert seen["a"].job == JOBS.job(TRANSPORT, "job-a")
    assert second.started == ["b", "d", "e"]
    assert await fates("c", second.start, retry_unknown=True, **options) == {"c": "submitted"}


async def test_equal_items_are_items_of_their_own(tmp_path: Path) -> None:
    """Each is started once, in this process and the next."""
    api = Api()
    options: dict[str, Any] = {"ledger": tmp_path / "x.submitted", "restore": restore}
    for _ in range(2):
        await fates("aab", api.start, **options)
    assert sorted(api.started) == ["a", "a", "b"]


async def test_a_key_names_items_of_any_kind(tmp_path: Path) -> None:
    """Two processes need not have the same objects."""
    api = Api()
    options: dict[str, Any] = {"ledger": tmp_path / "x.submitted", "restore": restore, "key": lambda item: item["id"]}
    for _ in range(2):
        await fates([{"id": "a"}, {"id": "b"}], api.start, **options)
    assert len(api.started) == 2


@pytest.mark.parametrize(
    "error", [Rejected("no such key", kind="credential", status=401), LedgerError("full", kind="full")]
)
async def test_a_refused_client_ends_it(error: Exception) -> None:
    """Other items are not sent; those that were under way come to their ends."""
    api = Api(c=error)
    each = submit_all("abcdefghij", api.start, concurrency=2)
    assert {(await anext(each)).item, (await anext(each)).item} == {"a", "b"}
    with pytest.raises(type(error)):
        await fates_of(each)
    assert len(api.started) <= 5


async def test_a_wrong_address_ends_it_at_first_contact() -> None:
    """A page that is not the API's is about the address, until the API has accepted something."""
    page = Rejected("a page", kind="not_found", status=404)
    page.from_api = False
    with pytest.raises(Rejected, match="a page"):
        await fates("a", Api(a=page).start)
    assert (await fates("ba", Api(a=page).start, concurrency=1))["a"] == "refused"


async def test_leaving_early_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """So that the next process knows those jobs."""
    api = Api()
    options: dict[str, Any] = {"ledger": tmp_path / "x.submitted", "restore": restore}
    async with aclosing(submit_all("abcdef", api.start, concurrency=3, **options)) as each:
        async for _ in each:
            break
    assert await fates(api.started, Api().start, **options) == dict.fromkeys(api.started, "known")


def test_a_throttled_item_is_sent_again_for_a_while() -> None:
    """As the API says when; it is refused in the end, and at once when it is told to stay away for long."""
    calls: list[float] = []

    async def start(item: str) -> Job[str]:
        calls.append(asyncio.get_running_loop().time())
        raise Throttled("slow down", retry_after=7.0 if item == "a" else 3600.0)

    assert run_virtual(fates("a", start)) == {"a": "refused"}
    assert len(calls) == 6
    assert calls[-1] >= 5 * 7.0
    calls.clear()
    assert run_virtual(fates("b", start)) == {"b": "refused"}
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"concurrency": 0}, ValueError, "concurrency must be a whole number, at least 1"),
        ({"start": None}, TypeError, "start must be a function"),
        ({"ledger": "x.submitted"}, TypeError, "with a ledger, restore= is needed"),
        ({"items": [{}]}, TypeError, "unless key= names it"),
    ],
)
async def test_wrong_arguments_are_refused(options: dict[str, Any], error: type[Exception], problem: str) -> None:
    """Before anything is sent, and by name."""
    api = Api()
    given: dict[str, Any] = {"items": ["a"], "start": api.start, **options}
    items: Iterable[Any] = given.pop("items")
    with pytest.raises(error, match=problem):
        await fates(items, given.pop("start"), **given)
    assert api.started == []
