"""Wait for many jobs, write the results to a file, and lose nothing if the program is stopped.

Run it again with the same files after a crash, a Ctrl-C or a reboot: jobs with a result are not polled again, the
others go on, and RESULTS has every result exactly once.

Usage: python bulk.py IDS RESULTS, where IDS has one task id per line, with the key in BIGMODEL_API_KEY.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncpoll import Hub, Job
from asyncpoll.ledger import JsonLines, Ledger
from asyncpoll.providers import BigModel


def jobs(client: BigModel, ids: Path) -> Iterator[Job[Any]]:
    """Yield a job for each line; the file may have a million."""
    with ids.open(encoding="utf-8") as lines:
        for line in lines:
            if task_id := line.strip():
                yield client.file_parser.job(task_id=task_id)


async def main(ids: Path, results: Path) -> None:
    """Wait for all jobs, then write the results."""
    ledger_file = results.with_suffix(".ledger")
    async with BigModel.from_env() as client, Ledger(ledger_file) as ledger, Hub(rate=50) as hub:
        async with hub.run(jobs(client, ids), ledger=ledger, timeout=3600) as run:
            async for record, _ in run:
                print(record.key, record.state)
        written = await ledger.deliver(JsonLines(results))
        print(f"{written} new results, {client.requests} requests")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
