"""Runs that outlive their process: a `Ledger` is one file for one run, a `Reader` looks into it."""

from __future__ import annotations

from asyncpoll.ledger.ledger import Ledger
from asyncpoll.ledger.reader import Reader
from asyncpoll.ledger.records import Counts, Ending, Entry, Record, Standing
from asyncpoll.ledger.recover import recover
from asyncpoll.ledger.run import DurableRun
from asyncpoll.ledger.sinks import Csv, JsonLines
from asyncpoll.ledger.tuning import Tuning

__all__ = [
    "Counts",
    "Csv",
    "DurableRun",
    "Ending",
    "Entry",
    "JsonLines",
    "Ledger",
    "Reader",
    "Record",
    "Standing",
    "Tuning",
    "recover",
]
