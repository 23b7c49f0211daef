"""Whatever may be expected to go wrong in a verb becomes one line and an exit status, never a traceback."""

from __future__ import annotations

from collections.abc import Callable

from asyncpoll._errors import PollError
from asyncpoll.cli.exits import Exit
from asyncpoll.cli.output import note


def guarded(verb: Callable[[], int]) -> int:
    """Run a verb and return its exit status.

    Raises:
        BrokenPipeError: Standard output was closed.
    """
    try:
        return verb()
    except BrokenPipeError:
        raise
    except PollError as error:
        return _because(error, Exit.TRANSPORT)
    except OSError as error:
        return _because(_in_words(error), Exit.USAGE)
    except ValueError as error:
        return _because(error, Exit.USAGE)
    except KeyboardInterrupt:
        return _because("interrupted", Exit.INTERRUPTED)


def _in_words(error: OSError) -> str:
    """Return which file it was, if it was one, and what the system said."""
    return f"{error}" if error.filename is None else f"{error.filename} cannot be used: {error.strerror}"


def _because(reason: object, status: Exit) -> Exit:
    note(f"asyncpoll: {reason}")
    return status
