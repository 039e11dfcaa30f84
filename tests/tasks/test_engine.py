"""From documents to tables: every row can be traced to its characters, and nothing is dropped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Context, Document, Layers, Outputs
from polyseme.storage.schemas import SORT_KEYS, table_schema
from polyseme.storage.word_keys import word_key
from polyseme.tasks.engine import Cancelled, Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.normalization import is_blank, normalise
from tests import processes
from tests.reference import assert_close, assert_stored, reference, ulps
from tests.tasks.engine_tables import CONTEXTS, EVERYTHING, NOW, PLAIN, STORY, by_context, document, rows, tables

__all__ = ["by_context"]

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("abc XYZ.!?,'-\n\r\t éñüßøİıſ東京は。！😀👩‍👩‍👧🇩🇪e\u0301a\u0308\u200b\u00adאבﷺﬁ①")),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=300,
)


@settings(max_examples=60)
@given(text=TEXTS, context=st.sampled_from(CONTEXTS))
def test_offsets_are_the_sentence_and_the_word_whatever_the_script(
    by_context: dict[Context, Engine], text: str, context: Context
) -> None:
    stored = normalise(text)
    if is_blank(stored):
        return
    found = tables(by_context[context], [document(stored)])
    for start, stop, sentence in rows(found["sentences"], "char_start", "char_end", "text"):
        assert stored[start:stop] == sentence
        assert sentence == sentence.strip()
    if "words" in found:
        for start, stop, word, lower in rows(found["words"], "char_start", "char_end", "word", "word_lower"):
            assert stored[start:stop] == word
            assert word_key(word) == lower
    assert found["documents"]["n_tokens"].to_pylist() == [sum(found["sentences"]["n_tokens"].to_pylist())]
    n_tokens = found["tokens"].num_rows if "tokens" in found else 0
    assert [n_tokens] == found["documents"]["n_tokens"].to_pylist()
    visible = "".join(stored.split())
    assert "".join("".join(text.split()) for text in found["sentences"]["text"].to_pylist()) == visible


def test_every_table_has_its_schema_and_its_order(tiny: Engine) -> None:
    found = tables(tiny, [document(STORY, "b"), document(STORY.upper(), "a")])
    for name, table in found.items():
        assert table.schema == table_schema(name, 48)
        assert table["version"].unique().to_pylist() == [7]
        keys = rows(table, *SORT_KEYS[name])
        assert keys == sorted(keys)


def test_vectors_belong_to_their_rows(tiny: Engine, tiny_folder: Path) -> None:
    found = tables(tiny, [document(STORY, "b"), document("One word. " * 3 + STORY, "a")])
    truth = reference(tiny_folder)
    for name, doc_id, i in (("b", "b", 2), ("a", "a", 0), ("a", "a", 4)):
        sentence = next(r for r in found["sentences"].to_pylist() if (r["doc_id"], r["sentence_index"]) == (doc_id, i))
        hidden = truth.hidden(tiny.wordpiece.tokenize_prompt(sentence["text"]))
        np.testing.assert_allclose(np.array(sentence["embedding"], float), hidden.mean(0), atol=4e-3, rtol=2e-3)
        words = [r for r in found["words"].to_pylist() if (r["doc_id"], r["sentence_index"]) == (doc_id, i)]
        words.sort(key=lambda r: r["word_index"])
        assert [r["word_index"] for r in words] == list(range(len(words)))
        token = 1
        for word in words:
            mean = hidden[token : token + len(word["tokens"])].mean(0)
            np.testing.assert_allclose(np.array(word["embedding"], float), mean, atol=4e-3, rtol=2e-3)
            token += len(word["tokens"])
        assert token == len(hidden) - 1, name


@pytest.mark.parametrize(("model", "layers"), [("mini", "last"), ("mini", "last4"), ("foreign", "last")])
def test_stored_vectors_and_logits_are_those_of_transformers(
    request: pytest.FixtureRequest, model: str, layers: Layers
) -> None:
    folder = request.getfixturevalue(model).checkpoint.folder
    engine = Engine(EngineConfig(model=str(folder), device="cpu", layers=layers))
    truth = reference(folder)
    found = tables(engine, [document(text, name) for name, text in PLAIN.items()])
    ids = {(r["doc_id"], r["sentence_index"]): truth.ids(r["text"]) for r in found["sentences"].to_pylist()}
    limit = engine.spec.max_tokens - 3
    checked = 0
    for row in found["sentences"].to_pylist():
        tokens = ids[row["doc_id"], row["sentence_index"]]
        assert row["n_tokens"] == len(tokens)
        if len(tokens) <= limit:
            checked += 1
            assert_stored(row["embedding"], truth.hidden(tokens, last=4 if layers == "last4" else 1).mean(axis=0))
    assert checked > len(ids) // 2
    for row in found["transitions"].to_pylist():
        first = ids[row["doc_id"], row["sentence_index"]]
        second = ids[row["next_doc_id"], row["next_sentence_index"]]
        assert row["n_truncated"] == max(0, len(first) + len(second) - limit)
        if not row["n_truncated"]:
            logits = np.array([row["nsp_logit_is_next"], row["nsp_logit_not_next"]])
            assert_close(logits, truth.next_sentence(first, second))


def vectors(engine: Engine, documents: Sequence[Document]) -> dict[tuple[Any, ...], list[float]]:
    """Return every stored vector by table and sort key."""
    found = tables(engine, documents, Outputs("tokens", None, False))
    return {
        (name, *key): embedding
        for name in ("sentences", "words", "tokens")
        for *key, embedding in rows(found[name], *SORT_KEYS[name], "embedding")
    }


def test_a_document_has_the_same_vectors_in_any_batch_in_any_order_and_with_any_other_documents(
    mini: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one unit in the last place of float16 is guaranteed; measured with AVX2, every bit is the same."""
    documents = [
        document("Hi.", "a"),
        document("a", "b"),
        document(STORY, "c"),
        document("One sentence of many words. " * 12, "d"),
        document("No stop in this one " * 103, "e"),
    ]
    expected = vectors(mini, documents)
    budgets = {budget: Engine(EngineConfig(device="cpu", budget=budget)) for budget in (64, 256, 4096)}
    others = {f"budget {budget}": vectors(engine, documents[::-1]) for budget, engine in budgets.items()}
    others["alone"] = {key: vector for one in documents for key, vector in vectors(mini, [one]).items()}
    monkeypatch.setattr("polyseme.tasks.engine.chunk_tokens", lambda width: 300)
    others["smaller chunks"] = vectors(mini, documents[2:] + documents[:2])
    for name, other in others.items():
        assert other.keys() == expected.keys()
        here, there = (np.array([v[key] for key in expected], dtype=np.float16) for v in (expected, other))
        assert ulps(here, there).max() <= 1, name
        share = (here == there).all(axis=1).mean()
        assert share > 0.99, f"{name}: {share:.2%} of the vectors are bit-identical"


