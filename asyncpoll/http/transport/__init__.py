"""The transport over real connections, on aiohttp, which no other package of asyncpoll uses as a client.

Terms. An *exchange* is one request and its reply. A *line* is one connection of the direct path. A *path* is the way
that a request takes: *direct*, over lines of our own, or *session*, through `aiohttp.ClientSession`.

The life of an exchange, from top to bottom of `AiohttpTransport.send`:

1. `_encode.Encoder` checks the request and turns it into an `Outgoing`, or raises a `ValueError`, or a `Rejected` for
   an address that is not below the base.
2. `_exchanges.Exchanges.admit` waits for a slot. From then on the time runs: `attempt` until the head of the reply.
3. `_pool.Pool.ask` or `_session.SessionPath.ask` sends it, once, and gives an `Answer`: the head, and a body to read.
4. `_response.read_reply` reads the body within `max_body`, with `read_gap` between two pieces, masks the credential,
   and decodes the JSON, in a thread where it is large.
5. `_errors.failure_of` turns any error into one of our own that has nothing of the original attached.

Invariants. A request is sent once, and counted when a connection is ready for it. Bytes that a server sends between two
requests are never taken for an answer: a connection that has brought some, or has unread ones before its next request,
is closed. Requests take the session path whenever something else wants to see them. Private names of aiohttp are used
in `_pool` only, which checks at import that they are there; if not, all requests take the session path.

The session path has one limit. Bytes that come while a connection is idle and are less than a message are swallowed by
aiohttp's parser without a sign, so the connection is used again. They never become part of an answer, since each
request has a new parser. If the rest of them follows, the reply is not proper HTTP: a miss, and the connection is
closed.

A few things look odd. The direct path has no HTTP parser of its own but aiohttp's, a new one for each request, so that
stray bytes in an old one never become part of an answer. It receives into a buffer that stays, since asyncio otherwise
allocates 256 KiB for each receive. One timer serves the deadlines of all exchanges, since few expire.
"""

from __future__ import annotations

from asyncpoll.http.transport._session import open_stream
from asyncpoll.http.transport._transport import AiohttpTransport

__all__ = ["AiohttpTransport", "open_stream"]
