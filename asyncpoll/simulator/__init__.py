"""A server that speaks the wire formats of all providers, reproducible from its seed.

    async with Simulator(seed=7) as sim:
        sim.script("bigmodel.agents", "abc", Life(pending=0.5, processing=2.0, outcome="failed"))
        sim.faults.append(Fault(Reset("body"), "bigmodel.agents", nth=3))
        ...
        sim.truth("bigmodel.agents", "abc").finished_at

A request passes through these parts: its route leads to the vendor's handler (`_bigmodel`, `_molizhishu`); the handler
finds the job (`_jobs`, `_batches`), whose life is scripted or drawn from the seed (`_lives`), and returns a response
as a value (`_http`); each `Fault` that is due changes the response (`_faults`), and the server sends it (`_server`).

The simulator is written from the vendors' documents and imports nothing else of asyncpoll, so that an error in one of
the two shows as a difference between them.
"""

from __future__ import annotations

from asyncpoll.simulator._faults import (
    Cut,
    Drip,
    Effect,
    EmptyBody,
    Envelope,
    ErrorStatus,
    Fault,
    GzipBomb,
    HtmlPage,
    Latency,
    LateResponse,
    Malformed,
    Omit,
    Oversized,
    Redirect,
    Reset,
    Rewrite,
    WrongId,
)
from asyncpoll.simulator._jobs import Truth
from asyncpoll.simulator._lives import Bimodal, Constant, Duration, Exponential, Life, LogNormal, Pareto, Uniform
from asyncpoll.simulator._server import Simulator

__all__ = [
    "Bimodal",
    "Constant",
    "Cut",
    "Drip",
    "Duration",
    "Effect",
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
