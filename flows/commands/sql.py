"""`polyseme sql`: queries from the command line, a file, standard input or a shell."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pyarrow import RecordBatchReader

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.model import FunctionOptions
from polyseme.flows.commands.options.running import Memory, Spill, Timeout
from polyseme.flows.display.output import Format, write_rows
from polyseme.storage.errors import UsageError


def sql(
    query: str | None = None,
    *,
    file: Annotated[Path | None, Parameter(alias="-f")] = None,
    format: Format = "table",
    timeout: Timeout = None,
    memory: Memory = None,
    spill: Spill = None,
    write: Path | None = None,
    unsafe: Annotated[bool, Parameter(negative="")] = False,
    lake: LakeOptions = LakeOptions(),
    model: FunctionOptions = FunctionOptions(),
) -> None:
    """Query the lake in DuckDB's SQL. Without QUERY: a shell on a terminal, else SQL from standard input.

    Views: documents, sentences, words, tokens, transitions, coherence, perplexity, duplicate_sentences,
    duplicate_documents, topics, document_topics, rejects, skipped, runs, encodings.
    Functions: embed, embed_word, nsp, nsp_margin, wordpiece; FROM nearest(...), nearest_to, bm25, hybrid, maxsim,
    fill_mask, occurrences, kwic, word_frequencies, keywords, senses, neighbours, polysemy, drift, drift_by, drift_rank,
    near_duplicates, breaks. The shell's help and docs/sql.md describe them. There --timeout holds for each query.

    Example: polyseme sql "from nearest('a flood in the valley', k := 5)" --format csv

    Parameters
    ----------
    query
        SQL; statements are separated by semicolons. It can read the lake and nothing else, unless --write or --unsafe
        is given. - is standard input.
    file
        A file with SQL instead of QUERY, e.g. report.sql.
    format
        How to write results to stdout; vectors are shortened in a table and complete in the others.
    write
        Let SQL read and write files in this folder too (COPY … TO, ATTACH). The lake itself stays read-only.
    unsafe
        Let SQL do everything that DuckDB can: read and write any file, load extensions. Only for SQL you wrote.
    """
    from polyseme.flows.display.query_progress import QueryProgress
    from polyseme.storage.sql.access import Access
    from polyseme.tasks.sql.execution import Queries

    if timeout is not None and timeout <= 0:
        raise UsageError(f"--timeout is in seconds and must be above 0, got {timeout:g}.")
    access = Access(folder=write, unsafe=unsafe, memory=memory, spill=spill)
    functions = model.functions()
    text = _given(query, file)
    if text is None:
        from polyseme.flows.display.shell import shell

        shell(lake.lake(), functions, format=format, timeout=timeout, access=access)
        return
    if not text.strip():
        raise UsageError('There is no SQL to run. Example: polyseme sql "from sentences limit 5"')
    with Queries(lake.lake(), functions, access=access) as queries, QueryProgress(queries) as progress:
        tables = count(1)

        def show_rows(rows: RecordBatchReader) -> None:
            if next(tables) > 1 and format == "parquet":
                # Readers would find the last footer, and take the first table's bytes for its rows.
                raise UsageError(
                    "A Parquet file holds one table, and a second statement has rows too: only those of the first were "
                    "written. Give one such statement, or take --format jsonl."
                )
            write_rows(rows, format, ready=progress.clear)
            progress.go_on()

        queries.run(text, show_rows, timeout=timeout, waiting=progress.tick)


def _given(query: str | None, file: Path | None) -> str | None:
    """Return the SQL to run; None to open a shell."""
    if query is not None and file is not None:
        raise UsageError("There is SQL on the command line and in --file. Leave one of them out.")
    if file is not None:
        try:
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The SQL in {file} cannot be read ({error}). Name a UTF-8 text file.") from error
    if query is None and sys.stdin.isatty():
        return None
    return sys.stdin.read() if query in (None, "-") else query
