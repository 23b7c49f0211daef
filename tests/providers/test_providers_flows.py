"""Whole flows over real HTTP: the clients against the simulator, which was written from the documents alone."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asyncpoll._endpoint import Job
from asyncpoll._errors import Rejected, TransportError
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.providers import BigModel, Molizhishu
from asyncpoll.providers.bigmodel import ParsedFile
from asyncpoll.simulator import Constant, Envelope, ErrorStatus, Fault, Life, Malformed, Reset, Simulator, WrongId

KEY, TOKEN = "canary-bigmodel-0123", "canary-molizhishu-4567"
QUICK = Fixed(0.02)
LIMIT = 20.0


@asynccontextmanager
async def _world(**options: Any) -> AsyncGenerator[tuple[Simulator, BigModel, Molizhishu]]:
    usual: dict[str, Any] = {
        "pending": Constant(0.02),
        "processing": Constant(0.03),
        "bigmodel_key": KEY,
        "molizhishu_token": TOKEN,
    }
    async with (
        Simulator(7, **{**usual, **options}) as simulator,
        BigModel(KEY, base_url=f"{simulator.url}/api") as bigmodel,
        Molizhishu(TOKEN, base_url=f"{simulator.url}/api/business/monitor") as molizhishu,
    ):
        yield simulator, bigmodel, molizhishu


def _is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def _wait(job: Job[Any]) -> Snapshot[Any]:
    return await job.wait(timeout=LIMIT, schedule=QUICK)


async def test_an_agent_is_started_and_awaited() -> None:
    """From the submit over pending answers to the links."""
    async with _world(outcomes={"bigmodel.agents": {"success": 1}}) as (simulator, bigmodel, _):
        job = await bigmodel.agents.start(agent_id="translator", messages=[{"role": "user", "content": "hi"}])
        words = [snapshot.status async for snapshot in job.watch(schedule=QUICK, changes_only=True)]
        result = await job.result(timeout=LIMIT)
        assert words == ["pending", "success"]
        assert result.async_id == job.ref.async_id
        assert result.choices[0].messages[0].content[0].file_url
        assert simulator.counts["bigmodel.agents.start"] == 1


@pytest.mark.parametrize("shapes", ["documented", "observed"])
async def test_every_job_of_every_endpoint_ends_as_it_truly_does(shapes: str) -> None:
    """Whatever the shape of the answers, the word that a wait ends with is the outcome that was drawn."""
    async with _world(shapes=shapes, pending=Constant(0), processing=Constant(0)) as (simulator, bigmodel, molizhishu):
        names = [f"job{number}" for number in range(40)]
        jobs: dict[tuple[str, Any], Job[Any]] = {}
        for name in names:
            jobs["bigmodel.agents", name] = bigmodel.agents.job(async_id=name, agent_id="g")
            jobs["bigmodel.file_parser", name] = bigmodel.file_parser.job(task_id=name)
            jobs["molizhishu.tasks", name] = molizhishu.tasks.job(task_id=name)
        for name in names[:5]:
            for job in await molizhishu.subtasks.list(task_id=name):
                jobs["molizhishu.subtasks", (name, job.ref.sub_task_id)] = job
        seen = await asyncio.gather(*map(_wait, jobs.values()))
        assert [snapshot.status for snapshot in seen] == [simulator.truth(*one).outcome for one in jobs]
        assert all((snapshot.value is not None) is (snapshot.state is State.SUCCESS) for snapshot in seen)


async def test_a_file_is_parsed_and_its_archive_downloaded(tmp_path: Path) -> None:
    """From the upload over the link to a file that is a real archive, without the key on the way."""
    source, target = tmp_path / "a.pdf", tmp_path / "a.zip"
    source.write_bytes(b"%PDF")
    async with _world(outcomes={"bigmodel.file_parser": {"succeeded": 1}}) as (_, bigmodel, _):
        job = await bigmodel.file_parser.start(source, tool_type="prime", format="download_link")
        result = await job.result(timeout=LIMIT, schedule=QUICK)
        progress: list[tuple[int, int | None]] = []
        path = await bigmodel.file_parser.download(
            result, target, on_progress=lambda received, total: progress.append((received, total))
        )
        assert path == target
        assert progress[-1][0] == target.stat().st_size
        assert "result.md" in zipfile.ZipFile(target).namelist()
        with pytest.raises(FileExistsError):
            await bigmodel.file_parser.download(result, target)
        text = await bigmodel.file_parser.job(task_id=job.ref.task_id).result(timeout=LIMIT, schedule=QUICK)
        assert text.content


async def test_an_expired_link_is_called_so(tmp_path: Path) -> None:
    """After 24 hours the file must be parsed again, and the error says that."""
    async with _world(outcomes={"bigmodel.file_parser": {"succeeded": 1}}, link_lifetime=0.0) as (_, bigmodel, _):
        job = await bigmodel.file_parser.start(("a.pdf", b"x"), tool_type="prime", format="download_link")
        result = await job.result(timeout=LIMIT, schedule=QUICK)
        with pytest.raises(Rejected, match="24 hours; parse the file again") as expired:
            await bigmodel.file_parser.download(result, tmp_path / "a.zip")
        assert (expired.value.kind, expired.value.status) == ("link-expired", 403)
        assert _is_empty(tmp_path)


async def test_a_link_elsewhere_on_this_machine_is_refused(tmp_path: Path) -> None:
    """Only the API's own origin is trusted, not its neighbours."""
    async with _world() as (_, bigmodel, _):
        with pytest.raises(Rejected) as refused:
            await bigmodel.file_parser.download(ParsedFile(parsing_result_url="http://127.0.0.1:1/a"), tmp_path / "a")
        assert refused.value.kind == "link"