@pytest.mark.parametrize("context", CONTEXTS)
def test_documents_without_tokens_or_sentences_are_not_lost(
    by_context: dict[Context, Engine], context: Context
) -> None:
    texts = ["", "\ufffd", "\ufffd\n\na", "a\n\n\ufffd\n\n\ufffd\n\nb", "  "]
    documents = [document(text, str(i)) for i, text in enumerate(texts)]
    for some in (documents, *([one] for one in documents)):
        found = tables(by_context[context], some)
        assert found["documents"]["doc_id"].to_pylist() == [one.doc_id for one in some]
        assert sum(found["documents"]["n_sentences"].to_pylist()) == (
            found["sentences"].num_rows if "sentences" in found else 0
        )
        for name in found.keys() & {"sentences", "words"}:
            stored = np.array(found[name]["embedding"].to_pylist(), dtype=float)
            assert np.isfinite(stored).all()


def test_words_can_be_restricted_to_a_list(tiny: Engine) -> None:
    found = tables(tiny, [document(STORY)], Outputs("words", frozenset({"the", "zürich"}), False))
    assert set(found["words"]["word_lower"].to_pylist()) == {"the", "zürich"}
    assert "tokens" not in found
    everything = tables(tiny, [document(STORY)])["words"]
    kept = [r for r in everything.to_pylist() if r["word_lower"] in {"the", "zürich"}]
    assert found["words"].to_pylist() == kept


def test_of_a_phrase_the_words_are_kept_where_they_stand_together(tiny: Engine) -> None:
    text = "The Supreme Court met. A court sat. So the supreme, court. He is so so so. Supreme. Court is out."
    for wanted, kept in {
        frozenset({"supreme court"}): ["Supreme", "Court"],
        frozenset({"a court", "so so"}): ["A", "court", "so", "so", "so"],
        frozenset({"supreme, court", "met"}): ["met", "supreme", ",", "court"],
    }.items():
        found = tables(tiny, [document(text)], Outputs("words", wanted, False))["words"].to_pylist()
        assert [r["word"] for r in sorted(found, key=lambda r: r["char_start"])] == kept
        every = tables(tiny, [document(text)])["words"].to_pylist()
        assert all(row in every for row in found)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_documents_rows_do_not_depend_on_other_documents(by_context: dict[Context, Engine], context: Context) -> None:
    engine = by_context[context]
    mine, neighbour = document(STORY, "mine"), document("Something else. " * 50, "a")
    alone = tables(engine, [mine])
    together = tables(engine, [neighbour, mine, document("x", "z")])
    for name in ("sentences", "words", "tokens"):
        kept = together[name].filter(pa.compute.equal(together[name]["doc_id"], "mine"))
        assert kept.to_pylist() == alone[name].to_pylist()


