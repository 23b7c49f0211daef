"""The example that signs its requests, run against a server that checks every signature."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from aiohttp import web
from attrs import define, field
from example_kit import output_of
from server_kit import serving


@define
class Api:
    """An API whose secret is replaced before the second request.

    Attributes:
        file: The file that a client reads the secret from.
        secrets: The secret for each request in turn.
        statuses: The HTTP status of each reply.
    """

    file: Path
    secrets: list[bytes]
    statuses: list[int] = field(factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Check the signature, then tell that the job is done."""
        secret = self.secrets.pop(0)
        self.file.write_bytes(secret + b"\n")
        status = 200 if await _is_signed(request, secret) else 401
        self.statuses.append(status)
        if status != 200:
            return web.json_response({"error": "signature"}, status=status)
        word = "running" if self.secrets else "done"
        return web.json_response({"status": word, "url": "https://acme.example/1.png"}, headers={"Retry-After": "0"})


async def _is_signed(request: web.Request, secret: bytes) -> bool:
    date = request.headers["Date"]
    age = datetime.now(UTC) - parsedate_to_datetime(date)
    body = await request.read()
    message = b"\n".join([request.method.encode(), request.raw_path.encode(), date.encode(), body])
    expected = f"HMAC-SHA256 key-1:{hmac.new(secret, message, hashlib.sha256).hexdigest()}"
    is_new = abs(age.total_seconds()) < 60 and body == b'{"id":"job-1"}'
    return is_new and hmac.compare_digest(request.headers["Authorization"], expected)


async def test_every_request_is_signed(tmp_path: Path) -> None:
    """A secret that is replaced during the wait is read again, and the refused request is sent once more."""
    file = tmp_path / "secret"
    file.write_bytes(b"first\n")
    api = Api(file, [b"first", b"second", b"second"])
    app = web.Application()
    app.router.add_post("/v1/jobs/query", api.answer)
    async with serving(app) as url:
        out = await output_of("signed_requests.py", f"{url}/v1", str(file), "job-1")
    assert out == ["https://acme.example/1.png"]
    assert api.statuses == [200, 401, 200]
