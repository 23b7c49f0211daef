"""Draft a definition from an OpenAPI document: what is guessed is marked, what is unknown is left to a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from asyncpoll.definitions._draft import DraftWriter, inline, letters, read_document, snake, snaked
from asyncpoll.definitions._openapi import Document, Operation, Table, items, table

_WORDS = {
    "pending": "pending queued inqueue enqueued submitted waiting scheduled notstarted accepted requested validating",
    "processing": "processing running inprogress started starting working executing generating rendering finalizing "
    "cancelling canceling transcribing assigned",
    "success": "success succeeded succeed successful done completed complete ready ended finished",
    "failed": "failed fail failure error errored rejected",
    "timeout": "timeout timedout",
    "cancelled": "cancelled canceled aborted",
    "expired": "expired",
    "partial": "partialsuccess partiallysucceeded partiallycompleted completedwitherrors",
    "needs_action": "requiresaction actionrequired inputrequired",
}
"""Words by key, as `letters` has them. Drafts alone use them: an answer is never guessed at."""

_KEY_OF = {word: key for key, words in _WORDS.items() for word in words.split()}
_WEAK = {"ready", "ended"}
"""Words that stay unplaced where another one says success."""

_DOUBTFUL = {*_WEAK, "accepted", "done", "completed", "complete", "finished", "aborted", "expired"}.union(
    _WORDS["partial"].split(), _WORDS["needs_action"].split()
)
"""Words that APIs mean differently."""

_PROSE = re.compile(r"""[`"]([^`"]*)[`"]|(\w+(?:\s?[/|,]\s?\w+)+)""")
_OWN = ("job", "task", "async", "request", "operation", "batch", "run", "prediction", "generation", "execution")
_SHARED = ("agent", "app", "account", "user", "project", "org", "model", "tenant", "workspace", "group", "subscription")
_REASONS = {"errormessage", "errormsg", "failurereason", "failreason", "errorreason"}
_CRITERION = re.compile(r"""\$response\.body#/([^\s=!<>]+)\s*==\s*["']?([^"']*)["']?""")
_SECOND_LEVEL = {"co", "com", "net", "org", "gov", "ac"}
_AZURE = {
    "pending": "NotStarted",
    "processing": "Running",
    "success": "Succeeded",
    "failed": "Failed",
    "cancelled": ["Canceled", "Cancelled"],
    "reason": "error.message",
    "code": "error.code",
}
_DEEPEST, _LIKELY, _LONGEST_PACE = 3, 3, 3600


def draft_openapi(text: str, *, path: str, method: str | None = None, source: str = "openapi") -> str:
    """Return the draft of a definition, as TOML, for the operation that tells the status of a job.

    Comments mark what is guessed, and `TODO` what is left to decide. An operation that Azure marks with
    `x-ms-long-running-operation` starts a job; its draft asks at the address that the answer gives.

    Args:
        text: An OpenAPI 3 document in JSON or YAML, or a page of Markdown with a block of it.
        path: The path of the operation, as the document writes it.
        method: Its HTTP method. The default is GET if there is one, then POST.
        source: What to call the document in the draft and in messages.

    Raises:
        DefinitionError: The document cannot be read, or has no such operation, or its answer has no status.
    """
    operation = Operation.find(Document(read_document(text, source), source), path, method)
    draft = DraftWriter(source, f"{operation.method.upper()} {path}")
    address = urlsplit(operation.base or "")
    labels = (address.hostname or "").split(".")
    vendor = labels[-3] if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else labels[-2] if labels[1:] else "acme"  # noqa: PLR2004  as co.uk
    fixed = [part for part in operation.path.split("/") if part and "{" not in part]
    draft.put("name", f"{snake(vendor)}.{snake(fixed[-1] if fixed else 'jobs')}", "guessed")
    known = address.scheme == "https" and labels[1:]
    draft.put("base", operation.base if known else "https://api.example.com", "" if known else "TODO the address")
    draft.put("auth", operation.auth or "bearer", "" if operation.auth else 'TODO the document does not say; or "none"')
    if operation.raw.get("x-ms-long-running-operation") is True:
        _azure(draft, operation)
    else:
        _polling(draft, operation)
    return draft.checked()


