"""The vendor's own SDK, unchanged, against `asyncpoll simulate`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cli_kit import simulating

from asyncpoll.providers import BigModel

AGENT = "general_translation"
PATIENCE = 120.0  # seconds until what hangs fails
PROGRAM = """
import json, sys, time
from zai import ZhipuAiClient

AGENT, JOBS, ROUNDS = "general_translation", 8, 600

def ended(ask, running):
    seen = []
    for _ in range(ROUNDS):
        answer = ask()
        seen.append(answer["status"])
        if answer["status"] not in running:
            return {"seen": seen, "answer": answer}
        time.sleep(0.1)
    raise SystemExit("a job does not end")

def agent(ident):
    return client.agents.async_result(agent_id=AGENT, async_id=ident).model_dump(exclude_none=True)

def parsed(ident, wanted="text"):
    return json.loads(client.file_parser.content(ident, format_type=wanted).content)

client = ZhipuAiClient(api_key="any", base_url=sys.argv[1])
messages = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
runs = [client.agents.invoke(agent_id=AGENT, messages=messages) for _ in range(JOBS)]
files = [
    client.file_parser.create(file=("one.pdf", b"%PDF-1.7", "application/pdf"), file_type="PDF", tool_type="lite")
    for _ in range(JOBS)
]
told = {
    "runs": [run.model_dump() for run in runs],
    "files": [file.model_dump() for file in files],
    "agents": {run.async_id: ended(lambda: agent(run.async_id), {"pending"}) for run in runs},
    "parser": {file.task_id: ended(lambda: parsed(file.task_id), {"processing"}) for file in files},
}
told["links"] = {ident: parsed(ident, "download_link")["parsing_result_url"] for ident in told["parser"]}
print(json.dumps(told))
"""


def _installed(target: Path) -> Path:
    """Return the interpreter of a new environment at *target* that has the SDK, or skip the test."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True, timeout=PATIENCE)
    (python,) = [path for path in (target / "bin" / "python", target / "Scripts" / "python.exe") if path.exists()]
    said = ""
    for pip in (sys.executable, "python3"):  # an environment that was made without pip is served by the system's
        command = [pip, "-m", "pip", "--python", str(python), "install", "--quiet", "zai-sdk"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        if done.returncode == 0:
            return python
        said = (done.stderr.strip().splitlines() or ["pip ended without a word"])[-1]
    pytest.skip(f"zai-sdk cannot be installed: {said}")


def _told(python: Path, url: str) -> dict[str, Any]:
    """Return what the program saw through the SDK whose base address is *url*."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [python, "-c", PROGRAM, url], env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


async def _seen_by_us(url: str, runs: Iterable[str], files: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the raw answers that our own client gets about the same jobs."""
    async with BigModel("any", base_url=url) as client:
        agents = {ident: await client.agents.job(async_id=ident, agent_id=AGENT).fetch() for ident in runs}
        parsed = {ident: await client.file_parser.job(task_id=ident).fetch() for ident in files}
    return {ident: snapshot.raw for answers in (agents, parsed) for ident, snapshot in answers.items()}


@pytest.mark.slow
def test_the_vendors_sdk_runs_against_the_simulator(tmp_path: Path) -> None:
    """It starts jobs, polls them to their ends, and reads of each what our own client reads."""
    python = _installed(tmp_path / "sdk")
    with simulating("--durations", "short", "--seed", "7") as (_, environment):
        url = environment["BIGMODEL_BASE_URL"]
        told = _told(python, f"{url}/paas/v4")
        ours = asyncio.run(_seen_by_us(url, told["agents"], told["parser"]))
    assert {run["status"] for run in told["runs"]} == {"pending"}
    assert {file["success"] for file in told["files"]} == {True}
    for part, running, good in (("agents", "pending", "success"), ("parser", "processing", "succeeded")):
        ends = [job["seen"] for job in told[part].values()]
        assert len(ends) == 8
        assert {seen[-1] for seen in ends} == {good, "failed"}
        assert {word for seen in ends for word in seen[:-1]} == {running}
    assert {ident: job["answer"] for ident, job in {**told["agents"], **told["parser"]}.items()} == ours
    for ident, job in told["parser"].items():
        assert (told["links"][ident] is not None) == (job["seen"][-1] == "succeeded")
