"""The simulator as a whole: its address, its life cycle, its counters, its truth, and its independence."""

from __future__ import annotations

import ast
import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from simulator_kit import BATCH, PARSER, TASKS, client, received, simulated

import asyncpoll.simulator
from asyncpoll.simulator import Constant, Fault, Latency, Life, Simulator, Truth
from asyncpoll.simulator._http_server import origin

odd: Any = "odd"
HELD = Fault(Latency(1000.0))
CORRECTION = {
    "agent_id": "intelligent_education_correction_polling",
    "custom_variables": {"trace_id": "trace-1", "images": []},
}


def port_of(sim: Simulator) -> int:
    """Return the port the simulator listens on."""
    return int(sim.url.rpartition(":")[2])


async def test_it_binds_loopback_on_a_free_port() -> None:
    """Other machines cannot reach it, and two simulators do not collide."""
    async with Simulator() as one, Simulator() as other:
        assert one.url.startswith("http://127.0.0.1:")
        assert one.url != other.url


async def test_it_binds_the_chosen_port() -> None:
    """The URL has the chosen port."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    async with Simulator(port=port) as sim:
        assert sim.url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
def test_an_address_becomes_a_url(host: str, url: str) -> None:
    """An IPv6 address is in brackets."""
    assert origin(host, 80) == url


async def test_a_port_in_use_is_an_error() -> None:
    """The second server does not start and can be dropped; the first still serves."""
    async with Simulator() as first, client(first) as calls:
        second = Simulator(port=port_of(first))
        with pytest.raises(OSError, match="address already in use"):
            await second.__aenter__()
        with pytest.raises(RuntimeError, match="only while it runs"):
            _ = second.url
        assert (await calls.agent("job")).status == 200


async def test_it_has_an_address_only_while_it_runs() -> None:
    """Reading the URL of a stopped simulator is an error, and so is starting one twice."""
    sim = Simulator()
    with pytest.raises(RuntimeError, match="async with"):
        _ = sim.url
    async with sim:
        with pytest.raises(RuntimeError, match="running already"):
            await sim.__aenter__()
        assert sim.url
    with pytest.raises(RuntimeError, match="async with"):
        _ = sim.url
    await sim.__aexit__(None, None, None)


async def test_it_can_be_started_again() -> None:
    """A simulator that is started again knows its jobs."""
    sim = Simulator(unknown_ids="reject")
    async with sim, client(sim) as calls:
        task = (await calls.submit()).json["data"]["taskId"]
    async with sim, client(sim) as calls:
        assert (await calls.task(task)).json["success"] is True


async def test_it_stops_with_requests_in_flight() -> None:
    """The connections of the clients end, and the port is free again."""
    async with Simulator(faults=[HELD]) as sim, client(sim) as calls:
        held = [asyncio.create_task(calls.agent(str(number))) for number in range(5)]
        await received(sim, 5)
        port = port_of(sim)
        await sim.__aexit__(None, None, None)
        results = await asyncio.gather(*held, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientConnectionError) for result in results)
        async with Simulator(port=port) as heir:
            assert port_of(heir) == port


async def test_it_stops_when_cancelled() -> None:
    """A cancelled stop is finished first, and then raises the cancellation."""
    sim = Simulator(faults=[HELD])
    await sim.__aenter__()
    port = port_of(sim)
    async with client(sim) as calls:
        held = asyncio.create_task(calls.agent("job"))
        await received(sim, 1)
        stopping = asyncio.create_task(sim.__aexit__(None, None, None))
        await asyncio.sleep(0)
        stopping.cancel()
        results = await asyncio.gather(stopping, held, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, aiohttp.ServerDisconnectedError]
        async with Simulator(port=port):
            pass


async def test_a_client_that_disconnects_is_dropped() -> None:
    """The request in flight ends with its connection."""
    async with simulated(faults=[HELD]) as (sim, calls):
        held = asyncio.create_task(calls.agent("job"))
        await received(sim, 1)
        [serving] = sim._serving
        held.cancel()
        await asyncio.wait({held, serving})
        assert not sim._serving


async def test_every_request_is_counted() -> None:
    """Requests are counted in all and by route, and polls by themselves."""
    async with simulated(bigmodel_key="right") as (sim, calls):
        await calls.agent("job")
        await calls.submit()
        await calls.task("task")
        await calls.subtask("task", "1")
        await calls.stop("task")
        nowhere = await calls.send("DELETE", "/nowhere/at/all")
        assert (sim.requests, sim.polls, nowhere.status) == (6, 3, 404)
        assert sim.counts == {
            "bigmodel.agents": 1,
            "molizhishu.tasks.start": 1,
            "molizhishu.tasks": 1,
            "molizhishu.subtasks": 1,
            "molizhishu.tasks.stop": 1,
            "nowhere": 1,
        }


async def scene(seed: int) -> list[Any]:
    """Send a few requests to each API and return the responses without the calendar and the port."""
    life = {"pending": Constant(0.0), "processing": Constant(0.0)}
    async with simulated(seed=seed, shapes="observed", **life) as (sim, calls):
        started = await calls.send("POST", "/api/v1/agents", json={"agent_id": "some_agent", "messages": []})
        submitted = await calls.submit()
        answers = [
            started,
            await calls.create(),
            submitted,
            *[await calls.agent(str(number)) for number in range(10)],
            *[await calls.parsed(str(number), "download_link") for number in range(10)],
            *[await calls.subtask("task", str(number)) for number in range(10)],
            await calls.agent(started.json["async_id"]),
            await calls.result(submitted.json["data"]["taskId"]),
            await calls.result("stranger"),
        ]
        return [timeless(answer.json, sim.url) for answer in answers]


def timeless(value: Any, url: str) -> Any:
    """Return a decoded response without its times and addresses."""
    if isinstance(value, dict):
        return {name: timeless(each, url) for name, each in value.items() if name != "time"}
    if isinstance(value, list):
        return [timeless(each, url) for each in value]
    return value.replace(url, "") if isinstance(value, str) else value


async def test_the_same_seed_gives_the_same_responses() -> None:
    """Ids, outcomes and payloads depend on the seed and on the requests."""
    first = await scene(11)
    assert first == await scene(11)
    assert first != await scene(12)


async def test_lives_do_not_depend_on_the_order_of_requests() -> None:
    """Each id has the same end, whichever was polled first."""

    async def ends(idents: list[str]) -> dict[str, tuple[str, float]]:
        async with simulated(seed=5) as (sim, calls):
            for ident in idents:
                await calls.agent(ident)
            truths = {ident: sim.truth("bigmodel.agents", ident) for ident in idents}
        return {ident: (each.outcome, round(each.finished_at - each.submitted_at, 6)) for ident, each in truths.items()}

    assert await ends(["a", "b", "c"]) == await ends(["c", "a", "b"])


@pytest.mark.parametrize(
    ("endpoint", "ident", "outcome"),
    [
        ("bigmodel.agents", "job", "failed"),
        ("bigmodel.file_parser", "job", "failed"),
        ("molizhishu.subtasks", ("task", "1"), "timeout"),
        ("molizhishu.tasks", "other", "partial_completed"),
    ],
)
async def test_the_truth_is_that_of_the_script(endpoint: str, ident: Any, outcome: str) -> None:
    """The truth has the outcome, the time of the first poll, and the time of the end."""
    async with simulated() as (sim, calls):
        sim.script(endpoint, ident, Life(pending=1.0, processing=2.0, outcome=outcome))
        with pytest.raises(ValueError, match="has not seen this id yet"):
            sim.truth(endpoint, ident)
        before = asyncio.get_running_loop().time()
        for poll in (calls.agent("job"), calls.parsed("job"), calls.subtask("task", "1"), calls.task("other")):
            await poll
        truth = sim.truth(endpoint, ident)
        after = asyncio.get_running_loop().time()
    assert before <= truth.submitted_at <= after
    assert truth == Truth(outcome, truth.submitted_at, truth.finished_at)
    assert truth.finished_at - truth.submitted_at == pytest.approx(3.0)


async def test_a_poll_sees_the_true_outcome() -> None:
    """From its end on, a job has the outcome of its truth as its status."""
    life = {"pending": Constant(0.0), "processing": Constant(0.0)}
    outcomes = {"bigmodel.agents": {"failed": 1.0}, "molizhishu.subtasks": {"error": 1.0, "timeout": 1.0}}
    async with simulated(outcomes=outcomes, **life) as (sim, calls):
        for ident in map(str, range(10)):
            assert (await calls.agent(ident)).json["status"] == "failed"
            assert (await calls.parsed(ident)).json["status"] == sim.truth("bigmodel.file_parser", ident).outcome
            status = (await calls.subtask("task", ident)).json["data"]["status"]
            assert status == sim.truth("molizhishu.subtasks", ("task", ident)).outcome
            assert status in {"error", "timeout"}
        assert (await calls.task("task")).json["data"]["status"] == sim.truth("molizhishu.tasks", "task").outcome


async def test_a_script_can_change_while_the_job_runs() -> None:
    """The job keeps the time of its birth and has a new end."""
    async with simulated(pending=Constant(1000.0)) as (sim, calls):
        assert (await calls.agent("job")).json["status"] == "pending"
        born = sim.truth("bigmodel.agents", "job").submitted_at
        sim.script("bigmodel.agents", "job", Life(outcome="success"))
        assert (await calls.agent("job")).json["status"] == "success"
        assert sim.truth("bigmodel.agents", "job") == Truth("success", born, born)


async def test_a_scripted_job_is_known_where_others_are_not() -> None:
    """A scripted id exists although unknown ids are refused."""
    async with simulated(unknown_ids="reject") as (sim, calls):
        sim.script("bigmodel.agents", "job", Life(outcome="success"))
        assert (await calls.agent("job")).json["status"] == "success"
        assert "error" in (await calls.agent("other")).json


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Simulator(shapes=odd), "choose one of: documented, observed"),
        (lambda: Simulator(unknown_ids=odd), "choose one of: draw, reject"),
        (lambda: Simulator(outcomes={"molizhishu.tasks": {"failed": 1.0}}), "choose one of: bigmodel.agents"),
        (lambda: Simulator(outcomes={"bigmodel.agents": {"done": 1.0}}), "choose one of: success, failed"),
        (lambda: Simulator().script("bigmodel.images", "job", Life(outcome="success")), "choose one of: bigmodel"),
        (lambda: Simulator().script("bigmodel.agents", "job", Life(outcome="done")), "choose one of: success, failed"),
        (lambda: Simulator().script("molizhishu.tasks", "job", Life(outcome="done")), "choose one of: completed"),
        (lambda: Simulator().script("molizhishu.subtasks", "job", Life(outcome="done")), "task id, subtask id"),
        (lambda: Simulator().truth("bigmodel.agents", ("a", "b")), "task id, subtask id"),
        (lambda: Simulator().truth("molizhishu.tasks", "never"), "submit it or poll it first"),
        (lambda: Simulator().truth("bigmodel.agents", "never"), "submit it or poll it first"),
    ],
)
def test_bad_arguments_of_the_simulator_are_refused(make: Callable[[], object], message: str) -> None:
    """Each is a ValueError that says which values are possible."""
    with pytest.raises(ValueError, match=message):
        make()


def test_it_imports_nothing_else_of_the_package() -> None:
    """The modules of the simulator import only each other of asyncpoll."""
    for path in Path(asyncpoll.simulator.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("asyncpoll") or name.startswith("asyncpoll.simulator"), path


def test_keys_are_not_shown() -> None:
    """The repr of a simulator does not have its keys."""
    sim = Simulator(bigmodel_key="very-secret", molizhishu_token="very-secret")
    assert "very-secret" not in repr(sim)


async def test_each_request_is_logged_with_its_job() -> None:
    """Polls, submits and refusals: time, method, path, status, route and job; a key or a query never."""
    lines: list[str] = []
    async with Simulator(log=lines.append) as sim, client(sim) as calls:
        agent = (await calls.send("POST", "/api/v1/agents", json={"agent_id": "a", "messages": []})).json["async_id"]
        await calls.agent("one\ntwo/三")
        await calls.send("POST", "/api/v1/agents/async-result", json=CORRECTION)
        await calls.parsed("task_1")
        parser = (await calls.create(tool_type="lite")).json["task_id"]
        batch = (await calls.send("POST", f"{TASKS}/batch/shared", json=BATCH)).json["data"]["taskId"]
        await calls.send("GET", f"{TASKS}/status/t1", params={"key": "canary"})
        await calls.send("GET", f"{TASKS}/result/t1/s1", headers={"Authorization": "canary"})
        await calls.send("GET", "/nowhere?key=canary")
    times, shown = zip(*(line.split(" ", 1) for line in lines), strict=True)
    assert shown == (
        f"POST /api/v1/agents 200 bigmodel.agents.start {agent}",
        "POST /api/v1/agents/async-result 200 bigmodel.agents one%0Atwo/%E4%B8%89",
        "POST /api/v1/agents/async-result 200 bigmodel.agents trace-1",
        f"GET {PARSER}/result/task_1/text 200 bigmodel.file_parser task_1",
        f"POST {PARSER}/create 200 bigmodel.file_parser.start {parser}",
        f"POST {TASKS}/batch/shared 200 molizhishu.tasks.start {batch}",
        f"GET {TASKS}/status/t1 200 molizhishu.tasks t1",
        f"GET {TASKS}/result/t1/s1 200 molizhishu.subtasks t1/s1",
        "GET /nowhere 404 nowhere",
    )
    assert list(times) == sorted(times)
    assert not any("canary" in line or "any" in line.split() for line in lines)
