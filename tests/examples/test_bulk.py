"""The example that waits for many jobs, run twice with the same files."""

from __future__ import annotations

import json
from pathlib import Path

from example_kit import output_of

from asyncpoll.simulator import Constant, Simulator


async def test_a_second_run_polls_only_what_is_new(tmp_path: Path) -> None:
    """Jobs with a result are not polled again, and the file has each result once."""
    ids, results = tmp_path / "ids.txt", tmp_path / "results.jsonl"
    always = {"bigmodel.file_parser": {"succeeded": 1.0}}
    async with Simulator(seed=1, pending=Constant(0), processing=Constant(0), outcomes=always) as sim:
        environment = {"BIGMODEL_API_KEY": "any", "BIGMODEL_BASE_URL": f"{sim.url}/api"}
        ids.write_text("a\nb\n\n", encoding="utf-8")
        first = await output_of("bulk.py", str(ids), str(results), **environment)
        ids.write_text("a\nb\nc\n", encoding="utf-8")
        second = await output_of("bulk.py", str(ids), str(results), **environment)
    assert len(first) == 3
    assert first[-1] == "2 new results, 2 requests"
    assert second[-1] == "1 new results, 1 requests"
    lines = results.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["ref"]["task_id"] for line in lines] == ["a", "b", "c"]
