"""The documentation of SQL is under test: it names every function, and each of its examples runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest

from polyseme.flows.display.sql_help import EXAMPLES as HELP_EXAMPLES
from polyseme.flows.display.sql_help import FUNCTIONS, help_text
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from tests import embedded_lakes
from tests.extras import require
from tests.repository import ROOT

DOCS = ROOT / "docs" / "sql.md"
BENCH = ROOT / "docs" / "bench.md"
EXAMPLES = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", DOCS.read_text("utf-8") + BENCH.read_text("utf-8"), re.DOTALL)
    for statement in re.sub(r"--.*", "", block).split(";")
    if statement.strip()
]
OF_AN_EXTRA = "near_duplicates"
INNER = {
    "document_vector_rows",
    "nearest_rows", "nearest_word_rows", "nearest_words", "near_duplicate_rows", "similar_sentence_rows", "mean_vector",
    "mask_candidates", "token_surprisals", "text_likelihood", "cluster_senses", "cluster_senses_in", "vector_spread",
    "pairwise_distance", "prototype_distance", "find_breaks", "drift_of_slices", "drift_of_words",
    "in_text", "matches", "word_counts", "stored_vectors", "words_of",
}  # fmt: skip
"""What only the macros call."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    texts = embedded_lakes.TEXTS | {
        "essay-01": "The bank lost a farthing. Rain fell on the hills. The judge went home."
    }
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents(texts))


@pytest.fixture(scope="module")
def con(made: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(made.root) as opened:
        yield opened


@pytest.mark.parametrize("statement", [one for one in EXAMPLES if OF_AN_EXTRA not in one])
def test_an_example_of_the_documentation_runs(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    con.execute(statement).fetchall()


@pytest.mark.extra
@pytest.mark.parametrize("statement", [one for one in [*EXAMPLES, *HELP_EXAMPLES.values()] if OF_AN_EXTRA in one])
def test_an_example_that_needs_an_extra_runs(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    require("rensa", "duplicates")
    con.execute(statement).fetchall()


@pytest.mark.parametrize("name", HELP_EXAMPLES)
def test_an_example_of_the_help_runs_and_calls_its_function(con: duckdb.DuckDBPyConnection, name: str) -> None:
    assert f"{name}(" in HELP_EXAMPLES[name]
    assert any(f"{name}(" in signature for signature, _ in FUNCTIONS)
    if name != OF_AN_EXTRA:
        con.execute(HELP_EXAMPLES[name]).fetchall()


def test_documentation_and_help_name_every_function(con: duckdb.DuckDBPyConnection) -> None:
    with duckdb.connect() as bare:
        known = "SELECT DISTINCT function_name FROM duckdb_functions()"
        ours = {name for (name,) in con.execute(known).fetchall()} - {n for (n,) in bare.execute(known).fetchall()}
    public = {name for name in ours if not name.endswith("_polyseme_mini")} - INNER
    assert {"embed", "nearest", "senses", "surprisal", "occurrences"} <= public
    text = DOCS.read_text("utf-8")
    assert {name for name in public if f"`{name}(" not in text} == set()
    assert {name for name in public if f"{name}(" not in help_text()} == set()
