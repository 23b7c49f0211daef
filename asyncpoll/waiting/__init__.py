"""Waiting for remote jobs: one decision, and two drivers that carry it out. Nothing here knows HTTP.

`_decision.Decision` is the course of one wait: the result of a poll goes in, a `Verdict` comes out. It neither sleeps
nor does I/O. The drivers are the loop of a single wait (`_wait`) and the scheduler of a hub (`scheduler/`); `_hub` and
`_run` are the public side of the latter. `learning/` is a schedule that learns how long jobs take.
"""
