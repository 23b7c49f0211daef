"""Points in time, which this API writes in seconds or in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_MILLISECONDS = 10**11  # as seconds it would be the year 5138, as milliseconds 1973


def moment(value: Any) -> datetime | None:
    """Return a number of seconds or milliseconds since 1970 as a time in UTC, or None when it is none.

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
