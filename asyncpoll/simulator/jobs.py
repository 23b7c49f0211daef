"""The jobs of one endpoint: who has been seen, since when, and what the truth about each is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import define, frozen

from asyncpoll.simulator.lives import Life, Lives, fingerprint

Id = tuple[str, ...]


@frozen
class Kind:
    """What the jobs of one endpoint have in common.

    Attributes:
        name: The endpoint, such as "bigmodel.agents".
        words: What its API calls a job that is queued, dispatched and running.
        outcomes: Its terminal words, each with the weight it is drawn with unless the user weighs otherwise.
    """

    name: str
    words: tuple[str, str, str]
    outcomes: Mapping[str, float]


AGENTS = Kind("bigmodel.agents", ("pending", "pending", "pending"), MappingProxyType({"success": 9.0, "failed": 1.0}))
FILE_PARSER = Kind(
    "bigmodel.file_parser",
    ("processing", "processing", "processing"),
    MappingProxyType({"succeeded": 9.0, "failed": 1.0}),
)
SUBTASKS = Kind(
    "molizhishu.subtasks",
    ("pending", "assigned", "processing"),
    MappingProxyType({"completed": 36.0, "failed": 1.0, "timeout": 1.0, "error": 1.0, "stopped": 1.0}),
)


@frozen
class Truth:
    """What a poller ought to find out.

    Attributes:
        outcome: The terminal word.
        submitted_at: When the job was submitted, or first asked for, in seconds of the event loop's clock.
        finished_at: When it ends, on the same clock; this may lie in the future.
    """

    outcome: str
    submitted_at: float
    finished_at: float


@define
class Job:
    """A job at the server: a life, and the moment (of the event loop's clock) it began."""

    kind: Kind
    life: Life
    born: float

    @property
    def truth(self) -> Truth:
        """How and when the job ends."""
        return Truth(self.life.outcome, self.born, self.born + self.life.length)

    def phase(self, now: float) -> int:
        """Return the phase of the job's life at *now*."""
        return self.life.phase(now - self.born)

    def word(self, now: float) -> str:
        """Return the status word that the API has for the job at *now*."""
        return (*self.kind.words, self.life.outcome)[self.phase(now)]


def check_outcome(endpoint: str, outcome: str, known: Iterable[str]) -> None:
    """Raise ValueError unless *outcome* is among the words *known* to the endpoint."""
    if outcome not in known:
        raise ValueError(f"{endpoint} has no outcome {outcome!r}; choose one of: {', '.join(known)}")


def weighed(kind: Kind, weights: Mapping[str, float] | None) -> Mapping[str, float]:
    """Return the weights of the kind's outcomes, the user's where there are any."""
    if weights is None:
        return kind.outcomes
    for outcome in weights:
        check_outcome(kind.name, outcome, kind.outcomes)
    if not (min(weights.values(), default=0.0) >= 0.0 < sum(weights.values()) < math.inf):
        raise ValueError(f"the weights for {kind.name} must not be negative, and at least one must be above 0")
    return dict(weights)


class Jobs:
    """All jobs of one kind.

    Args:
        kind: The kind.
        lives: Where the lives come from for which no script was written.
        weights: Terminal words and their weights, in place of the kind's own.
        strangers: Whether an id that was never submitted is a job, too.

    Raises:
        ValueError: A weight is for a word that this API does not have, or is negative, or all of them are zero.
    """

    def __init__(
        self, kind: Kind, lives: Lives, weights: Mapping[str, float] | None = None, *, strangers: bool = True
    ) -> None:
        self._kind = kind
        self._lives = lives
        self._weights = weighed(kind, weights)
        self._strangers = strangers
        self._scripts: dict[Id, Life] = {}
        self._jobs: dict[Id, Job] = {}
        self._submitted = itertools.count(1)

    def submit(self, now: float, *, prefix: str = "") -> str:
        """Admit a new job and return its id: *prefix* and 32 hexadecimal digits, the same in every run."""
        number = str(next(self._submitted))
        ident = prefix + fingerprint(self._lives.seed, f"{self._kind.name}.start", number).hex()
        self.admit((ident,), now)
        return ident

    def admit(self, ident: Id, now: float) -> Job:
        """Return the job of this id; it is born now if it was not known."""
        if ident not in self._jobs:
            self._jobs[ident] = Job(self._kind, self._scripts.get(ident) or self._drawn(ident), now)
        return self._jobs[ident]

    def find(self, ident: Id, now: float) -> Job | None:
        """Return the job of this id, or None where the API would know none."""
        known = self._strangers or ident in self._jobs or ident in self._scripts
        return self.admit(ident, now) if known else None

    def script(self, ident: Id, life: Life) -> None:
        """Give this id a life of the user's choice; a job already born keeps its birth.

        Raises:
            ValueError: The outcome is no word of this API.
        """
        check_outcome(self._kind.name, life.outcome, self._kind.outcomes)
        self._scripts[ident] = life
        if ident in self._jobs:
            self._jobs[ident].life = life

    def truth(self, ident: Id) -> Truth:
        """Return the truth about this id.

        Raises:
            ValueError: Nobody has submitted it or asked for it yet.
        """
        if ident not in self._jobs:
            raise ValueError(f"{self._kind.name} has not seen this id yet; submit it or poll it first")
        return self._jobs[ident].truth

    def _drawn(self, ident: Id) -> Life:
        return self._lives.draw(self._weights, self._kind.name, *ident)
