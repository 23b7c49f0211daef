"""Molizhishu's wire dialect: batches of prompts, and the answers of the platforms they were put to.

Sources: the Molizhishu API manual (submit-task, query-task-status, get-task-result, get-subtask-result, stop-task,
error-handling). Every refusal comes with HTTP 200; `success` and `code` say what it is.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from attrs import field, frozen

from asyncpoll.simulator.answers import Answer, json_answer
from asyncpoll.simulator.batches import Batch, Batches, Progress, Subtask
from asyncpoll.simulator.jobs import Job
from asyncpoll.simulator.lives import chance
from asyncpoll.simulator.molizhishu_order import order_of
from asyncpoll.simulator.molizhishu_samples import subtask_result
from asyncpoll.simulator.routes import Clock, Route, Shapes, bearer, json_object, opens

_PREFIX = "/api/business/monitor"
_ENDED = 3  # the last phase of a life
_FINISHED = frozenset({"completed", "partial_completed", "failed"})


def envelope(data: Any, message: str = "操作成功") -> Answer:
    """Return *data* in the envelope of a success."""
    return json_answer({"success": True, "code": 200, "message": message, "data": data})


def refusal(code: int, message: str) -> Answer:
    """Return a refusal, which has no data at all."""
    return json_answer({"success": False, "code": code, "message": message})


def _head(batch: Batch, progress: Progress) -> dict[str, Any]:
    return {
        "taskId": batch.ident,
        "consumerTaskId": batch.order and batch.order.consumer_task_id,
        "status": progress.status,
        "totalItems": progress.total,
        "completedItems": progress.completed,
        "failedItems": progress.failed,
    }


@frozen
class Molizhishu:
    """The endpoints, each a coroutine from a request to an answer."""

    seed: int
    clock: Clock
    batches: Batches
    shapes: Shapes
    token: str | None = field(repr=False)

    def routes(self) -> tuple[Route, ...]:
        """Return where everything is."""
        return tuple(
            Route(f"molizhishu.{name}", method, _PREFIX + path, self._guard, handler)
            for name, method, path, handler in (
                ("tasks.start", "POST", "/task/batch/shared", self._start),
                ("tasks", "GET", "/task/status/{task}", self._status),
                ("tasks.result", "GET", "/task/result/{task}", self._result),
                ("subtasks", "GET", "/task/result/{task}/{subtask}", self._subtask),
                ("tasks.stop", "PUT", "/task/{task}/stop", self._stop),
            )
        )

    def _guard(self, request: web.Request) -> Answer | None:
        return None if opens(bearer(request), self.token) else refusal(500, "Token失效")

    async def _start(self, request: web.Request) -> Answer:
        order = order_of(await json_object(request))
        if isinstance(order, str):
            return refusal(300001, f"请求参数错误:{order}")
        now = self.clock.now()
        batch, new = self.batches.submit(order, now)
        order = batch.order or order  # that of the first submission, where this is another
        data = {
            "taskId": batch.ident,
            "consumerTaskId": order.consumer_task_id,
            "totalTask": len(batch.subtasks),
            "status": self.batches.progress(batch, now).status,
            "pollUrl": f"{_PREFIX}/task/status/{batch.ident}",
            "callbackUrl": order.callback_url,
            "subTaskList": self._listed(batch, now),
        }
        return envelope(data, "批量任务已提交" if new else "任务已存在")

    async def _status(self, request: web.Request) -> Answer:
        batch, now = self.batches.find(request.match_info["task"]), self.clock.now()
        if batch is None:
            return refusal(404, "任务不存在")
        progress = self.batches.progress(batch, now)
        truth = self.batches.truth(batch.ident)
        data = {
            **_head(batch, progress),
            "message": f"任务进度: {progress.completed}/{progress.total} 已完成, {progress.failed} 失败",
            "createdAt": self.clock.stamp(truth.submitted_at),
            "completedAt": self.clock.stamp(truth.finished_at) if progress.status in _FINISHED else None,
            "subTaskList": self._listed(batch, now),
        }
        return envelope({**data, "message": "任务已停止"} if progress.status == "stopped" else data)

    async def _result(self, request: web.Request) -> Answer:
        batch, now = self.batches.find(request.match_info["task"]), self.clock.now()
        if batch is None:
            return refusal(404, "任务不存在")
        results = [self._shown(batch.ident, *entry, now) for entry in self.batches.jobs_of(batch, now)]
        return envelope({**_head(batch, self.batches.progress(batch, now)), "subTaskList": results})

    async def _subtask(self, request: web.Request) -> Answer:
        ident, now = request.match_info["task"], self.clock.now()
        subtask = self.batches.find_subtask(ident, request.match_info["subtask"])
        if subtask is None:
            return refusal(404, "子任务不存在")
        return envelope(self._shown(ident, subtask, self.batches.job(ident, subtask, now), now))

    async def _stop(self, request: web.Request) -> Answer:
        batch = self.batches.find(request.match_info["task"])
        if batch is None:
            return refusal(404, "任务不存在")
        spared = self.batches.stop(batch, self.clock.now())
        if spared is None:
            return refusal(500, "任务已结束，不能停止")  # noqa: RUF001  the vendor's own comma
        return envelope(f"任务已停止，影响子任务 {spared} 个")  # noqa: RUF001  likewise

    def _listed(self, batch: Batch, now: float) -> list[dict[str, Any]]:
        brand = batch.order.brand if batch.order else {}
        return [
            {
                "subTaskId": subtask.ident,
                "prompt": subtask.prompt,
                "platform": subtask.platform,
                "mode": subtask.mode,
                "status": job.word(now),
                **brand,
            }
            for subtask, job in self.batches.jobs_of(batch, now)
        ]

    def _shown(self, ident: str, subtask: Subtask, job: Job, now: float) -> dict[str, Any]:
        ended = self.clock.stamp(job.truth.finished_at) if job.phase(now) == _ENDED else None
        random = chance(self.seed, "subtask.result", ident, subtask.ident)
        return subtask_result(random, subtask, job.word(now), ended, self.shapes)
