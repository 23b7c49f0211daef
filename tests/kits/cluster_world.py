"""The processes around a run on a cluster: a server of its jobs, a scheduler, workers with nannies, and the run itself.

python cluster_world.py serve [HOST]        prints its address; for ids on its standard input, what it has seen
python cluster_world.py forward PORT HOST   passes connections to 127.0.0.1:PORT on to HOST:PORT
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import asyncpoll
from asyncpoll.ledger import Reader
from asyncpoll.simulator import LogNormal, Simulator, Uniform

KEY = "canary-7f3e9c51"
ENDPOINT = "bigmodel.file_parser"
STATES = {"succeeded": "success", "failed": "failed"}
LONGEST = 600.0  # seconds until a scene has failed
_EVERY = 0.02  # seconds from one look at a counter to the next


# the processes that are started here


class Watch:
    """Watches the counter of the polls.

    Attributes:
        most: The most polls in any second.
        last: When the last one came, by the clock that all processes share.
    """

    def __init__(self, world: Simulator) -> None:
        self.most = 0
        self.last = 0.0
        self._world = world
        self._seen = deque([(time.monotonic(), 0)])

    async def keep(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(_EVERY)
            now, polls = time.monotonic(), self._world.polls
            if polls > self._seen[-1][1]:
                self.last = now
            self._seen.append((now, polls))
            while now - self._seen[0][0] > 1 + _EVERY / 2:
                self._seen.popleft()
            self.most = max(self.most, polls - self._seen[0][1])


async def serve(host: str = "127.0.0.1") -> None:
    """Serve jobs of some seconds until the standard input ends."""
    async with Simulator(host=host, pending=Uniform(0.2, 1.0), processing=LogNormal(1.5, 0.5)) as world:
        watch = Watch(world)
        watching = asyncio.create_task(watch.keep())
        say(world.url)
        ids = (await asyncio.to_thread(sys.stdin.read)).split()
        watching.cancel()
        truth = {ident: STATES[world.truth(ENDPOINT, ident).outcome] for ident in ids}
        say(json.dumps({"polls": world.polls, "most": watch.most, "last": watch.last, "truth": truth}))


async def forward(port: str, host: str) -> None:
    """Pass connections on, for ever."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    await (await asyncio.start_server(connect, "127.0.0.1", int(port))).serve_forever()


