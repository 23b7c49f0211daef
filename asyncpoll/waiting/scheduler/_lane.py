"""The polls towards one server: how many in flight, how many a second, and when to hold back.

One lane serves one transport: one origin and one credential. What a server says about its load slows down its own
lane; the others go on. Times are on the event loop's clock, in seconds; rates are polls a second.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from asyncpoll._errors import LONGEST_HINT, PARKING_STATUSES, Throttled, TransportError, WaitTimeout
from asyncpoll.waiting._misses import kind_of

TROUBLE: Mapping[str, int] = MappingProxyType({"connect": 4, "dns": 4, "disconnect": 1, "timeout": 1, "server": 1})
"""How strongly a fault of each kind suggests that the server is down: five refused connections in a row make an outage,
or twenty failures of a server that is there. Other kinds suggest nothing."""

OUTAGE = 20
"""The trouble in a row that makes an outage."""

GOOD_PROBES = 3
"""The answers in a row that end one."""

PROBE_EVERY = 5.0
"""Seconds between two probes of a server that is down, unless its jobs are polled more often."""

DECREASE = 0.7
"""The factor of a throttling answer, at most once a second; AWS SDKs use the same in adaptive mode."""

INCREASE = 0.05
"""The share of the rate that was too much which every second without throttling gives back. Beyond that rate nothing is
known of the server any more, and every second doubles it."""

LEAST_RATE = 0.2
"""The rate at which even a server that throttles without end is polled, so that its recovery is seen."""

LONGEST_INTERVAL = 60.0
"""Polls that are overdue are spread over at most so many seconds."""

_FADE = 0.98  # of a longer interval between polls remains after each poll

Target = TypeVar("Target")


class AdaptiveRateLimiter:
    """Limits how many polls start in a second, and adapts to a server that throttles.

    Additive increase, multiplicative decrease, as TCP does (RFC 5681): every client that backs off in this way ends up
    with a fair share of what the server can bear. Idle time saves nothing up, so there is never a burst.

    Attributes:
        rate: Polls a second at present, at most the rate that it was made with; `math.inf` for any number.
        opens_at: When the next poll may start.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.opens_at = -math.inf
        self._most = rate
        self._too_much = rate
        self._slowed_at = -math.inf
        self._steady_until = -math.inf
        self._second = 0
        self._starts = self._starts_before = 0

    def is_at_rest(self, now: float) -> bool:
        """Return whether a new limiter would behave in the same way."""
        return self.rate == self._most and self.opens_at <= now

    def change(self, rate: float, now: float) -> None:
        """Start at most so many polls a second from *now* on; 0 leaves the time of the next one as it is."""
        if self.opens_at > now and self.rate > 0 < rate:
            self.opens_at = now + (self.opens_at - now) * self.rate / rate
        self.rate = self._most = self._too_much = rate

    def start(self, at: float) -> None:
        """Record that a poll starts *at* this time, or was to: a timer that fires late must not cost any pace."""
        self.opens_at = max(self.opens_at, at) + 1 / self.rate
        second = int(at)
        if second != self._second:
            self._starts_before = self._starts if second == self._second + 1 else 0
            self._second, self._starts = second, 0
        self._starts += 1

    def slow_down(self, now: float) -> None:
        """Decrease the rate, because the server throttles."""
        if now - self._slowed_at < 1:
            return
        self._too_much = min(self.rate, max(self._starts, self._starts_before, 1))
        self.rate = max(DECREASE * self._too_much, min(LEAST_RATE, self._most))
        self._slowed_at, self._steady_until = now, now + 1

    def speed_up(self, now: float) -> None:
        """Increase the rate, if it had been decreased and a second has passed."""
        if self.rate == self._most or now < self._steady_until:
            return
        known = self.rate < self._too_much
        self.rate = min(self.rate + INCREASE * self._too_much if known else 2 * self.rate, self._most)
        self._steady_until = now + 1

    def spread(self, polls: int, seconds: float, now: float) -> None:
        """Take about so many *seconds* to start so many overdue *polls*; at one a second they are not a burst."""
        rate = max(polls / seconds, 1.0)
        if rate <= self.rate:
            self.rate = self._too_much = rate
            self._steady_until = now + seconds


