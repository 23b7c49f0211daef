"""One rate for many holders: each is given a share that expires, and the shares never add up to more than the rate.

A holder asks again and again, and says how many polls a second it could use. The shares are max-min fair: no holder is
given more at the cost of one that has less and could use it; what is left over is divided evenly. A share can only grow
once the others have shrunk, so that at no moment too much is given out, not even while an answer is on its way, or has
been lost.

Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import define

VALID = 2.0
"""Seconds for which a share is valid. Its holder counts them from when it asked."""


@define
class _Lease:
    """What one holder was given.

    Attributes:
        demand: The polls a second that it could use.
        share: The polls a second of the last answer,
        until: and until when it is valid.
        former: Those of the answer before, which the holder keeps to until the last one arrives,
        former_until: but no longer than this.
    """

    demand: float = 0.0
    share: float = 0.0
    until: float = -math.inf
    former: float = 0.0
    former_until: float = -math.inf

    def reserved(self, now: float) -> float:
        """Return the most that the holder may be polling at."""
        former = self.former if now < self.former_until else 0.0
        return max(former, self.share if now < self.until else 0.0)


class Shares:
    """Shares of a rate, for any number of holders.

    A holder asks under one name only as long as it gets every answer. When one fails to come, it goes on under another
    name; so by asking it says that the last answer has arrived.

    Args:
        rate: The polls a second of all holders together, `math.inf` for any number.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._leases: dict[str, _Lease] = {}

    def ask(self, holder: str, demand: float, now: float) -> float:
        """Return the share of a holder, valid for `VALID` seconds.

        Args:
            holder: The name of the holder.
            demand: The polls a second that it could use at present.
            now: The time in seconds, on any clock that never goes back.
        """
        if self.rate == math.inf:
            return self.rate
        self._leases = {
            name: lease for name, lease in self._leases.items() if now < max(lease.until, lease.former_until)
        }
        lease = self._leases.setdefault(holder, _Lease())
        lease.demand, lease.former, lease.former_until = demand, lease.share, lease.until
        target = fair_shares(self.rate, {name: one.demand for name, one in self._leases.items()})[holder]
        others = math.fsum(one.reserved(now) for name, one in self._leases.items() if name != holder)
        lease.share, lease.until = max(0.0, min(target, self.rate - others)), now + VALID
        return lease.share


def fair_shares(rate: float, demands: Mapping[str, float]) -> dict[str, float]:
    """Return how much of *rate* each gets: max-min fair, and what is left over divided evenly."""
    left, shares = rate, dict[str, float]()
    for number, name in enumerate(sorted(demands, key=lambda one: demands[one])):
        shares[name] = min(demands[name], left / (len(demands) - number))
        left -= shares[name]
    return {name: share + left / len(demands) for name, share in shares.items()}