def say(text: str) -> None:
    """Tell the parent something."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# a cluster, and a run on it


class Scene:
    """A server, a cluster of processes with a nanny each, and a run on it, all in one directory.

    Args:
        place: The directory.
        jobs: How many jobs the run has.
        rate: Its polls a second.
        host: Where the server and the scheduler listen.
    """

    def __init__(self, place: Path, jobs: int, rate: float, host: str = "127.0.0.1") -> None:
        self.place = place
        self.jobs = jobs
        self.rate = rate
        self.nannies: list[subprocess.Popen[str]] = []
        self._host = host
        self._exits = ExitStack()
        lines = ({"endpoint": ENDPOINT, "ref": {"task_id": f"j{n}", "format": "text"}} for n in range(jobs))
        (place / "jobs").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def __enter__(self) -> Self:
        serving = [sys.executable, __file__, "serve", self._host]
        self.server = self._start(*serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.server.stdout is not None
        self.url = self.server.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def cluster(self, workers: int = 4, *, inside: tuple[str, ...] = ()) -> None:
        """Start a scheduler and workers, the first of them through the command *inside*; end those that were there."""
        for nanny in self.nannies:
            kill(nanny.pid, *children(nanny.pid))
        told = self.place / "scheduler"
        told.unlink(missing_ok=True)
        where = ("--host", self._host, "--port", "0", "--scheduler-file", str(told), "--dashboard-address", ":0")
        self.scheduler = self._start(*_module("dask_scheduler"), *where)
        until(told.exists)
        until(lambda: told.read_text().endswith("}"))
        self.address: str = json.loads(told.read_text())["address"]
        server = f"http://127.0.0.1:{self.url.rpartition(':')[2]}" if inside else self.url
        key = {"BIGMODEL_API_KEY": KEY}
        options = (self.address, "--nthreads", "2", "--dashboard-address", ":0", "--local-directory", str(self.place))
        if inside:
            self._start(*inside, sys.executable, __file__, "forward", self.url.rpartition(":")[2], self._host)
        self.nannies = []
        for number in range(workers):
            first, base = (inside, server) if number == 0 else ((), self.url)
            env = {**key, "BIGMODEL_BASE_URL": f"{base}/api"}
            self.nannies.append(self._start(*first, *_module("dask_worker"), *options, env=env))

    def run(self, *words: str) -> subprocess.Popen[str]:
        """Start the run, or another command about it; this process has no key."""
        command = words or ("run", "jobs", "-o", "out", "--rate", str(self.rate), "--plain", "--insecure")
        there = ("--dask", self.address)
        self._run = self._start(sys.executable, "-m", "asyncpoll", *command, *there, stderr=subprocess.PIPE)
        return self._run

    def come(self, share: float) -> None:
        """Wait until this share of the jobs has an outcome."""
        ledger = self.place / "out.ledger"

        def has_come() -> bool:
            assert self._run.poll() is None, self._run.communicate()
            if not ledger.exists():
                return False
            with Reader(ledger) as reader:
                return reader.counts.outcomes >= share * self.jobs

        until(has_come, every=0.2)

    def worker(self, number: int = 0) -> int:
        """Return the process of a worker, which its nanny has started."""
        return next(pid for pid in children(self.nannies[number].pid) if "spawn_main" in command_of(pid))

    def report(self, *ids: str) -> dict[str, Any]:
        """End the server; return what it has seen."""
        out, _ = self.server.communicate("\n".join(ids))
        seen: dict[str, Any] = json.loads(out)
        return seen

    def seen(self) -> dict[str, Any]:
        """End the server; return what it has seen, and check all outcomes."""
        seen = self.report(*(f"j{number}" for number in range(self.jobs)))
        lines = [json.loads(line) for line in (self.place / "out").read_text().splitlines()]
        times = Counter(line["ref"]["task_id"] for line in lines)
        with Reader(self.place / "out.ledger") as reader:
            states = {record.ref["task_id"]: record.state for record in reader.records()}
            anomalies = reader.counts.anomalies
        facts = {
            "lost": len(seen["truth"].keys() - states.keys()),
            "lost in the file": len(seen["truth"].keys() - times.keys()),
            "twice": sum(times.values()) - len(times),
            "wrong": sum(seen["truth"][ident] != state for ident, state in states.items()),
            "wrong in the file": sum(seen["truth"][line["ref"]["task_id"]] != line["state"] for line in lines),
            "anomalies": anomalies,
        }
        assert not any(facts.values()), facts
        return seen

    def _start(self, *command: str, env: Mapping[str, str] | None = None, **pipes: Any) -> subprocess.Popen[str]:
        """Start a process, which ends with the scene, and its children with it."""
        own = Path(str(asyncpoll.__file__)).parents[1]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BIGMODEL_")}
        given = {**clean, "PYTHONPATH": str(own), **(env or {})}
        log = self._exits.enter_context((self.place / "log").open("a"))
        outputs: dict[str, Any] = {"stdout": log, "stderr": log, **pipes}
        started = subprocess.Popen(command, text=True, cwd=self.place, env=given, **outputs)
        self._exits.callback(started.wait)
        self._exits.callback(lambda: kill(*children(started.pid), started.pid))
        return started


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"distributed.cli.{name}"


def kill(*pids: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to processes, as far as they are there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, by)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, and what these have started."""
    try:
        tasks = [*Path(f"/proc/{pid}/task").iterdir()]
        own = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return []
    return [one for child in own for one in (child, *children(child))]


def command_of(pid: int) -> str:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def until(come: Any, *, every: float = 0.05) -> None:
    """Wait until something has come, and look every so many seconds."""
    give_up_at = time.monotonic() + LONGEST
    while not come():
        assert time.monotonic() < give_up_at, "it never came"
        time.sleep(every)


@contextmanager
def namespace(name: str, host: str, guest: str) -> Generator[tuple[str, ...]]:
    """Make a network namespace with a link to it; give the command that starts a process in it.

    Raises:
        CalledProcessError, FileNotFoundError: The kernel, or the rights of this process, do not let it.
    """
    steps = f"""
        netns add {name}
        link add {name} type veth peer name {name}p
        link set {name}p netns {name}
        addr add {host}/24 dev {name}
        link set {name} up
        -n {name} addr add {guest}/24 dev {name}p
        -n {name} link set {name}p up
        -n {name} link set lo up
    """
    try:
        for step in steps.strip().splitlines():
            ip(*step.split())
        yield "ip", "netns", "exec", name
    finally:
        with suppress(subprocess.CalledProcessError, FileNotFoundError):
            ip("netns", "delete", name)


def ip(*words: str) -> None:
    """Change the networks of this machine.

    Raises:
        CalledProcessError, FileNotFoundError: It cannot be done.
    """
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S607  where it is depends on the system


def main() -> None:
    """Be one of the processes."""
    what, *words = sys.argv[1:]
    asyncio.run(serve(*words) if what == "serve" else forward(*words))


if __name__ == "__main__":
    main()