class CircuitBreaker:
    """Counts failures; after too many in a row it lets one poll at a time probe until the server answers again.

    It never stops probing: a server that is not polled cannot be seen to be back.

    Attributes:
        probing: Whether the server seems to be down.
        opens_at: When the next probe may start.
    """

    def __init__(self) -> None:
        self.probing = False
        self.opens_at = -math.inf
        self._trouble = 0
        self._good_probes = 0

    @property
    def is_at_rest(self) -> bool:
        """Whether there is no sign of trouble."""
        return not self.probing and not self._trouble

    def record_failure(self, trouble: int, now: float, *, pause: float) -> None:
        """Count a failure, which suggests so strongly, above 0, that the server is down; probe after a *pause*."""
        self._trouble += trouble
        if self.probing or self._trouble >= OUTAGE:
            self.probing = True
            self._good_probes = 0
            self.opens_at = now + pause

    def record_success(self) -> bool:
        """Record that the server answered; return whether this ends an outage."""
        self._trouble = 0
        if not self.probing:
            return False
        self._good_probes += 1
        if self._good_probes < GOOD_PROBES:
            return False
        self.probing = False
        self._good_probes = 0
        return True


class PacedTargets(MutableMapping[Any, None]):
    """Targets that are ready, in a queue for each endpoint: some endpoints have a rate of their own.

    Args:
        ready: The targets that are ready already.
    """

    def __init__(self, ready: Iterable[Any]) -> None:
        self._queues: dict[str, OrderedDict[Any, None]] = {}  # by the name of the endpoint, the next one to start first
        self._limiters: dict[str, AdaptiveRateLimiter] = {}
        self.update(dict.fromkeys(ready))

    def limit(self, target: Any, rate: float) -> None:
        """Start at most so many polls a second for the endpoint of *target*."""
        self._limiters.setdefault(_endpoint_of(target), AdaptiveRateLimiter(rate))

    def limiter_of(self, target: Any) -> AdaptiveRateLimiter | None:
        """Return what limits the polls of the endpoint of *target*, or None."""
        return self._limiters.get(_endpoint_of(target))

    @property
    def opens_at(self) -> float:
        """When the next of the targets may start."""
        limiters = (self._limiters.get(name) for name in self._queues)
        return min((-math.inf if limiter is None else limiter.opens_at for limiter in limiters), default=math.inf)

    def is_at_rest(self, now: float) -> bool:
        """Return whether new limiters would behave in the same way."""
        return all(limiter.is_at_rest(now) for limiter in self._limiters.values())

    def pop_next(self, at: float, now: float) -> Any:
        """Remove and return the next target that may start; endpoints take turns. There must be one."""
        open_now = (name for name in self._queues if name not in self._limiters or self._limiters[name].opens_at <= now)
        name = next(open_now)
        target = next(iter(self._queues[name]))
        del self[target]
        if name in self._queues:
            self._queues[name] = self._queues.pop(name)
        if name in self._limiters:
            self._limiters[name].start(at)
        return target

    def copy(self) -> list[Any]:
        """Return the targets, also in another thread."""
        return [target for queue in self._queues.copy().values() for target in queue.copy()]

    def __getitem__(self, target: Any) -> None:
        return self._queues[_endpoint_of(target)][target]

    def __setitem__(self, target: Any, value: None) -> None:
        self._queues.setdefault(_endpoint_of(target), OrderedDict())[target] = value

    def __delitem__(self, target: Any) -> None:
        name = _endpoint_of(target)
        del self._queues[name][target]
        if not self._queues[name]:
            del self._queues[name]

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._queues.values())

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


