"""Keep the jobs of one endpoint: their lives, the times at which they began, and the truth about them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import define, frozen

from asyncpoll.simulator._lives import Life, LifeGenerator, fingerprint

Id = tuple[str, ...]


@frozen
class JobKind:
    """The vocabulary of one endpoint.

    Attributes:
        name: The name of the endpoint, such as "bigmodel.agents".
        words: The status words of a job that is queued, dispatched and running.
        outcomes: The terminal words, each with its weight; the user can choose other weights.
    """

    name: str
    words: tuple[str, str, str]
    outcomes: Mapping[str, float]


AGENTS = JobKind(
    "bigmodel.agents", ("pending", "pending", "pending"), MappingProxyType({"success": 9.0, "failed": 1.0})
)
FILE_PARSER = JobKind(
    "bigmodel.file_parser",
    ("processing", "processing", "processing"),
    MappingProxyType({"succeeded": 9.0, "failed": 1.0}),
)
SUBTASKS = JobKind(
    "molizhishu.subtasks",
    ("pending", "assigned", "processing"),
    MappingProxyType({"completed": 36.0, "failed": 1.0, "timeout": 1.0, "error": 1.0, "stopped": 1.0}),
)


@frozen
class Truth:
    """The facts that a poller should find.

    Attributes:
        outcome: The terminal word.
        submitted_at: When the job was submitted or first polled, in seconds of the event loop's clock.
        finished_at: When it ends, on the same clock; this may be in the future.
    """

    outcome: str
    submitted_at: float
    finished_at: float


@define
class Job:
    """A job at the server: its life, and the time of the event loop's clock at which it was born."""

    kind: JobKind
    life: Life
    born: float

    @property
    def truth(self) -> Truth:
        """The outcome, and when the job begins and ends."""
        return Truth(self.life.outcome, self.born, self.born + self.life.length)

    def phase(self, now: float) -> int:
        """Return the phase of the job's life at *now*."""
        return self.life.phase(now - self.born)

    def word(self, now: float) -> str:
        """Return the status word of the job at *now*."""
        return (*self.kind.words, self.life.outcome)[self.phase(now)]


def check_outcome(endpoint: str, outcome: str, known: Iterable[str]) -> None:
    """Raise ValueError unless *outcome* is among the words *known* to the endpoint."""
    if outcome not in known:
        raise ValueError(f"{endpoint} has no outcome {outcome!r}; choose one of: {', '.join(known)}")


def check_weights(name: str, weights: Mapping[str, float]) -> None:
    """Raise ValueError unless the weights of the outcomes of *name* can be used."""
    try:
        are_usable = min(weights.values(), default=0.0) >= 0.0 < sum(weights.values()) < math.inf
    except TypeError:
        are_usable = False
    if not are_usable:
        raise ValueError(f"the weights for {name} must be numbers, not negative, and at least one must be above 0")


def _checked_weights(kind: JobKind, weights: Mapping[str, float] | None) -> Mapping[str, float]:
    """Return the user's weights of the outcomes, or those of the kind where there are none."""
    if weights is None:
        return kind.outcomes
    for outcome in weights:
        check_outcome(kind.name, outcome, kind.outcomes)
    check_weights(kind.name, weights)
    return dict(weights)


class Jobs:
    """All jobs of one kind.

    Args:
        kind: The kind.
        lives: The generator of the lives of jobs without a script.
        weights: Terminal words and their weights, in place of the kind's own.
        accept_unknown: Whether an id that was never submitted has a job too.

    Raises:
        ValueError: A weight is for a word that this API does not have, or is negative, or all of them are 0.
    """

    def __init__(
        self,
        kind: JobKind,
        lives: LifeGenerator,
        weights: Mapping[str, float] | None = None,
        *,
        accept_unknown: bool = True,
    ) -> None:
        self._kind = kind
        self._lives = lives
        self._weights = _checked_weights(kind, weights)
        self._accept_unknown = accept_unknown
        self._scripts: dict[Id, Life] = {}
        self._jobs: dict[Id, Job] = {}
        self._submitted = itertools.count(1)

    def submit(self, now: float, *, prefix: str = "") -> str:
        """Start a new job and return its id: *prefix* and 32 hexadecimal digits, the same in every run."""
        number = str(next(self._submitted))
        ident = prefix + fingerprint(self._lives.seed, f"{self._kind.name}.start", number).hex()
        self.ensure((ident,), now)
        return ident

    def ensure(self, ident: Id, now: float) -> Job:
        """Return the job of this id; a new one is born now."""
        if ident not in self._jobs:
            self._jobs[ident] = Job(self._kind, self._scripts.get(ident) or self._drawn(ident), now)
        return self._jobs[ident]

    def find(self, ident: Id, now: float) -> Job | None:
        """Return the job of this id, or None where the API does not know the id."""
        known = self._accept_unknown or ident in self._jobs or ident in self._scripts
        return self.ensure(ident, now) if known else None

    def script(self, ident: Id, life: Life) -> None:
        """Set the life of this id; a job that exists keeps the time of its birth.

        Raises:
            ValueError: The outcome is not a terminal word of this API.
        """
        check_outcome(self._kind.name, life.outcome, self._kind.outcomes)
        self._scripts[ident] = life
        if ident in self._jobs:
            self._jobs[ident].life = life

    def truth(self, ident: Id) -> Truth:
        """Return the truth about this id.

        Raises:
            ValueError: The id was neither submitted nor polled yet.
        """
        if ident not in self._jobs:
            raise ValueError(f"{self._kind.name} has not seen this id yet; submit it or poll it first")
        return self._jobs[ident].truth

    def _drawn(self, ident: Id) -> Life:
        return self._lives.draw(self._weights, self._kind.name, *ident)
