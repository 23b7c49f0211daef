"""How far a wait has come, told from one process to another."""

from __future__ import annotations

from attrs import field, frozen, validators

from asyncpoll._state import State
from asyncpoll.waiting._policy import NOT_NEGATIVE


@frozen(kw_only=True)
class Past:
    """What an earlier process knew of a wait that goes on in this one.

    Attributes:
        waited: Seconds since it began; they count towards the limits.
        polls: Polls made so far.
        state: The state last seen, or None.
        in_state: Seconds since the job came into it.
    """

    waited: float = field(default=0.0, validator=NOT_NEGATIVE)
    polls: int = field(default=0, validator=validators.ge(0))
    state: State | None = None
    in_state: float = field(default=0.0, validator=NOT_NEGATIVE)
