"""Subtasks: one question to one AI platform each.

Sources: the Molizhishu API manual, get-subtask-result and query-task-status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from attrs import field, frozen

from asyncpoll._calls import Group
from asyncpoll._checks import Time
from asyncpoll._endpoint import Endpoint, Job
from asyncpoll._errors import BadReply
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State, Vocabulary
from asyncpoll._structure import at, echoes, fit, status_at, text_of
from asyncpoll.http import Reply, Request, Transport, segment
from asyncpoll.http._urls import as_text, is_segment
from asyncpoll.providers._catalog import predictor_of
from asyncpoll.providers.molizhishu import _tasks
from asyncpoll.providers.molizhishu._envelope import classify, reason
from asyncpoll.providers.molizhishu._results import Subtask, SubtaskStatus, TaskStatus, as_documented


@frozen(weakref_slot=False)
class SubtaskRef:
    """A subtask.

    Attributes:
        task_id: The id of its task.
        sub_task_id: The id of the subtask.
    """

    task_id: str = field(converter=as_text, validator=is_segment)
    sub_task_id: str = field(converter=as_text, validator=is_segment)


STATUSES = Vocabulary(
    "molizhishu.subtasks",
    {
        "pending": State.PENDING,
        "assigned": State.PROCESSING,
        "processing": State.PROCESSING,
        "completed": State.SUCCESS,
        "success": State.SUCCESS,  # only on the page about stopping
        "failed": State.FAILED,
        "error": State.FAILED,
        "timeout": State.TIMEOUT,  # only in the older manual
        "stopped": State.CANCELLED,
    },
)


def ask(ref: SubtaskRef) -> Request:
    """Ask about one subtask."""
    path = f"/task/result/{segment('task_id', ref.task_id)}/{segment('sub_task_id', ref.sub_task_id)}"
    return Request("GET", path, repeatable=True)


def read(reply: Reply, words: Vocabulary = STATUSES) -> Snapshot[Subtask]:
    """Read a reply about a subtask.

    The reason of a failure is in its `errorMessage`, or under another customary name. A subtask may have its answer
    before it has a screenshot and its sources, so before it is completed (see get-subtask-result). Then the snapshot
    has a partial value.

    Args:
        reply: The reply.
        words: The status words.
    """
    data = at(reply.json, "data")
    state, word = status_at(reply.json, words, "data", "status")
    hint = reply.retry_after
    if state is State.SUCCESS or (not state.is_terminal and text_of(data.get("answerContent"))):
        value, misfits = fit(as_documented(data), Subtask, where="$.data")
        ended, partial = (value.time, False) if state is State.SUCCESS else (None, True)
        return Snapshot(
            state, word, value, retry_after=hint, ended_at=ended, raw=reply.json, misfits=misfits, partial=partial
        )
    why = reason(reply, data) if state.is_terminal else None
    return Snapshot(state, word, reason=why, retry_after=hint, raw=reply.json)


def _same_job(ref: SubtaskRef, reply: Reply) -> bool:
    return echoes(reply.json, ref.sub_task_id, "data", "subTaskId")


_COMPLETE_IN_LIST = frozenset({State.PENDING, State.PROCESSING, State.CANCELLED, State.UNKNOWN})


def _ask_together(refs: Sequence[SubtaskRef]) -> Request:
    return _tasks.ask(_tasks.TaskRef(refs[0].task_id))


def _read_together(
    reply: Reply, refs: Sequence[SubtaskRef], words: Vocabulary = STATUSES
) -> Mapping[SubtaskRef, Snapshot[Subtask]]:
    """Read the states of subtasks from the status of their task.

    A subtask with a result or a reason is left out, since the list does not contain them.
    """
    status = _tasks.task_status(reply.json)
    listed = at(reply.json, "data", "subTaskList") or []
    words_by_id = {text_of(one["subTaskId"]): one.get("status") for one in listed}
    if status.task_id not in ("", refs[0].task_id) or len(words_by_id) < len(listed):
        raise BadReply(
            "the answer is about another task, or about a subtask twice", kind="identity", origin=reply.origin
        )
    told = {ref: words_by_id[ref.sub_task_id] for ref in refs if ref.sub_task_id in words_by_id}
    states = {ref: words.read(word) for ref, word in told.items() if word != "" and words.accepts(word)}
    return {
        ref: Snapshot(state, told[ref], retry_after=reply.retry_after)
        for ref, state in states.items()
        if state in _COMPLETE_IN_LIST
    }


predicts = predictor_of("molizhishu.subtasks")

ENDPOINT: Endpoint[SubtaskRef, Subtask] = Endpoint(
    "molizhishu.subtasks",
    ask=ask,
    read=read,
    classify=classify,
    group=Group(attrgetter("task_id"), _ask_together, _read_together, size=2500),  # 50 prompts on 50 platforms
    same_job=_same_job,
)


@frozen
class Subtasks:
    """Returns the jobs of subtasks (`molizhishu.subtasks`)."""

    transport: Transport = field(repr=False)
    endpoint: Endpoint[SubtaskRef, Subtask] = field(default=ENDPOINT, repr=False)

    def job(self, *, task_id: str | int, sub_task_id: str | int, submitted_at: Time | None = None) -> Job[Subtask]:
        """Return a subtask.

        Args:
            task_id: The id of its task.
            sub_task_id: The id of the subtask.
            submitted_at: The time of the submit of its task, if it is known; see `Job.with_submitted_at`.

        Raises:
            ValueError: An id is unusable in a path, or the time is in the future.
        """
        return self.endpoint.job(self.transport, SubtaskRef(task_id, sub_task_id), submitted_at=submitted_at)

    def of(self, task: TaskStatus | Snapshot[TaskStatus]) -> tuple[Job[Subtask], ...]:
        """Return the subtasks of a task.

        Args:
            task: The result of a task, or a snapshot of it in any state.

        Raises:
            BadReply: The list of subtasks in the snapshot is malformed.
        """
        status = _tasks.task_status(task.raw) if isinstance(task, Snapshot) else task
        return self._jobs(status.task_id, status)

    async def list(self, *, task_id: str | int) -> tuple[Job[Subtask], ...]:
        """Request the list of subtasks of a task once, and return them.

        Args:
            task_id: The id of the task, which may be in any state.

        Raises:
            TransportError: There was no answer, or the task is unknown.
            ValueError: The id is unusable in a path.
        """
        snapshot = await _tasks.ENDPOINT.job(self.transport, _tasks.TaskRef(task_id)).fetch()
        return self._jobs(task_id, _tasks.task_status(snapshot.raw))

    def _jobs(self, task_id: str | int, status: TaskStatus) -> tuple[Job[Subtask], ...]:
        return tuple([self._job(task_id, one) for one in status.sub_task_list])

    def _job(self, task_id: str | int, one: SubtaskStatus) -> Job[Subtask]:
        job, pacing = (
            self.job(task_id=task_id, sub_task_id=one.sub_task_id),
            predicts({"platform": one.platform, "mode": one.mode}),
        )
        return job if pacing is None else job.with_pacing(pacing)
