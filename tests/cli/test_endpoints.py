"""`asyncpoll endpoints`: what can be waited for, and what that takes."""

from __future__ import annotations

import json

import pytest
from cli_kit import KEY

from asyncpoll.cli import main
from asyncpoll.providers import ENDPOINTS

Output = pytest.CaptureFixture[str]

VARIABLES = ("BIGMODEL_API_KEY", "BIGMODEL_BASE_URL", "MOLIZHISHU_TOKEN", "MOLIZHISHU_BASE_URL")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key is set, nothing else."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("BIGMODEL_API_KEY", KEY)


def test_the_page_fits_into_80_columns(capsys: Output) -> None:
    """The page names every endpoint, its reference, its words and whether its variables are set, on 80 columns."""
    assert main(["endpoints"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert ["bigmodel.agents", "agent_id=...", "async_id=...", "any", "other"] in lines
    assert ["bigmodel.file_parser", "task_id=...", "format=..."] in lines
    assert ["molizhishu.subtasks", "processing", "assigned,", "processing"] in lines
    assert ["BIGMODEL_API_KEY", "set"] in lines
    assert ["MOLIZHISHU_TOKEN", "not", "set"] in lines


def test_json_has_the_same_by_name(capsys: Output) -> None:
    """`--json` has the same by name, as one object, for every endpoint there is."""
    assert main(["endpoints", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed.keys() == ENDPOINTS.keys()
    subtasks = listed["molizhishu.subtasks"]
    assert subtasks["required"] == ["task_id", "sub_task_id"]
    assert subtasks["words"]["timeout"] == ["timeout"]
    assert subtasks["environment"] == {"MOLIZHISHU_TOKEN": False, "MOLIZHISHU_BASE_URL": False}
    assert listed["bigmodel.agents"]["environment"]["BIGMODEL_API_KEY"] is True


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_no_key_is_shown(arguments: list[str], capsys: Output) -> None:
    """Whether a variable is set is told, never what to."""
    assert main(["endpoints", *arguments]) == 0
    assert KEY not in capsys.readouterr().out
