"""Keep the tasks of Molizhishu: batches of subtasks, each with a job; the status of a task follows from these."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import define, evolve, field, frozen

from asyncpoll.simulator._jobs import Job, Jobs, Truth, check_outcome
from asyncpoll.simulator._lives import Life, fingerprint, random_for

_FIRST_SUBTASK_ID = 4_000_000
_PROMPTS = ("请推荐一款适合出差的轻薄笔记本", "家用净水器有哪些值得买的品牌", "春天去云南旅行怎么安排")
_PLATFORMS = ("deepseek", "doubao", "yuanbao", "kimi", "qianwen")
MODES = ("standard", "reasoning", "search", "reasoning_search")

_FAILURES = frozenset({"failed", "timeout", "error"})

FIRST_AND_REST: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "completed": ("completed", "completed"),
        "partial_completed": ("completed", "failed"),
        "failed": ("failed", "failed"),
        "stopped": ("stopped", "stopped"),
    }
)


@frozen
class Subtask:
    """A prompt for one platform."""

    ident: str
    prompt: str
    platform: str
    mode: str


@frozen
class Submission:
    """A valid request for a task.

    Attributes:
        questions: The prompt, the platform and the mode of every subtask.
        consumer_task_id: The client's own id, which is the idempotency key, or None.
        callback_url: The URL that the client wants to be called at, or None.
        brand: The keywords to watch, echoed with every subtask.
    """

    questions: tuple[tuple[str, str, str], ...]
    consumer_task_id: str | None = None
    callback_url: str | None = None
    brand: Mapping[str, Any] = field(factory=dict)


@define
class Batch:
    """A task.

    Attributes:
        ident: Its id.
        subtasks: Its subtasks by id.
        submission: The request for the task, or None for a task that was only polled; such a task accepts any subtask.
        stopped_at: When it was stopped, in seconds of the event loop's clock, or None.
    """

    ident: str
    subtasks: dict[str, Subtask] = field(factory=dict)
    submission: Submission | None = None
    stopped_at: float | None = None


@frozen
class Progress:
    """The progress of a batch: its status word, and the numbers of its subtasks, in all and by end."""

    status: str
    total: int
    completed: int
    failed: int


def _summary(words: list[str]) -> str:
    """Return the status word of a task that was not stopped, from those of its subtasks."""
    if set(words) == {"pending"}:
        return "pending"
    return "processing" if {"pending", "assigned", "processing"} & set(words) else _verdict(words)


def _verdict(words: list[str]) -> str:
    if set(words) in ({"completed"}, {"stopped"}):
        return words[0]
    return "partial_completed" if "completed" in words else "failed"


class Batches:
    """All tasks.

    Args:
        seed: The seed of the tasks that were not submitted.
        jobs: The jobs of the subtasks, each under (task id, subtask id).
        accept_unknown: Whether a task that was never submitted exists too.
    """

    def __init__(self, seed: int, jobs: Jobs, *, accept_unknown: bool) -> None:
        self._seed = seed
        self._jobs = jobs
        self._accept_unknown = accept_unknown
        self._batches: dict[str, Batch] = {}
        self._by_consumer: dict[str, Batch] = {}
        self._submitted = itertools.count(1)
        self._subtask_ids = itertools.count(_FIRST_SUBTASK_ID)

    def submit(self, submission: Submission, now: float) -> tuple[Batch, bool]:
        """Return the batch of this submission, and whether it is new."""
        if submission.consumer_task_id in self._by_consumer:
            return self._by_consumer[submission.consumer_task_id], False
        ident = fingerprint(self._seed, "molizhishu.tasks.start", str(next(self._submitted))).hex()
        subtasks = (Subtask(str(next(self._subtask_ids)), *question) for question in submission.questions)
        batch = self._batches[ident] = Batch(ident, {subtask.ident: subtask for subtask in subtasks}, submission)
        self.jobs_of(batch, now)
        if submission.consumer_task_id:
            self._by_consumer[submission.consumer_task_id] = batch
        return batch, True

    def find(self, ident: str) -> Batch | None:
        """Return the task of this id, or None where the API does not know it."""
        if ident not in self._batches and self._accept_unknown:
            self._batches[ident] = self._draw(ident)
        return self._batches.get(ident)

    def find_subtask(self, ident: str, subtask_ident: str) -> Subtask | None:
        """Return a subtask of a task, or None where the API does not know it."""
        if ident not in self._batches and self._accept_unknown:
            self._batches[ident] = Batch(ident)
        batch = self._batches.get(ident)
        if batch is None:
            return None
        if self._accept_unknown and batch.submission is None:
            return self._ensure_subtask(batch, subtask_ident)
        return batch.subtasks.get(subtask_ident)

    def job(self, batch_ident: str, subtask: Subtask, now: float) -> Job:
        """Return the job of a subtask; a new one is born now."""
        return self._jobs.ensure((batch_ident, subtask.ident), now)

    def jobs_of(self, batch: Batch, now: float) -> list[tuple[Subtask, Job]]:
        """Return all subtasks of the task with their jobs."""
        return [(subtask, self.job(batch.ident, subtask, now)) for subtask in batch.subtasks.values()]

    def progress(self, batch: Batch, now: float) -> Progress:
        """Return the progress of the task; a task that was stopped keeps the progress of that time."""
        at = now if batch.stopped_at is None else batch.stopped_at
        words = [job.word(at) for _, job in self.jobs_of(batch, now)]
        return Progress(
            status=_summary(words) if batch.stopped_at is None else "stopped",
            total=len(words),
            completed=words.count("completed"),
            failed=sum(word in _FAILURES for word in words),
        )

    def stop(self, batch: Batch, now: float) -> int | None:
        """Stop the task and return the number of subtasks that this stops, or None if the task has already ended.

        Subtasks that are pending or have failed are stopped, running ones finish (Molizhishu API manual, stop-task).
        """
        if self.progress(batch, now).status not in {"pending", "processing"}:
            return None
        batch.stopped_at = now
        stopped = [job for _, job in self.jobs_of(batch, now) if job.word(now) in {"pending", "failed"}]
        for job in stopped:
            job.life = Life(pending=now - job.born, outcome="stopped")
        return len(stopped)

    def script(self, ident: str, life: Life) -> None:
        """Set this life for every subtask of the task, with outcomes that give the task the wanted outcome.

        Raises:
            ValueError: The outcome is not a terminal word of this API, or is impossible with a single subtask.
        """
        check_outcome("molizhishu.tasks", life.outcome, FIRST_AND_REST)
        batch = self._batches.setdefault(ident, self._draw(ident))
        first, rest = FIRST_AND_REST[life.outcome]
        if first != rest and len(batch.subtasks) == 1:
            raise ValueError("a task of one subtask cannot be partial_completed; submit two prompts or two platforms")
        for number, subtask in enumerate(batch.subtasks):
            self._jobs.script((ident, subtask), evolve(life, outcome=rest if number else first))

    def script_subtask(self, ident: str, subtask_ident: str, life: Life) -> None:
        """Set the life of one subtask; its task is created if it does not exist.

        Raises:
            ValueError: The outcome is not a terminal word of this API.
        """
        self._jobs.script((ident, subtask_ident), life)
        self._ensure_subtask(self._batches.setdefault(ident, Batch(ident)), subtask_ident)

    def truth(self, ident: str) -> Truth:
        """Return the truth about a task.

        Raises:
            ValueError: The id was neither submitted nor polled yet.
        """
        batch = self._batches.get(ident, Batch(ident))
        truths = [self._jobs.truth((ident, subtask)) for subtask in batch.subtasks]
        if not truths:
            raise ValueError("molizhishu.tasks has not seen this id yet; submit it or poll it first")
        born = min(truth.submitted_at for truth in truths)
        if batch.stopped_at is not None:
            return Truth("stopped", born, batch.stopped_at)
        outcome = _verdict([truth.outcome for truth in truths])
        return Truth(outcome, born, max(truth.finished_at for truth in truths))

    def _ensure_subtask(self, batch: Batch, subtask_ident: str) -> Subtask:
        if subtask_ident not in batch.subtasks:
            random = random_for(self._seed, "subtask", batch.ident, subtask_ident)
            question = random.choice(_PROMPTS), random.choice(_PLATFORMS), random.choice(MODES)
            batch.subtasks[subtask_ident] = Subtask(subtask_ident, *question)
        return batch.subtasks[subtask_ident]

    def _draw(self, ident: str) -> Batch:
        """Return a task of a few subtasks, a pure function of the seed and the id."""
        random = random_for(self._seed, "batch", ident)
        batch, first = Batch(ident), random.randrange(10**6, _FIRST_SUBTASK_ID)
        for number in range(random.randint(2, 4)):
            self._ensure_subtask(batch, str(first + number))
        return batch
