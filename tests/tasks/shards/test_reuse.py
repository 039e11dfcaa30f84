"""A changed document has the rows that it would have in a new lake, to the bit, and only what is new was run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.records import Context, Document, Outputs
from polyseme.tasks.encode import input_keys
from polyseme.tasks.encode.known import KnownRows
from polyseme.tasks.encode.passes import passes
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.text.chunks import chunks
from polyseme.tasks.text.passages import passages
from tests.reference import reference
from tests.tasks.conftest import document
from tests.tasks.reused_lakes import embed, rows, stored

CONTEXTS: tuple[Context, ...] = ("sentence", "window", "pair")
SENTENCES = [
    "It rains!", "Nobody came.", "The bank.", "The BANK ing.", "Was it? Yes.", "\ufffd", "a b c d e f.",
    "A sentence of so many letters that no window of this model has room for it.", "theb ank.", "the bank.",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(SENTENCES), max_size=7)
LEVELS = st.sampled_from(["sentences", "words", "tokens"])
OUTPUTS = st.builds(
    Outputs,
    level=LEVELS,
    words=st.sampled_from([None, frozenset({"bank", "it"}), frozenset({"the", "b"})]),
    nsp=st.booleans(),
    pll=st.sampled_from([None, None, "original", "within_word_l2r"]),
)
CORPUS = st.dictionaries(st.sampled_from("abcde"), TEXTS, min_size=1)


@pytest.fixture(scope="module")
def engines(foreign_folder: Path) -> dict[Context, Engine]:
    """One engine per context, with windows of 37 tokens of mostly one letter each: few sentences fit."""
    return {c: Engine(EngineConfig(model=str(foreign_folder), device="cpu", context=c)) for c in CONTEXTS}


def corpus(texts: dict[str, list[str]], title: str = "") -> list[Document]:
    return [document(name, " ".join(found), f"file:///{name}", title) for name, found in texts.items()]


@settings(max_examples=15)
@given(context=st.sampled_from(CONTEXTS), steps=st.lists(st.tuples(CORPUS, OUTPUTS), min_size=2, max_size=3))
def test_a_lake_that_was_changed_equals_one_that_was_made_at_once(
    engines: dict[Context, Engine], context: Context, steps: list[tuple[dict[str, list[str]], Outputs]]
) -> None:
    engine = engines[context]
    with TemporaryDirectory() as folder:
        texts: dict[str, list[str]] = {}
        outputs = steps[0][1]
        for changes, more in steps:
            texts, outputs = texts | changes, more.union(outputs)
            embed(f"{folder}/changed", corpus(texts), engine, outputs)
        embed(f"{folder}/fresh", corpus(texts), engine, outputs)
        assert stored(f"{folder}/changed") == stored(f"{folder}/fresh")


@settings(max_examples=10)
@given(context=st.sampled_from(CONTEXTS), before=TEXTS, after=TEXTS, limit=st.integers(8, 60))
def test_documents_that_are_cut_are_reused_across_the_cuts(
    engines: dict[Context, Engine], context: Context, before: list[str], after: list[str], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr("polyseme.tasks.engine.chunk_tokens", lambda width: limit)
        for text in (before, after):
            embed(f"{folder}/changed", corpus({"a": text, "b": after}), engines[context], Outputs("tokens"))
        embed(f"{folder}/fresh", corpus({"a": after, "b": after}), engines[context], Outputs("tokens"))
        assert stored(f"{folder}/changed") == stored(f"{folder}/fresh")


STORY = ["It rains!", "Nobody came.", "The bank was steep.", "Was it cold?", "She left the house.", "Yes."]
EDITED = [*STORY[:3], "It snows.", *STORY[4:]]


@pytest.mark.parametrize(("context", "run"), [("sentence", 1), ("pair", 2)])
def test_an_edit_costs_its_sentence_or_the_pairs_that_it_is_in(
    engines: dict[Context, Engine], tmp_path: Path, context: Context, run: int
) -> None:
    engine, outputs = engines[context], Outputs("words", None, nsp=False)
    embed(tmp_path, corpus({"a": STORY}), engine, outputs)
    counts = embed(tmp_path, corpus({"a": EDITED}), engine, outputs)
    assert (counts.sentences, counts.reused_sentences) == (6, 6 - run)
    assert counts.tokens - counts.reused_tokens <= 10 * run
    assert 0 < counts.forward_tokens <= 25 * run


def test_another_title_runs_nothing_and_keeps_every_row(engines: dict[Context, Engine], tmp_path: Path) -> None:
    for context in CONTEXTS:
        root, outputs = tmp_path / context, Outputs("tokens", None, nsp=True, pll="original")
        embed(root, corpus({"a": STORY}), engines[context], outputs)
        before = stored(root)
        random = rows(root, "FROM transitions WHERE kind = 'random' ORDER BY ALL")
        counts = embed(root, corpus({"a": STORY}, title="New"), engines[context], outputs)
        assert (counts.forward_tokens, counts.redescribed) == (0, 1)
        after = stored(root)
        assert after | {"documents": []} == before | {"documents": []}
        assert rows(root, "FROM transitions WHERE kind = 'random' ORDER BY ALL") == random


def test_a_text_under_another_id_runs_nothing(engines: dict[Context, Engine], tmp_path: Path) -> None:
    embed(tmp_path, corpus({"a": STORY}), engines["pair"], Outputs())
    counts = embed(tmp_path, corpus({"other": STORY}), engines["pair"], Outputs())
    assert (counts.forward_tokens, counts.reused_sentences) == (0, 6)


def test_growing_outputs_run_what_is_missing_only(engines: dict[Context, Engine], tmp_path: Path) -> None:
    engine = engines["sentence"]
    first = embed(tmp_path, corpus({"a": STORY}), engine, Outputs("words", None, nsp=False))
    scored = embed(tmp_path, corpus({"a": STORY}), engine, Outputs("words", None, nsp=True))
    assert scored.reused_sentences == 6
    assert scored.forward_tokens > 0
    masked = embed(tmp_path, corpus({"a": STORY}), engine, Outputs("sentences", None, nsp=True, pll="original"))
    assert masked.reused_sentences == 6
    again = embed(tmp_path, corpus({"a": STORY}), engine, Outputs("tokens", None, nsp=True, pll="original"))
    assert again.reused_sentences == 0
    assert again.forward_tokens >= first.forward_tokens


def test_equal_sentences_of_a_new_document_are_run_once(engines: dict[Context, Engine], tmp_path: Path) -> None:
    engine, outputs = engines["sentence"], Outputs("words", None, nsp=False)
    once = embed(tmp_path / "once", corpus({"a": ["It rains!"]}), engine, outputs)
    often = embed(tmp_path / "often", corpus({"a": ["It rains!"] * 9}), engine, outputs)
    assert often.forward_tokens == once.forward_tokens
    assert (often.sentences, often.reused_sentences) == (9, 0)


@pytest.mark.parametrize("grown", [Outputs("sentences", None, nsp=False), Outputs("words", pll="original", nsp=False)])
def test_a_sentence_that_stands_in_a_document_often_is_looked_up_once_each_time(
    engines: dict[Context, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: Outputs
) -> None:
    looked_at = 0

    def counted(name: str) -> None:
        method = getattr(KnownRows, name)

        def counting(*args: object) -> object:
            nonlocal looked_at
            looked_at += 1
            return method(*args)

        monkeypatch.setattr(KnownRows, name, counting)

    for name in ("_is_of", "_has_words", "_surprisals"):
        counted(name)
    times, often = 300, "It rains!\n\n"
    embed(tmp_path, [document("a", often * times)], engines["sentence"], Outputs("sentences", None, nsp=False))
    counts = embed(tmp_path, [document("a", "The bank.\n\n" + often * times)], engines["sentence"], grown)
    assert counts.sentences == times + 1
    assert counts.reused_sentences == (times if grown.level == "sentences" else 0)
    assert looked_at < 25 * times


def test_vectors_of_another_kind_of_device_are_not_copied(
    engines: dict[Context, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(tmp_path, corpus({"a": STORY}), engines["sentence"], Outputs())
    monkeypatch.setattr(Engine, "device_kind", "cpu-another")
    assert embed(tmp_path, corpus({"a": EDITED}), engines["sentence"], Outputs()).reused_sentences == 0
    assert embed(tmp_path, corpus({"a": STORY}), engines["sentence"], Outputs()).reused_sentences == 5


@pytest.mark.parametrize("table", ["documents", "sentences", "words", "transitions"])
@pytest.mark.parametrize("damage", ["gone", "changed", "truncated"])
def test_a_document_with_a_bad_part_is_encoded_whole(
    engines: dict[Context, Engine], tmp_path: Path, table: str, damage: str
) -> None:
    engine, root = engines["sentence"], tmp_path / "lake"
    embed(root, corpus({"a": STORY}), engine, Outputs())
    (part,) = (root / "data" / table).rglob("*.parquet")
    whole = part.read_bytes()
    part.unlink()
    if damage == "changed":
        middle = len(whole) // 3
        part.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage == "truncated":
        part.write_bytes(whole[: len(whole) // 2])
    counts = embed(root, corpus({"a": EDITED}), engine, Outputs())
    assert counts.reused_sentences == (6 - 1 if table == "transitions" else 0)
    part.write_bytes(whole) if damage == "gone" else None
    embed(tmp_path / "fresh", corpus({"a": EDITED}), engine, Outputs())
    part.unlink()
    part.write_bytes(whole)
    assert stored(root) == stored(tmp_path / "fresh")


def test_a_baseline_grows_with_what_is_new_and_moves_with_its_sentences(
    engines: dict[Context, Engine], tmp_path: Path
) -> None:
    engine, outputs = engines["sentence"], Outputs("sentences")
    texts = {name: [f"{'ab'[i % 2]} {name} {'cdefghij'[i % 8]}{'oaeu'[i // 8]}n." for i in range(30)] for name in "xy"}
    embed(tmp_path, corpus(texts), engine, outputs)
    sql = "SELECT count(*) FROM transitions WHERE kind = 'random'"
    ((before,),) = rows(tmp_path, sql)
    texts["x"] = ["New here.", *texts["x"]]
    embed(tmp_path, corpus(texts), engine, outputs)
    ((after,),) = rows(tmp_path, sql)
    assert before <= int(str(after)) <= int(str(before)) + 4
    strangers = rows(
        tmp_path,
        "SELECT t.doc_id, s.text, n.text, t.nsp_logit_is_next, t.cosine FROM transitions t JOIN sentences s USING "
        "(doc_id, sentence_index) JOIN sentences n ON n.doc_id = next_doc_id AND n.sentence_index = "
        "next_sentence_index WHERE kind = 'random' AND t.doc_id = 'x' ORDER BY ALL",
    )
    truth = reference(engine.checkpoint.folder)
    assert len(strangers) > 3
    for _, first, second, logit, _ in strangers:
        expected = truth.next_sentence(truth.ids(str(first)), truth.ids(str(second)))[0]
        assert logit == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_baseline_stays_when_sentences_are_run_for_a_word(
    engines: dict[Context, Engine], tmp_path: Path, context: Context
) -> None:
    engine, texts = engines[context], {"a": [*STORY, *STORY], "b": [*EDITED, "The bank. The bank."]}
    pairs = "FROM transitions ORDER BY ALL"
    run = {}
    for nsp in (True, False):
        root = tmp_path / str(nsp)
        embed(root, corpus(texts), engine, Outputs("sentences", nsp=nsp))
        before = rows(root, f"SELECT * {pairs}")
        counts = embed(root, corpus(texts), engine, Outputs("words", frozenset({"bank"}), nsp=False))
        assert 0 < counts.sentences - counts.reused_sentences < counts.sentences
        assert rows(root, f"SELECT * {pairs}") == before
        run[nsp] = counts.forward_tokens
    assert run[True] == run[False], "no pair is scored again"


@pytest.mark.servers
def test_a_lake_in_an_object_store_with_its_catalog_in_postgresql_is_reused(
    engines: dict[Context, Engine], s3_root: str, postgres_url: str
) -> None:
    for text, reused in ((STORY, 0), (EDITED, 5)):
        counts = embed(s3_root, corpus({"a": text}), engines["sentence"], Outputs("tokens"), postgres_url)
        assert counts.reused_sentences == reused


def test_a_merged_part_is_read_as_well(engines: dict[Context, Engine], tmp_path: Path) -> None:
    outputs, texts = Outputs("tokens"), {"a": STORY, "b": [*STORY, "The end."]}
    for name, found in texts.items():
        embed(tmp_path / "lake", corpus({name: found}), engines["pair"], outputs)
    with Catalog.open(Lake(tmp_path / "lake")) as catalog:
        assert compact(catalog).merges
    counts = embed(tmp_path / "lake", corpus(texts | {"a": EDITED}), engines["pair"], outputs)
    assert (counts.sentences, counts.reused_sentences) == (6, 4)
    embed(tmp_path / "fresh", corpus(texts | {"a": EDITED}), engines["pair"], outputs)
    assert stored(tmp_path / "lake") == stored(tmp_path / "fresh")


class TestMutants:
    """What each part of a key is for: without it, a vector of another input would be taken."""

    def is_caught(self, engine: Engine, folder: Path, before: str, after: str, outputs: Outputs) -> bool:
        for text in (before, after):
            embed(folder / "changed", [document("a", text)], engine, outputs)
        embed(folder / "fresh", [document("a", after)], engine, outputs)
        return stored(folder / "changed") != stored(folder / "fresh")

    def test_a_key_without_the_second_segment(
        self, engines: dict[Context, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys, outputs = input_keys.vector_keys, Outputs("sentences")
        texts = " ".join(STORY), " ".join(EDITED)
        assert not self.is_caught(engines["pair"], tmp_path / "right", *texts, outputs)
        monkeypatch.setattr(
            input_keys, "vector_keys", lambda chunk, windows: keys(chunk, replace(windows, b_stop=windows.b_start))
        )
        assert self.is_caught(engines["pair"], tmp_path / "wrong", *texts, outputs)

    def test_a_key_without_what_is_taken(
        self, engines: dict[Context, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts, outputs = ("Was it\n\ncold", "Was it cold"), Outputs("sentences", None, nsp=False)
        assert not self.is_caught(engines["window"], tmp_path / "right", *texts, outputs)
        monkeypatch.setattr(input_keys, "_TAKEN", _Nothing())
        assert self.is_caught(engines["window"], tmp_path / "wrong", *texts, outputs)

    def test_a_key_without_word_boundaries(self, engines: dict[Context, Engine]) -> None:
        engine = engines["sentence"]
        (chunk,) = chunks(passages(corpus({"a": STORY}), engine.wordpiece, engine.split), 1000)
        possible = passes(chunk, engine.frame, context="sentence", max_tokens=37, nsp=False)
        keys = input_keys.vector_keys(chunk, possible.windows)
        other = replace(chunk, word=np.zeros_like(chunk.word))
        pairs = zip(input_keys.with_words(keys, chunk), input_keys.with_words(keys, other), strict=True)
        assert all(one != two for one, two in pairs)
        pairs = zip(input_keys.likelihood_keys(chunk), input_keys.likelihood_keys(other), strict=True)
        assert all(one != two for one, two in pairs)

    def test_rows_of_a_superseded_version(self, engines: dict[Context, Engine], tmp_path: Path) -> None:
        engine, outputs = engines["sentence"], Outputs("words", None, nsp=False)
        for text in (STORY, EDITED):
            embed(tmp_path, corpus({"a": text}), engine, outputs)
        assert embed(tmp_path, corpus({"a": STORY}), engine, outputs).reused_sentences == 5


class _Nothing:
    def pack(self, *_: object) -> bytes:
        return b""


def test_no_key_is_stored(engines: dict[Context, Engine], tmp_path: Path) -> None:
    embed(tmp_path, corpus({"a": STORY}), engines["sentence"], Outputs())
    with Catalog.open(Lake(tmp_path)) as catalog:
        found = catalog.lookup(engines["sentence"].spec.encoding_id, ["a"])["a"]
    assert (found.device, found.rows_shard) == (engines["sentence"].device_kind, 1)
