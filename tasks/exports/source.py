"""The rows that are exported: those of one table of a lake at one state, document by document, with their vectors.

    with Source(snapshot, lake, encoding=encoding, table="sentences", where=None) as source:
        states = source.documents()
        for batch in source.rows(states): ...

Every row also has `uri`, `title` and `metadata` of its document, and `doc_state`, which is another one whenever a
document or its rows are: who keeps it knows what to write anew. Streams: what is sorted spills to disk, and one batch
is in memory. Knows no format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import READ_ONLY, Access
from polyseme.storage.sql.conditions import NOT_A_CONDITION, matching, not_comparable
from polyseme.storage.sql.confined_connection import ConfinedConnection
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained
from polyseme.tasks.exports.marks import Table, Vectors
from polyseme.tasks.sql.supervision import supervise

T = TypeVar("T")

KEYS: Mapping[Table, tuple[str, ...]] = {
    "sentences": ("doc_id", "sentence_index"),
    "words": ("doc_id", "sentence_index", "word_index"),
    "documents": ("doc_id",),
}
"""What names a row of each table, and the order in which rows come."""
STATE = "doc_state"
VECTOR = "embedding"
_DOCUMENT = ("uri", "title", "metadata")
_OF_DOCUMENTS = (
    "text", "language", "n_chars", "n_sentences", "n_tokens", "n_unknown", "content_sha256", "ingested_at",
    "modified_at", "bytes",
)  # fmt: skip
_BATCH = 8192
_DOCUMENTS_A_TIME = 1024
_CHOSEN = f"""doc_id, uri, title, metadata,
left(sha256(concat_ws(chr(10), version, epoch_us(ingested_at), content_sha256, uri)), 16) AS {STATE}"""
"""The time tells from each other two runs of one number, after a lake's catalog was replaced by an older copy."""


class DocumentState(NamedTuple):
    """Which rows of a document there are: those of one state of it, so many."""

    state: str
    rows: int


States = Mapping[str, DocumentState]
"""By doc_id."""


