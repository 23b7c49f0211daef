"""A server of our own that speaks the wire formats of every provider, reproducible from its seed.

    async with Simulator(seed=7) as sim:
        sim.script("bigmodel.agents", "abc", Life(pending=0.5, processing=2.0, outcome="failed"))
        sim.faults.append(Fault(Reset("body"), "bigmodel.agents", nth=3))
        ...
        sim.truth("bigmodel.agents", "abc").finished_at

It stands apart: nothing else of asyncpoll is imported here, so that the two can disagree.
"""

from __future__ import annotations

from asyncpoll.simulator.deliveries import Cut, Drip, LateResponse, Reset
from asyncpoll.simulator.effects import (
    EmptyBody,
    Envelope,
    ErrorStatus,
    GzipBomb,
    HtmlPage,
    Latency,
    Malformed,
    Omit,
    Oversized,
    Redirect,
    Rewrite,
    WrongId,
)
from asyncpoll.simulator.faults import Fault
from asyncpoll.simulator.jobs import Truth
from asyncpoll.simulator.lives import Bimodal, Constant, Exponential, Life, LogNormal, Pareto, Uniform
from asyncpoll.simulator.server import Simulator

__all__ = [
    "Bimodal",
    "Constant",
    "Cut",
    "Drip",
    "EmptyBody",
    "Envelope",
    "ErrorStatus",
    "Exponential",
    "Fault",
    "GzipBomb",
    "HtmlPage",
    "LateResponse",
    "Latency",
    "Life",
    "LogNormal",
    "Malformed",
    "Omit",
    "Oversized",
    "Pareto",
    "Redirect",
    "Reset",
    "Rewrite",
    "Simulator",
    "Truth",
    "Uniform",
    "WrongId",
]
