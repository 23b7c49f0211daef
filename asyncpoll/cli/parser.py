"""The arguments of every verb. Nothing is imported here that would make `--help` slow."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Never

from asyncpoll._version import __version__

_EXITS = """\
exit status:
  0  the job succeeded           4  our own --timeout; the job goes on
  1  the job failed              5  the job was cancelled at the server
  2  bad argument, or no key     6  no answer: network, server or credentials
  3  the server's own timeout    130  interrupted"""


_RUN_LINES = """\
a line of JOBS is JSON with "endpoint" and "ref", as asyncpoll submit writes it:
  {"endpoint": "molizhishu.tasks", "ref": {"task_id": "..."}}
or JOBS is a CSV with a header: endpoint, and a column for each field of a ref.
Keys come from the environment; asyncpoll endpoints lists the variables."""

_RUN_EXITS = """\
exit status:
  0  every job succeeded           6  the ledger, the network or the credential
  1  some did not, or a bad line   130  interrupted; asyncpoll resume goes on
  2  bad argument, or no key"""


_SUBMIT_LINES = """\
a line of ITEMS is JSON with "endpoint" and "submit", what start() takes:
  {"endpoint": "bigmodel.file_parser",
   "submit": {"file": "a.pdf", "tool_type": "lite"}}
An item is what its line says; the same file can be submitted again and again,
and only what is new, or was refused, is sent. When an answer was lost, nobody
knows whether the job runs; such items are named, and left alone."""

_SUBMIT_EXITS = """\
exit status:
  0  every item is submitted       6  the ledger, the network or the credential
  1  some are not, or a bad line   130  interrupted; the same command goes on
  2  bad argument, or no key"""


_UNITS: Mapping[str, int] = MappingProxyType({"": 0, "K": 10, "M": 20, "G": 30})


class _Parser(argparse.ArgumentParser):
    """Answers a mistake with one line instead of a page."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  it has overloads
        """Parse *args*; the value of an unknown option is not repeated, since it may be a key."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            long = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            options = long + [word[:2] for word in unknown if word.startswith("-") and not word.startswith("--")]
            self.error(f"there is no option {', '.join(options)}" if options else "there are too many arguments")
        return parsed

    def error(self, message: str) -> Never:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; what it parses has the name of the verb in `.verb`."""
    parser = _Parser(prog="asyncpoll", description="Wait for remote jobs: politely, cheaply, until they are done.")
    parser.add_argument("--version", action="version", version=f"asyncpoll {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (summary, add_arguments) in _VERBS.items():
        add_arguments(verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."))
    return parser


def _demo(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--jobs", type=_whole, default=60, metavar="N", help="how many jobs, at least (default: 60)")
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jobs (default: 0)")
    verb.add_argument("--pace", type=_positive, default=1.0, help="multiply every duration by this (default: 1)")
    verb.add_argument("--plain", action="store_true", help="plain lines, even where rich could draw")


def _wait(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = _EXITS
    verb.add_argument("endpoint", metavar="ENDPOINT", help="such as bigmodel.agents; `asyncpoll endpoints` lists them")
    verb.add_argument(
        "ref", nargs="+", type=_pair, metavar="KEY=VALUE", help="what names the job; KEY:=JSON for what is no text"
    )
    verb.add_argument(
        "--timeout",
        type=_positive_or_none,
        default=600.0,
        metavar="SECONDS",
        help="give up after so many seconds, or 'none' (default: 600)",
    )
    verb.add_argument("--interval", type=_positive, metavar="SECONDS", help="poll at this pace (default: 1 to 30 s)")
    verb.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds nothing but the key")
    verb.add_argument("--base-url", metavar="URL", help="where the API is, if not at its usual address")
    _network(verb)
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing on the way")


def _run(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = f"{_RUN_LINES}\n\n{_RUN_EXITS}"
    verb.add_argument("jobs", metavar="JOBS", help="a file that names a job in every line, or - for standard input")
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the results go, as they come")
    verb.add_argument("--format", choices=("jsonl", "csv"), help="how (default: as FILE ends, else jsonl)")
    verb.add_argument("--ledger", type=Path, metavar="FILE", help="what remembers the run (default: OUTPUT.ledger)")
    verb.add_argument("--links", action="store_true", help="keep signed links in results, which are masked otherwise")
    verb.add_argument("--strict", action="store_true", help="ask for nothing when any line is bad")
    _pace(verb)
    _network(verb)


def _resume(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = _RUN_EXITS
    _ledger(verb)
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="another file, for all results")
    _pace(verb, usual="as before")
    _network(verb)


def _pace(verb: argparse.ArgumentParser, usual: str | None = None) -> None:
    """Add the options that say how fast and how long to poll; what is not given does not appear among the arguments."""

    def add(name: str, kind: Callable[[str], Any], unit: str, text: str, default: str) -> None:
        text = f"{text} (default: {usual or default})"
        verb.add_argument(name, type=kind, default=argparse.SUPPRESS, metavar=unit, help=text)

    add("--concurrency", _whole, "N", "the most polls at once", "100")
    add("--rate", _positive_or_none, "N", "the most polls a second, or 'none'", "none")
    add("--timeout", _positive_or_none, "SECONDS", "give up on a job after so long, or 'none'", "86400, a day")
    add("--interval", _positive_or_none, "SECONDS", "poll a job at this pace, or 'none' to learn it", "none")
    verb.add_argument("--plain", action="store_true", help="plain lines, even where rich could draw")


def _network(verb: argparse.ArgumentParser) -> None:
    """Add the options that say how APIs are reached."""
    verb.add_argument("--proxy", metavar="URL", help="such as http://host:3128 (default: HTTPS_PROXY, HTTP_PROXY)")
    verb.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust as well, in PEM format")
    verb.add_argument("--insecure", action="store_true", help="allow http, without encryption, to every host")
    verb.add_argument("--max-body", type=_size, metavar="SIZE", help="the largest reply, such as 200M (default: 64M)")
    verb.add_argument("--key", "--api-key", "--token", nargs="?", action=_RefuseKey, help=argparse.SUPPRESS)


class _RefuseKey(argparse.Action):
    """Refuses a key as an argument, where every user of the machine could see it, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "a key on the command line can be seen by other users and stays in the history of the shell; "
            "set it in the environment (asyncpoll endpoints lists the variables), or put it into a file"
        )


