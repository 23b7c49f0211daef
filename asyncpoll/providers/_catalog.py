"""The table of all endpoints: the name of each, its client, and the fields of its references."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from attrs import frozen


@frozen
class Listing:
    """Describes one endpoint.

    Attributes:
        client: The class in `asyncpoll.providers` whose `job(name, **ref)` returns its jobs.
        description: One line about its jobs.
        required: The fields that a reference must have.
        optional: The fields that it may have.
        open: Whether it may have other fields as well.
        predicts: The fields that predict how long a job takes.
    """

    client: str
    description: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    open: bool = False
    predicts: tuple[str, ...] = ()

    def check(self, fields: Collection[str]) -> None:
        """Check the fields of a reference.

        Raises:
            ValueError: A field is missing or unknown.
        """
        if missing := [name for name in self.required if name not in fields]:
            raise ValueError(f"a reference needs {', '.join(self.required)}; it lacks {', '.join(missing)}")
        unknown = sorted(set(fields) - {*self.required, *self.optional})
        if unknown and not self.open:
            known = ", ".join((*self.required, *self.optional))
            raise ValueError(f"a reference has no {unknown[0][:40]!r}; its fields are {known}")


ENDPOINTS: Mapping[str, Listing] = MappingProxyType(
    {
        "bigmodel.agents": Listing(
            "BigModel",
            "asynchronous runs of agents, such as translation or video effects",
            ("agent_id",),
            ("async_id",),
            open=True,
            predicts=("agent_id",),
        ),
        "bigmodel.file_parser": Listing(
            "BigModel", "files to be parsed into text or Markdown", ("task_id",), ("format",)
        ),
        "molizhishu.subtasks": Listing(
            "Molizhishu", "single questions to single AI platforms, with their answers", ("task_id", "sub_task_id")
        ),
        "molizhishu.task_results": Listing(
            "Molizhishu", "batches of questions, with all of their answers", ("task_id",)
        ),
        "molizhishu.tasks": Listing(
            "Molizhishu", "batches of questions, with the count of their subtasks", ("task_id",)
        ),
    }
)
"""From the name of an endpoint to its listing. The package imports this table, but not the clients."""
