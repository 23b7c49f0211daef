"""The command line as a whole: arguments, exit statuses, and what never reaches the terminal."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import pytest
from cli_kit import PATIENCE, process

import asyncpoll
from asyncpoll._errors import Rejected
from asyncpoll._state import State
from asyncpoll.cli import main
from asyncpoll.cli.exits import EXIT_OF_STATE
from asyncpoll.cli.guard import guarded
from asyncpoll.cli.parser import build_parser

Output = pytest.CaptureFixture[str]


def wait_arguments(*arguments: str) -> argparse.Namespace:
    """Parse the arguments of a wait for some job."""
    return build_parser().parse_args(["wait", "bigmodel.agents", "async_id=a", *arguments])


def test_version(capsys: Output) -> None:
    """`--version` prints name and version and exits with 0."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asyncpoll {asyncpoll.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["demo"], ["wait"], ["simulate"], ["endpoints"]])
def test_help(arguments: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verb has a help that fits into 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main([*arguments, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {' '.join(['asyncpoll', *arguments])}")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    "words", [["-k", "sk-secret"], ["-ksk-secret"], ["--secret=sk-secret"], ["--token-file", "sk-secret"]]
)
def test_the_value_of_an_unknown_option_is_not_repeated(words: list[str], capsys: Output) -> None:
    """It may be a key; the option is named."""
    assert main(["wait", "bigmodel.agents", "async_id=a", *words]) == 2
    err = capsys.readouterr().err
    assert f"there is no option {words[0][:2]}" in err
    assert "sk-secret" not in err


def test_too_many_arguments_are_not_repeated(capsys: Output) -> None:
    """They may be keys, too."""
    assert main(["endpoints", "sk-secret"]) == 2
    assert "too many arguments" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    """`--help` needs neither aiohttp nor attrs nor rich."""
    code = (
        "import sys; from asyncpoll.cli import main; main(['--help']);"
        "print(sorted({'aiohttp', 'attr', 'cattrs', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: VERB"),
        (["dance"], "invalid choice: 'dance'"),
        (["wait"], "the following arguments are required: ENDPOINT, KEY=VALUE"),
        (["wait", "bigmodel.agents", "a"], "'a' is neither KEY=VALUE nor KEY:=JSON"),
        (["wait", "bigmodel.agents", "=a"], "'=a' is neither KEY=VALUE nor KEY:=JSON"),
        (["wait", "bigmodel.agents", ":=1"], "':=1' is neither KEY=VALUE nor KEY:=JSON"),
        (["wait", "bigmodel.agents", "a:=b"], "what follows a:= is not JSON; for text write a=VALUE"),
        (["wait", "bigmodel.agents", "a:=" + "[" * 100_000], "what follows a:= is not JSON"),
        (["wait", "bigmodel.agents", "a=b", "--timeout", "0"], "'0' is not a number above 0"),
        (["wait", "bigmodel.agents", "a=b", "--timeout", "inf"], "'inf' is not a number above 0"),
        (["wait", "bigmodel.agents", "a=b", "--interval", "none"], "'none' is not a number above 0"),
        (["demo", "--jobs", "0"], "'0' is not a whole number above 0"),
        (["demo", "--jobs", "-1"], "'-1' is not a whole number above 0"),
        (["simulate", "--port", "65536"], "'65536' is not a port from 0 to 65535"),
        (["simulate", "--port", "http"], "'http' is not a port from 0 to 65535"),
        (["simulate", "--durations", "long"], "invalid choice: 'long'"),
    ],
)
def test_bad_arguments(arguments: list[str], complaint: str, capsys: Output) -> None:
    """A bad argument is one line on standard error that says what is wrong, and status 2."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_reference_is_text_unless_said() -> None:
    """`KEY=VALUE` is text, whatever it looks like; `KEY:=JSON` is JSON; only the first `=` parts them."""
    args = wait_arguments("n=1", 'j:={"a": [1, null]}', "url=a=b", "empty=", "colon:inside=x")
    assert args.ref[1:] == [("n", "1"), ("j", {"a": [1, None]}), ("url", "a=b"), ("empty", ""), ("colon:inside", "x")]


def test_seconds() -> None:
    """Times are seconds; only the timeout can be 'none', and it is 600 s unless said otherwise."""
    args = wait_arguments("--timeout", "none", "--interval", "0.5")
    assert (args.timeout, args.interval) == (None, 0.5)
    assert (wait_arguments().timeout, wait_arguments().interval) == (600.0, None)


def test_numbers() -> None:
    """Jobs, ports and seeds are whole numbers."""
    assert build_parser().parse_args(["demo", "--jobs", "7", "--seed", "-3"]).jobs == 7
    assert build_parser().parse_args(["simulate", "--port", "0"]).port == 0


def test_every_terminal_state_has_a_status() -> None:
    """The statuses cover the terminal states, and no others."""
    assert EXIT_OF_STATE.keys() == {state for state in State if state.is_terminal}


def failing(error: BaseException) -> Callable[[], int]:
    """Return a verb that ends with an error."""

    def verb() -> int:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Rejected("the credential is refused"), 6, "asyncpoll: the credential is refused\n"),
        (ValueError("no such\nendpoint\x1b[2J"), 2, "asyncpoll: no such endpoint [2J\n"),
        (FileNotFoundError(2, "No such file", "key.txt"), 2, "asyncpoll: key.txt cannot be used: No such file\n"),
        (OSError("no such host"), 2, "asyncpoll: no such host\n"),
        (KeyboardInterrupt(), 130, "asyncpoll: interrupted\n"),
    ],
)
def test_expected_errors(error: BaseException, status: int, line: str, capsys: Output) -> None:
    """What may be expected to go wrong in a verb is one harmless line on standard error, and a status."""
    assert guarded(failing(error)) == status
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), BrokenPipeError()])
def test_other_errors_are_not_hidden(error: BaseException) -> None:
    """A defect is no expected error and keeps its traceback; a broken pipe is somebody else's business."""
    with pytest.raises(type(error)):
        guarded(failing(error))


@pytest.mark.parametrize("arguments", [["endpoints"], ["endpoints", "--json"], ["--help"]])
def test_broken_pipe(arguments: list[str]) -> None:
    """When the reader of the output has gone, the process ends without a word, with the status shells know."""
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}  # argparse ignores what happens at once, not what comes later
    with process(*arguments, env=buffered) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        complaint = child.stderr.read()
        assert child.wait(PATIENCE) == 141
    assert complaint == ""


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_closed_from_the_start(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """What is said goes nowhere; the status tells how it ended."""
    monkeypatch.setattr(sys, name, None)
    assert main(["endpoints"]) == 0
    assert main(["wait", "nobody.knows", "id=1"]) == 2
    getattr(sys, name).close()
    said = capsys.readouterr()
    assert (said.out == "", said.err == "") == (name == "stdout", name == "stderr")


def test_runs_as_a_module() -> None:
    """`python -m asyncpoll` is the command line; importing that module runs nothing."""
    with process("--version") as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out, err) == (0, f"asyncpoll {asyncpoll.__version__}\n", "")
    assert vars(import_module("asyncpoll.__main__"))["main"] is main
