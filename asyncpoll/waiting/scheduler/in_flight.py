"""The polls in flight: each can be broken off, and meanwhile the waits for it still end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asyncpoll._errors import PollError
from asyncpoll.waiting._counters import Counters
from asyncpoll.waiting.scheduler.agenda import NEVER
from asyncpoll.waiting.scheduler.topics import Topic


class InFlight:
    """What is being polled at present, each topic by a task of its own.

    Args:
        expire: Called with a topic in flight, and the time, when the first of the waits for it runs out.
        counters: What is counted in.
    """

    def __init__(self, expire: Callable[[Topic, float], None], counters: Counters) -> None:
        self._expire = expire
        self._counters = counters
        self._tasks: dict[Topic, asyncio.Task[Any]] = {}
        self._alarms: dict[Topic, asyncio.TimerHandle] = {}

    def __contains__(self, topic: Topic) -> bool:
        return topic in self._tasks

    async def ask(self, topic: Topic) -> Any:
        """Ask about *topic*; return what was seen, or the error that came instead.

        Raises:
            asyncio.CancelledError: It was broken off.
        """
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # what runs has a task
        self._tasks[topic] = task
        self._counters.in_flight += 1
        self.renew(topic)
        seen = None  # by a poll that is broken off
        try:
            seen = await topic.ask()
        except (Exception, asyncio.CancelledError) as error:
            if task.cancelling():  # whatever the fetch has made of that
                raise asyncio.CancelledError from error
            seen = _as_failure(error)
        finally:
            del self._tasks[topic]
            self._disarm(topic)
            self._counters.in_flight -= 1
            self._counters.count(seen)
        return seen

    def renew(self, topic: Topic) -> None:
        """Take in that those who wait for *topic*, which is in flight, are others now, with other deadlines."""
        self._disarm(topic)
        deadline = topic.expires_at
        if deadline != NEVER:
            self._alarms[topic] = asyncio.get_running_loop().call_at(deadline, self._expire, topic, deadline)

    def cut(self, topic: Topic) -> None:
        """Break the poll of *topic* off, if it is in flight."""
        if topic in self._tasks:
            self._tasks[topic].cancel()

    def _disarm(self, topic: Topic) -> None:
        alarm = self._alarms.pop(topic, None)
        if alarm is not None:
            alarm.cancel()


def _as_failure(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    failure = PollError("the poll was cancelled from within: something that the fetch awaits was cancelled")
    failure.__cause__ = error
    return failure
