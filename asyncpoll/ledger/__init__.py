"""Runs that outlive their process: a `Ledger` is one file that remembers one run, a `Reader` reads it.

Terms
    An *entry* is a job of the run; an *outcome* is the recorded end of the wait for it, and `Record` is how it is read.
    Entries have numbers and outcomes a *seq*, both from 1 without gaps. A *consumer* handles outcomes in order, such
    as a results file; its *position* is the seq up to which it has. A *session* is the time in which one
    process has the ledger open.

The life of a line
    `DurableRun` reads the jobs in pages. Its `Ingest` has each page entered, then yields to the hub those without an
    outcome, with the progress that earlier processes made. The hub's outcomes go to the `Journal`, which queues them.
    One thread commits the queue in groups through the `Store`, at most ten times a second; only then does the run yield
    the record. Progress and positions are not worth a commit: the newest of each goes with the next group.

    A run that polls elsewhere does the same by hand: `Ledger.reserve`, `enter`, `note` and `submit`, with an outcome as
    plain data (`OutcomeInput.of`), which is masked where it is made.

Invariants
    - A recorded outcome is on the disk (with synchronous="full"), and a job has one outcome that counts: the first
      that was recorded, unless the job was retried.
    - Entries and outcomes are appended and never change. The digest of each row covers the row before it, and the head
      has the last digests and the totals: a changed, missing or moved row is found.
    - The head counts the commits. While a ledger is open the lock file repeats the number, and the main file says that
      it is open, so that a log (`NAME-wal`) which was lost, cut or damaged is noticed. See `_files`.
    - A file is appended to first, then its position is stored; whatever is behind the position is cut off. So it has
      each outcome exactly once.
    - There is one writer: an open lock file, locked through `filelock`, ends with its process. All reading by others is
      through read-only connections, because the SQLite of many Pythons (before 3.51.3) may damage a log that two
      connections checkpoint.

What looks odd
    - A commit that fails drops the connection and reads the head again: after a failed sync its view of the file is not
      to be trusted. The same group is then tried again; an outcome that was committed after all is recognised.
    - Reads of the writer go through the queue as well: they see all earlier commits, and need no second connection.
    - Times are those of the wall clock, for they must hold over processes; one that is put back counts no second twice.
"""

from __future__ import annotations

from asyncpoll.ledger._ledger import Ledger, recover
from asyncpoll.ledger._reader import Reader
from asyncpoll.ledger._records import (
    RETRY_KINDS,
    Counts,
    Entry,
    EntryInput,
    EntryStatus,
    LedgerSettings,
    OutcomeInput,
    Record,
    RetryKind,
)
from asyncpoll.ledger._run import DurableRun, RunItem
from asyncpoll.ledger._sinks import Csv, JsonLines, Sink
from asyncpoll.ledger._submit import Submission, submit_all
from asyncpoll.waiting._decision import WaitCheckpoint

__all__ = [
    "RETRY_KINDS",
    "Counts",
    "Csv",
    "DurableRun",
    "Entry",
    "EntryInput",
    "EntryStatus",
    "JsonLines",
    "Ledger",
    "LedgerSettings",
    "OutcomeInput",
    "Reader",
    "Record",
    "RetryKind",
    "RunItem",
    "Sink",
    "Submission",
    "WaitCheckpoint",
    "recover",
    "submit_all",
]
