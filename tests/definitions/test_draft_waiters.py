"""Drafts from botocore's waiters: the request from the service's model, and rules that read answers as the waiter."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from draft_kit import Table, comment
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll import Rejected, State
from asyncpoll.definitions import Definition, DefinitionError, draft_waiter
from asyncpoll.http import Reply

ERROR = "header:x-amzn-errortype"


def acceptor(state: str, matcher: str, expected: Any, argument: str | None = None) -> Table:
    """Return one acceptor."""
    return {"state": state, "matcher": matcher, "expected": expected, "argument": argument}


DONE = acceptor("success", "path", "DONE", "Job.Status")


def waiter(*acceptors: Table, **more: Any) -> str:
    """Return a file with one waiter, `JobDone`, for the operation `GetJob`."""
    one = {"operation": "GetJob", "delay": 5, "maxAttempts": 40, "acceptors": list(acceptors), **more}
    return json.dumps({"version": 2, "waiters": {"JobDone": one}})


def model(protocol: str = "rest-json", uri: str = "/jobs/{JobId}", payload: str | None = None, **about: Any) -> str:
    """Return the model of a service whose names on the wire begin in lower case."""
    wire = {name: {"shape": name, "locationName": name.lower()} for name in ("Job", "Status", "Jobs", "Name")}
    shapes: Table = {
        "Request": {
            "required": ["JobId", "Team", "Mode", "Kind"],
            "members": {
                "JobId": {"shape": "Text", "location": "uri", "locationName": "JobId"},
                "Team": {"shape": "Text", "location": "querystring", "locationName": "team"},
                "Mode": {"shape": "Text", "location": "header", "locationName": "x-mode"},
                "Kind": {"shape": "Text"},
                "Note": {"shape": "Text"},
            },
        },
        "Answer": {"members": {"Job": wire["Job"], "Jobs": wire["Jobs"]}, "payload": payload},
        "Job": {"members": {"Status": wire["Status"], "Name": wire["Name"]}},
        "Jobs": {"member": {"shape": "Job"}},
        "Gone": {"error": {"httpStatusCode": 404}},
        "Busy": {"error": {"httpStatusCode": 503, "code": "Busy!"}},
    }
    operation = {
        "http": {"method": "GET", "requestUri": uri},
        "input": {"shape": "Request"},
        "output": {"shape": "Answer"},
        "errors": [{"shape": "Gone"}, {"shape": "Busy"}],
    }
    about = {"protocol": protocol, "endpointPrefix": "jobs", "apiVersion": "2020-01-02", **about}
    return json.dumps({"metadata": about, "operations": {"GetJob": operation}, "shapes": shapes})


def drafted(*acceptors: Table, service: str | None = None) -> Table:
    """Return the draft of a waiter, which is checked to be a definition."""
    text = draft_waiter(waiter(*acceptors), "JobDone", service=service)
    assert Definition.parse(text).endpoints
    return tomllib.loads(text)


def rules(*acceptors: Table, service: str | None = None) -> list[tuple[Table, str]]:
    """Return the rules of a draft, but for the last, which says that the job runs."""
    *found, last = drafted(*acceptors, service=service)["when"]
    assert last["if"]["http"] == {"below": 300}
    assert last["state"] == "processing"
    return [(rule["if"], rule["state"]) for rule in found]


def state(draft: str, reply: Reply) -> State:
    """Return the state that a draft reads in an answer."""
    [endpoint] = Definition.parse(draft).endpoints.values()
    endpoint.classify(reply)
    return endpoint.read(reply).state


# the request


def test_a_request_of_rest_comes_from_the_model() -> None:
    """Method, path, query, headers and body have the names of the wire, and slots for what is required."""
    draft = drafted(DONE, service=model(uri="/jobs/{JobId+}", signingName="job"))
    assert draft["name"] == "aws.jobs.job_done"
    assert draft["base"] == "https://jobs.us-east-1.amazonaws.com"
    assert draft["auth"] == {"scheme": "sigv4", "region": "us-east-1", "service": "job"}
    assert draft["ask"] == {
        "call": "GET /jobs/{+job_id}",
        "headers": {"x-mode": "{mode}"},
        "query": {"team": "{team}"},
        "json": {"Kind": "{kind}"},
    }
    assert draft["pace"] == {"at_least": 5}


@pytest.mark.parametrize("protocols", [[], ["smithy-rpc-v2-cbor", "json"]])
def test_a_request_of_json_names_its_operation(protocols: list[str]) -> None:
    """A header names the operation, and further parameters are further fields; JSON goes before other protocols."""
    protocol = "smithy-rpc-v2-cbor" if protocols else "json"
    about: Table = {"targetPrefix": "Jobs_2020", "jsonVersion": "1.1", "protocols": protocols}
    draft = drafted(DONE, service=model(protocol, "/", **about))
    assert draft["ask"]["headers"] == {"X-Amz-Target": "Jobs_2020.GetJob", "Content-Type": "application/x-amz-json-1.1"}
    assert draft["open"] is True


@pytest.mark.parametrize("protocol", ["query", "ec2", "rest-xml"])
def test_xml_is_a_todo(protocol: str) -> None:
    """A definition reads JSON only, which the draft of a service that speaks XML says."""
    text = draft_waiter(waiter(DONE), "JobDone", service=model(protocol))
    assert f"# TODO the service answers by the protocol {protocol}; a definition reads JSON only" in text
    query = tomllib.loads(text)["ask"]["query"]
    action = {"Action": "GetJob", "Version": "2020-01-02", "Kind": "{kind}"}
    assert query == ({"team": "{team}"} if protocol == "rest-xml" else action)


def test_without_a_model_the_request_is_a_todo() -> None:
    """Words and rules are there all the same."""
    text = draft_waiter(waiter(DONE), "JobDone")
    assert tomllib.loads(text)["status"] == "Job.Status"
    assert comment(text, "ask") == "TODO the request GetJob; the model of the service has it"


# words and rules


def test_acceptors_of_one_status_are_words() -> None:
    """The status is shown then, as that of any other API; a word that is not listed goes on."""
    failed = [acceptor("failure", "path", word, "Job.Status") for word in ("FAILED", "GONE")]
    draft = drafted(DONE, *failed, acceptor("retry", "path", "RUNNING", "Job.Status"), service=model())
    assert draft["status"] == "job.status"
    assert (draft["success"], draft["failed"], draft["processing"]) == ("DONE", ["FAILED", "GONE"], "RUNNING")


@pytest.mark.parametrize(
    "other",
    [
        acceptor("failure", "path", "done", "Job.Status"),  # letter case counts for a waiter
        acceptor("failure", "path", "DONE", "Job.Name"),
        acceptor("failure", "path", True, "length(Jobs) > `0`"),
    ],
)
def test_acceptors_of_several_things_are_rules(other: Table) -> None:
    """They are tried in the order of the acceptors."""
    assert [state for _, state in rules(other, DONE)] == ["failed", "success"]


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (acceptor("success", "pathAll", "UP", "Jobs[].Status"), {"jobs[*].status": {"every": "UP"}}),
        (acceptor("success", "pathAny", "UP", "Jobs[].Status"), {"jobs[*].status": {"any": ["UP"]}}),
        (acceptor("success", "path", 3, "Jobs[-1].Status"), {"jobs[-1].status": 3}),
        (acceptor("success", "path", True, "length(Jobs[]) > `0`"), {"jobs": {"present": True}}),
        (acceptor("success", "path", True, "length(Jobs[].Name) > `0`"), {"jobs[*].name": {"present": True}}),
        (acceptor("success", "path", True, "length(Job.Name || '') > `0`"), {"job.name": {"present": True}}),
        (
            acceptor("success", "path", True, "length(Jobs) == `0`"),
            {"http": {"below": 300}, "jobs": {"not": {"present": True}}, "$.jobs": {"not": {"present": False}}},
        ),
        (
            acceptor("failure", "path", True, "Job.Status != 'A' && Job.Status != 'B'"),
            {"http": {"below": 300}, "job.status": {"not": ["A", "B"]}},
        ),
        (acceptor("success", "status", 200), {"http": 200}),
        (acceptor("success", "status", 301), {"http": 301}),
        (acceptor("success", "error", False), {"http": {"below": 400}}),
        (acceptor("failure", "error", True), {"http": {"above": 399}}),
        (acceptor("success", "error", "Gone"), {"http": 404, ERROR: "Gone"}),
        (acceptor("failure", "error", "Busy!"), {"http": 503, ERROR: "Busy!"}),
        (acceptor("failure", "error", "Unlisted"), {"http": 400, ERROR: "Unlisted"}),
    ],
)
def test_an_acceptor_is_a_rule(given_: Table, wanted: Table) -> None:
    """Each matcher, and the expressions that waiters really have, with the names of the wire."""
    *_, last = rules(
        acceptor("failure", "path", "X", "Job.Name"),
        acceptor("failure", "path", "x", "Job.Name"),
        given_,
        service=model(),
    )
    assert last == (wanted, {"success": "success", "failure": "failed"}[given_["state"]])


def test_words_of_one_list_share_a_rule() -> None:
    """Acceptors that follow each other, look into the same list and say the same are one rule."""
    looks = [("failure", "A"), ("failure", "B"), ("success", "C"), ("success", "D")]
    found = rules(*(acceptor(state, "pathAny", word, "Jobs[].Status") for state, word in looks))
    path = "Jobs[*].Status"
    assert found == [({path: {"any": ["A", "B"]}}, "failed"), ({path: {"any": ["C", "D"]}}, "success")]


def test_an_acceptor_that_never_matches_is_left_out() -> None:
    """A list is never equal to a word, and a truth is never a list."""
    never = [
        acceptor("success", "path", "UP", "Jobs[].Status"),
        acceptor("success", "pathAll", True, "length(Jobs) > `0`"),
    ]
    assert rules(*never, acceptor("failure", "pathAny", "DOWN", "Jobs[].Status")) == [
        ({"Jobs[*].Status": {"any": ["DOWN"]}}, "failed")
    ]


@pytest.mark.parametrize("again", [acceptor("retry", "status", 500), acceptor("retry", "error", "Busy!")])
def test_a_broken_server_is_a_miss(again: Table) -> None:
    """To be asked again needs no rule then; a comment says so."""
    text = draft_waiter(waiter(DONE, again), "JobDone", service=model())
    assert "is a miss, which the next poll repeats." in text
    assert "http" not in tomllib.loads(text)


def test_a_payload_is_the_whole_body() -> None:
    """What the model calls the payload has no key on the wire."""
    listed = acceptor("failure", "pathAny", "DOWN", "Jobs[].Status")
    assert drafted(DONE, service=model(payload="Job"))["status"] == "status"
    assert rules(listed, service=model(payload="Jobs")) == [({"$[*].status": {"any": ["DOWN"]}}, "failed")]


def test_errors_that_the_waiter_expects_are_verdicts() -> None:
    """They are let through; any other error of the same HTTP status is what it is."""
    service = model("json", "/", targetPrefix="Jobs")
    text = draft_waiter(waiter(DONE, acceptor("success", "error", "Missing")), "JobDone", service=service)
    assert state(text, Reply(400, {"__type": "Missing"})) is State.SUCCESS
    assert state(text, Reply(400, {"__type": "com.amazonaws.jobs.v20200102#Missing"})) is State.SUCCESS
    assert state(text, Reply(200, {"job": {}})) is State.PROCESSING
    assert state(text, Reply(200, {"job": {"status": "DONE"}})) is State.SUCCESS
    with pytest.raises(Rejected, match="not signed"):
        state(text, Reply(400, {"__type": "IncompleteSignature", "message": "not signed"}))


@pytest.mark.parametrize("payload", [None, "Jobs"])
def test_a_list_that_is_missing_is_not_empty(payload: str | None) -> None:
    """Jobs that are gone are an empty list; an answer without one is no verdict."""
    gone = acceptor("success", "path", True, "length(Jobs[]) == `0`")
    text = draft_waiter(waiter(gone), "JobDone", service=model(payload=payload))
    assert state(text, Reply(200, [] if payload else {"jobs": []})) is State.SUCCESS
    assert state(text, Reply(200, [{}] if payload else {"jobs": [{}]})) is State.PROCESSING
    assert payload or state(text, Reply(200, {})) is State.PROCESSING


def test_a_waiter_may_ask_for_the_head_alone() -> None:
    """The HTTP status says all then, and no answer has a body."""
    service = model(uri="/{Bucket}").replace('"GET"', '"HEAD"')
    acceptors = (acceptor("success", "status", 200), acceptor("retry", "status", 404))
    text = draft_waiter(waiter(*acceptors), "JobDone", service=service)
    assert tomllib.loads(text)["ask"]["call"] == "HEAD /{bucket}"
    assert state(text, Reply(200)) is State.SUCCESS
    assert state(text, Reply(404)) is State.PROCESSING
    with pytest.raises(Rejected):
        state(text, Reply(403))


# what cannot be drafted


def test_a_waiter_is_looked_up_by_name() -> None:
    """The error lists those that there are."""
    with pytest.raises(DefinitionError, match=r"no waiter 'JobGone'; write one of: JobDone$"):
        draft_waiter(waiter(DONE), "JobGone")
    with pytest.raises(DefinitionError, match=r"write one of: \(there are none\)"):
        draft_waiter("{}", "JobGone")


@pytest.mark.parametrize(
    "argument", ["length(Jobs[?a]) > `0`", "Jobs.*.Status", "length(Jobs) == `1`", "a != 'b' && c"]
)
def test_an_expression_that_no_rule_says_is_refused(argument: str) -> None:
    """It is never left out, since the rest would read answers differently."""
    with pytest.raises(DefinitionError, match="no rule says"):
        drafted(acceptor("success", "path", True, argument))


@pytest.mark.parametrize(
    "odd", [{"state": "maybe"}, {"matcher": "pathNone"}, {"expected": None}, {"matcher": "status"}]
)
def test_an_odd_acceptor_is_refused(odd: Table) -> None:
    """A state, a matcher or a value that botocore does not have."""
    with pytest.raises(DefinitionError, match="not as botocore has it; write"):
        drafted({**DONE, **odd})


@pytest.mark.parametrize("delay", [0, -1, 10**9, "5", None, True])
def test_an_odd_delay_is_left_out(delay: Any) -> None:
    """A pace is a number of seconds."""
    assert "pace" not in tomllib.loads(draft_waiter(waiter(DONE, delay=delay), "JobDone"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=60)
@given(
    acceptors=st.lists(
        st.fixed_dictionaries(
            {
                "state": st.sampled_from(["success", "failure", "retry"]) | _JSON,
                "matcher": st.sampled_from(["path", "pathAll", "pathAny", "status", "error"]) | _JSON,
                "expected": _JSON,
                "argument": st.sampled_from(["Job.Status", "Jobs[].Status", "length(Jobs) > `0`"]) | _JSON,
            }
        ),
        max_size=4,
    ),
    cuts=st.lists(st.tuples(st.sampled_from(["metadata", "operations", "shapes"]), _JSON), max_size=2),
)
def test_odd_waiters_never_break_a_draft(acceptors: list[Table], cuts: list[tuple[str, Any]]) -> None:
    """Whatever stands in them and in the model, there is a definition or a `DefinitionError`."""
    service = json.loads(model())
    for key, value in cuts:
        service[key] = service[key] | value if isinstance(value, dict) and isinstance(service[key], dict) else value
    try:
        tomllib.loads(draft_waiter(waiter(*acceptors), "JobDone", service=json.dumps(service)))
    except DefinitionError:
        return
