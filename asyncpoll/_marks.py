"""The marks of a job: what is known of it beside its reference, and is part of neither its key nor its requests.

One of them is the pacing: what predicts how long the job takes, as a short text. Jobs of one endpoint with the same
text are learned together. The facts in it are named by paths into a reference or the arguments of a submit, such as
"model" or "input.mode". A list on the way stands for each of its items. "size:" in front stands for how much of it
there is, in classes that are wide, so that there are few: "16+" reaches to the next power of 2, and from 64 on to the
next of 4; "64K+" has units of 1024. A fact is a word that many jobs share: neither an id nor a prompt belongs here.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from asyncpoll._checks import Time, is_number, refusal, text, unix_time

LONGEST_PACING = 150
"""The most characters of the text: a longer one is cut."""

PATH = r"(size:)?[A-Za-z_][\w-]*(\[\*\])?(\.[A-Za-z_][\w-]*(\[\*\])?)*"
"""The form of a path, as a regular expression."""

_SIZE = "size:"
_LONGEST_WORD = 40  # characters
_BY_TWO = 6  # bits, below which classes are powers of 2
_MOST_BITS = 50  # more than any file or count has
_UNITS = ("", "K", "M", "G", "T")

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_UUID_EPOCH = 12_219_292_800.0  # seconds from 1582-10-15, where UUIDs of the versions 1 and 6 begin, to 1970
_OLDEST = 1_262_304_000.0  # 2010, before which no job was submitted that is awaited now
_MOST_SECONDS = 1e11  # a larger number is of milliseconds

Predictor = Callable[[Any], str | None]
"""A function from JSON data by name to the text of what predicts, or None if the data have nothing of it."""


def pacing_key(endpoint: str, pacing: str | None) -> str:
    """Return the key under which the durations of the jobs of an endpoint are learned that have this text."""
    return f"{endpoint}:{pacing}" if pacing else endpoint


def as_pacing(found: object) -> str | None:
    """Return what a function has found to predict the duration as the text that is kept; None if it is nothing."""
    return None if found is None else _printable(str(found))[:LONGEST_PACING] or None


def predictor(paths: Sequence[str]) -> Predictor:
    """Return the function that finds what *paths* name, such as "mode=fast,pages=16+" for "mode" and "size:pages"."""
    parts = [(fact_keys(path), _size if path.startswith(_SIZE) else _word) for path in paths]

    def predict(data: Any) -> str | None:
        known = [f"{keys[-1]}={word}" for keys, read in parts if (word := read(_at(data, keys)))]
        return as_pacing(",".join(known))

    return predict


def fact_keys(path: str) -> list[str]:
    """Return the keys of a path, from the outside; the last one is the name of the fact in the text."""
    return path.removeprefix(_SIZE).replace("[*]", "").split(".")


def _at(data: Any, keys: Sequence[str]) -> Any:
    for number, key in enumerate(keys):
        if isinstance(data, list | tuple):
            return [_at(one, keys[number:]) for one in data]
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _word(value: Any) -> str:
    """Return a text, number or boolean as a word, and those of a list, each once, as one; nothing for anything else."""
    if isinstance(value, list | tuple):
        return "+".join(sorted({word for one in value if (word := _word(one))}))[:_LONGEST_WORD]
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).partition("?")[0] if isinstance(value, str | int | float) else ""
    return _printable(text)[:_LONGEST_WORD]


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _size(value: Any) -> str:
    """Return the class of a number, or of the length of a text or a list; nothing for anything else."""
    amount = len(value) if isinstance(value, str | list | tuple) else value if is_number(value) else -1
    if not 0 <= amount < math.inf:
        return ""
    bits = min(int(amount).bit_length(), _MOST_BITS)
    if bits <= 1:
        return str(bits)
    least = bits - 1 if bits <= _BY_TWO else (bits - 1) // 2 * 2
    return f"{1 << least % 10}{_UNITS[least // 10]}+"


def time_in_id(text: str) -> float | None:
    """Return the Unix time in seconds that an id holds, or None if it holds none.

    It is known of UUIDs of the versions 1, 6 and 7 (RFC 9562) and of ULIDs, also behind a prefix and a "_".
    """
    name, at = text.rpartition("_")[2], math.nan
    if _ULID.fullmatch(name):
        at = sum(_ULID_DIGITS.index(digit) << 5 * place for place, digit in enumerate(name[9::-1].upper())) / 1e3
    else:
        try:
            found = UUID(name)
        except ValueError:
            return None
        match found.version:
            case 7:
                at = (found.int >> 80) / 1e3
            case 6:
                ticks = found.time_low << 28 | found.time_mid << 12 | found.time_hi_version & 0xFFF
                at = ticks / 1e7 - _UUID_EPOCH
            case 1:
                at = found.time / 1e7 - _UUID_EPOCH
            case _:
                return None
    return time_of_submit(at)


def time_of_submit(value: Any) -> float | None:
    """Return the Unix time of a submit that data hold: a number, a text, or an id with a time in it; else None.

    Nothing is raised for nonsense, since it must not keep a job from being awaited.
    """
    if is_number(value) and value > _MOST_SECONDS:
        value /= 1e3
    try:
        at = unix_time("the time of the submit", value)
    except (TypeError, ValueError):
        return time_in_id(value) if isinstance(value, str) else None
    return at if at > _OLDEST else None


class Marks:
    """The marks of a job. Two jobs that differ in nothing else are equal."""

    __slots__ = ()

    @property
    def meta(self) -> Mapping[str, Any] | None:
        """Return what the caller wants back with the outcome, such as a row number; see `with_meta`."""
        return None

    @property
    def origin(self) -> Any:
        """Return what the submit hands to the wait in this process, such as a trace context; see `with_origin`."""
        return None

    @property
    def submitted_at(self) -> float | None:
        """Return the Unix time of the submit of the job, in seconds, or None if it is not known."""
        return None

    def with_meta(self, meta: Mapping[str, Any]) -> Self:
        """Return the same job with data of the caller's own, which come back in `Outcome.job.meta` and in a ledger.

        They are JSON data by name. They are never sent, and two jobs that differ in nothing else are equal.

        Raises:
            TypeError: It is not a mapping with texts as keys.
        """
        if not isinstance(meta, Mapping) or not all(isinstance(name, str) for name in meta):  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
            raise refusal(TypeError, "Job.with_meta(): meta", "a mapping with texts as keys", meta)
        return self._marked(meta=dict(meta))

    def with_origin(self, origin: Any) -> Self:
        """Return the same job with something that belongs to its submit. It is neither sent, compared nor stored."""
        return self._marked(origin=origin)

    def with_submitted_at(self, at: Time) -> Self:
        """Return the same job with the time of its submit: Unix seconds, or a `datetime` or ISO 8601 with a zone.

        `Learned` plans the first poll of a job of known age. The time is not compared; `to_json` and ledgers keep it.

        Raises:
            TypeError, ValueError: It is none of these, or is in the future.
        """
        return self._marked(submitted_at=unix_time("Job.with_submitted_at(): at", at))

    def with_pacing(self, pacing: str) -> Self:
        """Return the same job with what predicts how long it takes: a text that many jobs share, such as "model=large".

        `Learned` keeps the jobs of each text apart. It is not compared; `to_json` and ledgers keep 150 characters.

        Raises:
            TypeError: It is not text.
        """
        text("Job.with_pacing(): pacing", pacing)
        return self._marked(told=as_pacing(pacing))

    @abstractmethod
    def _marked(self, **news: Any) -> Self:
        """Return the same job with some of its marks changed."""
