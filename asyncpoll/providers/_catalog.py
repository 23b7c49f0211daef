"""The table of all endpoints: the name of each, its client, and the fields of its references."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from attrs import frozen

from asyncpoll._marks import Predictor, predictor

_LONGEST = 40


def _quoted(name: str) -> str:
    return repr(name[:_LONGEST])


@frozen
class Listing:
    """Describes one endpoint.

    Attributes:
        client: The class in `asyncpoll.providers` whose `job(name, **ref)` returns its jobs.
        description: One line about its jobs.
        required: The fields that a reference must have.
        optional: The fields that it may have.
        open: Whether it may have other fields as well.
        predicts: What predicts how long a job takes, as paths into its reference and the arguments of its submit, such
            as "model"; "size:pages" stands for how many there are.
        token: The argument of `start` by which the API tells a repeated submit from a new one, or None.
    """

    client: str
    description: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    open: bool = False
    predicts: tuple[str, ...] = ()
    token: str | None = None

    def check(
        self, fields: Collection[str], owner: str = "a reference", quoted: Callable[[str], str] = _quoted
    ) -> None:
        """Check the names of the fields of a reference, and suggest the name that was meant.

        Args:
            fields: The names.
            owner: What has them, for messages.
            quoted: Returns a name as it is shown.

        Raises:
            ValueError: A field is missing or unknown.
        """
        missing = [name for name in self.required if name not in fields]
        unknown = [name for name in fields if name not in {*self.required, *self.optional}]
        absent = [name for name in (*self.required, *self.optional) if name not in fields]
        for name in unknown:
            if meant := get_close_matches(name.lower().replace("-", "_"), absent, 1, 0.7 if missing else 0.85):
                raise ValueError(f"{owner} has no field {quoted(name)}; did you mean {meant[0]}?")
        if missing:
            raise ValueError(f"a reference needs {', '.join(self.required)}; it lacks {', '.join(missing)}")
        if unknown and not self.open:
            known = ", ".join((*self.required, *self.optional))
            raise ValueError(f"a reference has no {quoted(unknown[0])}; its fields are {known}")


ENDPOINTS: Mapping[str, Listing] = MappingProxyType(
    {
        "bigmodel.agents": Listing(
            "BigModel",
            "asynchronous runs of agents, such as translation or video effects",
            ("agent_id",),
            ("async_id",),
            open=True,
            predicts=("agent_id", "custom_variables.template", "custom_variables.strategy"),
        ),
        "bigmodel.file_parser": Listing(
            "BigModel",
            "files to be parsed into text or Markdown",
            ("task_id",),
            ("format",),
            predicts=("tool_type", "file_type", "size:file", "format"),
        ),
        "molizhishu.subtasks": Listing(
            "Molizhishu",
            "single questions to single AI platforms, with their answers",
            ("task_id", "sub_task_id"),
            predicts=("platform", "mode"),
        ),
        "molizhishu.task_results": Listing(
            "Molizhishu", "batches of questions, with all of their answers", ("task_id",)
        ),
        "molizhishu.tasks": Listing(
            "Molizhishu",
            "batches of questions, with the count of their subtasks",
            ("task_id",),
            predicts=("size:prompts", "platforms[*].platform", "platforms[*].mode", "platforms[*].screenshot"),
            token="consumer_task_id",  # noqa: S106  the name of an argument
        ),
    }
)
"""From the name of an endpoint to its listing. The package imports this table, but not the clients."""


def predictor_of(endpoint: str) -> Predictor:
    """Return the function that finds what predicts how long a job of the endpoint with this name takes."""
    return predictor(ENDPOINTS[endpoint].predicts)