class Lane(Generic[Target]):
    """The polls towards one server.

    Args:
        transport: The transport; None for all bare coroutine functions.
        concurrency: The most polls in flight; `math.inf` for any number.
        rate: The most polls a second; `math.inf` for any number.

    Attributes:
        ready: The targets that are due and have not started, first in, first out.
        in_flight: How many polls have started and not finished.
        targets: How many targets are scheduled, ready or in flight.
        suspect: The only target that may start, or None for any: its credential was refused, which ends every wait
            of this lane as soon as a second poll confirms it.
        has_answered: Whether the API has answered a poll, be it to refuse.
    """

    def __init__(self, transport: object, *, concurrency: float, rate: float) -> None:
        self.transport = transport
        self.ready: OrderedDict[Target, None] | PacedTargets = OrderedDict()
        self.in_flight = 0
        self.targets = 0
        self.suspect: Target | None = None
        self.has_answered = False
        self._concurrency = concurrency
        self._interval = 1.0
        self._limiter = AdaptiveRateLimiter(rate)
        self._breaker = CircuitBreaker()
        self._parked_until = -math.inf
        self._paced: PacedTargets | None = None  # as `ready`, once an endpoint has a rate of its own

    @property
    def opens_at(self) -> float:
        """When the next poll may start; `math.inf` when one has to finish first."""
        if self.suspect is not None and self.suspect not in self.ready:
            return math.inf
        if self.in_flight >= (1 if self._breaker.probing else self._concurrency):
            return math.inf
        opens_at = max(self._parked_until, self._breaker.opens_at, self._limiter.opens_at)
        return opens_at if self._paced is None or self.suspect is not None else max(opens_at, self._paced.opens_at)

    def limit(self, target: Target, rate: float) -> None:
        """Start at most so many polls a second for the endpoint of *target*."""
        if self._paced is None:
            self.ready = self._paced = PacedTargets(self.ready)
        self._paced.limit(target, rate)

    def limiters_of(self, target: Target) -> list[AdaptiveRateLimiter]:
        """Return what limits the polls of *target* in this lane."""
        own = None if self._paced is None else self._paced.limiter_of(target)
        return [self._limiter] if own is None else [self._limiter, own]

    def is_at_rest(self, now: float) -> bool:
        """Return whether the lane holds nothing that a new one would not know."""
        busy = self.targets or self.suspect is not None or self._parked_until > now
        unpaced = self._paced is None or self._paced.is_at_rest(now)
        return not busy and unpaced and self._breaker.is_at_rest and self._limiter.is_at_rest(now)

    def start_next(self, at: float, now: float) -> Target | None:
        """Remove the next target from `ready`, and record that its poll starts; None if none may start now.

        Args:
            at: When the poll was to start.
            now: The time, which may be somewhat later.
        """
        if self.opens_at > now:
            return None
        if self._parked_until > -math.inf:
            self._parked_until = -math.inf
            self.spread_overdue(at)
        self.in_flight += 1
        self._limiter.start(at)
        if self.suspect is not None:
            del self.ready[self.suspect]
            return self.suspect
        paced = self._paced
        return self.ready.popitem(last=False)[0] if paced is None else paced.pop_next(at, now)  # type: ignore[call-arg]  # it is an OrderedDict

    def finish(self, result: object, now: float, interval: float) -> None:
        """Record that a poll has finished, with a snapshot or an error, and how often its target is to be polled."""
        self.in_flight -= 1
        if interval:
            self._interval = min(max(interval, _FADE * self._interval), LONGEST_INTERVAL)
        if not isinstance(result, BaseException):
            self.has_answered = True
            self._limiter.speed_up(now)
        elif isinstance(result, TransportError):
            self._heed(result, now)
        trouble = _trouble(result)
        if trouble:
            self._breaker.record_failure(trouble, now, pause=min(PROBE_EVERY, self._interval))
        elif _is_answer(result) and self._breaker.record_success():
            self.spread_overdue(now)

    def spread_overdue(self, now: float) -> None:
        """Start the polls that have become overdue over one interval, never in a burst."""
        self._limiter.spread(len(self.ready), self._interval, now)

    def _heed(self, error: TransportError, now: float) -> None:
        self.has_answered = self.has_answered or (error.status is not None and error.from_api)
        throttled = isinstance(error, Throttled)
        if throttled:
            self._limiter.slow_down(now)
        if error.retry_after and (throttled or error.status in PARKING_STATUSES):
            self._parked_until = max(self._parked_until, now + min(error.retry_after, LONGEST_HINT))


def _endpoint_of(target: Any) -> str:
    name: str = getattr(getattr(target.subject, "endpoint", None), "name", "")
    return name


def _trouble(result: object) -> int:
    """Return how strongly the result of a poll suggests that the server is down."""
    if isinstance(result, WaitTimeout) or not isinstance(result, TransportError | OSError):
        return 0
    return TROUBLE.get(kind_of(result), 0)


def _is_answer(result: object) -> bool:
    """Return whether the server answered, be it to refuse."""
    return not isinstance(result, BaseException) or (isinstance(result, TransportError) and result.status is not None)
