"""Shards become parts and one commit, and have the same rows however often they are retried."""

from __future__ import annotations

import math

import pyarrow.parquet as pq
import pytest

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Cancelled, Engine
from polyseme.tasks.inference.predictions import surprisals
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from tests.reference import assert_stored, reference
from tests.tasks.conftest import Runs, document


def test_retrying_either_stage_changes_nothing(runs: Runs) -> None:
    shard = runs.shard(document("a"), document("b"))
    first, second = runs.encode(shard), runs.encode(shard)
    for result in (first, first, second):
        commit_shard(result, runs.catalog)
    assert runs.rows("SELECT doc_id, count(*) FROM sentences GROUP BY ALL ORDER BY 1") == [("a", 2), ("b", 2)]


def test_an_encoded_shard_is_invisible_until_it_is_committed(runs: Runs) -> None:
    result = runs.encode(runs.shard(document("a")))
    assert runs.rows("SELECT * FROM sentences") == []
    commit_shard(result, runs.catalog)
    assert len(runs.rows("SELECT * FROM sentences")) == 2


def test_a_document_that_another_run_has_finished_meanwhile_is_left_out(runs: Runs) -> None:
    slow = runs.shard(document("a"), document("b"))
    runs.embed(document("a"))
    result = runs.encode(slow)
    assert [d.doc_id for d in result.documents] == ["b"]


def test_a_slow_run_never_replaces_a_newer_version(runs: Runs) -> None:
    slow = runs.shard(document("a", "The old text."))
    runs.embed(document("a", "The new text."))
    commit_shard(runs.encode(slow), runs.catalog)
    assert runs.rows("SELECT text FROM documents") == [("The new text.",)]
    assert runs.rows("SELECT text FROM sentences") == [("The new text.",)]


def test_a_commit_removes_the_staged_text_and_a_retry_does_not_need_it(runs: Runs) -> None:
    shard = runs.shard(document("a"))
    result = runs.encode(shard)
    assert commit_shard(result, runs.catalog) == result.counts
    assert not (runs.lake.root / shard.path).exists()
    assert commit_shard(result, runs.catalog) == result.counts


def test_a_reader_sees_the_vectors_and_logits_of_transformers(runs: Runs) -> None:
    runs.embed(document("a", "It rains! Nobody came."), outputs=Outputs())
    truth = reference(runs.engine.checkpoint.folder)
    found = runs.rows("SELECT text, embedding FROM sentences ORDER BY sentence_index")
    assert [text for text, _ in found] == ["It rains!", "Nobody came."]
    for text, embedding in found:
        assert_stored(embedding, truth.hidden(truth.ids(str(text))).mean(axis=0))
    ((logit,),) = runs.rows("SELECT nsp_logit_is_next FROM transitions WHERE kind = 'adjacent'")
    assert logit == pytest.approx(truth.next_sentence(*(truth.ids(str(t)) for t, _ in found))[0], abs=1e-4)


@pytest.mark.parametrize("text", ["\ufffd", "\ufffd\n\n\ufffd"])
def test_a_document_without_tokens_is_stored_and_not_encoded_again(runs: Runs, text: str) -> None:
    assert runs.embed(document("a", text), outputs=Outputs("tokens")).tally.new == 1
    assert runs.embed(document("a", text), outputs=Outputs("tokens")).tally.unchanged == 1
    assert runs.rows("SELECT n_tokens, n_sentences FROM documents") == [(0, text.count("\ufffd"))]


