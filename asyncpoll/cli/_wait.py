"""`asyncpoll wait`: one job, one line of JSON, one exit status."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from attrs import define

from asyncpoll._errors import WaitTimeout
from asyncpoll._schedule import Exponential, Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli import EXIT_OF_STATE, Exit
from asyncpoll.cli._output import message_of, note, result_of, say_json
from asyncpoll.cli._parser import clients_of
from asyncpoll.events import Ended, Event, Missed, Polled

_NOT_YET = Ended(None, None, None, polls=0, waited=0.0)


def run(args: argparse.Namespace) -> int:
    """Wait for the job that the arguments name."""
    return asyncio.run(_wait(args))


async def _wait(args: argparse.Namespace) -> Exit:
    schedule = Exponential() if args.interval is None else Fixed(args.interval)
    journal = _Journal(quiet=args.quiet)
    async with clients_of(args) as clients:
        target, ref = clients.targets.load(args.endpoint), _reference(args.ref)
        target.check(ref)
        job = clients.job(target.name, ref)
        try:
            seen = await job.wait(timeout=args.timeout, schedule=schedule, observe=journal)
            status = EXIT_OF_STATE[seen.state]
        except WaitTimeout as error:
            note(f"asyncpoll: {message_of(error)}")
            status = Exit.DEADLINE
    say_json(result_of(job, journal.end))
    return status


def _reference(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    reference = dict(pairs)
    if len(reference) < len(pairs):
        raise ValueError("one KEY is given twice; give each of them once")
    return reference


@define
class _Journal:
    """An observer that notes every change of state or kind and every miss, and keeps the end of the wait.

    Attributes:
        quiet: Whether nothing is noted.
        end: The end of the wait.
        seen: The state and the kind last seen.
    """

    quiet: bool
    end: Ended = _NOT_YET
    seen: tuple[State, str | None] | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Polled(snapshot=snapshot) if (snapshot.state, snapshot.kind) != self.seen:
                self.seen = snapshot.state, snapshot.kind
                self._note(event.waited, _described(snapshot))
            case Missed(error=error):
                self._note(event.waited, f"no answer: {message_of(error)}")
            case Ended():
                self.end = event
            case _:
                pass

    def _note(self, waited: float, text: str) -> None:
        if not self.quiet:
            note(f"{waited:8.1f} s  {text}")


def _described(snapshot: Snapshot[Any]) -> str:
    """Return the state in words: the API's own word where it differs, the kind, the progress, and why it failed."""
    word = f" ({snapshot.status})" if snapshot.status.casefold() not in {"", snapshot.state.value} else ""
    kind = f", {snapshot.kind}" if snapshot.kind else ""
    share = "" if snapshot.progress is None else f", {snapshot.progress:.0%}"
    code = f" [{snapshot.code}]" if snapshot.code else ""
    reason = f": {snapshot.reason}" if snapshot.reason else ""
    return f"{snapshot.state}{word}{kind}{share}{code}{reason}"
