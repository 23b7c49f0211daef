"""Runs of many jobs on a cluster of Dask: `distributed_run`.

    async with Ledger("run.ledger") as ledger, Client("tcp://scheduler:8786", asynchronous=True) as client:
        async with distributed_run(jobs, client, ledger=ledger, timeout=3600, rate=100) as records:
            async for record in records:
                ...

It is for surviving the loss of a machine, for several egress addresses, and for work that lives on a cluster already.
It is not for speed: one process polls thousands of jobs a second. It needs `pip install 'asyncpoll[dask]'`.

How it works
============

The ledger, in the process of the client, is the one truth. A worker keeps nothing that must not be lost, since asking
again about a job costs one poll.

- Jobs are *entered* into the ledger page by page. Those without an outcome go out in *shards* of 250 references: the
  name of the endpoint, the reference, and the progress of the wait so far. A shard is a task of Dask that blocks a
  thread, but does not keep a slot of its worker.
- Each worker process has one *engine* for a run (`_engine.py`): a thread with an event loop, one hub, and clients that
  take their keys from the environment of the worker. All shards of the process share its connections, lanes and learned
  durations. What would happen on the event loop of the worker would delay the heartbeats of Dask.
- *Outcomes* and the progress of waits are sent as they come, as masked JSON, by events of the scheduler. An event may
  be lost, so the end of a shard proves nothing: its jobs are looked up in the ledger, and those without an outcome are
  sent out again. A second outcome of a job is refused by the ledger.
- The *rate* is shared out by a plugin of the scheduler (`_scheduler.py`, `_shares.py`). An engine asks for a share each
  0.4 s; a share is valid for 2 s. An engine that cannot ask polls nothing. The plugin goes when the run ends or its
  client is gone; then engines are told that the run is over: polls in flight end, what they bring is sent, and so is
  the progress of all other waits.

What happens when a process dies:

- A worker: Dask runs its shards again on others. The plugin knows which outcomes have passed the scheduler, so that
  only the jobs that were not done are asked about again. Deadlines go on.
- The client: workers are quiet within two seconds. The run is resumed from the ledger.
- The scheduler: workers of Dask end by themselves. The run ends with an error, and is resumed on a new cluster.

No credential is in a task, a message or an event: references go out, and each worker has keys of its own. A worker
returns an error instead of raising it, because Dask logs what is raised, with the arguments of the task.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, Unpack
from uuid import uuid4

from asyncpoll._checks import whole
from asyncpoll._timeout import Timeout
from asyncpoll._version import __version__
from asyncpoll.clients import Clients
from asyncpoll.dask._connect import connected
from asyncpoll.dask._run import DistributedRun, Given
from asyncpoll.dask._shard import Settings, sent_settings
from asyncpoll.ledger import Ledger
from asyncpoll.ledger._run import MOST_PENDING
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._policy import PollOptions, check_options, policy_of
from asyncpoll.waiting._run import check_jobs
from asyncpoll.waiting.learning._learned import Learned

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DistributedRun", "connected", "distributed_run"]


def distributed_run(
    jobs: Iterable[Given] | AsyncIterable[Given],
    client: Client,
    *,
    ledger: Ledger,
    timeout: float | Timeout | None,
    rate: float | None = None,
    concurrency: int = 100,
    max_pending: int = MOST_PENDING,
    clients: Clients | None = None,
    **options: Unpack[PollOptions],
) -> DistributedRun:
    """Return a run of *jobs* on the workers of a Dask cluster, whose outcomes are recorded before they are yielded.

    Args:
        jobs: An iterable or async iterable of jobs, of pairs (name of the endpoint, reference as JSON data), or of the
            entries of a ledger. Those with an outcome in the ledger are left out.
        client: A `distributed.Client` that was made with `asynchronous=True`.
        ledger: An open ledger, which remembers the run.
        timeout: For each wait, over all processes.
        rate: The most polls a second of all workers together, or None for any number.
        concurrency: The most polls in flight in each worker process.
        max_pending: The most jobs that are out at once.
        clients: Where endpoints are that are neither built in nor in the catalogue, such as `Clients("acme:TASKS")`.
            Each worker makes its own clients of it, with the keys of its own environment, and imports the code.
            Settings go along, but neither a proxy, nor certificates, nor a session.
        **options: Those of `Hub.wait`; they are pickled.

    Raises:
        TypeError: An argument has a wrong type or an unknown name.
        ValueError: An argument is out of range.
    """
    check_options("distributed_run", options, PollOptions)
    check_jobs("distributed_run", jobs)
    chosen: dict[str, Any] = dict(options)
    hub = Hub(concurrency=concurrency, rate=rate, schedule=chosen.pop("schedule", None))  # never opened: it checks
    policy_of("distributed_run", timeout, {"schedule": hub.schedule, **chosen}, job=None, replans=True, parks=True)
    whole(1)("max_pending", max_pending)
    given = Clients() if clients is None else clients
    settings = Settings(
        run=f"asyncpoll-{uuid4().hex[:8]}",
        version=__version__,
        transport=sent_settings(given),
        timeout=timeout,
        concurrency=concurrency,
        schedule=hub.schedule.untaught() if isinstance(hub.schedule, Learned) else hub.schedule,
        options=chosen,
        links=ledger.links,
    )
    return DistributedRun(jobs, client, ledger, settings, hub, clients=given, max_pending=max_pending)
