"""Views: a snapshot as SQL that DuckDB answers, with an explicit list of files behind every table.

Pure functions from a snapshot to statements and small tables; `installing` runs them on a connection. Knows DuckDB's
dialect and which rows are live, nothing of how the lake is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts
from polyseme.storage.schemas import ADJACENT, RANDOM, TABLES
from polyseme.storage.sql.bench.macros import bench_macros
from polyseme.storage.sql.duplicates import DUPLICATES, duplicate_views
from polyseme.storage.sql.literals import escaped, quote, quote_name
from polyseme.storage.sql.relocation import Place
from polyseme.storage.sql.row_places import HIDDEN, PLACED
from polyseme.storage.sql.stored_vectors import code_tables
from polyseme.storage.sql.table_views import GUARD, default_places, no_rows, places_view, table_view
from polyseme.storage.sql.topics import (
    TOPICS,
    no_topic_views,
    no_vectors,
    topic_macros,
    topic_tables,
    topic_views,
    vectors_view,
)
from polyseme.storage.sql.word_lookup import key_macros, occurrences_macro

_META = f"{HIDDEN}.meta"
_VIEWS = (*TABLES, "coherence", "perplexity", *DUPLICATES, *TOPICS)
_LOSS = pa.struct(
    [
        ("vectors", pa.int64()), ("bytes_a_vector", pa.float64()), ("cosine", pa.float64()),
        ("least_cosine", pa.float64()), ("recall_at_10", pa.float64()),
    ]
)  # fmt: skip
_CORRECTIONS = ("superseded", "redescribed", "moved")


@contextmanager
def explained(lake: Lake) -> Iterator[None]:
    """Turn DuckDB's error about a part that it cannot read into a LakeError."""
    try:
        yield
    except (duckdb.Error, UnicodeDecodeError) as error:
        # Any error: a broken footer is a plain duckdb.Error. UnicodeDecodeError: the message quotes bytes of the part
        # that are not UTF-8, and the binding decodes it.
        raise unreadable(lake, error) from error


