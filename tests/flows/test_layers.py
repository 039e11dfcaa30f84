"""Two layers of one model in one lake, by the real commands: two encodings, each with its functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.functions import ModelFunctions
from tests.flows.conftest import TEXTS, Ask
from tests.flows.test_cli import polyseme
from tests.reference import assert_stored, reference

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], lake: Path, tiny_folder: Path) -> Any:
    def of(*words: str | Path, code: int = 0) -> Any:
        done, out, err = polyseme(
            capfd, *words, "--model", tiny_folder, "--device", "cpu", "--lake", lake, "--no-nsp", "--json"
        )
        assert done == code, err
        return json.loads(out) if code == 0 else err

    return of


@pytest.fixture
def two(run: Any, corpus: Path, tiny_folder: Path) -> dict[str, slice]:
    """Two encodings of one lake, each with those of transformers' hidden states that it has the mean of."""
    made = run("embed", corpus, "--layers", "02", "--level", "tokens", "--name", "low")
    assert (made["encoding"], made["counts"]["documents"]) == ("low", 3)
    planned = run("backfill", "--layers", "mean:1-3", "--dry-run")
    assert planned["is_new_encoding"]
    assert (planned["to_encode"], planned["reused_sentences"], planned["tokens_per_second"] > 0) == (3, 0, True)
    mean = run("backfill", "--layers", "mean:1-3")["encoding"]
    assert mean == planned["encoding"] == f"{tiny_folder.name}_layers1to3"
    return {"low": slice(2, 3), mean: slice(1, 4)}


def test_a_lake_has_vectors_of_two_layers(two: dict[str, slice], tiny_folder: Path, ask: Ask) -> None:
    low, mean = two
    assert ask("SELECT name, layers FROM encodings ORDER BY created_at") == [(low, "2"), (mean, "mean:1-3")]
    truth, sentence = reference(tiny_folder), "He paid it back within a year."
    assert sentence in TEXTS["money"]
    for name, of in two.items():
        hidden = truth.hidden(truth.ids(sentence), of=of)
        ((vector,),) = ask(f"SELECT embedding FROM sentences_{name} WHERE text = '{sentence}'")
        assert_stored(vector, hidden.mean(0))
        found = ask(
            f"SELECT layer, t.embedding FROM tokens_{name} t JOIN sentences_{name} s USING (doc_id, sentence_index) "
            f"WHERE s.text = '{sentence}' ORDER BY token_index"
        )
        assert_stored(np.array([row for _, row in found]), hidden[1:-1])
        assert {layer for layer, _ in found} == {"2" if name == low else "mean:1-3"}


def test_the_functions_of_an_encoding_take_its_layers(
    two: dict[str, slice], lake: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_folder.parent)  # its checkpoint is stored by name
    sql = """
    SELECT min(array_cosine_similarity(s.embedding, embed_{functions}(s.text))) > 0.99999,
        min(array_cosine_similarity(w.embedding, embed_word_{functions}(s.text, w.word))) > 0.99999
    FROM sentences_{name} s JOIN words_{name} w USING (doc_id, sentence_index)
    WHERE word IN ('bank', 'court', 'year')"""
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        for name in two:
            for functions in two:
                alike = functions == name
                found = con.execute(sql.format(name=name, functions=functions)).fetchone()
                assert found == (alike, alike)
            nearest = f"SELECT text FROM nearest_{name}('He paid it back within a year.', k := 1)"
            assert con.execute(nearest).fetchall() == [("He paid it back within a year.",)]


def test_what_last_is_by_its_number_goes_on_with_the_encoding_of_last(run: Any, corpus: Path) -> None:
    made = run("embed", corpus)
    assert run("embed", corpus, "--layers", "5")["tally"]["unchanged"] == 3
    again = run("embed", corpus, "--layers", "mean:5-5")
    assert (again["encoding"], again["tally"]["unchanged"]) == (made["encoding"], 3)


def test_of_a_changed_document_the_other_sentences_keep_their_vectors(run: Any, corpus: Path) -> None:
    run("embed", corpus, "--layers", "2")
    text = (corpus / "money.txt").read_text("utf-8")
    (corpus / "money.txt").write_text(text + " He was glad.", "utf-8")
    counts = run("embed", corpus, "--layers", "2")["counts"]
    assert (counts["documents"], counts["sentences"], counts["reused_sentences"]) == (1, 3, 2)
    other = run("embed", corpus, "--layers", "3")["counts"]
    assert (other["documents"], other["reused_sentences"]) == (3, 0)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("6", "--layers 6 asks for layer 6; checkpoint"), ("lats", "--layers takes last, last4"),
        ("mean:3-1", "Write the lower layer first: mean:1-3"), ("last6", "needs at least 6 layers"),
    ],
)  # fmt: skip
def test_layers_that_are_none_are_refused_before_anything_is_made(
    run: Any, corpus: Path, lake: Path, layers: str, message: str
) -> None:
    assert message in run("embed", corpus, "--layers", layers, code=2)
    assert not lake.exists()