def _azure(draft: DraftWriter, operation: Operation) -> None:
    """Write the draft for an operation that starts a job and whose answer has the address to ask in a header."""
    options = table(operation.raw.get("x-ms-long-running-operation-options"))
    usual = "original-uri" if operation.method in {"put", "patch"} else "location"
    final = str(options.get("final-state-via", usual))
    header = final if final in {"location", "operation-location"} else "azure-asyncoperation"
    draft.put("ask", "GET {+operation}")
    start = {**_request(operation), "open": True, "ref": {"operation": f"header:{header}"}}
    draft.put("start", start, f"guessed from final-state-via {final}")
    if final == "location":
        draft.put("http", {"202": "processing", "200": "success"})
        return
    if final == "original-uri":
        slots = re.findall(r"\{([^{}]*)\}", operation.path)
        draft.put("ref", {snake(slot): "" for slot in slots} or None, "start puts its arguments there")
        draft.put("then", f"GET {snaked(operation.path)}", "the resource itself")
    elif final == "operation-location":
        draft.put("value", "result", "guessed")
    draft.put("status", "status", "any other word means that the job runs")
    for key, value in _AZURE.items():
        draft.put(key, value)


def _polling(draft: DraftWriter, operation: Operation) -> None:
    """Write the draft for an operation that is asked until its answer says that the job has ended."""
    schema, example = operation.answer("200", "201", "202", "2XX", "default")
    fields = list(_fields(operation.document, schema))
    named, said, pace = _criteria(operation)
    status = _status(operation, fields, named)
    request = _request(operation)
    draft.put("ask", request if request.keys() > {"call"} else request["call"])
    chosen = {
        snake(one["name"]): str(words[0]) for one in operation.parameters if len(words := one["schema"]["enum"]) > 1
    }
    draft.put("ref", chosen or None, "the first of the values that the document lists")
    own = _own_id(operation)
    echo = [one for one in fields if own and one.depth <= status.depth and _is_same(own, one.name)]
    echo.sort(key=lambda one: (letters(one.name) == letters(own or ""), one.around == status.around))
    if echo:
        draft.put("echo", {snake(own or ""): echo[-1].path}, "guessed: the id of the job, sent back")
    else:
        draft.todo("echo = ...: where the answer repeats the id of the job itself, if it does")
    if status.path:
        _states(draft, status, fields, said)
    else:
        draft.put("http", _http(operation), "guessed: the HTTP status alone says it")
    _results(draft, [one for one in fields if one.around in {status.around, ""}], status)
    _errors(draft, operation, {one.name for one in fields if not one.depth}, example)
    if pace:
        draft.table("pace")
        for name, seconds in pace.items():
            draft.put(name, seconds)


# requests


def _request(operation: Operation) -> Table:
    """Return the request of an operation, with a slot for what it needs unless there is one usual value."""
    names = {letters(str(name)) for name in table(operation.auth).values()} | {"authorization", "accept", "contenttype"}
    needed = [one for one in operation.parameters if letters(one["name"]) not in names]
    body = operation.body
    kinds = {name: operation.document.schema(body["properties"].get(name)) for name in body["required"]}
    parts = {
        "query": {one["name"]: _usual(one["name"], one["schema"]) for one in needed if one["in"] == "query"},
        "headers": {one["name"]: str(_usual(one["name"], one["schema"])) for one in needed if one["in"] == "header"},
        "json": {name: _usual(name, kind) for name, kind in kinds.items()},
    }
    call = f"{operation.method.upper()} {snaked(operation.path)}"
    return {"call": call, **{place: part for place, part in parts.items() if part}}


def _usual(name: str, schema: Table) -> Any:
    usual = schema["enum"][0] if len(schema["enum"]) == 1 else schema.get("default")
    return usual if isinstance(usual, str | int | float) and not set("{}") & set(str(usual)) else f"{{{snake(name)}}}"


