"""`polyseme export`: the vectors of a lake in the format of another tool, kept up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.running import Json, Spill
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show

To = Literal["npy", "faiss", "lance", "hf-dataset", "pgvector", "delta", "qdrant", "atlas"]


def export(
    *,
    to: To,
    out: str,
    table: Literal["sentences", "words", "documents"] = "sentences",
    where: Where = None,
    encoding: str | None = None,
    float16: Annotated[bool, Parameter(negative="")] = False,
    memory: str = "1GB",
    spill: Spill = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Write the vectors of the lake, with their keys and texts, in the format of another tool.

    A second export to the same place writes only what changed in the lake since, and removes what is gone; npy, faiss
    and atlas are written anew then, as a whole. Without a change it does nothing. docs/export.md has how each is read.
    polyseme sql --format parquet writes the rows of any query, once; polyseme explore --export writes pages.

    Example: polyseme export --to npy --out vectors

    Example: polyseme export --to faiss --out index --table words --where "metadata->>'genre' = 'news'"

    Example: polyseme export --to pgvector --out "postgresql://localhost/search?table=sentences"

    Parameters
    ----------
    to
        npy: a matrix for NumPy, and its rows in Parquet. faiss: a flat index, and its rows (pip install
        'polyseme[faiss]'). lance: a dataset for LanceDB (polyseme[lance]). hf-dataset: shards of Parquet with a card,
        for datasets.load_dataset and the Hub. pgvector: a table in PostgreSQL (polyseme[postgres]). delta: a Delta Lake
        table (polyseme[delta]). qdrant: a collection (polyseme[qdrant]). atlas: a Parquet file for maps in Embedding
        Atlas and Nomic Atlas.
    out
        A folder, the address of a table for pgvector, or of a collection for qdrant (http://localhost:6333/sentences):
        a new one, or that of an earlier export, which is brought up to date. What no export made is left alone.
    table
        What has a row each. The vector of a document is the mean of those of its sentences.
    encoding
        The encoding whose vectors are exported, as polyseme status names it; by default that of the lake.
    float16
        Write vectors as 16-bit floats, which is what the lake stores of sentences and words: half the size.
    memory
        The most memory for sorting rows, e.g. 4GB; what does not fit spills to disk.
    """
    from polyseme.flows.display.progress_bar import counted
    from polyseme.storage.sql.access import Access
    from polyseme.tasks.exports.export import Request, opened_export

    request = Request(
        format=to,
        out=out,
        table=table,
        where=where,
        encoding=encoding,
        vectors="float16" if float16 else "float32",
    )
    with (
        opened_export(lake.lake(), request, access=Access(memory=memory, spill=spill)) as work,
        counted("exporting", work.bytes) as advance,
    ):
        done = work.run(advance)
    if json:
        write_json(asdict(done))
    else:
        show(done.in_words)
