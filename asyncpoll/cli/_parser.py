"""The arguments of every verb. Nothing is imported here that would make `--help` slow."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Never

from asyncpoll._masking import mask_words
from asyncpoll._version import __version__
from asyncpoll.cli._streams import write_results

if TYPE_CHECKING:
    from ssl import SSLContext

    from asyncpoll.clients import Clients

_EXITS = """\
exit status:
  0  the job succeeded           4  our own --timeout; the job goes on
  1  the job failed              5  the job was cancelled at the server
  2  bad argument, or no key     6  no answer: network, server or credentials
  3  the server's own timeout    130  interrupted"""


_RUN_LINES = """\
a line of JOBS is JSON with "endpoint" and "ref", as asyncpoll submit writes it:
  {"endpoint": "molizhishu.tasks", "ref": {"task_id": "..."}}
or JOBS is a CSV with a header: endpoint, and a column for each field of a ref;
or, with --endpoint, it has an id in every line, or a column of ids.
Further columns and keys come back in the results, under "meta".
Keys come from the environment; asyncpoll endpoints lists the variables."""

_RUN_EXITS = """\
exit status:
  0  every job succeeded           6  the ledger, the network or the credential
  1  some did not, or a bad line   130  interrupted; asyncpoll resume goes on
  2  bad argument, or no key"""


_SUBMIT_LINES = """\
a line of ITEMS is JSON with "endpoint" and "submit", the arguments of start():
  {"endpoint": "bigmodel.file_parser",
   "submit": {"file": "a.pdf", "tool_type": "lite"}}
The same file can be submitted again and again: only items that are new, or
were refused, are sent. If the answer to a submit is lost, the job may or may
not run; such items are named, and left alone."""

_SUBMIT_EXITS = """\
exit status:
  0  every item is submitted       6  the ledger, the network or the credential
  1  some are not, or a bad line   130  interrupted; the same command goes on
  2  bad argument, or no key"""


_OTHERS = stat.S_IRGRP | stat.S_IROTH
_UNITS: Mapping[str, int] = MappingProxyType({"": 0, "K": 10, "M": 20, "G": 30})


