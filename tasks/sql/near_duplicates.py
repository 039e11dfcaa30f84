"""The near-duplicates of a lake: its documents in groups, each as alike to the first of its group as asked for.

Texts are read twice: first those that have no signature yet, then those that may be like another. In memory are a
signature of each text, and the shingles of the latter: eight bytes a word. Opens the lake by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql import kept_signatures
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.kept_signatures import KeptSignatures
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained
from polyseme.tasks.analysis import minhash, shingles
from polyseme.tasks.analysis.minhash import Buckets, sign
from polyseme.tasks.analysis.near_duplicates import stars
from polyseme.tasks.analysis.shingles import Shingler, Shingles

LEAST = 0.2
"""The least similarity that can be asked for: below, most pairs of a corpus would have to be compared."""
WORTH_KEEPING = 1_000_000
"""Shingles of a lake from which on signatures are kept: those of fewer take a second."""
_TEXTS_AT_ONCE = 64
_SHINGLES_AT_ONCE, _TEXTS_SIGNED_AT_ONCE = 1 << 20, 1 << 12

Report = Callable[[str, float], None]
"""Takes what is being done, and the share of it that is done; called often, and raises to stop."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which similarity is asked for, and of which documents: None is all."""

    at_least: float
    docs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not LEAST <= self.at_least <= 1:
            raise UsageError(
                "The least similarity of two documents is the share of their runs of five words that both have, from "
                f"{LEAST} to 1; got {self.at_least:g}."
            )


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A document of a group of `copies`, in its place, and its similarity to the first.

    `same_text` says that its text is that of the first to the last character.
    """

    group_id: int
    copies: int
    place: int
    similarity: float
    same_text: bool
    doc_id: str


def near_duplicates(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, question: Question, *, report: Report,
    opened: Callable[[duckdb.DuckDBPyConnection], None] = lambda con: None, worth_keeping: int = WORTH_KEEPING,
) -> list[NearDuplicate]:  # fmt: skip
    """Return the documents of all groups: the largest group first, and in it the most alike to the first.

    `opened` gets the connection, for another thread to interrupt. Raises PolysemeError without the package rensa.
    """
    # Without a folder to spill to: SQL asks in a confined thread, where none can be made, and this needs none.
    with explained(lake), open_snapshot(snapshot, lake, spill="", macros=False) as con:
        opened(con)
        try:
            corpus = _Corpus(con, quote_name(f"documents_{encoding.name}"), question.docs, report)
            known = _signatures(snapshot, corpus, selected=question.docs is not None, worth_keeping=worth_keeping)
            found = list(_groups(corpus, known, question.at_least))
        except duckdb.InterruptException:
            report("stopping", 1.0)
            raise
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise PolysemeError(
                "The documents that may be alike did not fit into memory. Ask for those that are more alike (at_least "
                "0.9), or for some of them."
            ) from error
    return list(_numbered(found))


class _Corpus:
    """The documents that are asked for: their ids by the hash of their text, and the texts themselves."""

    def __init__(self, con: duckdb.DuckDBPyConnection, view: str, docs: Sequence[str] | None, report: Report) -> None:
        self._con, self._view, self.report = con, view, report
        wanted = None if docs is None else set(docs)
        self.ids = dict[str, list[str]]()
        for doc_id, content in con.execute(f"SELECT doc_id, content_sha256 FROM {view} ORDER BY doc_id").fetchall():
            if wanted is None or doc_id in wanted:
                self.ids.setdefault(content, []).append(doc_id)

    def shingles(self, contents: Sequence[str], doing: str) -> Iterator[tuple[str, Shingles]]:
        """Yield each of some texts by its hash, with its shingles. `doing` is what they are read for."""
        made, done = Shingler(), 0
        self._con.register("arriving", pa.table({"doc_id": pa.array([self.ids[c][0] for c in contents], pa.string())}))
        texts = self._con.sql(f"SELECT content_sha256, text FROM {self._view} SEMI JOIN arriving USING (doc_id)")
        for batch in texts.to_arrow_reader(_TEXTS_AT_ONCE) if contents else ():
            for content, text in zip(batch.column(0), batch.column(1), strict=True):
                self.report(doing, done / len(contents))
                yield content.as_py(), made.shingles(text.as_py())
                done += 1


def _signatures(snapshot: Snapshot, corpus: _Corpus, *, selected: bool, worth_keeping: int) -> KeptSignatures:
    """Return the signatures of the texts, in their order: those that are kept, and of all others new ones.

    Of a lake with `worth_keeping` shingles they are kept, also those that were made before an error.
    """
    nothing = KeptSignatures.nothing(f"{shingles.SCHEME}; {minhash.scheme()}", minhash.NUMBERS)
    kept = kept_signatures.load(snapshot.lake_id, nothing) or nothing
    has, made = set(kept.contents), list[KeptSignatures]()
    # All texts of the lake are here, if it has no other encoding.
    are_all = not selected and len(snapshot.encodings) == 1
    try:
        for some in _signed(nothing.scheme, corpus, [content for content in corpus.ids if content not in has]):
            made.append(some)
    finally:
        every = kept.with_more(made)
        keeping = every.of(corpus.ids) if are_all else every
        if keeping.contents != kept.contents and keeping.shingles.sum() >= worth_keeping:
            kept_signatures.save(snapshot.lake_id, keeping)
    return every.of(corpus.ids)


def _signed(scheme: str, corpus: _Corpus, contents: Sequence[str]) -> Iterator[KeptSignatures]:
    waiting, held = dict[str, Shingles](), 0

    def signed() -> KeptSignatures:
        sizes = np.array([len(one) for one in waiting.values()], np.int64)
        return KeptSignatures(scheme, tuple(waiting), sizes, sign(list(waiting.values())))

    for content, made in corpus.shingles(contents, "reading documents"):
        waiting[content] = made
        held += len(made)
        if held >= _SHINGLES_AT_ONCE or len(waiting) >= _TEXTS_SIGNED_AT_ONCE:
            yield signed()
            waiting, held = {}, 0
    yield signed()


def _groups(corpus: _Corpus, known: KeptSignatures, at_least: float) -> Iterator[list[tuple[float, bool, str]]]:
    """Yield similarity, whether the text is the same, and id of the documents of each group; its first is the first."""
    with_words = np.flatnonzero(known.shingles > 0)
    signatures, sizes = known.signatures[with_words], known.shingles[with_words]
    contents = [known.contents[i] for i in with_words.tolist()]
    buckets = Buckets(signatures, at_least)
    shared = [contents[i] for i in np.flatnonzero(buckets.shared()).tolist()]
    read = dict(corpus.shingles(shared, "reading what may be alike"))

    def check(done: int) -> None:
        corpus.report("comparing", done / len(contents))

    grouped = set[str]()
    for star in stars(signatures, sizes, buckets, lambda place: read[contents[place]], at_least=at_least, check=check):
        near = [(1.0, star.first), *((similarity, other) for other, similarity in star.others)]
        yield [(s, place == star.first, doc_id) for s, place in near for doc_id in corpus.ids[contents[place]]]
        grouped.update(contents[place] for _, place in near)
    for content, ids in corpus.ids.items():
        if len(ids) > 1 and content not in grouped:
            yield [(1.0, True, doc_id) for doc_id in ids]


def _numbered(groups: Iterable[list[tuple[float, bool, str]]]) -> Iterator[NearDuplicate]:
    ordered = sorted(groups, key=lambda rows: (-len(rows), rows[0][2]))
    for number, rows in enumerate(ordered, 1):
        yield from (NearDuplicate(number, len(rows), place, *row) for place, row in enumerate(rows, 1))
