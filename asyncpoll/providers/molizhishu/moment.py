"""Points in time, which this API writes in seconds or in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_MILLISECONDS = 10**11  # as seconds it would be the year 5138, as milliseconds 1973


def read_moment(value: Any) -> datetime | None:
    """Return a point in time, as `moment` does; 0 is None, as null is.

    The number may be written as text, and so may the time, in ISO 8601 with an offset.

    Raises:
        ValueError: The value is not a point in time.
    """
    if isinstance(value, str) and not value.strip().isdecimal():
        time = datetime.fromisoformat(value.strip())
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        raise ValueError("the time has no offset")
    found = moment(int(value) if isinstance(value, str) else value)
    if found is None and str(value).strip() != "0":
        raise ValueError("this is not a point in time")
    return found


def moment(value: Any) -> datetime | None:
    """Return a number of seconds or milliseconds since 1970 as a time in UTC, or None for anything else.

    The manual says seconds of some fields and milliseconds of others; its examples have milliseconds in both. So the
    magnitude decides.
    """
    if isinstance(value, datetime):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        return None
    try:
        return _EPOCH + timedelta(seconds=value / 1000 if value >= _LEAST_MILLISECONDS else value)
    except OverflowError:
        return None
