"""The options of a wait, in one frozen value, and their checks.

Every public function that starts a wait collects its keyword arguments into one frozen `Policy`, with `policy_of`.
A wrong argument is refused there, before any request, by an error that names the function that was called.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypedDict, cast

from attrs import Factory, evolve, field, frozen, validators

from asyncpoll import events
from asyncpoll._checks import Check, by_field, delay, is_number, one_of, plain_function, refusal, whole
from asyncpoll._schedule import Exponential, Learning, Planning, Schedule
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


def _check_rate(name: str, rate: Any) -> None:
    if not is_number(rate):
        raise refusal(TypeError, name, "a number of polls a second above 0, or None", rate)
    if not 0 < rate < math.inf:
        raise refusal(ValueError, name, "a finite number of polls a second above 0, or None", rate)


def _option(check: Check) -> Any:
    return by_field(check, qualified=False)


# the policy


@frozen
class Pace:
    """How often an API may be asked: defaults for each wait for one of its jobs. An option of a wait goes before them.

    Attributes:
        at_least: The seconds that pass at least from an answer to the next poll of the same job, whatever the schedule
            and the options say. `Hub.nudge` and `Hub.fetch` ask at once all the same.
        first: The seconds before the first poll, as the option `first_delay`.
        not_found_grace: The seconds from the start in which a 404 is a miss, as the option of that name.
        stable_for: How many times in a row a terminal answer must come, as the option of that name.
        per_second: The most polls a second of all jobs of the endpoint that one client has in a hub, or None. A number
            above 0. Outside a hub it holds for each job.

    Raises:
        TypeError: An argument has a wrong type. The message names it.
        ValueError: An argument is out of range.
    """

    at_least: float = field(default=0.0, validator=by_field(delay))
    first: float = field(default=0.0, validator=by_field(delay))
    not_found_grace: float = field(default=0.0, validator=by_field(delay))
    stable_for: int = field(default=1, validator=by_field(whole(1)))
    per_second: float | None = field(default=None, validator=validators.optional(by_field(_check_rate)))

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the fields of a `Policy` that follow from it."""
        return {
            "at_least": max(self.at_least, 1 / self.per_second if self.per_second else 0.0),
            "first_delay": self.first,
            "not_found_grace": self.not_found_grace,
            "stable_for": self.stable_for,
        }


def pace_of(job: object) -> Pace | None:
    """Return the pace of the endpoint of a job, or None if there is none."""
    pace = getattr(getattr(job, "endpoint", None), "pace", None)
    return pace if isinstance(pace, Pace) else None


def _as_learning(schedule: Schedule) -> Learning | None:
    # `isinstance` of a protocol is slow on Python 3.11, and most schedules do not learn.
    return schedule if hasattr(schedule, "observe") and isinstance(schedule, Learning) else None


def _as_planning(learning: Learning | None) -> Planning | None:
    wanted = ("look", "first_look", "first_delay")  # by name: a schedule of a user's own may be without them
    return cast("Planning", learning) if learning and all(hasattr(learning, name) for name in wanted) else None


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
        at_least: Seconds from one poll to the next at the least, whatever the schedule and the server say.
        given: The names of the caller's options; `Pace` gives way to them.
        learning: The schedule, when it is one that learns; derived.
        planning: The schedule, when it also learns from single looks and plans first polls; derived.
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
    at_least: float = 0.0
    given: Collection[str] = field(default=(), eq=False, repr=False)

    learning: Learning | None = field(
        init=False, eq=False, repr=False,
        default=Factory(lambda self: _as_learning(self.schedule), takes_self=True),
    )  # fmt: skip
    planning: Planning | None = field(
        init=False, eq=False, repr=False,
        default=Factory(lambda self: _as_planning(self.learning), takes_self=True),
    )  # fmt: skip
    total: float = field(init=False, eq=False, repr=False, default=Factory(_total, takes_self=True))
    tail: float = field(
        init=False, eq=False, repr=False, default=Factory(lambda self: tail_of(self.total), takes_self=True)
    )

    def at(self, pace: Pace) -> Policy:
        """Return the policy for an endpoint with this pace: what the caller has not said is as the pace says."""
        defaults = pace.defaults
        return evolve(self, **{name: value for name, value in defaults.items() if name not in self.given})


def check_options(caller: str, options: Mapping[str, Any], known: type) -> None:
    """Check that every option has a name that *known*, a `TypedDict`, lists.

    Raises:
        TypeError: One has not; the message names *caller* and what it accepts.
    """
    names: frozenset[str] = getattr(known, "__optional_keys__")  # noqa: B009  type checkers do not know it
    for name in options:
        if name not in names:
            raise TypeError(f"{caller}() got an unexpected option {name!r}; it accepts {', '.join(sorted(names))}")


def policy_of(
    caller: str, timeout: float | Timeout | None, options: Mapping[str, Any], *, job: object = None, **driver: Any
) -> Policy:
    """Return the policy that a public function was asked for.

    Args:
        caller: Its name, for messages.
        timeout: Its required argument.
        options: Its other arguments.
        job: The job that is awaited, for the pace of its endpoint; None for many jobs.
        **driver: Fields of the policy that are not options.

    Raises:
        TypeError: An option has a wrong type.
        ValueError: An option is out of range.
    """
    try:
        policy = Policy(timeout=as_timeout(timeout), **options, **driver, given=options.keys())
    except (TypeError, ValueError) as error:
        raise type(error)(f"{caller}(): {error}") from None
    pace = pace_of(job)
    return policy if pace is None else policy.at(pace)
