"""SQL functions that need the model, for a DuckDB connection onto a lake.

    con = connect("lake", functions=ModelFunctions(model="path/to/checkpoint"))

Arrow functions over columns of texts, and table macros on top of them; `docs/sql.md` describes each. DuckDB passes up
to 2048 rows per call and folds constants into one call. NULL in, NULL out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import TypeVar
from weakref import WeakSet

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import ARROW, SPECIAL

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Device
from polyseme.storage.search.index import Progress
from polyseme.storage.sql.centroids import WordCentroids, shared_centroids
from polyseme.storage.sql.indexed_rows import Caller
from polyseme.storage.sql.kept_documents import document_vectors
from polyseme.storage.sql.nearest import CACHE_BYTES, Neighbour
from polyseme.storage.sql.placed_vectors import PlacedVectors
from polyseme.storage.sql.row_places import has_places
from polyseme.storage.sql.sentence_search import SentenceSearch, shared_search
from polyseme.storage.sql.word_search import Occurrence, shared_words
from polyseme.tasks.arrays import Floats
from polyseme.tasks.engine import Cancelled
from polyseme.tasks.inference.cached import CachedModel, at_least_one
from polyseme.tasks.model.checkpoint import EMBEDDED, find
from polyseme.tasks.sql.aggregates import Function, sql_type, vector_functions
from polyseme.tasks.sql.columns import Column, rows_of, structs
from polyseme.tasks.sql.drift_functions import drift_functions
from polyseme.tasks.sql.duplicate_functions import near_duplicate_function, near_duplicates_macro
from polyseme.tasks.sql.macros import macros
from polyseme.tasks.sql.near_duplicates import NearDuplicate, near_duplicates
from polyseme.tasks.sql.near_duplicates import Question as AlikeQuestion
from polyseme.tasks.sql.nearest_functions import search_functions
from polyseme.tasks.sql.retrieval_macros import retrieval_macros
from polyseme.tasks.sql.similar_functions import similar_sentence_function, similar_sentences_macro
from polyseme.tasks.sql.similar_sentences import Likeness, SimilarPairs, similar_sentences
from polyseme.tasks.sql.topic_functions import Vectors, document_vectors_function
from polyseme.tasks.sql.vocabulary_drift import Question, WordDrift, vocabulary_drift

_T = TypeVar("_T")
_CANDIDATES = {"mask": pa.int32(), "rank": pa.int32(), "token": pa.string(), "probability": pa.float64(),
               "text": pa.string()}  # fmt: skip
_SURPRISALS = {"token": pa.string(), "char_start": pa.int32(), "char_end": pa.int32(), "surprisal": pa.float64()}


def install(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Add the functions with the model named in the lake, as `connect` does by default."""
    ModelFunctions()(con, snapshot, lake)


install.needs_no_rows = install.reads_places = True  # type: ignore[attr-defined]


