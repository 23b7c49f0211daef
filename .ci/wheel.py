"""Check an installed wheel that has none of its extras: names, data files, and what the command line says."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import metadata, version
from importlib.resources import files

import asyncpoll

for module in ("http", "events", "ledger", "providers", "clients", "testing", "simulator", "sync"):
    import_module(f"asyncpoll.{module}")
for name in dir(asyncpoll):
    getattr(asyncpoll, name)
if version("asyncpoll") != asyncpoll.__version__:
    sys.exit("the version of the wheel is not that of the package")
if not metadata("asyncpoll").get_all("Project-URL"):
    sys.exit("the wheel does not say where the project is")

suffixes = {path.name.rpartition(".")[2] for path in (files("asyncpoll") / "cli" / "report").iterdir()}
if not (files("asyncpoll") / "py.typed").is_file() or not suffixes >= {"css", "j2"}:
    sys.exit(f"data files are missing: {suffixes}")
if not any(path.name.endswith(".toml") for path in (files("asyncpoll") / "catalog").iterdir()):
    sys.exit("the catalogue of definitions is missing")


def run(*arguments: str) -> tuple[int, str]:
    """Run the command line, and return its exit status and its output."""
    command = [sys.executable, "-I", "-m", "asyncpoll", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  it is this interpreter
    return done.returncode, done.stdout + done.stderr


status, output = run("--help")
if status or "simulate" not in output:
    sys.exit(f"--help ends with {status}: {output}")
status, output = run("demo", "--jobs", "3", "--pace", "0.1")
if "Traceback" in output or not (status == 0 or "asyncpoll[cli]" in output):
    sys.exit(f"demo without its extra ends with {status}: {output}")
print(f"asyncpoll {asyncpoll.__version__} works alone")
