"""Clients by the names of endpoints: what the command line uses, for programs and for processes of a cluster.

How it works. An endpoint is written as a built-in name, a file with a definition, or code of the user. `_targets` finds
it, with `_resolution` where it is not built in. What it finds is a `Target` of `_access`, with the `Vendor` that opens
its client. `Clients`, in `_clients`, opens one client for each account of a vendor when its first job comes. `Access`
says how: the address and the key that the caller names, or else those in the environment.

A name, and the texts and places that belong to it, are all that a job needs besides its reference. They are plain data
without a credential, so another process makes equal clients of them; and they are enough for the keys of jobs.
"""

from __future__ import annotations

from asyncpoll.clients._clients import Clients

__all__ = ["Clients"]
