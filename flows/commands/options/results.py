"""Options for how the rows of an answer are written, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import REPORT
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import Format
from polyseme.storage.errors import UsageError


@Parameter(name="*", group=REPORT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOptions:
    """In which form rows are written."""

    format: Format = "table"
    """How to write the rows to stdout: table is for people, the others are for programs."""

    json: Json = False

    @property
    def form(self) -> Format:
        """The form to write. Raises UsageError for two at once."""
        if self.json and self.format not in ("table", "json"):
            raise UsageError(f"--json and --format {self.format} are two forms. Leave one of them out.")
        return "json" if self.json else self.format


Limit = Annotated[int, Parameter(help="The most rows to write; 0 is all.")]


def limit_clause(limit: int) -> str:
    """Return SQL for a limit of rows. Raises UsageError for less than 0."""
    if limit < 0:
        raise UsageError(f"--limit must be at least 0, which is all rows, got {limit}.")
    return f"LIMIT {limit}" if limit else ""
