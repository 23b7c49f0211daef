"""Every example of the README and of the documentation is executed, every command is run or compared."""

from __future__ import annotations

import asyncio
import fnmatch
import inspect
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_kit import process, simulator
from pages_kit import DOCS, README, ROOT, Block, blocks, pages
from server_kit import PATIENCE, serving

from asyncpoll import Fixed
from asyncpoll.cli import main
from asyncpoll.definitions import Definition, lint
from asyncpoll.http import AiohttpTransport, Bearer
from asyncpoll.simulator import Constant

EVERY = [block for page in pages() for block in blocks(page)]
PYTHON = [block for block in EVERY if block.language == "python"]
DEFINITIONS = [block for block in EVERY if block.language == "toml" and block.text.startswith("name =")]
FILES = [shown for block in EVERY if (shown := block.file()) is not None]
CONSOLE = sorted({block.page for block in EVERY if block.language == "console"})
SHOWN = {"text", "sh", "json", "csv", "toml"}
"""The languages of blocks that show something: a file, a picture, or the two commands of the README."""

WIDTH = 88
"""The characters that fit into a line of code on a page."""

CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
RUN_BY_CI = re.sub(r'"\$(?:bin/)?([\w-]+)"', r"\1", CI)
"""The script of CI, with its programs called by their names."""

SET_UP = re.compile(
    r"git clone https://github\.com/asyncpoll/asyncpoll|cd asyncpoll|\. \.venv/bin/activate|python -m venv \.venv"
    r"|python -m pip install (?:asyncpoll\[cli\]|-e \.\[test,docs\])|pre-commit install|ruff format \."
    r"|python -m pytest -m slow"
)
"""Commands for people: to set up, to change files, and to run what takes long."""


@pytest.fixture
def duration() -> float:
    """Return the seconds that the simulated jobs stay in each state."""
    return 0.0


