"""What a run is told, and what of it the ledger keeps, so that another process can go on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from attrs import asdict, evolve, fields_dict, frozen

from asyncpoll._schedule import Exponential, Fixed, Schedule
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import Learned

_PACE = ("concurrency", "rate", "timeout", "interval")
_DAY = 86_400.0


@frozen(kw_only=True)
class Options:
    """How a run is done. There is no key among them.

    Attributes:
        input: The absolute path of what names the jobs, or None for standard input.
        complete: Whether it has been read to its end.
        output: The absolute path of the results, or None for none.
        format: How they are written: "jsonl" or "csv".
        links: Whether signed links in results are kept as they are.
        concurrency: The most polls in flight.
        rate: The most polls a second, or None.
        timeout: Seconds to wait for each job, or None.
        interval: Seconds between two polls of a job, or None for a schedule that learns.
    """

    input: str | None = None
    complete: bool = False
    output: str | None = None
    format: str = "jsonl"
    links: bool = False
    concurrency: int = 100
    rate: float | None = None
    timeout: float | None = _DAY
    interval: float | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """Return the options of `asyncpoll run`."""
        output: Path | None = args.output
        return cls(
            input=None if args.jobs == "-" else str(Path(args.jobs).absolute()),
            output=None if output is None else str(output.absolute()),
            format=args.format or format_of(output),
            links=args.links,
            **_pace(args),
        )

    @classmethod
    def kept(cls, data: Mapping[str, Any]) -> Self:
        """Return the options that a ledger kept; what it did not keep is as usual, and no input is left."""
        known: dict[str, Any] = {name: value for name, value in data.items() if name in fields_dict(cls)}
        known.setdefault("complete", True)
        return cls(**known)

    def changed(self, args: argparse.Namespace) -> Self:
        """Return the options with those that `asyncpoll resume` was given in place of the earlier ones."""
        output: Path | None = args.output
        elsewhere: dict[str, Any] = {}
        if output is not None:
            elsewhere = {"output": str(output.absolute()), "format": format_of(output)}
        return evolve(self, **elsewhere, **_pace(args))

    def plain(self) -> dict[str, Any]:
        """Return the options as JSON data."""
        return asdict(self)

    def schedule(self, history: History) -> Schedule:
        """Return when each job is asked about, given how long jobs have taken so far."""
        return Learned(history=history, cold=Exponential()) if self.interval is None else Fixed(self.interval)


def _pace(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(args).items() if name in _PACE}


def format_of(output: Path | None) -> str:
    """Return the format that the name of a file suggests."""
    return "csv" if output is not None and output.suffix.lower() == ".csv" else "jsonl"