class _Parser(argparse.ArgumentParser):
    """Answers a mistake with one line instead of a page, and repeats nothing that may be a key."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  it has overloads
        """Parse *args*; the value of an unknown option is not repeated."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            long = [word.partition("=")[0] for word in unknown if word.startswith("--")]
            options = long + [word[:2] for word in unknown if word.startswith("-") and not word.startswith("--")]
            self.error(f"there is no option {', '.join(options)}" if options else "there are too many arguments")
        return parsed

    def error(self, message: str) -> Never:
        """Print one line, without what may be a key, and exit with 2."""
        self.exit(2, f"{self.prog}: {mask_words(message)}; see {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse ignores an error here: a full disk or a closed pipe would pass for success.
        if file is sys.stdout:
            write_results(message.encode(sys.stdout.encoding, "replace"))
        else:
            super()._print_message(message, file)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; in what it parses `.module` is the module of the verb."""
    parser = _Parser(prog="asyncpoll", description="Wait for remote jobs: politely, cheaply, until they are done.")
    parser.add_argument("--version", action="version", version=f"asyncpoll {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (summary, add_arguments) in _VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        verb.set_defaults(module=name if name == "report" else f"_{name}")  # report is a package
        add_arguments(verb)
    return parser


def _demo(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--jobs", type=_whole, default=60, metavar="N", help="how many jobs, at least (default: 60)")
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jobs (default: 0)")
    verb.add_argument("--pace", type=_positive, default=1.0, help="multiply every duration by this (default: 1)")
    _plain(verb)


def _wait(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = _EXITS
    verb.add_argument("endpoint", metavar="ENDPOINT", help="such as bigmodel.agents, ./acme.toml or module:attribute")
    verb.add_argument(
        "ref", nargs="+", type=_pair, metavar="KEY=VALUE", help="what names the job; KEY:=JSON for other than text"
    )
    verb.add_argument(
        "--timeout",
        type=_positive_or_none,
        default=600.0,
        metavar="SECONDS",
        help="give up after so many seconds, or 'none' (default: 600)",
    )
    verb.add_argument("--interval", type=_positive, metavar="SECONDS", help="poll at this pace (default: 1 to 30 s)")
    _access(verb)
    verb.add_argument("-q", "--quiet", action="store_true", help="print nothing but the result")


def _run(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = f"{_RUN_LINES}\n\n{_RUN_EXITS}"
    verb.add_argument("jobs", metavar="JOBS", help="a file that names a job in every line, or - for standard input")
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the results go, as they come")
    _named(verb, "the endpoint of every line that does not name one")
    verb.add_argument("--format", choices=("jsonl", "csv"), help="of the results (default: as FILE ends, else jsonl)")
    verb.add_argument("--ledger", type=Path, metavar="FILE", help="what remembers the run (default: OUTPUT.ledger)")
    verb.add_argument("--append", action="store_true", help="add the jobs to the run of another file of jobs")
    verb.add_argument("--shard", type=_shard, metavar="N/COUNT", help="only this share of the jobs, such as 3/8")
    verb.add_argument("--links", action="store_true", help="keep signed links in results, which are masked otherwise")
    verb.add_argument("--strict", action="store_true", help="send nothing if any line is bad")
    _pace(verb)
    _dask(verb)
    _plain(verb)
    _loss(verb)
    _access(verb)


def _resume(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = _RUN_EXITS
    _ledger(verb)
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="another file, for all results")
    verb.add_argument(
        "--retry",
        type=_endings,
        default=(),
        metavar="ENDINGS",
        help="wait again for jobs that ended so: rejected, unfinished, failed, or several of them with commas",
    )
    _named(verb, "where an endpoint in Python is: package.module:attribute")
    _pace(verb, usual="as before")
    _dask(verb)
    _plain(verb)
    _access(verb)


def _pace(verb: argparse.ArgumentParser, usual: str | None = None) -> None:
    """Add the options that say how fast and how long to poll; one that is not given is not among the arguments."""

    def add(name: str, kind: Callable[[str], Any], unit: str, text: str, default: str) -> None:
        text = f"{text} (default: {usual or default})"
        verb.add_argument(name, type=kind, default=argparse.SUPPRESS, metavar=unit, help=text)

    add("--concurrency", _whole, "N", "the most polls at once", "100")
    add("--rate", _positive_or_none, "N", "the most polls a second, or 'none'", "none")
    add("--timeout", _positive_or_none, "SECONDS", "give up on a job after so long, or 'none'", "86400, a day")
    add("--interval", _positive_or_none, "SECONDS", "poll a job at this pace, or 'none' to learn it", "none")
    add("--price", _positive, "SHARE", "the worth of a poll, as a share of how long a job takes", "0.03")


def _dask(verb: argparse.ArgumentParser) -> None:
    text = (
        "poll on a Dask cluster: the address of its scheduler, or local:N for N processes; keys come from the workers"
    )
    verb.add_argument("--dask", metavar="ADDRESS", help=text)


def _named(verb: argparse.ArgumentParser, text: str) -> None:
    """Add the option that names endpoints: one or several times."""
    verb.add_argument("--endpoint", action="append", default=[], metavar="NAME", help=text)


def _plain(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--plain", action="store_true", help="plain lines, even where rich could draw")


def _loss(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--accept-loss", action="store_true", help="use a ledger that has lost its last entries")


def _access(verb: argparse.ArgumentParser) -> None:
    """Add the options that say how APIs are reached."""
    key = verb.add_mutually_exclusive_group()
    key.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds nothing but the key")
    key.add_argument("--key-env", type=_variable, metavar="NAME", help="the environment variable that holds the key")
    verb.add_argument("--base-url", metavar="URL", help="where the API is, if not at its usual address")
    verb.add_argument("--proxy", metavar="URL", help="such as http://host:3128 (default: HTTPS_PROXY, HTTP_PROXY)")
    verb.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust as well, in PEM format")
    verb.add_argument("--insecure", action="store_true", help="allow http, without encryption, to every host")
    verb.add_argument("--max-body", type=_size, metavar="SIZE", help="the largest reply, such as 200M (default: 64M)")
    verb.add_argument("--key", "--api-key", "--token", nargs="?", action=_RefuseKey, help=argparse.SUPPRESS)


def clients_of(args: argparse.Namespace, **given: Any) -> Clients:
    """Return the clients for what these options say, or for what is *given* in their place.

    Raises:
        ValueError: The file of `--ca-file` does not hold certificates.
        OSError: It cannot be read.
    """
    from asyncpoll.cli._output import note  # noqa: PLC0415  --help is quick without them
    from asyncpoll.clients import Clients  # noqa: PLC0415  likewise

    names = ("base_url", "key_file", "key_env", "proxy", "max_body")
    options = {name: value for name in names if (value := getattr(args, name)) is not None}
    options |= given
    if args.insecure:
        options["insecure"] = True
    if args.ca_file is not None:
        options["ssl"] = _trusting(args.ca_file)
    file = None if (name := options.get("key_file")) is None else Path(name)
    if os.name == "posix" and file is not None and file.is_file() and file.stat().st_mode & _OTHERS:
        note(f"asyncpoll: warning: other users can read {file}; run: chmod 600 {file}")
    return Clients(**options)


def _trusting(file: Path) -> SSLContext:
    """Return a context that trusts the authorities in *file*, and those of the system."""
    import ssl  # noqa: PLC0415  --help is quick without it

    authorities = file.read_text(encoding="ascii", errors="replace")
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{file} does not hold certificates; --ca-file takes a file in PEM format") from None
    return context


class _RefuseKey(argparse.Action):
    """Refuses a key as an argument, where every user of the machine could see it, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "a key on the command line can be seen by other users and stays in the history of the shell; "
            "set it in the environment (asyncpoll endpoints lists the variables), or pass --key-file FILE"
        )


