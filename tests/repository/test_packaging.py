"""The metadata of the package, its workflows, and the check before a release."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from source_kit import ROOT

import asyncpoll

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ADDRESS = "https://github.com/asyncpoll/asyncpoll"
LINTERS = ["codespell", "mypy", "pyright", "ruff"]


def steps(workflow: Path) -> list[dict[str, Any]]:
    """Return every step of a workflow."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [])]


def release_check(tag: str) -> tuple[int, str]:
    """Run the check before a release, and return its exit status and what it says."""
    command = [sys.executable, str(ROOT / ".ci" / "release.py"), tag]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(workflow: Path) -> None:
    """Every action is named by the hash of a commit, with its version as a comment; a tag could be moved."""
    used = re.findall(r"uses: (.*)$", workflow.read_text(encoding="utf-8"), re.MULTILINE)
    foreign = [use for use in used if not use.startswith("./")]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in foreign)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(workflow: Path) -> None:
    """A workflow may read the repository and no more; only the job that publishes can ask for an identity."""
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    extra = {name: job["permissions"] for name, job in content["jobs"].items() if "permissions" in job}
    assert extra in ({}, {"publish": {"id-token": "write"}})


def test_ci_runs_on_every_python_that_is_promised() -> None:
    """The classifiers and the matrix of the workflow have the same versions, the first one being the least."""
    promised = [found[1] for text in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", text))]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["check"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert len(matrix["system"]) >= 2
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_workflow_does_what_people_do() -> None:
    """The workflow runs the script that CONTRIBUTING names, and nothing else."""
    runs = [step["run"] for step in steps(ROOT / ".github" / "workflows" / "ci.yml") if "run" in step]
    assert runs == [".ci/run"]
    assert "$ .ci/run\n" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("linter", LINTERS)
def test_linters_have_an_upper_bound(linter: str) -> None:
    """A new release of a linter does not break CI by itself."""
    (requirement,) = (text for text in PROJECT["optional-dependencies"]["test"] if re.match(rf"{linter}\b", text))
    assert re.search(r"<|==", requirement)


def test_the_hooks_use_the_tools_of_the_project() -> None:
    """Hooks before a commit run what the extra `test` installs, so they agree with CI."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["entry"].split()[0] for hook in hooks} <= set(LINTERS)


def test_every_address_is_that_of_the_project() -> None:
    """The metadata, SECURITY and CONTRIBUTING name one repository."""
    assert all(url.startswith(ADDRESS) for url in PROJECT["urls"].values())
    for name in ["SECURITY.md", "CONTRIBUTING.md"]:
        found = re.findall(r"https://github\.com/[\w-]+/[\w-]+", (ROOT / name).read_text(encoding="utf-8"))
        assert set(found) == {ADDRESS}


def test_the_version_can_be_released() -> None:
    """The changelog has a section for the version of the package, below one for what is not released."""
    assert release_check(f"v{asyncpoll.__version__}") == (0, "")


def test_a_wrong_tag_is_refused() -> None:
    """A tag that is not the version ends the release, and says what to do."""
    status, problems = release_check("v99.0.0")
    assert status == 1
    assert "tag v and the version" in problems
    assert "CHANGELOG.md" in problems
