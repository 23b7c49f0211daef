"""Whether a server is down."""

from __future__ import annotations

import math

from asyncpoll.waiting.scheduler._lane import GOOD_PROBES, OUTAGE, CircuitBreaker


def broken(at: float = 100.0) -> CircuitBreaker:
    """Return a breaker that has just seen a server go down."""
    breaker = CircuitBreaker()
    breaker.record_failure(OUTAGE, at, pause=5.0)
    return breaker


def test_trouble_in_a_row_makes_an_outage() -> None:
    """Up to the limit nothing happens; from there on the server is probed, the first time after a pause."""
    breaker = CircuitBreaker()
    for _ in range(OUTAGE - 1):
        breaker.record_failure(1, 100.0, pause=5.0)
    assert not breaker.probing
    assert breaker.opens_at == -math.inf
    breaker.record_failure(1, 100.0, pause=5.0)
    assert breaker.probing
    assert breaker.opens_at == 105.0


def test_an_answer_ends_the_row() -> None:
    """Trouble that is interrupted by answers makes no outage."""
    breaker = CircuitBreaker()
    for _ in range(10):
        breaker.record_failure(OUTAGE - 1, 100.0, pause=5.0)
        assert not breaker.is_at_rest
        assert not breaker.record_success()
        assert breaker.is_at_rest
    assert not breaker.probing


def test_a_failed_probe_makes_the_next_one_wait() -> None:
    """Every failure while probing closes for another pause, however small a sign of trouble it is."""
    breaker = broken(at=100.0)
    breaker.record_failure(1, 107.0, pause=5.0)
    assert breaker.probing
    assert breaker.opens_at == 112.0


def test_good_probes_in_a_row_end_the_outage() -> None:
    """Three are needed, without a pause in between; one that fails starts the count anew."""
    breaker = broken()
    assert [breaker.record_success() for _ in range(GOOD_PROBES - 1)] == [False, False]
    breaker.record_failure(1, 110.0, pause=5.0)
    assert [breaker.record_success() for _ in range(GOOD_PROBES)] == [False, False, True]
    assert breaker.opens_at == 115.0
    assert not breaker.probing
    assert breaker.is_at_rest


def test_after_an_outage_the_count_begins_anew() -> None:
    """The next outage takes as much trouble, and as many good probes, as the first."""
    breaker = broken()
    for _ in range(GOOD_PROBES):
        breaker.record_success()
    breaker.record_failure(OUTAGE - 1, 200.0, pause=5.0)
    assert not breaker.probing
    breaker.record_failure(1, 200.0, pause=5.0)
    assert [breaker.record_success() for _ in range(GOOD_PROBES)] == [False, False, True]
