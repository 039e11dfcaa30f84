"""Options that name a lake, and which of its documents or files are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import LAKE
from polyseme.flows.settings import lake_at

if TYPE_CHECKING:
    from polyseme.storage.lake import Lake

Where = Annotated[
    str | None,
    Parameter(
        help="Only documents for which this SQL condition holds, over the columns of the view documents (doc_id, uri, "
        "title, metadata, n_tokens, ...): \"title LIKE '%bank%'\". metadata is JSON: \"metadata->>'topic' = 'law'\"."
    ),
]
GraceHours = Annotated[
    float,
    Parameter(
        help="Hours for which files that are not, or no longer, part of the lake are left alone: a reader may have "
        "them open, a run may be about to commit them."
    ),
]


@Parameter(name="*", group=LAKE)
@dataclass(frozen=True, slots=True, kw_only=True)
class LakeOptions:
    """Which lake."""

    root: Annotated[str, Parameter(name="--lake")] = "lake"
    """The lake: a folder, or a URL such as s3://bucket/lake."""

    catalog: str | None = None
    """The database of the lake's catalog, e.g. postgresql+psycopg://user@host/database, if it is not in the lake's
    folder. Needed only by the command that creates a lake, which remembers it. docs/storage.md is about passwords."""

    def lake(self) -> Lake:
        """Return the lake. It may not exist yet."""
        return lake_at(self.root, self.catalog)
