"""Relocation: SQL by which a published file finds the lake's files where the lake is now.

A lake is copied, zipped and mailed, or put on a web server, and its `catalog.duckdb` with it. Opened by itself, that
file reads the parts beside it: DuckDB keeps its temporary files beside the database that it opened, and that setting is
a constant which a view can use. Attached to another database it reads from where it was published, and refuses if it
was attached from elsewhere, since those would be another lake's files. `SET VARIABLE polyseme_root = …` names the place
in any case. Knows DuckDB's dialect, no tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polyseme.storage.lake import PUBLISHED
from polyseme.storage.sql.literals import quote

VARIABLE = "polyseme_root"
"""The session variable that says where the lake is."""
_GIVEN = f"rtrim(getvariable('{VARIABLE}')::VARCHAR, '/') || '/'"
_TEMPORARY = "current_setting('temp_directory')"
_ENDING = f"{PUBLISHED}.tmp"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is published for: the lake's folder or URL, and the lake's id. `table` is one that it has."""

    root: str
    lake_id: str
    table: str

    @property
    def is_folder(self) -> bool:
        return "://" not in self.root

    @property
    def _base(self) -> str:
        """SQL for the lake's address with a slash at its end. A constant: the arguments of `read_parquet` must be."""
        recorded = quote(self.root.rstrip("/") + "/")
        if not self.is_folder:
            return f"coalesce({_GIVEN}, {recorded})"
        beside = f"left({_TEMPORARY}, -{len(_ENDING)})"
        return f"coalesce({_GIVEN}, CASE WHEN {_TEMPORARY} LIKE '%{_ENDING}' THEN {beside} ELSE {recorded} END)"

    def files(self, paths: Sequence[str]) -> str:
        """Return SQL for the list of the files at `paths` in the lake."""
        return f"[{self._base} || path FOR path IN [{', '.join(quote(path) for path in paths)}]]"

    def guard(self, view: str) -> list[str]:
        """Return statements that make `view`, with one row. Reading it fails if `files` may be those of another lake.

        The databases of this session that are published files of this lake, copies included, are known by the comment
        on their `table`.
        """
        mark = quote(f"polyseme lake {self.lake_id}")
        mine = f"{self._base} || '{PUBLISHED}'"
        # A file with a web address in it may have been downloaded without its lake, and reads from there.
        elsewhere = f"d.path <> {mine}" if self.is_folder else f"contains(d.path, '://') AND d.path <> {mine}"
        told = quote(
            f"This lake was published for {self.root}, and is attached from another place, where its files may differ. "
            f"Open its {PUBLISHED} by itself, or say where it is with SET VARIABLE {VARIABLE} = '…', or publish it "
            "there with polyseme publish --lake FOLDER."
        )
        return [
            f"COMMENT ON TABLE {self.table} IS {mark}",
            f"CREATE VIEW {view} AS SELECT CASE WHEN getvariable('{VARIABLE}') IS NULL AND EXISTS ("
            "FROM duckdb_tables() AS t JOIN duckdb_databases() AS d USING (database_name) "
            f"WHERE t.comment = {mark} AND {elsewhere}) THEN error({told}) ELSE true END AS is_here",
        ]