def test_a_document_larger_than_a_chunk_is_one_document(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.engine.chunk_tokens", lambda width: 50)
    result = runs.encode(runs.shard(document("big", "It rains! " * 40), document("a"), outputs=Outputs()))
    assert sorted(d.doc_id for d in result.documents) == ["a", "big"]
    assert sum(part.table == "sentences" for part in result.parts) > 5
    commit_shard(result, runs.catalog)
    assert runs.rows("SELECT doc_id, n_sentences, n_tokens FROM documents ORDER BY 1") == [
        ("a", 2, 18),
        ("big", 40, 320),
    ]
    assert runs.rows("SELECT count(*) FROM transitions WHERE doc_id = 'big' AND kind = 'adjacent'") == [(39,)]
    assert runs.rows("SELECT count(DISTINCT (sentence_index, word_index)) FROM words WHERE doc_id = 'big'") == [(120,)]


def test_counts_are_those_of_the_parts(runs: Runs) -> None:
    result = runs.encode(runs.shard(document("a"), document("b", "One. Two. Three."), outputs=Outputs("tokens")))
    counts = result.counts
    rows = {part.table: part.rows for part in result.parts}
    assert (counts.documents, counts.sentences, counts.words, counts.tokens) == tuple(
        rows[table] for table in ("documents", "sentences", "words", "tokens")
    )
    assert counts.transitions == 3
    assert counts.bytes == sum(part.bytes for part in result.parts)
    assert sum(version.n_tokens for version in result.documents) == counts.tokens
    for part in result.parts:
        assert pq.read_metadata(runs.lake.part_path(part.path)).num_rows == part.rows


def test_a_retry_writes_the_same_rows(runs: Runs) -> None:
    shard = runs.shard(document("a"), document("b", "One. Two. Three. Four."), outputs=Outputs("tokens"))
    for one, two in zip(runs.encode(shard).parts, runs.encode(shard).parts, strict=True):
        first, second = (pq.read_table(runs.lake.part_path(part.path)) for part in (one, two))
        if one.table == "documents":
            first, second = (table.drop_columns("ingested_at") for table in (first, second))
        assert first == second


def test_a_cancelled_shard_leaves_nothing_visible(runs: Runs) -> None:
    shard = runs.shard(document("a"))

    def stop(tokens: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        encode_shard(shard, runs.lake, runs.catalog, runs.engine, on_batch=stop)
    assert runs.rows("SELECT * FROM documents") == []
    commit_shard(runs.encode(shard), runs.catalog)
    assert len(runs.rows("SELECT * FROM documents")) == 1


def test_likelihoods_are_added_by_encoding_again_and_null_if_not_requested(runs: Runs) -> None:
    first, second = "It rains! Nobody came.", "The bank."
    runs.embed(document("a", first), document("b", second))
    assert runs.rows("SELECT count(*), count(pll) FROM sentences") == [(3, 0)]
    assert runs.rows("FROM perplexity") == []
    asked = Outputs("tokens", None, False, "original")
    assert runs.embed(document("a", first), outputs=asked).tally.changed == 1
    assert runs.embed(document("a", first), outputs=asked).tally.unchanged == 1
    assert runs.embed(document("a", first)).tally.unchanged == 1
    found = surprisals(runs.engine, ["It rains!", "Nobody came."], variant="original")
    truth = [sum(token.surprisal for token in sentence) for sentence in found]
    stored = runs.rows("SELECT pll, pll_variant FROM sentences ORDER BY doc_id, sentence_index")
    assert [-pll if isinstance(pll, float) else None for pll, _ in stored] == [*(pytest.approx(t) for t in truth), None]
    assert [variant for _, variant in stored] == ["original", "original", None]
    of_tokens = runs.rows("SELECT sum(surprisal) FROM tokens GROUP BY sentence_index ORDER BY sentence_index")
    assert [total for (total,) in of_tokens] == [pytest.approx(t) for t in truth]
    tokens = sum(len(sentence) for sentence in found)
    ((doc_id, n_tokens, perplexity),) = runs.rows("SELECT doc_id, n_tokens, perplexity FROM perplexity")
    assert (doc_id, n_tokens, perplexity) == ("a", tokens, pytest.approx(math.exp(sum(truth) / tokens)))


def test_another_variant_of_likelihood_replaces_the_stored_one(runs: Runs) -> None:
    for variant in ("original", "within_word_l2r"):
        runs.embed(document("a"), outputs=Outputs("sentences", None, False, variant))
        assert runs.rows("SELECT DISTINCT pll_variant FROM sentences") == [(variant,)]


def test_an_engine_with_another_encoding_rejects_the_shard(runs: Runs, tiny: Engine) -> None:
    shard = runs.shard(document("a"))
    with pytest.raises(ModelError, match="Use the same model files"):
        encode_shard(shard, runs.lake, runs.catalog, tiny)
    assert encode_shard(shard, runs.lake, runs.catalog, Engine(runs.engine.portable_config())).documents
