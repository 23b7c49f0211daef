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


class _Parser(argparse.ArgumentParser):
    """Answers a mistake with one line instead of a page."""

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
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing on the way")


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
        "wait": ("wait for one job and print its result as a line of JSON", _wait),
        "simulate": ("serve simulated APIs until Ctrl-C", _simulate),
        "endpoints": ("list the endpoints, their status words and environment variables", _endpoints),
    }
)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


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