def test_a_document_larger_than_a_chunk_loses_nothing(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(EngineConfig(model=str(tiny_folder), device="cpu"))
    documents = [document("Small. One.", "a"), document(STORY * 12, "big"), document("Another small one.", "z")]
    whole = tables(engine, documents)
    monkeypatch.setattr("polyseme.tasks.engine.chunk_tokens", lambda width: 100)
    cut = tables(engine, documents)
    for name in ("documents", "sentences", "words", "tokens"):
        columns = list(SORT_KEYS[name])
        assert sorted(rows(cut[name], *columns)) == sorted(rows(whole[name], *columns))
        assert cut[name].num_rows == whole[name].num_rows
    adjacent = [
        sorted((r["doc_id"], r["sentence_index"]) for r in found["transitions"].to_pylist() if r["kind"] == "adjacent")
        for found in (whole, cut)
    ]
    assert adjacent[0] == adjacent[1]
    key = ["doc_id", "sentence_index"]
    assert cut["sentences"].sort_by([(k, "ascending") for k in key]) == whole["sentences"].sort_by(
        [(k, "ascending") for k in key]
    )


def test_a_sentence_beyond_the_window_keeps_every_token(tiny: Engine) -> None:
    text = " ".join(f"word{i}" for i in range(400))
    found = tables(tiny, [document(text)])
    assert found["sentences"].num_rows == 1
    assert found["words"].num_rows == 400
    assert found["tokens"].num_rows == found["documents"]["n_tokens"][0].as_py() > 400


def test_several_threads_share_one_engine(tiny: Engine) -> None:
    documents = [[document(STORY * (i + 1), str(i))] for i in range(4)]
    expected = [tables(tiny, d) for d in documents]
    unused = Engine(tiny.config)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda d: tables(unused, d), documents)) == expected


def test_a_run_can_be_cancelled(tiny: Engine) -> None:
    def stop(tokens: int) -> None:
        raise Cancelled("enough")

    run = tiny.run([document(STORY)], EVERYTHING, version=1, seed=0, ingested_at=NOW, on_batch=stop)
    with pytest.raises(Cancelled):
        list(run)
    assert tables(tiny, [document(STORY)])


def test_counts_add_up(tiny: Engine) -> None:
    (found,) = tiny.run([document(STORY)], EVERYTHING, version=1, seed=0, ingested_at=NOW)
    counts, got = found.counts, found.tables
    assert (counts.documents, counts.sentences) == (1, got["sentences"].num_rows)
    assert (counts.words, counts.tokens) == (got["words"].num_rows, got["tokens"].num_rows)
    assert counts.transitions == counts.sentences - 1
    assert counts.forward_tokens > 3 * counts.tokens
    assert {"read", "tokenize", "wait", "encode", "nsp", "pool"} <= counts.seconds.keys()


def test_the_model_is_loaded_when_it_is_first_needed(foreign: Engine) -> None:
    engine = Engine(foreign.config)
    engine.check(EVERYTHING)
    _ = engine.spec, engine.vocabulary
    run = engine.run([document(STORY)], EVERYTHING, version=1, seed=0, ingested_at=NOW)
    assert "encoder" not in vars(engine)
    next(run)
    assert "encoder" in vars(engine)


def test_an_encoding_is_known_without_loading_a_model() -> None:
    code = (
        "import sys\nfrom polyseme.tasks.engine import Engine\nfrom polyseme.tasks.engine_config import EngineConfig\n"
        "print(Engine(EngineConfig()).spec.encoding_id)\nassert 'transformers' not in sys.modules"
    )
    done = processes.run(sys.executable, "-c", code)
    assert len(done.stdout.strip()) == 16


def test_contradicting_settings_are_rejected(tiny_folder: Path) -> None:
    with pytest.raises(UsageError, match="needs --context sentence"):
        EngineConfig(pooling="cls", context="window")
    with pytest.raises(UsageError, match="between 16 and 64"):
        _ = Engine(EngineConfig(model=str(tiny_folder), max_tokens=65)).spec


def test_cls_pooling_stores_the_first_token(tiny_folder: Path) -> None:
    engine = Engine(EngineConfig(model=str(tiny_folder), device="cpu", pooling="cls"))
    found = tables(engine, [document("A short one.")], Outputs("sentences", None, False))
    expected = reference(tiny_folder).hidden(engine.wordpiece.tokenize_prompt("A short one."))[0]
    stored = np.array(found["sentences"]["embedding"][0].as_py())
    assert_close(stored, expected.astype(np.float16))
