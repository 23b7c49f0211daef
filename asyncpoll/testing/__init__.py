"""Test your own code with a scripted fetch, a transport without a network, and a virtual clock."""

from __future__ import annotations

from asyncpoll.testing._memory import MemoryTransport
from asyncpoll.testing._script import Script
from asyncpoll.testing._virtual import VirtualLoop, run_virtual

__all__ = ["MemoryTransport", "Script", "VirtualLoop", "run_virtual"]
