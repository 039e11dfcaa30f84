"""Access: what SQL over a lake may read, write and use, and how DuckDB is held to it.

DuckDB itself enforces what may be read, `refuse_writes` reads the SQL for what its settings cannot refuse, and
`polyseme.storage.sql.confinement` has the operating system refuse writes whatever the SQL says.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb

from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.literals import quote

_FREE_SETTINGS = ("enable_progress_bar", "timezone")
_THREADS = "threads"
"""Free only in a program's own connection: DuckDB starts 100,000 threads if it is told to."""
_MEMORY = "memory_limit"
SPILL = "max_temp_directory_size"
_SPILL_SHARE = 0.5
"""Of the free disk. DuckDB's own 90 % would leave too little for whatever else writes there meanwhile."""
_OVERWRITE_OPTION = "use_tmp_file"
_RUNS_TEXT = frozenset({
    "json_execute_serialized_sql",
    # They call a function by its name, which may be one of these.
    "create_external_resource", "destroy_external_resource", "register_external_resource",
    "register_external_resource_type", "duckdb_external_resources",
})  # fmt: skip
_RUNS_TEXT_IF_CALLED = "query"
"""A function that runs the SQL in its argument, but also a likely name for a column."""
_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})
_WRITING = frozenset({
    "alter", "analyze", "attach", "begin", "call", "comment", "copy", "create", "deallocate", "delete", "detach",
    "drop", "execute", "insert", "into", "load", "merge", "pragma", "prepare", "reset", "set", "truncate", "update",
    "use",
})  # fmt: skip
_SPACE = re.compile("[\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
"""Characters between words for DuckDB but parts of words for its tokenizer, and others that nobody sees."""
_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What SQL may access besides the lake's live parts: nothing, files in one `folder`, or with `unsafe` everything.

    `memory` is the most that a query may use, such as `4GB`; without it SQL may choose (`SET memory_limit`). `spill` is
    the most on disk of what does not fit into that, by default half of what is free when the connection is opened.
    Raises UsageError for both folder and `unsafe`, a folder that does not exist, and a size that is not one.
    """

    folder: Path | None = None
    unsafe: bool = False
    memory: str | None = None
    spill: str | None = None

    def __post_init__(self) -> None:
        for name, size in (("--memory", self.memory), ("--spill", self.spill)):
            if size is not None and not _SIZE.fullmatch(size):
                raise UsageError(f"{name} takes a size such as 500MB or 4GB, got {size!r}.")
        if self.folder is None:
            return
        if self.unsafe:
            raise UsageError("--unsafe allows everything and --write one folder. Give one of them.")
        if not self.folder.is_dir():
            raise UsageError(f"--write takes a folder that exists, and {self.folder} is not one. Make it first.")
        object.__setattr__(self, "folder", self.folder.resolve())

    def check(self, lake: Lake) -> None:
        """Raise UsageError if SQL could write over the lake in the folder."""
        if self.folder is None or not isinstance(lake.root, Path):
            return
        if self.folder.is_relative_to(lake.root) or lake.root.is_relative_to(self.folder):
            raise UsageError(f"--write {self.folder} would let SQL write over the lake at {lake.root}. Name another.")


READ_ONLY = Access()


def refuse_writes(sql: str, access: Access = READ_ONLY) -> None:
    """Raise UsageError for SQL that could write over a part, or that runs SQL which it has as text.

    DuckDB's allowed paths are allowed for writing too, and `COPY ... (USE_TMP_FILE false)` would use that. In a WITH
    clause it parses as a SELECT, so words are checked and not statements; a column named copy needs its quotes. If a
    folder may be written, COPY is allowed and that option is not: without it DuckDB writes a new file beside the part,
    which is not an allowed path. A reading of the text cannot be complete: SQL of people who are not trusted belongs in
    a `ConfinedThread` as well.
    """
    if access.unsafe:
        return
    tokens = list(_tokens(sql))
    for (kind, word), (_, following) in pairwise([*tokens, (duckdb.token_type.operator, "")]):
        if kind == duckdb.token_type.keyword:
            refused = word == "copy" and access.folder is None
        elif kind == duckdb.token_type.identifier:
            refused = (
                word in _RUNS_TEXT
                or (word == _RUNS_TEXT_IF_CALLED and following.startswith("("))
                or (word == _OVERWRITE_OPTION and access.folder is not None)
            )
        else:
            refused = False
        if refused:
            raise UsageError(_refusal(word))


def only_reads(sql: str) -> bool:
    """Return whether SQL leaves a connection as it finds it: in doubt it does not, and what does not parse does.

    A SELECT may write in its WITH clause, and EXPLAIN ANALYZE runs what it explains, so words are looked at as well.
    """
    try:
        kinds = {statement.type for statement in duckdb.extract_statements(sql)}
    except duckdb.Error:
        return True
    words = {word for kind, word in _tokens(sql) if kind == duckdb.token_type.keyword}
    return kinds <= _READING and not words & _WRITING


def lock_down(
    con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake, access: Access, spill: Path | str, *, confined: bool
) -> None:
    """Restrict the connection, for good, to the live parts, DuckDB's own files in `spill`, and what `access` allows.

    An empty `spill` is no such files. Unless `confined`, SQL may choose how many threads there are, and how much is
    spilled if `access` does not say it. Unsafe access is not restricted.
    """
    con.execute(f"SET temp_directory = {quote(str(spill))}")
    if str(spill):
        most = access.spill or f"{int(_SPILL_SHARE * shutil.disk_usage(spill).free)}B"
        con.execute(f"SET {SPILL} = {quote(most)}")
    if access.memory is not None:
        con.execute(f"SET {_MEMORY} = {quote(access.memory)}")
    if access.unsafe:
        return
    # Files by name, not their folder: whatever is in an allowed folder may be read, and new files written to it.
    files = [quote(str(lake.part_path(path))) for paths in snapshot.parts.values() for path in paths]
    con.execute(f"SET allowed_paths = [{', '.join(files)}]")
    if access.folder is not None:
        con.execute(f"SET allowed_directories = [{quote(str(access.folder))}]")
    free = [*_FREE_SETTINGS, *([_MEMORY] if access.memory is None else [])]
    if not confined:
        free += [_THREADS, *([SPILL] if access.spill is None else [])]
    con.execute(f"SET allowed_configs = [{', '.join(quote(name) for name in free)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _tokens(sql: str) -> list[tuple[duckdb.token_type, str]]:
    """Return the tokens of some SQL without comments: the kind of each, and its text in lower case without quotes."""
    sql = _SPACE.sub(" ", sql)
    source = sql.encode()
    found = duckdb.tokenize(sql)
    bounds = [start for start, _ in found] + [len(source)]
    return [
        (kind, source[start:end].decode(errors="replace").strip().strip('"').lower())
        for (_, kind), (start, end) in zip(found, pairwise(bounds), strict=True)
        if kind != duckdb.token_type.comment
    ]


def _refusal(word: str) -> str:
    if word == "copy":
        return (
            "COPY is not allowed here: SQL may read the lake, not write files. Leave it out and choose an output "
            "format instead, or let it write into one folder (polyseme sql --write FOLDER)."
        )
    if word == _OVERWRITE_OPTION:
        return f"{word.upper()} is not allowed here: it could write over the lake. Leave it out."
    return f"{word}() is not allowed here: it runs SQL that it has as text. Write that SQL as a query of its own."
