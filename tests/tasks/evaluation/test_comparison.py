"""Comparisons: losses of the vectors are warned of, and a stored one is used only if it has today's figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.tasks.evaluation.comparison import COMPARISON_FILE, Comparison, read_comparison
from polyseme.tasks.evaluation.evaluation import FIGURES, Evaluation, EvaluationConfig

CONFIG = EvaluationConfig()


def evaluation(**changed: float | None) -> Evaluation:
    return Evaluation(model="m", figures={**dict.fromkeys(FIGURES, 0.75), **changed}, senses={}, counts={})


def comparison(start: Evaluation | None, model: Evaluation) -> Comparison:
    return Comparison(step=1, config=CONFIG, start=start, model=model)


def test_a_loss_of_sentence_similarity_is_told_with_its_figures_and_what_to_do() -> None:
    found = comparison(evaluation(similarity=0.753), evaluation(similarity=0.556)).warnings
    assert found == [
        "sentence similarity fell from 0.753 to 0.556: this model's vectors are worse for search than the start "
        "model's; raise --distill-sentences"
    ]


@pytest.mark.parametrize("name", ["similarity", "article_first", "senses_1nn"])
def test_every_figure_of_vectors_may_fall_by_five_thousandths_and_no_more(name: str) -> None:
    start = evaluation(**{name: 0.753})
    assert comparison(start, evaluation(**{name: 0.748})).warnings == []
    assert len(comparison(start, evaluation(**{name: 0.747})).warnings) == 1


def test_gains_other_figures_and_missing_ones_are_no_losses() -> None:
    better = evaluation(similarity=0.9, article_first=0.9, senses_1nn=0.9, mlm_top1=0.1)
    assert comparison(evaluation(), better).warnings == []
    assert comparison(evaluation(article_first=None), evaluation(article_first=None)).warnings == []
    assert comparison(evaluation(), evaluation(article_first=None)).warnings == []
    assert comparison(None, evaluation(similarity=0.1)).warnings == []


def test_the_stored_file_has_the_warnings_and_is_read_back(tmp_path: Path) -> None:
    made = comparison(evaluation(), evaluation(similarity=0.5))
    (tmp_path / COMPARISON_FILE).write_text(made.to_json())
    assert json.loads(made.to_json())["warnings"] == made.warnings != []
    assert read_comparison(tmp_path, step=1, config=CONFIG) == made
    assert read_comparison(tmp_path, step=2, config=CONFIG) is None


def test_a_stored_comparison_with_other_figures_is_made_again(tmp_path: Path) -> None:
    stored = json.loads(comparison(evaluation(), evaluation()).to_json())
    for side in ("start", "model"):
        del stored[side]["figures"]["similarity"]
    (tmp_path / COMPARISON_FILE).write_text(json.dumps(stored))
    assert read_comparison(tmp_path, step=1, config=CONFIG) is None
