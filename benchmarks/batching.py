"""Calls that a thousand subtasks of ten Molizhishu tasks take, asked about together and one by one, in virtual time.

    python benchmarks/batching.py [--rounds 5] [--tasks 10] [--subtasks 100] [--polls 30]

Each subtask is done after so many intervals. Asked about together, a task costs one call an interval, and each subtask
that is done costs one more, for its result.
"""

from __future__ import annotations

import argparse
import asyncio

import rounds
from attrs import evolve

from asyncpoll import Fixed, wait_all
from asyncpoll.http import Reply, Request
from asyncpoll.providers.molizhishu._subtasks import ENDPOINT, SubtaskRef
from asyncpoll.testing import MemoryTransport, run_virtual

INTERVAL = 10.0
FIGURE = "calls"
BASELINE = "one by one"


def name(task: str, number: int) -> str:
    """Return the id of a subtask."""
    return f"{task}-sub-{number}"


def answer(request: Request, subtasks: int, word: str) -> Reply:
    """Return what the API says about a task or a subtask that stands as *word* says."""
    kind, *ids = request.path.removeprefix("/task/").split("/")
    data: dict[str, object] = {"taskId": ids[0], "status": word}
    if kind == "status":
        data["subTaskList"] = [{"subTaskId": name(ids[0], number), "status": word} for number in range(subtasks)]
    else:
        data["subTaskId"] = ids[1]
    return Reply(200, {"success": True, "code": 200, "data": data})


async def calls(options: argparse.Namespace, *, together: bool) -> rounds.Figures:
    """Wait for all subtasks, and count the calls."""
    now = asyncio.get_running_loop().time
    done_at = (options.polls - 1) * INTERVAL

    def api(request: Request) -> Reply:
        return answer(request, options.subtasks, "completed" if now() >= done_at else "processing")

    transport = MemoryTransport(api)
    endpoint = ENDPOINT if together else evolve(ENDPOINT, group=None)
    tasks = [f"task-{number}" for number in range(options.tasks)]
    jobs = [
        endpoint.job(transport, SubtaskRef(task, name(task, number)))
        for task in tasks
        for number in range(options.subtasks)
    ]
    for outcome in await wait_all(jobs, timeout=2 * done_at, schedule=Fixed(INTERVAL)):
        outcome.unwrap()
    return {FIGURE: transport.requests}


def main() -> None:
    """Let both take turns, and print their calls."""
    parser = rounds.parser(__doc__)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--subtasks", type=int, default=100, help="of each task")
    parser.add_argument("--polls", type=int, default=30, help="that a subtask takes when it is asked about alone")
    options = parser.parse_args()
    results = rounds.take(
        options,
        {
            BASELINE: lambda options: run_virtual(calls(options, together=False)),
            "together": lambda options: run_virtual(calls(options, together=True)),
        },
    )
    rounds.show(results, FIGURE, baseline=BASELINE)


if __name__ == "__main__":
    main()