def _own_id(operation: Operation) -> str | None:
    """Return what names the job itself in the request, as the request spells it, or None."""
    listed = {one["name"] for one in operation.parameters if one["schema"]["enum"]}
    slots = [slot for slot in re.findall(r"\{([^{}]*)\}", operation.path) if slot not in listed]
    if slots:
        return None if letters(slots[-1]).startswith(_SHARED) else slots[-1]
    needed = [*(one["name"] for one in operation.parameters), *operation.body["required"]]
    names = [name for name in needed if letters(name).endswith("id") and not letters(name).startswith(_SHARED)]
    own = [name for name in names if letters(name).startswith(_OWN)] or names
    return own[0] if len(own) == 1 else None


def _is_same(slot: str, name: str) -> bool:
    """Return whether a field of the answer is the id that the request has in *slot*, as far as names tell."""
    asked, told = letters(slot), letters(name)
    is_own = told.startswith(_OWN) and told.endswith("id")
    return asked == told or (told == "id" and asked.endswith("id")) or (asked == "id" and is_own)


# answers


@frozen
class _Field:
    """A field of the answer: its path, its name, its schema, and the path and depth of the table around it."""

    path: str
    name: str
    schema: Table = field(repr=False)
    around: str = ""
    depth: int = 0


def _fields(document: Document, schema: Table, around: str = "", depth: int = 0) -> Iterator[_Field]:
    """Yield the fields of an answer, the outer ones first, without those inside of arrays."""
    found = []
    for name, node in schema["properties"].items():
        plain = re.fullmatch(r"[^.\[\]\"'\s$]+", name) and name not in {"http", "body"}
        path = f"{around}.{name}".lstrip(".") if plain else f'{around or "$"}["{name}"]'
        found.append(_Field(path, name, document.schema(node), around, depth))
    yield from found
    for one in found if depth < _DEEPEST else ():
        yield from _fields(document, one.schema, one.path, depth + 1)


def _criteria(operation: Operation) -> tuple[str, dict[str, list[Any]], Table]:
    """Return what the first entry of `x-speakeasy-polling` says: the path of the status, its words, and the pace."""
    entry = table(next(iter(items(operation.raw.get("x-speakeasy-polling"))), None))
    path, words = "", dict[str, list[Any]]()
    for key, name in (("success", "successCriteria"), ("failed", "failureCriteria")):
        for one in items(entry.get(name)):
            found = _CRITERION.search(str(table(one).get("condition")))
            if found and path in {"", found[1]}:
                path = found[1]
                words.setdefault(key, []).append(found[2].strip())
    seconds = {"first": entry.get("delaySeconds"), "at_least": entry.get("intervalSeconds")}
    pace = {name: one for name, one in seconds.items() if type(one) is int and 0 < one < _LONGEST_PACE}
    return path.replace("/", "."), words, pace if path else {}


def _status(operation: Operation, fields: list[_Field], named: str) -> _Field:
    """Return the field with the status; one without a path if the HTTP status says it."""
    unlisted = _Field(named, named, operation.document.schema(None))
    if named:
        return next((one for one in fields if one.path == named), unlisted)
    found = max(fields, key=_likelihood, default=None)
    if found is not None and _likelihood(found) >= _LIKELY:
        return found
    if not _http(operation):
        names = ", ".join(one.path for one in fields[:20]) or "none that the document describes"
        raise operation.document.fault(
            f"no field of the answer to {operation.method.upper()} {operation.path} looks like a status; "
            f"write the definition by hand (fields: {names})"
        )
    return unlisted


def _http(operation: Operation) -> dict[str, str]:
    """Return the state of each successful HTTP status, if some of them say that the job still runs."""
    entry = table(next(iter(items(operation.raw.get("x-speakeasy-polling"))), None))
    said = re.findall(r"\$statusCode\s*==\s*(2\d\d)", str(entry.get("successCriteria")))
    known = [status for status in table(operation.raw.get("responses")) if re.fullmatch(r"2\d\d", status)]
    states = {status: "success" if status in (said or {*known} - {"202"}) else "processing" for status in known}
    return states if len({*states.values()}) > 1 else {}


def _likelihood(one: _Field) -> int:
    """Return how much a field looks like the status of a job; `_LIKELY` if it may be one."""
    name, kind, words = letters(one.name), str(one.schema["type"]), one.schema["enum"]
    if kind == "boolean":
        return _LIKELY - one.depth if name in {"done", "isdone", "finished"} else 0
    if one.schema["properties"] or kind in {"array", "object", "number"} or (kind == "integer" and not words):
        return 0
    known = sum(letters(str(word)) in _KEY_OF for word in words)
    named = 5 if name in {"status", "state"} else 4 if name.endswith(("status", "state", "phase")) else 0
    return named + 2 * min(known, 3) - one.depth


