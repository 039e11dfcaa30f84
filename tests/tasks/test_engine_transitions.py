"""Transitions: neighbours of a document and the random baseline, from one pass or two."""

from __future__ import annotations

import pytest

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Context, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from tests.conftest import MakeCheckpoint
from tests.reference import assert_close
from tests.tasks.engine_tables import PLAIN, STORY, by_context, document, tables

__all__ = ["by_context"]


def test_one_pass_over_pairs_gives_the_scores_of_a_separate_pass(by_context: dict[Context, Engine]) -> None:
    documents = [document(text, name) for name, text in PLAIN.items()]
    apart, joined = (tables(by_context[context], documents)["transitions"] for context in ("sentence", "pair"))
    for name in ("doc_id", "sentence_index", "kind", "next_doc_id", "next_sentence_index", "n_truncated"):
        assert apart[name] == joined[name]
    for name in ("nsp_logit_is_next", "nsp_logit_not_next"):
        assert_close(apart[name].to_numpy(), joined[name].to_numpy())


def test_vectors_from_pairs_need_no_scores(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("BertModel", cased=True, vocab_size=300)
    engine = Engine(EngineConfig(model=str(folder), device="cpu", context="pair"))
    found = tables(engine, [document(STORY)], Outputs("words", None, False))
    assert "transitions" not in found
    assert found["words"].num_rows > 0
    with pytest.raises(ModelError, match="no NSP head"):
        tables(engine, [document(STORY)])


def test_transitions_join_neighbours_and_the_baseline_does_not(tiny: Engine) -> None:
    found = tables(tiny, [document(STORY, "a"), document(STORY, "b")])["transitions"].to_pylist()
    near = [r for r in found if r["kind"] == "adjacent"]
    far = [r for r in found if r["kind"] == "random"]
    assert all((r["next_doc_id"], r["next_sentence_index"]) == (r["doc_id"], r["sentence_index"] + 1) for r in near)
    assert len(near) == 2 * (len({r["sentence_index"] for r in near}))
    assert far
    assert all(r["next_doc_id"] != r["doc_id"] for r in far)


def test_the_baseline_of_a_single_document_never_takes_neighbours(tiny: Engine) -> None:
    found = tables(tiny, [document(STORY)])["transitions"].to_pylist()
    far = [r for r in found if r["kind"] == "random"]
    assert far
    assert all(r["next_sentence_index"] - r["sentence_index"] not in (0, 1) for r in far)


def test_the_baseline_is_drawn_by_seed(tiny: Engine) -> None:
    documents = [document(STORY, "a"), document(STORY, "b")]
    same, again, other = (tables(tiny, documents, seed=seed)["transitions"] for seed in (1, 1, 2))
    assert same == again
    assert same != other


@pytest.mark.parametrize("text", ["word", "\ufffd", "One sentence only."])
def test_a_document_of_one_sentence_has_no_transition(tiny: Engine, text: str) -> None:
    found = tables(tiny, [document(text)])
    assert found["sentences"].num_rows == 1
    assert "transitions" not in found