def unreadable(lake: Lake, error: Exception) -> LakeError:
    """Return an error about a part that cannot be read as one that says what to do."""
    return LakeError(
        f"The lake at {lake.root} has a part that cannot be read. Run `polyseme verify`, which names it, and "
        f"`polyseme verify --repair`. ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    )


def tables(snapshot: Snapshot, root: str) -> dict[str, pa.Table]:
    """Return the tables that are copied into the database, by name: what the catalog itself has."""
    return {
        _META: pa.table(
            {
                "catalog_version": pa.array([snapshot.catalog_version], pa.int64()),
                "epoch": [snapshot.epoch],
                "lake_id": [snapshot.lake_id],
                "root": [root],
            }
        ),
        f"{HIDDEN}.superseded": snapshot.superseded,
        f"{HIDDEN}.redescribed": snapshot.redescribed,
        f"{HIDDEN}.moved": snapshot.moved,
        **{f"{HIDDEN}.{name}": codes for name, codes in code_tables(snapshot.encodings).items()},
        **{f"{HIDDEN}.{name}": found for name, found in topic_tables(snapshot).items()},
        "runs": runs_table(snapshot),
        "rejects": snapshot.rejects,
        "skipped": snapshot.skipped,
        "encodings": _with_times(_encodings(snapshot), ("created_at",)),
    }


class Statements(NamedTuple):
    """The CREATE statements of a snapshot, in an order in which each finds what it names.

    `parts` are the views that read parts, `derived` those that read these views, `macros` all else.
    """

    keys: list[str]
    guard: list[str]
    parts: list[str]
    derived: list[str]
    occurrences: list[str]
    macros: list[str]


def statements(
    snapshot: Snapshot, lake: Lake, *, at: str | None = None, places: bool = False, kept: bool = False
) -> Statements:
    """Return the CREATE statements: views and macros of every encoding, then the default's under their plain names.

    With `places` also those of the views that say where each row with a vector is. With `kept` there is a function for
    the vectors of documents.
    """
    place = None if at is None else Place(at, snapshot.lake_id, _META)
    guard = None if place is None else GUARD
    made = Statements(key_macros(), [] if place is None else place.guard(GUARD), [], [], [], [])
    corrected = {name: set(getattr(snapshot, name)["encoding_id"].unique().to_pylist()) for name in _CORRECTIONS}
    for encoding in snapshot.encodings:
        joins = {name for name, ids in corrected.items() if encoding.encoding_id in ids}
        for table in TABLES:
            parts = snapshot.parts.get((encoding.encoding_id, table), ())
            files = _listed(parts, lake, place)
            made.parts.append(table_view(encoding, table, files, joins, guarded=bool(place)))
            if places and table in PLACED:
                made.parts.append(places_view(encoding, table, files, joins))
        suffix = f"_{escaped(encoding.name)}"
        if encoding.encoding_id in snapshot.topics:
            made.derived.append(no_vectors(encoding))
            made.parts.append(vectors_view(encoding, kept=kept))
        made.derived.extend([*_derived_views(suffix), *topic_views(snapshot, encoding)])
    if snapshot.default is None:
        made.derived.extend(f"CREATE VIEW {table} AS {no_rows(table, None)}" for table in TABLES)
        made.derived.extend([*_derived_views(""), *no_topic_views("")])
    else:
        plain = ((view, quote_name(f"{view}_{snapshot.default.name}")) for view in _VIEWS)
        made.derived.extend(f"CREATE VIEW {view} AS FROM {of_default}" for view, of_default in plain)
    if places:
        made.derived.extend(default_places(table, snapshot.default) for table in PLACED)
    for suffix, encoding_or_none in suffixes(snapshot):
        words = snapshot.parts.get((encoding_or_none.encoding_id, "words"), ()) if encoding_or_none else ()
        older = _listed([path for path in words if path in snapshot.lower_case], lake, place)
        width = encoding_or_none.spec.width if encoding_or_none else None
        every = encoding_or_none is not None and encoding_or_none.encoding_id in snapshot.with_every_word
        made.occurrences.append(occurrences_macro(suffix, width, older, guard, placed=places))
        made.macros.extend(topic_macros(snapshot, suffix, encoding_or_none))
        made.macros.extend(bench_macros(suffix, every_word=every, has_older=older is not None))
    return made


def suffixes(snapshot: Snapshot) -> list[tuple[str, Encoding | None]]:
    """Return what the names of views and macros of each encoding end with; those of the default have no ending too."""
    return [*((f"_{escaped(e.name)}", e) for e in snapshot.encodings), ("", snapshot.default)]


def _listed(parts: Sequence[str], lake: Lake, place: Place | None) -> str | None:
    """Return SQL for the list of the files of parts, None for no parts."""
    if not parts:
        return None
    return place.files(parts) if place else f"[{', '.join(quote(str(lake.part_path(path))) for path in parts)}]"


def runs_table(snapshot: Snapshot) -> pa.Table:
    """Return the runs with `wall_seconds` and `lane_busy`, the share of them that the model was busy.

    Both are NULL until a run ends; `lane_busy` is above 1 if several workers encoded.
    """
    runs = _with_times(snapshot.runs, ("started_at", "finished_at"))
    wall = pc.divide(pc.subtract(runs["finished_at"], runs["started_at"]).cast(pa.int64()).cast(pa.float64()), 1e6)
    seconds = (json.loads(text) for text in runs["seconds"].to_pylist())
    lane = pa.array([Counts(seconds=stages).lane_seconds for stages in seconds], pa.float64())
    busy = pc.divide(lane, pc.if_else(pc.equal(wall, 0.0), None, wall))
    return runs.append_column("wall_seconds", wall).append_column("lane_busy", busy)


def _derived_views(suffix: str) -> list[str]:
    return [_coherence_view(suffix), _perplexity_view(suffix), *duplicate_views(suffix)]


def _coherence_view(suffix: str) -> str:
    """Every step of a text with its margin (log-odds of *is next*), probability, and rank among random pairs.

    `z_score` is the number of standard deviations above the mean margin of the encoding's random pairs. `percentile`
    is the share of those pairs with a smaller margin: each step is looked up in a table of cumulative shares, so that
    the time grows like sorting and not with the product of steps and pairs. All are NULL for a model without an NSP
    head, whose steps have an order margin alone.
    """
    return f"""
CREATE VIEW "coherence{suffix}" AS
WITH steps AS (
    SELECT *, nsp_logit_is_next::DOUBLE - nsp_logit_not_next AS margin FROM "transitions{suffix}"
), chance AS (
    SELECT avg(margin) AS mean, nullif(stddev_samp(margin), 0) AS deviation FROM steps WHERE kind = {quote(RANDOM)}
), heights AS (
    SELECT margin, count(*) AS n FROM steps
    WHERE kind = {quote(RANDOM)} AND margin IS NOT NULL GROUP BY margin
), ladder AS (
    SELECT margin, sum(n) OVER (ORDER BY margin ROWS UNBOUNDED PRECEDING) / sum(n) OVER () AS below FROM heights
)
SELECT
    step.doc_id,
    step.sentence_index,
    step.margin,
    CASE WHEN step.margin >= 0 THEN 1 / (1 + exp(-step.margin)) ELSE exp(step.margin) / (1 + exp(step.margin)) END
        AS probability,
    CASE WHEN step.margin IS NOT NULL AND EXISTS (FROM heights) THEN coalesce(ladder.below, 0)::DOUBLE END
        AS percentile,
    (step.margin - chance.mean) / chance.deviation AS z_score,
    step.cosine,
    step.order_margin,
    here.text,
    following.text AS next_text
FROM (FROM steps WHERE kind = {quote(ADJACENT)}) AS step
CROSS JOIN chance
ASOF LEFT JOIN ladder ON step.margin > ladder.margin
LEFT JOIN "sentences{suffix}" AS here
    ON here.doc_id = step.doc_id AND here.sentence_index = step.sentence_index
LEFT JOIN "sentences{suffix}" AS following
    ON following.doc_id = step.next_doc_id AND following.sentence_index = step.next_sentence_index"""


def _perplexity_view(suffix: str) -> str:
    """The perplexity of each document that was embedded with `--pll`: e to the mean surprisal of a token."""
    return f"""
CREATE VIEW "perplexity{suffix}" AS
SELECT
    doc_id,
    any_value(pll_variant) AS pll_variant,
    count(*) AS n_sentences,
    sum(n_tokens)::BIGINT AS n_tokens,
    sum(pll::DOUBLE) AS pll,
    exp(-sum(pll::DOUBLE) / nullif(sum(n_tokens), 0)) AS perplexity
FROM "sentences{suffix}"
WHERE pll IS NOT NULL
GROUP BY doc_id"""


def _encodings(snapshot: Snapshot) -> pa.Table:
    shown = ("model", "width", "layers", "pooling", "context", "max_tokens", "precision", "splitter", "scheme",
             "normalize", "dense", "prompt", "query_prompt", "word_definition", "store")  # fmt: skip
    measured = ("token_cosine", "least_token_cosine", "recall_at_10")
    columns: dict[str, list[Any]] = {
        "name": [e.name for e in snapshot.encodings],
        "encoding_id": [e.encoding_id for e in snapshot.encodings],
        "is_default": [e.encoding_id == snapshot.default_encoding for e in snapshot.encodings],
        **{option: [getattr(e.spec, option) for e in snapshot.encodings] for option in shown},
        "language": [e.spec.language or "en" for e in snapshot.encodings],
        "markdown": [e.spec.markdown for e in snapshot.encodings],
        "join_hyphens": [e.spec.join_hyphens for e in snapshot.encodings],
        "model_sha256": [e.spec.model_sha256 for e in snapshot.encodings],
        "tokenizer_sha256": [e.spec.tokenizer_sha256 for e in snapshot.encodings],
        **{number: [getattr(e.fidelity, number, None) for e in snapshot.encodings] for number in measured},
        **{f"stored_{table}": [_loss(e, table) for e in snapshot.encodings] for table in ("sentences", "words")},
        "created_at": [e.created_at for e in snapshot.encodings],
    }
    types = {
        **dict.fromkeys(("is_default", "normalize", "join_hyphens"), pa.bool_()),
        **dict.fromkeys(("width", "max_tokens", "scheme"), pa.int64()),
        **dict.fromkeys(measured, pa.float64()),
        **dict.fromkeys(("stored_sentences", "stored_words"), _LOSS),
    }
    return pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()})


def _loss(encoding: Encoding, table: str) -> dict[str, Any] | None:
    found = encoding.losses.get(table)
    return None if found is None else asdict(found)


def _with_times(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Read ISO 8601 text columns as UTC timestamps."""
    for name in names:
        moments = table[name].cast(pa.timestamp("us", tz="UTC"))
        table = table.set_column(table.schema.get_field_index(name), name, moments)
    return table
