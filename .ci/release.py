"""Check that a tag, the version of the package and the changelog agree.

Usage: python .ci/release.py TAG, where TAG is v and the version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(tag: str) -> list[str]:
    """Return why this tag cannot be released; nothing if it can."""
    version_file = (ROOT / "asyncpoll" / "_version.py").read_text(encoding="utf-8")
    versions = re.findall(r'^__version__ = "(.*)"$', version_file, re.MULTILINE)
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [re.fullmatch(r"(\S+) - \d{4}-\d\d-\d\d", section) for section in sections[1:]]
    newest = released[0][1] if released and released[0] else None
    found: list[str] = []
    if [tag] != [f"v{version}" for version in versions]:
        found.append(f"the tag is {tag}, and asyncpoll/_version.py has {versions}; tag v and the version")
    if sections[:1] != ["Unreleased"] or None in released:
        found.append(f'CHANGELOG.md has the sections {sections}; wanted are "Unreleased", then "VERSION - YYYY-MM-DD"')
    if f"v{newest}" != tag:
        found.append(f"the newest version of CHANGELOG.md is {newest}, and the tag is {tag}; write its section")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(sys.argv[1])) or None)
