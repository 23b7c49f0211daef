"""Format numbers, times and texts from outside for the page."""

from __future__ import annotations

from datetime import UTC, datetime

from asyncpoll.http._secrets import masked, printable

_DAY = 86_400
_LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999, the last that a calendar date can name


def shown(text: str, limit: int = 60) -> str:
    """Return a text from outside on one line, with secrets in links masked, cut to *limit* characters."""
    # Masked before it is cut: half of a user name in a link could not be told from a host.
    return printable(masked(text), limit)


def count(number: int, noun: str = "") -> str:
    """Return a number with thousands separators, followed by the noun, if one is given in the singular."""
    plural = "" if number == 1 else "s"
    return f"{number:,} {noun}{plural}" if noun else f"{number:,}"


def percent(part: int, whole: int) -> str:
    """Return a share in percent; "0 %" and "100 %" are only returned for none and for all."""
    if part in {0, whole}:
        return "100 %" if part else "0 %"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f}\N{NO-BREAK SPACE}%"


def moment(at: float) -> float:
    """Return a Unix time in seconds, moved to between the years 1970 and 9999; a NaN becomes 1970."""
    return min(max(0.0, at), _LAST_MOMENT)


def date(at: float) -> str:
    """Return a Unix time as a date and a time of day, UTC."""
    return f"{_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def iso(at: float) -> str:
    """Return a Unix time in ISO 8601, UTC."""
    return f"{_utc(at):%Y-%m-%dT%H:%M:%SZ}"


def clock(at: float, span: float) -> str:
    """Return a Unix time as precisely as a label of an axis over *span* seconds needs it."""
    if span > 3 * _DAY:
        return f"{_utc(at):%Y-%m-%d}"
    return f"{_utc(at):%m-%d %H:%M}" if span > _DAY else f"{_utc(at):%H:%M:%S}"


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(moment(at), UTC)