def _ledger(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ledger", type=Path, metavar="LEDGER", help="what remembers the run")


def _status(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("--json", action="store_true", help="as one JSON object")


def _export(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("--format", choices=("jsonl", "csv"), help="how (default: as FILE ends, else jsonl)")
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="a file to make (default: standard output)")


def _report(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("-o", "--output", required=True, metavar="FILE", help="the page to make, or - to print it")


def _tune(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jitter (default: 0)")


def _submit(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = f"{_SUBMIT_LINES}\n\n{_SUBMIT_EXITS}"
    verb.add_argument("items", metavar="ITEMS", help="a file that holds an item in every line, or - for standard input")
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the jobs, for asyncpoll run")
    verb.add_argument("--ledger", type=Path, metavar="FILE", help="what remembers it (default: OUTPUT.submitted)")
    verb.add_argument("--concurrency", type=_whole, default=4, metavar="N", help="the most at once (default: 4)")
    verb.add_argument("--rate", type=_positive, metavar="N", help="the most a second (default: any number)")
    verb.add_argument("--links", action="store_true", help="keep signed links in results, which are masked otherwise")
    verb.add_argument(
        "--retry-unknown", action="store_true", help="submit again what may have been submitted: it may run twice"
    )
    _network(verb)


def _simulate(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--port", type=_port, default=8765, help="the port, 0 for any free one (default: 8765)")
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jobs (default: 0)")
    verb.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    verb.add_argument("--expose", action="store_true", help="allow a --host that other machines can reach")
    verb.add_argument(
        "--durations",
        choices=("instant", "short", "real"),
        default="short",
        help="how long jobs take: no time, seconds, or minutes (default: short)",
    )


def _endpoints(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="as one JSON object")


_VERBS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = MappingProxyType(
    {
        "demo": ("await many simulated jobs over real HTTP and check every outcome", _demo),
        "submit": ("start the jobs that a file describes, each at most once", _submit),
        "run": ("wait for the jobs that a file names, and lose none however it ends", _run),
        "resume": ("go on with a run that was interrupted", _resume),
        "status": ("say how far a run has come", _status),
        "export": ("print the outcomes of a run", _export),
        "report": ("make a page that shows a run", _report),
        "tune": ("say what other schedules would have cost a run", _tune),
        "wait": ("wait for one job and print its result as a line of JSON", _wait),
        "simulate": ("serve simulated APIs until Ctrl-C", _simulate),
        "endpoints": ("list the endpoints, their status words and environment variables", _endpoints),
    }
)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if unit not in _UNITS or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes such as 1000000, 200M or 1G")
    return int(number) << _UNITS[unit]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 0xFFFF:  # noqa: PLR2004  the highest port there is
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _positive_or_none(text: str) -> float | None:
    return None if text == "none" else _positive(text)


def _pair(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    key = name.removesuffix(":")
    if not (mark and key):
        raise argparse.ArgumentTypeError(f"{text!r} is neither KEY=VALUE nor KEY:=JSON")
    if key == name:
        return key, value
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError(f"what follows {name}= is not JSON; for text write {key}=VALUE") from None
