"""The options of a run, and those of them that the ledger keeps, so that another process can go on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import asdict, evolve, field, fields_dict, frozen

from asyncpoll._schedule import Exponential, Fixed, Schedule
from asyncpoll.clients._access import Target
from asyncpoll.clients._targets import Targets
from asyncpoll.ledger import Csv, JsonLines
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

_PACE = ("concurrency", "rate", "timeout", "interval", "price")
_DAY = 86_400.0


@frozen(kw_only=True)
class Options:
    """How a run is done. There is no key among them.

    Attributes:
        input: The absolute path of the file that names the jobs, or None for standard input.
        endpoint: The name of the endpoint of its lines that do not name one, or None.
        code: Where endpoints in Python are that it uses, by name.
        shard: The share of its lines that the run has, such as "3/8", or None for all of them.
        complete: Whether it has been read to its end.
        output: The absolute path of the results, or None for none.
        format: The format of the results: "jsonl" or "csv".
        links: Whether signed links in results are kept as they are.
        concurrency: The most polls in flight.
        rate: The most polls a second, or None.
        timeout: Seconds to wait for each job, or None.
        interval: Seconds between two polls of a job, or None for a schedule that learns.
        price: The share of a job's duration that a poll is worth, or None for the usual one.
        base_url: The address of the API, or None.
        key_file: The absolute path of a file with the key, or None.
        key_env: The environment variable with the key, or None for the usual one.
    """

    input: str | None = None
    endpoint: str | None = None
    code: Mapping[str, str] = field(factory=dict)
    shard: str | None = None
    complete: bool = False
    output: str | None = None
    format: str = "jsonl"
    links: bool = False
    concurrency: int = 100
    rate: float | None = None
    timeout: float | None = _DAY
    interval: float | None = None
    price: float | None = None
    base_url: str | None = None
    key_file: str | None = None
    key_env: str | None = None

    @classmethod
    def of(cls, args: argparse.Namespace, usual: Target | None, targets: Targets) -> Self:
        """Return the options of `asyncpoll run`, given the endpoint of lines without one, and those that were found."""
        output: Path | None = args.output
        return cls(
            input=None if args.jobs == "-" else str(Path(args.jobs).absolute()),
            endpoint=None if usual is None else usual.name,
            code=targets.code,
            shard=None if args.shard == "1/1" else args.shard,
            output=None if output is None else str(output.absolute()),
            format=args.format or format_of(output),
            links=args.links,
            **_given(args),
        )

    @classmethod
    def kept(cls, data: Mapping[str, Any]) -> Self:
        """Return the options that a ledger kept; one that it did not keep is as usual, and no input is left."""
        known: dict[str, Any] = {name: value for name, value in data.items() if name in fields_dict(cls)}
        known.setdefault("complete", True)
        return cls(**known)

    def changed(self, args: argparse.Namespace) -> Self:
        """Return the options with those that `asyncpoll resume` was given in place of the earlier ones."""
        output: Path | None = args.output
        elsewhere: dict[str, Any] = {}
        if output is not None:
            elsewhere = {"output": str(output.absolute()), "format": format_of(output)}
        return evolve(self, **elsewhere, **_given(args))

    def plain(self) -> dict[str, Any]:
        """Return the options as JSON data."""
        return asdict(self)

    @property
    def reach(self) -> dict[str, str | None]:
        """How the run reaches its API, as arguments of `Clients`."""
        return {"base_url": self.base_url, "key_file": self.key_file, "key_env": self.key_env}

    def hub(self, history: History) -> Hub:
        """Return a hub for the run, given how long jobs have taken so far."""
        return Hub(concurrency=self.concurrency, rate=self.rate, schedule=self.schedule(history))

    def schedule(self, history: History) -> Schedule:
        """Return the schedule of the polls, given how long jobs have taken so far."""
        if self.interval is not None:
            return Fixed(self.interval)
        return Learned(history=history, price=self.price, cold=Exponential())

    def sink(self, path: str) -> Csv | JsonLines:
        """Return a file of results, in the format of the run."""
        return Csv(path) if self.format == "csv" else JsonLines(path)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, of those that have a usual or an earlier value."""
    given = {name: value for name, value in vars(args).items() if name in _PACE}
    if args.base_url is not None:
        given["base_url"] = args.base_url
    if args.key_file is not None or args.key_env is not None:
        given["key_file"] = None if args.key_file is None else str(args.key_file.absolute())
        given["key_env"] = args.key_env
    return given


def format_of(output: Path | None) -> str:
    """Return the format that the name of a file suggests."""
    return "csv" if output is not None and output.suffix.lower() == ".csv" else "jsonl"
