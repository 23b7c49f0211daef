"""`asyncpoll draft`: begin a definition with what a document of the API says."""

from __future__ import annotations

import argparse
from pathlib import Path

from asyncpoll.cli import Exit
from asyncpoll.cli._resolution import text_in
from asyncpoll.cli._streams import write_results
from asyncpoll.definitions import draft_openapi, draft_waiter


def run(args: argparse.Namespace) -> int:
    """Print the draft of a definition.

    Raises:
        ValueError: The document does not have the operation or the waiter, or says too little about it.
        OSError: The document cannot be read.
    """
    name, _, waiter = args.document.partition("#")
    if bool(waiter) == (args.path is not None):
        raise ValueError(
            f"say what to draft of {name}: --path '/tasks/{{id}}' of an OpenAPI document, or {name}#WAITER of "
            "botocore's waiters-2.json"
        )
    document = Path(name)
    text = text_in(document)
    if waiter:
        service = args.service or _service_beside(document)
        drafted = draft_waiter(text, waiter, service=None if service is None else text_in(service))
    else:
        drafted = draft_openapi(text, path=args.path, method=args.method, source=document.name)
    write_results(drafted.encode())
    return Exit.SUCCESS


def _service_beside(waiters: Path) -> Path | None:
    """Return the model of the service, which botocore keeps beside the waiters, if it is there."""
    beside = (waiters.with_name(f"service-2.json{ending}") for ending in ("", ".gz"))
    return next(filter(Path.exists, beside), None)
