"""Connections to clusters by their addresses."""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from distributed import Client, LocalCluster, WorkerPlugin

_LOCAL = re.compile(r"local:([1-9]\d{0,3})")


class IgnoreInterrupts(WorkerPlugin):
    """Has workers leave a Ctrl-C in their terminal to the process that has started them."""

    def setup(self, worker: Any) -> None:  # noqa: ARG002  Dask's name
        """Ignore interrupts from now on."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@asynccontextmanager
async def connected(where: str, *, patience: float = 10.0) -> AsyncGenerator[Client]:
    """Connect to a cluster, and give a client for `distributed_run`.

    Args:
        where: The address of a scheduler, such as "tcp://10.0.0.7:8786", or "local:4" to start a cluster of four
            processes on this machine, which ends with the block.
        patience: Seconds until a scheduler counts as absent.

    Raises:
        ValueError: It is neither.
        OSError: There is no scheduler.
    """
    local = _LOCAL.fullmatch(where)
    if local is None and "://" not in where:
        raise ValueError(f"{where!r} is neither the address of a scheduler, such as tcp://HOST:8786, nor local:N")
    async with AsyncExitStack() as exits:
        if local is not None:
            cluster = LocalCluster(  # type: ignore[no-untyped-call]  # Dask's
                n_workers=int(local[1]),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                asynchronous=True,
            )
            where = (await exits.enter_async_context(cluster)).scheduler_address
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is told by the run
        try:
            client = Client(where, timeout=patience, asynchronous=True)  # type: ignore[no-untyped-call]  # Dask's
            await exits.enter_async_context(client)
        except OSError:
            raise OSError(
                f"no scheduler of Dask answers at {where}; start it, or give the address that it prints"
            ) from None
        if local is not None:
            await client.register_plugin(IgnoreInterrupts())
        yield client