def _ledger(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("ledger", type=Path, metavar="LEDGER", help="what remembers the run")
    _loss(verb)


def _status(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("--json", action="store_true", help="as one JSON object")


def _export(verb: argparse.ArgumentParser) -> None:
    text = "what remembers the run; several, such as one for each shard, are merged"
    verb.add_argument("ledgers", type=Path, nargs="+", metavar="LEDGER", help=text)
    _loss(verb)
    verb.add_argument("--format", choices=("jsonl", "csv"), help="of the results (default: as FILE ends, else jsonl)")
    verb.add_argument("-o", "--output", type=Path, metavar="FILE", help="a file to make (default: standard output)")


def _report(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    verb.add_argument("-o", "--output", required=True, metavar="FILE", help="the page to make, or - to print it")


def _tune(verb: argparse.ArgumentParser) -> None:
    _ledger(verb)
    text = "say when such a job is polled, and why: its key, its number, or a field of its reference, such as its id"
    verb.add_argument("--job", metavar="JOB", help=text)
    verb.add_argument(
        "--price", type=_positive, metavar="SHARE", help="compare what is learned at this price, too, or explain it"
    )
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jitter (default: 0)")


def _submit(verb: argparse.ArgumentParser) -> None:
    verb.formatter_class = argparse.RawDescriptionHelpFormatter
    verb.epilog = f"{_SUBMIT_LINES}\n\n{_SUBMIT_EXITS}"
    verb.add_argument("items", metavar="ITEMS", help="a file that holds an item in every line, or - for standard input")
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the jobs, for asyncpoll run")
    _named(verb, "the endpoint of every item that does not name one")
    verb.add_argument("--ledger", type=Path, metavar="FILE", help="what remembers it (default: OUTPUT.submitted)")
    verb.add_argument("--concurrency", type=_whole, default=4, metavar="N", help="the most at once (default: 4)")
    verb.add_argument("--rate", type=_positive, metavar="N", help="the most a second (default: any number)")
    verb.add_argument("--links", action="store_true", help="keep signed links in results, which are masked otherwise")
    verb.add_argument(
        "--retry-unknown", action="store_true", help="submit again what may have been submitted: it may run twice"
    )
    _plain(verb)
    _access(verb)


def _file(verb: argparse.ArgumentParser, name: str = "file", **how_many: Any) -> None:
    text = "a definition: acme.toml, acme.toml#NAME for one of its endpoints, a name of the catalogue, module:attribute"
    verb.add_argument(name, metavar="FILE", help=text, **how_many)


def _show(verb: argparse.ArgumentParser) -> None:
    _file(verb)
    verb.add_argument("--base-url", metavar="URL", help="where the API is, if not where the definition says")
    verb.add_argument("--key-env", type=_variable, metavar="NAME", help="the environment variable that holds the key")


def _lint(verb: argparse.ArgumentParser) -> None:
    _file(verb, "files", nargs="+")
    verb.add_argument("--strict", action="store_true", help="exit with 1 on any finding, not only on errors")
    verb.add_argument("--json", action="store_true", help="as one JSON list")


def _draft(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("document", metavar="DOCUMENT", help="an OpenAPI document, or waiters-2.json#WAITER of botocore")
    verb.add_argument("--path", metavar="PATH", help="the path that tells the status of a job, such as '/tasks/{id}'")
    verb.add_argument("--method", metavar="METHOD", help="its method, where it has several")
    text = "service-2.json of a waiter, which has its request (default: that beside it)"
    verb.add_argument("--service", type=Path, metavar="FILE", help=text)


def _rehearse(verb: argparse.ArgumentParser) -> None:
    _file(verb)
    verb.add_argument(
        "--durations", type=Path, required=True, metavar="FILE", help="seconds that each job takes, one in every line"
    )
    verb.add_argument("--arrivals", type=_seconds, default=0.0, metavar="SECONDS", help="submit them over so long")
    verb.add_argument("--outage", type=_outage, metavar="START,SECONDS", help="when the API fails, and for how long")
    verb.add_argument("--seed", type=int, default=0, help="another seed, other jitter (default: 0)")
    _pace(verb)
    verb.add_argument("--json", action="store_true", help="as one JSON object")


def _simulate(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", nargs="?", metavar="FILE", help="a definition to serve, instead of the built-in APIs")
    verb.add_argument("--log", type=Path, metavar="FILE", help="write a line for each request, with time and job")
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
    verb.add_argument("endpoints", nargs="*", metavar="ENDPOINT", help="such as ./acme.toml (default: those built in)")
    verb.add_argument("--all", action="store_true", help="list the catalogue, too, with sources and dates")
    verb.add_argument("--json", action="store_true", help="as one JSON object")


_VERBS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = MappingProxyType(
    {
        "demo": ("await many simulated jobs over real HTTP and check every outcome", _demo),
        "submit": ("start the jobs that a file describes, each at most once", _submit),
        "run": ("wait for the jobs that a file names, and lose none however it ends", _run),
        "resume": ("go on with a run that was interrupted", _resume),
        "status": ("show how far a run has come", _status),
        "export": ("print the outcomes of a run, or of several", _export),
        "report": ("make a page that shows a run", _report),
        "tune": ("compare the cost of a run with that of other schedules, or explain the polls of a job", _tune),
        "wait": ("wait for one job and print its result as a line of JSON", _wait),
        "draft": ("draft the definition of an API from a document about it", _draft),
        "lint": ("find what is wrong with a definition", _lint),
        "show": ("show what a definition says, and which key goes where", _show),
        "simulate": ("serve simulated APIs until Ctrl-C", _simulate),
        "rehearse": ("try a bulk run on a simulated API, in virtual time", _rehearse),
        "endpoints": ("list the endpoints, their status words and environment variables", _endpoints),
    }
)

_RETRIED = ("rejected", "unfinished", "failed")


def _endings(text: str) -> tuple[str, ...]:
    endings = tuple(word.strip() for word in text.split(","))
    for word in endings:
        if word not in _RETRIED:
            raise argparse.ArgumentTypeError(f"{word!r} is not one of {', '.join(_RETRIED)}")
    return endings


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _shard(text: str) -> str:
    found = re.fullmatch(r"0*([1-9]\d{0,5})/0*([1-9]\d{0,5})", text, re.ASCII)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not N/COUNT such as 3/8, with N from 1 to COUNT")
    return f"{found[1]}/{found[2]}"


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


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of an environment variable such as ACME_API_KEY")
    return text


def _seconds(text: str) -> float:
    return 0.0 if text == "0" else _positive(text)


def _outage(text: str) -> tuple[float, float]:
    start, comma, length = text.partition(",")
    if not comma:
        raise argparse.ArgumentTypeError(f"{text!r} is not START,SECONDS such as 60,30")
    return _seconds(start), _positive(length)


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
        raise argparse.ArgumentTypeError(f"the value after {name}= is not JSON; for text write {key}=VALUE") from None
