"""The programs on the pages about web apps: each is a module that makes an app which starts and ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from web_kit import running

PAGES = Path(__file__).parents[2] / "docs" / "howto"
BLOCKS = [
    pytest.param(text, id=f"{name}-{number}")
    for name in ("web-apps", "viewers", "webhooks")
    for number, text in enumerate(
        re.findall(
            r"^```python\n(.*?)^```", (PAGES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    )
]


@pytest.mark.parametrize("text", BLOCKS)
async def test_every_program_makes_an_app(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its clients and its hub."""
    monkeypatch.setenv("BIGMODEL_API_KEY", "key-1234")
    monkeypatch.setenv("MOLIZHISHU_TOKEN", "key-1234")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(text, names)  # noqa: S102  it is our own documentation
    async with running(names["app"]) as (url, _):
        assert url.startswith("http://127.0.0.1:")