class ModelFunctions:
    """Adds the model's functions to a connection: for the default encoding, and suffixed `_<encoding>` for each.

    `model` is the current location of the checkpoint, `cache_bytes` the memory for vectors of sentences. `failure` is
    the last error that a function raised: DuckDB passes on only its text. `tokens` counts those that the model ran
    since `go_on`; `doing` is what a function is at that takes long without it, and the share that is done.
    """

    needs_no_rows = reads_places = True

    def __init__(self, *, model: str | None = None, device: Device = "auto", cache_bytes: int = CACHE_BYTES) -> None:
        self._model, self._device, self._cache_bytes = model, device, cache_bytes
        self._stop = threading.Event()
        self._connections: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
        self._loader = ThreadPoolExecutor(1, "polyseme-model")
        self._loader.submit(int)  # a thread has the rights of the one that starts it, so not later
        self.failure: PolysemeError | None = None
        self.tokens = 0
        self.doing: tuple[str, float] | None = None

    def stop(self) -> None:
        """Make running functions fail after their batch, and later ones immediately, until `go_on`."""
        self._stop.set()
        for con in list(self._connections):
            with suppress(duckdb.ConnectionException):  # it is closed already
                con.interrupt()

    def go_on(self) -> None:
        """Allow functions to run again after `stop`."""
        self._stop.clear()
        self.tokens, self.doing = 0, None

    def search(self, snapshot: Snapshot, lake: Lake, encoding: Encoding | None) -> SentenceSearch | None:
        """Return the search over the sentences of an encoding, which all that uses it here shares."""
        return shared_search(snapshot, lake, encoding, cache_bytes=self._cache_bytes) if encoding else None

    def __call__(self, con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
        placed = has_places(con)
        for encoding in snapshot.encodings:
            self._add(con, f"_{encoding.name}", encoding, snapshot, lake, placed=placed)
        self._add(con, "", snapshot.default, snapshot, lake, placed=placed)

    def _add(
        self,
        con: duckdb.DuckDBPyConnection,
        suffix: str,
        encoding: Encoding | None,
        snapshot: Snapshot,
        lake: Lake,
        *,
        placed: bool,
    ) -> None:
        spec = encoding.spec if encoding else None
        cached = CachedModel(
            spec, model=self._model, device=self._device, stop=self._stop, loader=self._loader, on_tokens=self._count
        )
        width = spec.width if spec else find(self._model or EMBEDDED).width

        of_vectors = self._of_stored_vectors(encoding, snapshot, lake, width)
        for name, body, parameters, returns in [*_of_texts(cached, width), *of_vectors]:
            function = self._keeping_failure(body)
            con.create_function(name + suffix, function, parameters, returns, type=ARROW, null_handling=SPECIAL)
        words = snapshot.parts.get((encoding.encoding_id, "words"), ()) if encoding else ()
        older = not snapshot.lower_case.isdisjoint(words)
        alike = near_duplicates_macro(suffix), similar_sentences_macro(suffix)
        for statement in [*macros(suffix, width, has_older=older, placed=placed), *alike]:
            con.execute(statement)
        every_word = encoding is None or encoding.encoding_id in snapshot.with_every_word
        for statement in retrieval_macros(suffix, every_word=every_word):
            con.execute(statement)

    def _of_stored_vectors(
        self, encoding: Encoding | None, snapshot: Snapshot, lake: Lake, width: int
    ) -> list[Function]:
        """Return the functions that need no model, of an encoding or of none."""

        def near_sentences(vectors: Floats, k: int, docs: pa.Array | None, exact: bool) -> list[list[Neighbour]]:
            found = self.search(snapshot, lake, encoding)
            if found is None:
                return [[] for _ in vectors]
            return found.with_texts(
                found.nearest(vectors, k, docs=docs, exact=exact, caller=self._caller()), self._check
            )

        def near_words(vectors: Floats, k: int, docs: pa.Array | None, exact: bool) -> list[list[Occurrence]]:
            if encoding is None:
                return [[] for _ in vectors]
            found = shared_words(snapshot, lake, encoding)
            return found.nearest(vectors, k, docs=docs, exact=exact, caller=self._caller())

        def vocabulary(question: Question) -> list[WordDrift]:
            if encoding is None:
                return []
            opened = self._connections.add
            return vocabulary_drift(snapshot, lake, encoding, question, check=self._check, opened=opened)

        def centroids(at_least: int, by_lemma: bool) -> WordCentroids | None:
            if encoding is None:
                return None
            # Unconfined, as those below: for the file of sums in the user's cache folder.
            return self._unconfined(
                lambda: shared_centroids(
                    snapshot, lake, encoding, at_least=at_least, by_lemma=by_lemma, check=self._check
                )
            )

        def alike(question: AlikeQuestion) -> list[NearDuplicate]:
            if encoding is None:
                return []
            opened = self._connections.add
            return self._unconfined(
                lambda: near_duplicates(snapshot, lake, encoding, question, report=self._at, opened=opened)
            )

        def similar(likeness: Likeness) -> SimilarPairs:
            if encoding is None:
                return SimilarPairs.none()
            return similar_sentences(snapshot, lake, encoding, likeness, report=self._at)

        def documents() -> Vectors:
            if encoding is None:
                return pa.array([], pa.string()), np.zeros((0, width), np.float32)
            return self._unconfined(lambda: document_vectors(snapshot, lake, encoding, check=self._check))

        parts = PlacedVectors(snapshot, lake, encoding) if encoding else None
        return [
            *vector_functions(width, self._unconfined), *drift_functions(width, vocabulary, self._unconfined),
            *search_functions(near_sentences, near_words, centroids, width), _stored_vectors(parts, width, self._check),
            near_duplicate_function(alike), similar_sentence_function(similar),
            document_vectors_function(documents, width),
        ]  # fmt: skip

    def _count(self, tokens: int) -> None:
        self.tokens += tokens

    def _caller(self) -> Caller:
        return Caller(self._check, self._unconfined, self._indexed, self._connections.add)

    def _indexed(self, progress: Progress) -> None:
        share = progress.done / progress.rows if progress.rows else 1.0
        self.doing = (f"indexing {progress.rows:,} vectors, once", share) if share < 1 else None

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled("The query was stopped.")

    def _at(self, what: str, share: float) -> None:
        self.doing = what, share
        self._check()

    def _unconfined(self, call: Callable[[], _T]) -> _T:
        return self._loader.submit(call).result()

    def _keeping_failure(self, body: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
        @wraps(body)  # DuckDB counts the parameters
        def function(*columns: Column) -> pa.Array:
            try:
                return body(*columns)
            except PolysemeError as error:
                self.failure = error
                raise

        return function


def _of_texts(cached: CachedModel, width: int) -> Iterator[Function]:
    text, vector = "VARCHAR", f"FLOAT[{width}]"

    def nsp(first: Column, second: Column, field: str) -> pa.Array:
        found = cached.follows(rows_of(first, second))
        return pa.array([a and getattr(a, field) for a in found], pa.float64())

    def fill(texts: Column, counts: Column) -> pa.Array:
        found = cached.masks([q and (q[0], at_least_one(q[1])) for q in rows_of(texts, counts)])
        return structs(found, _CANDIDATES)

    def likelihoods(texts: Column, variants: Column) -> pa.Array:
        found = cached.surprisals(rows_of(texts, variants))
        return pa.array([None if row is None else -sum(t.surprisal for t in row) for row in found], pa.float64())

    def surprisals(texts: Column, variants: Column) -> pa.Array:
        return structs(cached.surprisals(rows_of(texts, variants)), _SURPRISALS)

    yield "text_likelihood", likelihoods, [text, text], "DOUBLE"
    yield "token_surprisals", surprisals, [text, text], sql_type(_SURPRISALS)
    yield "embed", lambda t: _vector_array(cached.vectors(t.to_pylist()), width), [text], vector
    yield "embed_word", lambda t, w: _vector_array(cached.word_vectors(rows_of(t, w)), width), [text, text], vector
    yield "nsp", lambda a, b: nsp(a, b, "probability"), [text, text], "DOUBLE"
    yield "nsp_margin", lambda a, b: nsp(a, b, "margin"), [text, text], "DOUBLE"
    yield "wordpiece", lambda t: pa.array(cached.pieces(t.to_pylist()), pa.list_(pa.string())), [text], "VARCHAR[]"
    yield "mask_candidates", fill, [text, "BIGINT"], sql_type(_CANDIDATES)


def _stored_vectors(parts: PlacedVectors | None, width: int, check: Callable[[], None]) -> Function:
    def body(files: Column, rows: Column) -> pa.Array:
        if parts is None:
            return pa.nulls(len(files), pa.list_(pa.float32(), width))
        return parts.read(files.combine_chunks(), rows.combine_chunks(), check)

    return "stored_vectors", body, ["VARCHAR", "BIGINT"], f"FLOAT[{width}]"


def _vector_array(vectors: Sequence[Floats | None], width: int) -> pa.Array:
    zero = np.zeros(width, np.float32)
    flat = np.concatenate([zero if v is None else v for v in vectors]) if len(vectors) else zero[:0]
    missing = pa.array([v is None for v in vectors], pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), width, mask=missing)
