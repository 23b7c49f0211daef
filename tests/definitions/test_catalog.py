"""The catalogue: each definition in it, its examples, and its jobs over HTTP against a server made from it alone."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from source_kit import PACKAGE

from asyncpoll import Fixed, State
from asyncpoll.definitions import Definition, catalog, find, lint, simulate
from asyncpoll.http import Bearer, register_auth
from asyncpoll.simulator import Exponential, LogNormal

FILES = sorted((PACKAGE / "catalog").glob("*.toml"))
NAMES = sorted(catalog())
FAMILIES = {
    *("anthropic", "apify", "ark", "assemblyai", "azure", "azure_devops", "bigmodel", "bigquery", "celery_flower"),
    *("dashscope", "databricks", "elevenlabs", "fal", "github", "google", "http", "kling", "llamaparse", "luma"),
    *("mineru", "minimax", "mistral", "openai", "replicate", "runway", "snowflake", "stability"),
}
"""The vendors that are polled most, and the general forms."""

SIGNED = {"sigv4": "aws", "tc3": "tencent"}
"""The schemes of signatures that users register, and the vendors that have them."""


@pytest.fixture(autouse=True, scope="module")
def _signatures() -> None:
    """Register the schemes of signatures, as a user of these vendors has to."""
    for scheme in SIGNED:
        register_auth(scheme, lambda key, **_options: Bearer(key))