def _states(draft: DraftWriter, status: _Field, fields: list[_Field], placed: dict[str, list[Any]]) -> None:
    """Write the words of each state, with a comment at those that an API may mean otherwise."""
    draft.put("status", status.path)
    if status.schema["type"] == "boolean":
        draft.put("missing", "processing", "guessed: an answer without it means that the job runs")
        draft.put("processing", False)
        draft.put("success", True)
        if any(one.path == "error" for one in fields):
            draft.rules([({"error": {"present": True}}, "failed")])
        return
    listed = status.schema["enum"]
    if not listed:
        prose = f'{status.schema.get("description", "")} "{status.schema.get("example", "")}"'[:2000]
        named = re.findall(r"\w+", " ".join(quoted or row for quoted, row in _PROSE.findall(prose)))
        listed = [word for word in dict.fromkeys(named) if letters(word) in _KEY_OF]
        draft.todo("the document does not list the status words; what follows is from its prose, if anything")
    sure = {str(word).casefold() for words in placed.values() for word in words}
    for word in listed:
        if str(word).casefold() not in sure:
            placed.setdefault(_key_of(word, listed), []).append(word)
    for key in _WORDS:
        words = placed.get(key, [])
        doubtful = [str(word) for word in words if letters(str(word)) in _DOUBTFUL and str(word).casefold() not in sure]
        draft.several(key, words, f"check: {', '.join(doubtful)}" if doubtful else "")
        if not words and key == "success":
            draft.put(key, "TODO", "the words for a success")
        elif not words and key == "failed":
            draft.todo("failed = ...: the words for a failure")
    if "" in placed:
        draft.todo(f"place these words: {', '.join(map(inline, placed['']))}")


def _key_of(word: object, listed: list[Any]) -> str:
    """Return the key that a word belongs to, or "" if that is for a person to say."""
    bare = _bare(word)
    if bare in _WEAK and any(_KEY_OF.get(_bare(other)) == "success" and _bare(other) not in _WEAK for other in listed):
        return ""
    return _KEY_OF.get(bare, "")


def _bare(word: object) -> str:
    """Return the letters of a word without a prefix such as `JOB_STATE_`."""
    return letters(re.sub(r"^\w*(?:STATE|STATUS|PHASE)_", "", word)) if isinstance(word, str) else ""


def _results(draft: DraftWriter, beside: list[_Field], status: _Field) -> None:
    """Write where reason and code of a failed job stand, and name what may be the result of a successful one."""
    errors = [one for one in beside if one.name == "error" and one.schema["properties"]]
    reasons = [f"{one.path}.message" for one in errors if "message" in one.schema["properties"]]
    reasons += [one.path for one in beside if letters(one.name) in _REASONS]
    draft.several("reason", reasons, "guessed")
    draft.several("code", [f"{one.path}.code" for one in errors if "code" in one.schema["properties"]], "guessed")
    known = {status.path, status.around, *reasons}
    rest = [one.path for one in beside if one.path not in known and not letters(one.name).endswith("id")]
    draft.todo(f"value = ...: where the result is; the answer has: {', '.join(rest[:20]) or 'nothing else'}")


def _errors(draft: DraftWriter, operation: Operation, names: set[str], example: object) -> None:
    """Write how the API complains: with an object, or in an envelope around every answer."""
    refused, _ = operation.answer("default", "4XX", "400", "401", "404", "422", "500")
    if operation.document.schema(refused["properties"].get("error"))["properties"]:
        draft.table("error")
        draft.put("object", "error")
    elif "code" in names and names & {"message", "msg", "success", "data"}:
        draft.table("error")
        fine = {key: one for key in ("success", "code") if isinstance(one := table(example).get(key), bool | int)}
        draft.put("ok", fine or None, "guessed from the example")
        if not fine:
            draft.todo("ok = { code = ... }: what stands there when all is well")
        draft.put("code", "code")
        draft.several("message", sorted(names & {"message", "msg"}))
