"""The command line as a whole: arguments, exit statuses, and what never reaches the terminal."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

import pytest
from cli_kit import process
from server_kit import PATIENCE

import asyncpoll
from asyncpoll._state import State
from asyncpoll.cli import EXIT_OF_STATE, main
from asyncpoll.cli._parser import build_parser

Output = pytest.CaptureFixture[str]


def wait_arguments(*arguments: str) -> argparse.Namespace:
    """Parse the arguments of a wait for some job."""
    return build_parser().parse_args(["wait", "bigmodel.agents", "async_id=a", *arguments])


def test_version_is_printed(capsys: Output) -> None:
    """`--version` prints name and version and exits with 0."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"asyncpoll {asyncpoll.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["demo"], ["wait"], ["simulate"], ["endpoints"]])
def test_every_verb_has_a_help_for_80_columns(
    arguments: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert main(["demo", "sk-secret"]) == 2
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
        (["wait", "bigmodel.agents", "a:=b"], "the value after a:= is not JSON; for text write a=VALUE"),
        (["wait", "bigmodel.agents", "a:=" + "[" * 100_000], "the value after a:= is not JSON"),
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
def test_a_bad_argument_is_one_line(arguments: list[str], complaint: str, capsys: Output) -> None:
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


def test_times_are_in_seconds() -> None:
    """Times are seconds; only the timeout can be 'none', and it is 600 s unless said otherwise."""
    args = wait_arguments("--timeout", "none", "--interval", "0.5")
    assert (args.timeout, args.interval) == (None, 0.5)
    assert (wait_arguments().timeout, wait_arguments().interval) == (600.0, None)


def test_jobs_ports_and_seeds_are_whole_numbers() -> None:
    """Jobs, ports and seeds are whole numbers."""
    assert build_parser().parse_args(["demo", "--jobs", "7", "--seed", "-3"]).jobs == 7
    assert build_parser().parse_args(["simulate", "--port", "0"]).port == 0


def test_every_terminal_state_has_a_status() -> None:
    """The statuses cover the terminal states, and no others."""
    assert EXIT_OF_STATE.keys() == {state for state in State if state.is_terminal}


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["status", "nowhere"], 2, "asyncpoll: there is no ledger nowhere"),
        (["run", "nowhere", "-o", "out"], 2, "asyncpoll: nowhere cannot be used: No such file or directory"),
        (["status", "."], 6, "asyncpoll: . is a directory, not a ledger"),
        (["wait", "no\nsuch\x1b[2J", "a=b"], 2, "asyncpoll: no endpoint"),
    ],
)
def test_an_expected_error_is_one_line_and_a_status(
    arguments: list[str], status: int, line: str, capsys: Output
) -> None:
    """What may be expected to go wrong in a verb is one harmless line on standard error, and a status."""
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert (out, err.startswith(line), err.count("\n")) == ("", True, 1)
    assert err.rstrip("\n").isprintable()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_is_closed_from_the_start(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    """What is said goes nowhere; the status tells how it ended."""
    monkeypatch.setattr(sys, name, None)
    assert main(["endpoints"]) == 0
    assert main(["wait", "nobody.knows", "id=1"]) == 2
    getattr(sys, name).close()
    said = capsys.readouterr()
    assert (said.out == "", said.err == "") == (name == "stdout", name == "stderr")


def test_the_package_runs_as_a_module() -> None:
    """`python -m asyncpoll` is the command line; importing that module runs nothing."""
    with process("--version") as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out, err) == (0, f"asyncpoll {asyncpoll.__version__}\n", "")
    assert vars(import_module("asyncpoll.__main__"))["main"] is main
