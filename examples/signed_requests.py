"""Wait for a job of an API that wants every request signed.

The signature is an HMAC-SHA256 over the method, the path with its query, the date, and the body, as several clouds have
it in one form or another. The server computes the same one and compares. A secret that was replaced in the meantime is
read again when the server refuses a signature.

Usage: python signed_requests.py BASE_URL FILE JOB_ID, where FILE contains the secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

from asyncpoll import Endpoint, Snapshot, State, Vocabulary
from asyncpoll.http import AiohttpTransport, OutgoingRequest, Paced, Reply, Request, Retrying, identifier


class Signature:
    """An `Auth` that signs each request as it goes out."""

    def __init__(self, key_id: str, file: Path) -> None:
        self._key_id = key_id
        self._file = file
        self._secret = file.read_bytes().strip()

    async def headers(self, request: OutgoingRequest) -> Mapping[str, str]:
        """Return the date of this moment, and the signature of the request."""
        if request.body is None:
            raise ValueError("forms with files cannot be signed, since their bytes are not known before they are sent")
        url = urlsplit(request.url)
        path = f"{url.path}?{url.query}" if url.query else url.path
        date = format_datetime(datetime.now(UTC), usegmt=True)
        message = b"\n".join([request.method.encode(), path.encode(), date.encode(), request.body])
        signature = hmac.new(self._secret, message, hashlib.sha256).hexdigest()
        return {"Date": date, "Authorization": f"HMAC-SHA256 {self._key_id}:{signature}"}

    async def renew(self) -> bool:
        """Read the secret again, and return whether it is another one."""
        refused = self._secret
        self._secret = (await asyncio.to_thread(self._file.read_bytes)).strip()
        return self._secret != refused

    def __repr__(self) -> str:
        return "Signature(***)"


STATUSES = Vocabulary("acme.jobs", {"queued": State.PENDING, "running": State.PROCESSING, "done": State.SUCCESS})


def ask(job_id: str) -> Request:
    """Ask about a job. This POST only reads, so it may be repeated."""
    return Request("POST", "/jobs/query", {"fields": "status,url"}, {"id": identifier("id", job_id)}, repeatable=True)


def read(reply: Reply) -> Snapshot[str]:
    """Read the status word and the result."""
    word = reply.json["status"]
    return Snapshot(STATUSES.read(word), word, reply.json.get("url"), retry_after=reply.retry_after, raw=reply.json)


JOBS = Endpoint("acme.jobs", ask=ask, read=read)


async def main(base_url: str, file: Path, job_id: str) -> None:
    """Wait for the job, and print its result."""
    async with AiohttpTransport(base_url, auth=Signature("key-1", file)) as transport:
        job = JOBS.job(Retrying(Paced(transport)), job_id)
        print(await job.result(timeout=600))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