@pytest.fixture
def world(duration: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a directory with a few files and those of pages, and the environment of a simulator of jobs that succeed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, content in FILES:
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 a report")
    submit = '{"endpoint": "bigmodel.file_parser", "submit": {"file": "report.pdf", "tool_type": "lite"}}\n'
    (tmp_path / "items.jsonl").write_text(submit, encoding="utf-8")
    always = {"bigmodel.file_parser": {"succeeded": 1.0}, "bigmodel.agents": {"success": 1.0}}
    with simulator(seed=1, pending=Constant(duration), processing=Constant(duration), outcomes=always) as sim:
        for name, value in {
            "BIGMODEL_API_KEY": "any",
            "BIGMODEL_BASE_URL": f"{sim.url}/api",
            "MOLIZHISHU_TOKEN": "any",
            "MOLIZHISHU_BASE_URL": f"{sim.url}/api/business/monitor",
        }.items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def executed(block: Block) -> dict[str, Any]:
    """Execute a block as a module of its own, with the lines of its page in tracebacks; return what it defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    exec(code, names)  # noqa: S102  it is our own documentation
    return names


@pytest.mark.parametrize("block", DEFINITIONS, ids=str)
def test_every_definition_is_valid(block: Block) -> None:
    """A definition on a page can be read, and its words are read back."""
    assert [finding for finding in lint(Definition.parse(block.text)) if finding.level == "error"] == []


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_every_example_runs(block: Block, world: Path) -> None:
    """Every Python block runs as it stands, warnings being errors, and so does every test that it defines."""
    defined = executed(block)
    for test in [value for name, value in defined.items() if name.startswith("test_")]:
        result = test()
        if inspect.iscoroutine(result):
            asyncio.run(result)


@pytest.mark.parametrize("duration", [0.3])  # long enough to be seen unfinished
@pytest.mark.parametrize("page", CONSOLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_works(page: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of a page work one after the other; where it shows their output, they print it."""
    with ExitStack() as servers:
        for block in blocks(page):
            for command, output in block.commands() if block.language == "console" else ():
                printed = outcome_of(shlex.split(os.path.expandvars(command)), capsys, servers)
                assert fnmatch.fnmatchcase(printed, pattern(output)), (str(block), command, printed)


def outcome_of(words: list[str], capsys: pytest.CaptureFixture[str], servers: ExitStack) -> str:
    """Run a command of asyncpoll, which must end with 0, and return what it prints; compare any other command."""
    if words[:2] == ["asyncpoll", "simulate"]:
        return serve(words[2:], servers) if words[2:3] == ["acme.toml"] else simulate(words[2:])
    if words[0] == "asyncpoll" and "demo" not in words:
        status = main(words[1:])
        out, err = capsys.readouterr()
        assert status == 0, (words, err)
        return out + err
    assert is_known(" ".join(words)), words
    return ""


def pattern(output: str) -> str:
    """Return a pattern for the output that a page shows, in which "..." stands for anything."""
    return re.sub(r"[\[\]?*]", "?", output).replace("...", "*") if output else "*"


def simulate(arguments: list[str]) -> str:
    """Start the simulator as a page says, but for its port, and end it as Ctrl-C does; return what it prints."""
    chosen = arguments if "--port" in arguments else [*arguments, "--port", "8765"]
    with process("simulate", *("0" if word == "8765" else word for word in chosen)) as child:
        assert child.stdout is not None
        lines = child.stdout.readline() + child.stdout.readline()
        child.send_signal(signal.SIGINT)
        rest, notes = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0
    return re.sub(r":\d+/", ":8765/", lines) + rest + notes


def serve(arguments: list[str], servers: ExitStack) -> str:
    """Start the server of a definition until the end of the page, with jobs that end at once; set what it says."""
    child = servers.enter_context(process("simulate", *arguments, "--port", "0", "--durations", "instant"))
    servers.callback(child.kill)
    assert child.stdout is not None
    line = child.stdout.readline()
    for name, value in (word.split("=", 1) for word in line.split()[1:]):
        servers.enter_context(pytest.MonkeyPatch.context()).setenv(name, value)
    return re.sub(r":\d+/", ":8765/", line)


def is_known(command: str) -> bool:
    """Return whether CI runs a command, the README has it, a person has to run it, or it names a file that exists."""
    is_run = command.removesuffix(" docs/_build") in RUN_BY_CI or f"-m {command}\n" in README.read_text(
        encoding="utf-8"
    )
    files = [ROOT / word for word in command.split() if "/" in word]
    return is_run or SET_UP.fullmatch(command) is not None or any(file.is_file() for file in files)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_has_a_language(page: Path) -> None:
    """A block is code that is executed, commands that are, or one of a few languages that only show something."""
    directives = re.compile(r"\{[a-z-]+\}")
    for block in blocks(page):
        known = block.language in {"python", "console"} | SHOWN or directives.fullmatch(block.language)
        assert known, str(block)


def test_the_endpoint_of_the_pages_works_over_http() -> None:
    """The endpoint of the tutorial is awaited over an `AiohttpTransport` with a key."""
    block = next(block for block in PYTHON if block.page == DOCS / "tutorial.md" and "acme.renders" in block.text)
    made = executed(block)
    words, keys = iter(["queued", "active", "done"]), set[str | None]()

    async def answer(request: web.Request) -> web.Response:
        keys.add(request.headers.get("Authorization"))
        return web.json_response({"status": next(words), "url": request.path})

    async def wait() -> Any:
        async with serving(answer) as base, AiohttpTransport(base, auth=Bearer("secret")) as transport:
            return await made["renders"].job(transport, "a b").result(timeout=60, schedule=Fixed(0.01))

    assert asyncio.run(wait()) == "/renders/a b"
    assert keys == {"Bearer secret"}


def test_examples_fit_a_page() -> None:
    """No line of an example is wider than a page of the documentation."""
    wide = [str(block) for block in PYTHON if max(map(len, block.text.splitlines())) > WIDTH]
    assert wide == []


def test_the_first_example_is_short() -> None:
    """The first example of the README has fewer than 15 lines of code."""
    first = next(block for block in PYTHON if block.page == README)
    assert len([line for line in first.text.splitlines() if line.strip()]) < 15


def test_the_commands_of_the_readme_are_what_ci_runs() -> None:
    """CI runs the first command as it stands, and the test command of the second one."""
    demo, tests = (block.text for block in blocks(README) if block.language == "sh")
    assert "README.md | sed -n 2p" in CI
    assert demo.rstrip().endswith(".venv/bin/python -m asyncpoll demo")
    (command,) = re.findall(r"\.venv/bin/python (-m pytest .*)$", tests, re.MULTILINE)
    assert f'"$bin/python" {command}\n' in CI


def test_the_page_of_the_command_line_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """The page has every command of `asyncpoll --help`, and every exit status that `wait --help` lists."""
    page = DOCS / "command-line.md"
    assert main(["--help"]) == main(["wait", "--help"]) == 0
    printed = capsys.readouterr().out
    (block,) = (block for block in EVERY if block.page == page and block.language == "console")
    shown = {command.split()[1] for command, _ in block.commands()}
    assert shown == set(re.findall(r"^    ([a-z]+)\b", printed, re.MULTILINE))
    statuses = set(re.findall(r"\b(\d+)  \S", printed.rpartition("exit status:")[2]))
    assert set(re.findall(r"^\| (\d+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)) == statuses
