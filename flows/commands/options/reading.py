"""Options for what to read, and how."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import DOCUMENTS
from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    from polyseme.tasks.reading.documents import ReadOptions
    from polyseme.tasks.reading.patterns import Patterns

Sources = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""Hyphens are let through for `-`, standard input, alone; `refuse_options` finds the others."""
Limit = Annotated[
    int | None, Parameter(group=DOCUMENTS, help="Read at most this many documents, e.g. 1000; by default all.")
]
TextField = Annotated[
    str, Parameter(group=DOCUMENTS, help="The field (JSON) or column (CSV, Parquet) that holds the text, e.g. body.")
]


def refuse_options(sources: Sequence[str], command: str) -> None:
    """Raise UsageError for an option that does not exist and was taken for a source."""
    if mistyped := [source for source in sources if source.startswith("-") and source != "-"]:
        raise UsageError(
            f"Unknown option {mistyped[0]}. `polyseme {command} --help` lists them; a file is named ./{mistyped[0]}."
        )


def as_parameters(sources: Sequence[str]) -> list[str]:
    """Return sources as Prefect stores them with a run: paths that are not UTF-8 as file:// addresses."""
    return [source if is_utf8(source) else Path(os.path.abspath(source)).as_uri() for source in sources]


@Parameter(name="*", group=DOCUMENTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOptions:
    """Where a record keeps its text and its id, and how the cells of a table are told apart."""

    text_field: TextField = "text"

    id_field: str | None = None
    """The field that holds the document's id; by default doc_id or id, else the document's place in its file."""

    delimiter: str | None = None
    """What stands between the cells of CSV and TSV: one character, or tab; by default it is found."""

    quote: str | None = None
    """What cells of CSV and TSV may be quoted with: one character, or none; by default it is found."""

    header: bool = True
    """The first row of CSV and TSV names the columns; with --no-header they are column_1, column_2 and so on."""

    def read_options(self) -> ReadOptions:
        """Return how to read records."""
        from polyseme.tasks.reading.documents import ReadOptions

        return ReadOptions(
            text_field=self.text_field, id_field=self.id_field,
            delimiter=self.delimiter, quote=self.quote, header=self.header,
        )  # fmt: skip


@Parameter(name="*", group=DOCUMENTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class PatternOptions:
    """Which files of the sources to read."""

    include: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Read only files that match this pattern of .gitignore, below the folder of their source, e.g. '*.md'. May be
    repeated. The others are not part of the run: what was read from them before stays in the lake."""

    exclude: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Leave out files that match this pattern of .gitignore, and folders whole, e.g. 'build/'. May be repeated; the
    last that matches decides, and ! reverses one. What was read from them before stays in the lake."""

    def patterns(self) -> Patterns:
        """Return the patterns. Raises UsageError for one that has no meaning."""
        from polyseme.tasks.reading.patterns import Patterns

        return Patterns(self.include, self.exclude)


@Parameter(name="*", group=DOCUMENTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions(FieldOptions):
    """Where a record keeps its text, id and title, how large it may be, and which files are opened."""

    title_field: str = "title"
    """The field that holds the title, e.g. headline."""

    max_document_mb: int = 64
    """Refuse documents that are longer, in MiB of UTF-8."""

    max_line_mb: int = 64
    """Refuse lines of JSON and rows of CSV that are longer, in MiB."""

    parse_seconds: int = 60
    """Refuse files of PDF, Office and the like that take more processor time to parse, in seconds."""

    parse_mb: int = 1024
    """Refuse files of PDF, Office and the like that take more memory to parse, in MiB."""

    checksum: bool = False
    """Open every file, also those that by their size and times did not change since they were read."""

    def read_options(self) -> ReadOptions:
        """Return how to read records."""
        from polyseme.tasks.reading.documents import MIB

        return replace(
            FieldOptions.read_options(self), title_field=self.title_field,
            max_document_bytes=self.max_document_mb * MIB, max_line_bytes=self.max_line_mb * MIB,
            parse_seconds=self.parse_seconds, parse_mb=self.parse_mb, checksum=self.checksum,
        )  # fmt: skip
