"""The options of a wait, in one frozen value, and their checks.

Every public function that starts a wait collects its keyword arguments into one frozen `Policy`, with `policy_of`.
A wrong argument is refused there, before any request, by an error that names the function that was called.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from attrs import Factory, field, frozen, validators

from asyncpoll import events
from asyncpoll._checks import Check, by_field, delay, one_of, plain_function, refusal, whole
from asyncpoll._schedule import Exponential, Learning, Schedule
from asyncpoll._timeout import UNLIMITED, Timeout, as_timeout
from asyncpoll.waiting.learning._plan import RandomSource

Hints = Literal["at_least", "exactly", "ignore"]
OnAbandon = Literal["leave", "cancel"]
MissOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]

_TAIL = 0.5  # the last poll is made this long before the deadline, so that its answer can still arrive
_TAIL_SHARE = 0.1  # but for short limits only this share of them


class PollOptions(TypedDict, total=False):
    """The options that every wait has, alone or in a hub; `wait_until_terminal` explains them."""

    schedule: Schedule
    first_delay: float
    max_polls: int | None
    max_misses: int | None
    miss_on: MissOn | None
    not_found_grace: float
    stable_for: int
    hints: Hints
    on_abandon: OnAbandon


class WaitOptions(PollOptions, total=False):
    """The options of a wait outside a hub."""

    observe: events.Observers


def tail_of(seconds: float) -> float:
    """Return how long before its deadline a wait of so many seconds is polled for the last time."""
    return min(_TAIL, _TAIL_SHARE * seconds)


# checks


def check_schedule(name: str, schedule: Any) -> None:
    """Check that *schedule* can say when to poll next.

    Raises:
        TypeError: It has no method `delay`, or is a class.
    """
    if isinstance(schedule, type) or not callable(getattr(schedule, "delay", None)):
        raise refusal(TypeError, name, "a schedule with a method delay(progress), such as Exponential()", schedule)


def _check_miss_on(name: str, miss_on: Any) -> None:
    kinds = miss_on if isinstance(miss_on, tuple) else (miss_on,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        if isinstance(miss_on, tuple | type) or not callable(miss_on):
            raise refusal(TypeError, name, "one or more exception types, or a function", miss_on)
        plain_function(name, miss_on)


def _option(check: Check) -> Any:
    return by_field(check, qualified=False)


# the policy


def _as_learning(schedule: Schedule) -> Learning | None:
    # `isinstance` of a protocol is slow on Python 3.11, and most schedules do not learn.
    return schedule if hasattr(schedule, "observe") and isinstance(schedule, Learning) else None


def _total(policy: Policy) -> float:
    return math.inf if policy.timeout.total is None else policy.timeout.total


@frozen(kw_only=True)
class Policy:
    """The options of a wait; one value serves any number of waits.

    The first group are the caller's options, which `wait_until_terminal` explains. The second is set by the driver.

    Attributes:
        replans: Whether the schedule begins anew when a job that was pending is seen processing.
        parks: Whether a wait that is told to stay away until after its deadline goes on until then, unpolled. Where
            many wait, one that gives up at once gains nothing; where one waits, its caller learns sooner.
        scatter: Returns the share, from 0 up to 1, of a quarter of the first interval by which that is shorter, so
            that jobs which are polled together first do not stay together.
        random: Returns numbers from 0 up to 1.
        learning: The schedule, when it is one that learns; derived.
        total: The total limit in seconds, `math.inf` for none; derived.
        tail: Seconds from the last poll to a deadline set by *total*; derived.
    """

    timeout: Timeout = UNLIMITED
    schedule: Schedule = field(default=Exponential(), validator=_option(check_schedule))
    first_delay: float = field(default=0.0, validator=_option(delay))
    max_polls: int | None = field(default=None, validator=validators.optional(_option(whole(1))))
    max_misses: int | None = field(default=None, validator=validators.optional(_option(whole(0))))
    miss_on: MissOn | None = field(default=None, validator=validators.optional(_option(_check_miss_on)))
    not_found_grace: float = field(default=0.0, validator=_option(delay))
    stable_for: int = field(default=1, validator=_option(whole(1)))
    hints: Hints = field(default="at_least", validator=_option(one_of("at_least", "exactly", "ignore")))
    on_abandon: OnAbandon = field(default="leave", validator=_option(one_of("leave", "cancel")))

    replans: bool = False
    parks: bool = False
    scatter: RandomSource | None = None
    random: RandomSource = field(default=random.Random().random, eq=False, repr=False)

    learning: Learning | None = field(
        init=False, eq=False, repr=False,
        default=Factory(lambda self: _as_learning(self.schedule), takes_self=True),
    )  # fmt: skip
    total: float = field(init=False, eq=False, repr=False, default=Factory(_total, takes_self=True))
    tail: float = field(
        init=False, eq=False, repr=False, default=Factory(lambda self: tail_of(self.total), takes_self=True)
    )


def check_options(caller: str, options: Mapping[str, Any], known: type) -> None:
    """Check that every option has a name that *known*, a `TypedDict`, lists.

    Raises:
        TypeError: One has not; the message names *caller* and what it accepts.
    """
    names: frozenset[str] = getattr(known, "__optional_keys__")  # noqa: B009  type checkers do not know it
    for name in options:
        if name not in names:
            raise TypeError(f"{caller}() got an unexpected option {name!r}; it accepts {', '.join(sorted(names))}")


def policy_of(caller: str, timeout: float | Timeout | None, options: Mapping[str, Any], **driver: Any) -> Policy:
    """Return the policy that a public function was asked for.

    Args:
        caller: Its name, for messages.
        timeout: Its required argument.
        options: Its other arguments.
        **driver: Fields of the policy that are not options.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: An option is out of range.
    """
    try:
        return Policy(timeout=as_timeout(timeout), **options, **driver)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{caller}(): {error}") from None
