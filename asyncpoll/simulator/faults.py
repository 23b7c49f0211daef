"""Which requests meet a fault: `Fault` says it, `inflict` keeps count and does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attrs import field, frozen, validators

from asyncpoll.simulator.answers import Answer
from asyncpoll.simulator.effects import Effect
from asyncpoll.simulator.lives import SHARE, chance

_COUNT = validators.optional(validators.ge(1))


@frozen(eq=False)
class Fault:
    """An effect, and the requests that meet it. Two faults are never equal: each has its own count.

    Attributes:
        effect: What happens to the answer.
        where: The name of a route, such as "bigmodel.agents" (its polls) or "bigmodel.agents.start", or any part of
            the path. The default is everywhere.
        nth: Only the nth request that is so matched, counted from 1.
        probability: The share of the matched requests that meet it, 0 to 1, drawn from the seed and the request number.
        times: At most so many requests, then never again.
    """

    effect: Effect
    where: str = ""
    nth: int | None = field(default=None, kw_only=True, validator=_COUNT)
    probability: float = field(default=1.0, kw_only=True, validator=SHARE)
    times: int | None = field(default=None, kw_only=True, validator=_COUNT)


class Injector:
    """Applies faults to answers, and remembers how often each has matched and struck."""

    def __init__(self, seed: int, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        self._seed = seed
        self._matched: Counter[Fault] = Counter()
        self._struck: Counter[Fault] = Counter()

    def inflict(self, answer: Answer, *, route: str, path: str, number: int) -> Answer:
        """Return what is left of *answer* when every fault due has struck, in order.

        Args:
            answer: What the server would have said.
            route: The name of the route.
            path: The path of the request, as it was sent.
            number: The number of the request, for chance.
        """
        for fault in tuple(self.faults):
            if (fault.where == route or fault.where in path) and self._due(fault, number):
                answer = fault.effect(answer)
        return answer

    def _due(self, fault: Fault, number: int) -> bool:
        self._matched[fault] += 1
        due = (
            fault.nth in {None, self._matched[fault]}
            and (fault.times is None or self._struck[fault] < fault.times)
            and chance(self._seed, "fault", repr(fault), str(number)).random() < fault.probability
        )
        self._struck[fault] += due
        return due