class Source:
    """The rows of one table, of the documents that meet `where`, a SQL condition on `documents`.

    The vector of a document is the mean of those of its sentences. Use it as a context manager. Raises UsageError if
    `where` is not a condition.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        lake: Lake,
        *,
        encoding: Encoding,
        table: Table,
        where: str | None,
        vectors: Vectors = "float32",
        access: Access = READ_ONLY,
    ) -> None:
        self.encoding, self.table, self.lake = encoding, table, lake
        self._number = pa.float16() if vectors == "float16" else pa.float32()
        self._confined = ConfinedConnection(snapshot, lake, access=access)
        try:
            self._choose(where)
            self._columns = self._call(lambda: self._connection.sql(f"{self._query()} LIMIT 0").to_arrow_table().schema)
        except BaseException:
            self._confined.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self._confined.close()

    @property
    def width(self) -> int:
        """The dimensions of a vector."""
        return self.encoding.spec.width

    @property
    def bytes_a_vector(self) -> int:
        """The bytes of the numbers of a vector."""
        return self.width * int(self._number.bit_width) // 8

    @property
    def schema(self) -> pa.Schema:
        """The columns of every batch: keys first, vectors last."""
        fields = [field for field in self._columns if field.name != VECTOR]
        return pa.schema([*fields, pa.field(VECTOR, self._vector_type, nullable=False)])

    @property
    def _vector_type(self) -> pa.DataType:
        return pa.list_(pa.field("item", self._number, nullable=False), self.width)

    def documents(self) -> dict[str, DocumentState]:
        """Return the states of the documents that have rows."""
        counted = "sentences" if self.table == "documents" else self.table
        rows = f"SELECT doc_id, count(*) AS n FROM {self._view(counted)} GROUP BY doc_id"
        found = self._call(
            lambda: self._connection.sql(
                f"SELECT doc_id, {STATE}, n FROM chosen JOIN ({rows}) USING (doc_id) ORDER BY doc_id"
            ).fetchall()
        )
        return {name: DocumentState(state, 1 if self.table == "documents" else n) for name, state, n in found}

    def rows(self, doc_ids: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of these documents, ordered by their keys."""
        wanted = pa.table({"doc_id": pa.array(sorted(doc_ids), pa.string())})
        self._call(self._connection.register, "wanted", wanted)
        batches = self._with_means() if self.table == "documents" else self._read(self._query(_ordered(self.table)))
        for batch in batches:
            yield self._finished(batch)

    def _finished(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        numbers = batch.column(VECTOR).flatten().to_numpy(zero_copy_only=False)
        numbers = numbers.astype(self._number.to_pandas_dtype(), copy=False)
        found = pa.FixedSizeListArray.from_arrays(pa.array(numbers, self._number), type=self._vector_type)
        return pa.RecordBatch.from_arrays([*batch.columns[:-1], found], schema=self.schema)

    def _choose(self, where: str | None) -> None:
        view = f"documents_{self.encoding.name}"

        def choose() -> None:
            self._connection.execute("SET timezone = 'UTC'")  # else the types of times have this machine's
            documents = self._connection.view(view).set_alias("documents")
            chosen = documents if where is None else matching(documents, where)
            chosen.project(_CHOSEN).create("chosen")
            self._connection.register("wanted", pa.table({"doc_id": pa.array([], pa.string())}))

        try:
            self._supervised(choose)
        except NOT_A_CONDITION as error:
            if where is None:
                raise
            raise not_comparable(error) from None  # its cause has the value

    def _query(self, ordered: str = "") -> str:
        """Return SQL for the rows of the documents in `wanted`."""
        keys = [f"r.{name}" for name in KEYS[self.table]]
        document = [f"c.{name}" for name in (*_DOCUMENT, STATE)]
        if self.table == "documents":
            own = [f"r.{name}" for name in _OF_DOCUMENTS]
            vector = f"NULL::FLOAT[{self.width}] AS {VECTOR}"
        else:
            own, vector = [f"r.* EXCLUDE ({', '.join([*KEYS[self.table], VECTOR])})"], f"r.{VECTOR}"
        columns = ", ".join([*keys, *document, *own, vector])
        return (
            f"SELECT {columns} FROM {self._view(self.table)} AS r JOIN chosen AS c USING (doc_id) "
            f"SEMI JOIN wanted USING (doc_id) {ordered}"
        )

    def _view(self, table: str) -> str:
        return quote_name(f"{table}_{self.encoding.name}")

    def _read(self, sql: str) -> Iterator[pa.RecordBatch]:
        reader = self._call(lambda: self._connection.sql(sql).to_arrow_reader(_BATCH))
        while (batch := self._call(next, reader, None)) is not None:
            if batch.num_rows:
                yield batch

    def _with_means(self) -> Iterator[pa.RecordBatch]:
        """Yield rows of documents with the means of their sentences' vectors, without those that have no sentence."""
        wanted = [name for (name,) in self._call(lambda: self._connection.sql("FROM wanted ORDER BY ALL").fetchall())]
        sentences = self._view("sentences")
        for at in range(0, len(wanted), _DOCUMENTS_A_TIME):
            names = pa.table({"doc_id": pa.array(wanted[at : at + _DOCUMENTS_A_TIME], pa.string())})
            self._call(self._connection.register, "wanted", names)
            means = self._means(f"SELECT doc_id, {VECTOR} FROM {sentences} SEMI JOIN wanted USING (doc_id)")
            rows = pa.Table.from_batches(self._read(self._query(_ordered("documents"))), self._columns).combine_chunks()
            rows = rows.filter(pa.array([name in means for name in rows["doc_id"].to_pylist()], pa.bool_()))
            numbers = np.concatenate([np.empty(0), *(means[name] for name in rows["doc_id"].to_pylist())])
            found = pa.FixedSizeListArray.from_arrays(pa.array(numbers, pa.float32()), self.width)
            yield from rows.set_column(rows.num_columns - 1, VECTOR, found).to_batches()

    def _means(self, sql: str) -> dict[str, npt.NDArray[np.float64]]:
        sums: dict[str, npt.NDArray[np.float64]] = {}
        counts: dict[str, int] = {}
        for batch in self._read(f"{sql} ORDER BY doc_id"):
            matrix = batch.column(VECTOR).flatten().to_numpy(zero_copy_only=False).reshape(-1, self.width)
            names = batch.column("doc_id").to_pylist()
            starts = [row for row in range(len(names)) if row == 0 or names[row] != names[row - 1]]
            for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
                total = matrix[start:end].sum(axis=0, dtype=np.float64)
                name = names[start]
                sums[name] = sums[name] + total if name in sums else total
                counts[name] = counts.get(name, 0) + end - start
        return {name: total / counts[name] for name, total in sums.items()}

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return self._confined.connection

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            with explained(self.lake):
                return self._supervised(function, *arguments)
        except LakeError as error:
            if isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise PolysemeError(
                    "Sorting the rows took more memory or disk than it may. Allow it more: --memory 8GB, --spill 100GB."
                ) from error
            raise

    def _supervised(self, function: Callable[..., T], *arguments: Any) -> T:
        future = self._confined.submit(function, *arguments)
        return supervise(future, self._connection.interrupt, timeout=None, memory=None)


def digest_of(states: States) -> str:
    """Return what tells these states of documents from others."""
    found = hashlib.sha256()
    for name in sorted(states):
        found.update(f"{name}\n{states[name].state}\n{states[name].rows}\n".encode())
    return found.hexdigest()


def _ordered(table: Table) -> str:
    return f"ORDER BY {', '.join(f'r.{name}' for name in KEYS[table])}"