async def test_a_task_and_its_subtasks_are_awaited() -> None:
    """From the submit over the counts to the answers; the same key gives the same task."""
    async with _world(outcomes={"molizhishu.subtasks": {"completed": 1}}) as (_, _, molizhishu):
        order: dict[str, Any] = {
            "prompts": ["p", "q"],
            "platforms": ["doubao", "kimi"],
            "consumer_task_id": "order0001",
        }
        task = await molizhishu.tasks.start(**order)
        assert (await molizhishu.tasks.start(**order)).key == task.key
        status = await task.result(timeout=LIMIT, schedule=QUICK)
        assert (status.total_items, status.completed_items, status.failed_items) == (4, 4, 0)
        assert status.consumer_task_id == "order0001"
        jobs = molizhishu.subtasks.of(status)
        answers = await asyncio.gather(*(job.result(timeout=LIMIT) for job in jobs))
        assert {(answer.prompt, answer.platform) for answer in answers} == {
            ("p", "doubao"),
            ("p", "kimi"),
            ("q", "doubao"),
            ("q", "kimi"),
        }
        assert all(answer.answer_content and answer.time for answer in answers)


async def test_a_partly_completed_task_is_told_apart() -> None:
    """Its word and its counts say that some of it failed."""
    async with _world() as (simulator, _, molizhishu):
        simulator.script("molizhishu.tasks", "t", Life(pending=0, processing=0, outcome="partial_completed"))
        snapshot = await _wait(molizhishu.tasks.job(task_id="t"))
        assert (snapshot.state, snapshot.status) == (State.SUCCESS, "partial_completed")
        assert 0 < snapshot.unwrap().failed_items < snapshot.unwrap().total_items


async def test_a_task_is_stopped_and_stopping_it_again_is_fine() -> None:
    """A stopped task is cancelled, and so are the subtasks that had not begun."""
    async with _world(pending=Constant(60)) as (_, _, molizhishu):
        task = await molizhishu.tasks.start(prompts=["p"], platforms=["doubao"])
        await task.cancel()
        assert (await _wait(task)).state is State.CANCELLED
        [subtask] = await molizhishu.subtasks.list(task_id=task.ref.task_id)
        assert (await _wait(subtask)).state is State.CANCELLED
        await task.cancel()
    async with _world(pending=Constant(0), processing=Constant(0)) as (_, _, molizhishu):
        task = await molizhishu.tasks.start(prompts=["p"], platforms=["doubao"])
        await _wait(task)
        await task.cancel()


