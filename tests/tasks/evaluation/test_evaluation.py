"""Evaluation: figures that are right on cases worked out by hand, and reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.evaluation import FIGURES, EvaluationConfig, default_data, evaluate
from polyseme.tasks.evaluation.nsp_probe import calibration_error, nsp_figures, order_accuracy, probe_pairs
from polyseme.tasks.evaluation.sense_probe import Use, read_uses, sense_accuracy
from polyseme.tasks.evaluation.similarity_probe import read_graded_pairs
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.training.corpus import prepare
from polyseme.tasks.training.export import export
from polyseme.tasks.training.network import start_from
from tests.conftest import MakeCheckpoint
from tests.tasks.training.training_corpus import documents


def test_all_pairs_of_a_probe_have_the_same_first_sentences(mini: Engine) -> None:
    text = prepare(documents(8), mini.wordpiece)
    drawn = probe_pairs(text, 50, seed=1)
    assert len(drawn.true) == 50
    assert (drawn.true.second == drawn.true.first + 1).all()
    assert (text.paragraph[drawn.true.first] == text.paragraph[drawn.true.second]).all()
    assert (text.document[drawn.random.first] != text.document[drawn.random.second]).all()
    near = drawn.same_document
    assert (text.document[near.first] == text.document[near.second]).all()
    assert not np.isin(near.second - near.first, (-1, 0, 1, 2)).any()
    assert (near.first == drawn.true.first[drawn.hard]).all()
    assert (drawn.reversed.first == drawn.true.second).all()
    assert (probe_pairs(text, 50, seed=1).random.second == drawn.random.second).all()


def test_figures_of_margins_worked_out_by_hand() -> None:
    margins = {
        "true": np.array([3.0, 1.0, -1.0, 2.0]),
        "random": np.array([-2.0, -1.0, 0.5, -3.0]),
        "same_document": np.array([1.5, -4.0]),
        "reversed": np.array([4.0, 0.0, -2.0, 1.0]),
    }
    found = nsp_figures(margins, np.array([0, 2]))
    assert found["nsp_accuracy"] == (0.75 + 0.75) / 2
    assert found["nsp_auc"] == pytest.approx((4 + 4 + 2.5 + 4) / 16, abs=0.02)
    assert found["nsp_hard_accuracy"] == (0.5 + 0.5) / 2
    assert found["nsp_swapped_accuracy"] == (0.75 + 0.5) / 2
    assert found["nsp_swapped_auc"] == pytest.approx((3 + 2.5 + 1 + 3) / 16, abs=0.02)
    assert found["order_accuracy"] == 0.75


def test_each_kind_of_negatives_counts_the_same_in_the_calibration_over_all_three() -> None:
    sure = {"true": np.full(8, 50.0), "random": np.full(8, -50.0), "reversed": np.full(8, 50.0)}
    for near in (np.full(2, -50.0), np.full(8, -50.0)):
        found = nsp_figures({**sure, "same_document": near}, np.arange(len(near)))
        assert found["nsp_calibration_error"] == pytest.approx(0)
        # Of the pairs that are certainly next half are true, and a third of the other half is reversed.
        assert found["nsp_kinds_calibration_error"] == pytest.approx(1 / 6)


def test_the_order_of_a_pair_is_right_only_if_the_true_order_scores_higher() -> None:
    assert order_accuracy(np.array([1.0, 2.0, 0.0, -1.0]), np.array([0.0, 2.0, 1.0, -2.0])) == 0.5


def test_documents_too_short_for_a_second_sentence_elsewhere_have_no_figure_for_it(tiny: Engine) -> None:
    short = [Document(f"d{i}", f"file:///d{i}", "It rained all day. The river rose again.") for i in range(4)]
    found = evaluate(tiny, short, [], EvaluationConfig(masked_pairs=8, probe_pairs=10, max_tokens=48)).figures
    assert (found["nsp_hard_accuracy"], found["nsp_hard_auc"]) == (None, None)
    assert found["nsp_kinds_calibration_error"] is None
    assert None not in (found["nsp_accuracy"], found["nsp_swapped_accuracy"], found["order_accuracy"])


def test_text_without_sentences_to_search_has_no_figures_for_them(tiny: Engine) -> None:
    short = [Document(f"d{i}", f"file:///d{i}", "It rained. Nobody came. We left.") for i in range(4)]
    found = evaluate(tiny, short, [], EvaluationConfig(masked_pairs=8, probe_pairs=10, max_tokens=48))
    assert (found.figures["article_first"], found.figures["article_precision"]) == (None, None)
    assert found.counts["sentences"] == 0


def test_a_calibrated_model_has_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    predicted = random.uniform(0.01, 0.99, 200_000)
    margins = np.log(predicted / (1 - predicted))
    is_next = (random.random(len(predicted)) < predicted).astype(float)
    assert calibration_error(margins, is_next, np.ones(len(margins))) < 0.01
    half = np.repeat([0.0, 1.0], 50)
    assert calibration_error(np.full(100, 50.0), half, np.ones(100)) == pytest.approx(0.5)
    assert calibration_error(np.full(100, 50.0), half, 1 + 3 * half) == pytest.approx(0.2)


def test_senses_are_predicted_from_the_nearest_other_use(mini: Engine) -> None:
    uses = [
        Use("bank", "river", "The river left its bank and flooded the fields."),
        Use("bank", "river", "We sat on the bank of the river and fished."),
        Use("bank", "money", "The bank lent him money at a high rate of interest."),
        Use("bank", "money", "She paid the money into her account at the bank."),
        Use("court", "law", "There is no such word in this sentence."),
    ]
    assert sense_accuracy(mini, uses) == {"bank": 1.0, "court": 0.0}


def test_the_shipped_sense_set_is_complete_and_its_texts_contain_their_words(mini: Engine) -> None:
    uses = read_uses(default_data() / "senses.jsonl")
    assert len(uses) == 208
    assert len({use.text for use in uses}) == 208
    assert all(use.word in [t.token for t in mini.wordpiece.explain(use.text)] for use in uses)


def test_a_bad_line_of_a_sense_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"word": "a", "sense": "b", "text": "c"}\n{"word": "a"}\n')
    with pytest.raises(UsageError, match="line 2 of"):
        read_uses(tmp_path / "s.jsonl")


def test_every_figure_is_there_and_reproducible(tiny: Engine) -> None:
    config = EvaluationConfig(masked_pairs=32, probe_pairs=40, max_tokens=48)
    uses = read_uses(default_data() / "senses.jsonl")[:16]
    graded = read_graded_pairs(default_data() / "similarity.jsonl")[::8]
    one, two = (evaluate(tiny, documents(6), uses, config, graded=graded) for _ in range(2))
    assert list(one.figures) == list(FIGURES)
    assert [name for name, value in one.figures.items() if value is None] == ["order_head_accuracy"]
    assert one.counts == two.counts
    assert (one.counts["graded_pairs"], one.counts["sense_uses"]) == (29, 16)
    speed = "tokens_per_second"
    assert {k: v for k, v in one.figures.items() if k != speed} == {k: v for k, v in two.figures.items() if k != speed}


def test_an_order_head_has_a_figure_of_its_own(tiny_folder: Path, tmp_path: Path) -> None:
    model = start_from(Checkpoint("x", tiny_folder), seed=0, order_head=True).model
    export(model, tmp_path / "out", tokenizer=tiny_folder, card="")
    engine = Engine(EngineConfig(model=str(tmp_path / "out"), device="cpu"))
    found = evaluate(engine, documents(6), [], EvaluationConfig(masked_pairs=8, probe_pairs=20, max_tokens=48)).figures
    assert found["order_head_accuracy"] is not None
    assert 0 < found["order_head_accuracy"] < 1
    assert found["order_head_accuracy"] != found["order_accuracy"]


def test_a_model_without_heads_has_no_figures_for_them(make_checkpoint: MakeCheckpoint) -> None:
    engine = Engine(EngineConfig(model=str(make_checkpoint("BertModel")), device="cpu"))
    graded = read_graded_pairs(default_data() / "similarity.jsonl")[::8]
    uses = read_uses(default_data() / "senses.jsonl")[:16]
    config = EvaluationConfig(masked_pairs=16, probe_pairs=10, max_tokens=48)
    found = evaluate(engine, documents(6), uses, config, graded=graded).figures
    assert [name for name, value in found.items() if value is not None] == [
        "similarity", "article_first", "article_precision", "senses_1nn", "tokens_per_second",
    ]  # fmt: skip
