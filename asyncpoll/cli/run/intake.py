"""From lines to jobs: what names one becomes one, the rest is reported."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from attrs import define, evolve, field

from asyncpoll._endpoint import Job
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.cli.run.clients import Clients
from asyncpoll.cli.run.complaints import Complaints
from asyncpoll.cli.run.lines import Bad, Named
from asyncpoll.cli.run.told import told_of
from asyncpoll.http._settings import TransportSettings
from asyncpoll.providers._client import CLIENT

_TERMINAL = tuple(state for state in State if state.is_terminal)


@define
class Intake:
    """Makes jobs of lines, and counts both.

    Attributes:
        clients: Where jobs come from.
        jobs: Lines that name one.
        bad: Lines that do not.
        complete: Whether the last line has been reached.
    """

    clients: Clients
    jobs: int = 0
    bad: Complaints = field(factory=Complaints)
    complete: bool = False

    async def each(self, lines: AsyncGenerator[Named | Bad, None]) -> AsyncGenerator[Job[Any], None]:
        """Yield the job that each line names.

        Raises:
            ValueError: There is no key for one, or the key or the address is unusable.
        """
        async with aclosing(lines):
            async for line in lines:
                job = self.read(line)
                if isinstance(job, Bad):
                    self.bad.add(job)
                else:
                    self.jobs += 1
                    yield job
        self.complete = True

    def read(self, line: Named | Bad) -> Job[Any] | Bad:
        """Return the job that a line names, or what is wrong with it.

        Raises:
            ValueError: As `each`.
        """
        if isinstance(line, Bad):
            return line
        told = told_of(line, "ref", 'a job is named by an "endpoint" (text) and a "ref" (object)')
        if isinstance(told, Bad):
            return told
        self.clients.open(told.kind, told.client)  # what is wrong with the key is not wrong with the line
        try:
            job = self.clients.job(told.endpoint, {**told.content, CLIENT: told.client})
        except (ValueError, TypeError) as problem:
            return Bad(line.number, str(problem))
        return evolve(job, submitted=_ended(line.data))


def check(lines: Iterable[Named | Bad], settings: TransportSettings) -> None:
    """Check that every line names a job; nothing is sent.

    Args:
        lines: The lines.
        settings: How the APIs are reached.

    Raises:
        ValueError: One does not, or as `Intake.each`.
    """
    intake = Intake(Clients(settings))
    for line in lines:
        job = intake.read(line)
        if isinstance(job, Bad):
            intake.bad.add(job)
    if intake.bad.number:
        intake.bad.sum_up()
        raise ValueError(f"bad lines: {intake.bad.number:,}; as --strict wants it, nothing was asked for")


def _ended(data: Mapping[str, Any]) -> Snapshot[Any] | None:
    """Return what a line says about a job that has ended already, as a result line does."""
    state = _text(data, "state")
    if state is None or state not in _TERMINAL:
        return None
    return Snapshot(
        State(state),
        _text(data, "status") or state,
        data.get("value"),
        reason=_text(data, "reason"),
        code=_text(data, "code"),
    )


def _text(data: Mapping[str, Any], name: str) -> str | None:
    text = data.get(name)
    return text if isinstance(text, str) else None