async def test_unknown_ids_are_told_in_each_apis_own_way() -> None:
    """Agents say so as a failure, the parser with a 404, Molizhishu in its envelope."""
    async with _world(unknown_ids="reject") as (_, bigmodel, molizhishu):
        snapshot = await bigmodel.agents.job(async_id="x", agent_id="g").fetch()
        assert (snapshot.state, snapshot.code) == (State.FAILED, "400")
        unknown: list[Job[Any]] = [
            bigmodel.file_parser.job(task_id="x"),
            molizhishu.tasks.job(task_id="x"),
            molizhishu.subtasks.job(task_id="x", sub_task_id="y"),
        ]
        for job in unknown:
            with pytest.raises(Rejected) as refused:
                await job.fetch()
            assert refused.value.kind == "not_found"


async def test_a_wrong_key_is_told_in_each_apis_own_way() -> None:
    """A 401 of the one and a 200 of the other are the same error, and neither shows the key."""
    async with _world() as (simulator, _, _):
        wrong = "wrong-canary-89ab"
        async with (
            BigModel(wrong, base_url=f"{simulator.url}/api") as bigmodel,
            Molizhishu(wrong, base_url=f"{simulator.url}/api/business/monitor") as molizhishu,
        ):
            jobs: list[Job[Any]] = [bigmodel.file_parser.job(task_id="x"), molizhishu.tasks.job(task_id="x")]
            for job in jobs:
                with pytest.raises(Rejected) as refused:
                    await job.result(timeout=LIMIT)
                assert refused.value.kind == "credential"
                assert wrong not in repr(refused.value)


@pytest.mark.parametrize("effect", [Malformed(), Reset(), WrongId(), ErrorStatus(503), ErrorStatus(429, code="1302")])
async def test_a_fault_in_passing_does_not_end_a_wait(effect: Any) -> None:
    """Half an answer, a broken connection, somebody else's answer, trouble and throttling: the wait goes on."""
    async with _world(faults=[Fault(effect, "bigmodel.agents", nth=2)]) as (simulator, bigmodel, _):
        simulator.script("bigmodel.agents", "a", Life(pending=0.1, processing=0, outcome="success"))
        snapshot = await _wait(bigmodel.agents.job(async_id="a", agent_id="g"))
        assert snapshot.state is State.SUCCESS


@pytest.mark.parametrize(
    ("effect", "endpoint", "kind"),
    [
        (ErrorStatus(429, code="1113", message="您的账户已欠费"), "bigmodel.agents", "unpaid"),
        (Envelope(500001, "余额不足"), "molizhishu.tasks", "unpaid"),
        (Envelope(403, "无权访问该任务"), "molizhishu.tasks", "forbidden"),
    ],
)
async def test_a_refusal_ends_a_wait_at_once(effect: Any, endpoint: str, kind: str) -> None:
    """An unpaid bill is no throttling, whatever its HTTP status."""
    async with _world(faults=[Fault(effect)]) as (simulator, bigmodel, molizhishu):
        job: Job[Any] = (
            bigmodel.job(endpoint, async_id="a", agent_id="g")
            if endpoint.startswith("bigmodel")
            else molizhishu.job(endpoint, task_id="a")
        )
        with pytest.raises(TransportError) as refused:
            await _wait(job)
        assert refused.value.kind == kind
        assert simulator.requests == 1


async def test_a_lost_submit_is_repeated_only_under_a_key() -> None:
    """The retry of a task finds the task that was made; an agent is never started twice."""
    lost = [Fault(Reset(), "molizhishu.tasks.start", nth=1), Fault(Reset(), "bigmodel.agents.start", nth=1)]
    async with _world(faults=lost) as (simulator, bigmodel, molizhishu):
        await molizhishu.tasks.start(prompts=["p"], platforms=["doubao"])
        with pytest.raises(TransportError):
            await bigmodel.agents.start(agent_id="g", messages=[])
        assert simulator.counts["molizhishu.tasks.start"] == 2
        assert simulator.counts["bigmodel.agents.start"] == 1
