"""Word usage graphs are read as DWUG has them, and uses are encoded where they are marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.usage_graphs import Use, read_usage_graphs
from polyseme.tasks.inference.span_vectors import span_vectors
from polyseme.tasks.inference.vectors import word_in_text_vectors

USES = """\
lemma\tpos\tdate\tgrouping\tidentifier\tdescription\tcontext\tindexes_target_token\tindexes_target_sentence
plane_nn\tnn1\t1836\t1\ta\t \tAny "plane, or plane, of shade.\t15:20\t0:31
plane_nn\tnn2\t1990\t2\tb\t \tPlanes landed\t0:6\t0:13
plane_nn\tnn2\t1991\t2\tc\t \tThe planes\t4:\t0:10
"""


def graphs(folder: Path, *, uses: str = USES, change: str = "0.25") -> Path:
    """Make a folder in the format of DWUG with one word, and with a second clustering that counts for nothing."""
    (folder / "data" / "plane_nn").mkdir(parents=True)
    (folder / "data" / "plane_nn" / "uses.csv").write_text(uses, "utf-8")
    for name, value in (("opt", change), ("maj_2", "0.9")):
        (folder / "stats" / name).mkdir(parents=True)
        (folder / "stats" / name / "stats_groupings.csv").write_text(
            f"lemma\tgrouping\tchange_graded\nplane_nn\t1_2\t{value}\n", "utf-8"
        )
    return folder


def test_words_have_their_uses_and_the_change_that_people_found(tmp_path: Path) -> None:
    (word,) = read_usage_graphs(graphs(tmp_path))
    assert (word.name, word.change) == ("plane_nn", 0.25)
    assert [use.text[use.start : use.end] for use in word.uses] == ["plane", "Planes", "planes"]
    assert [use.grouping for use in word.uses] == ["1", "2", "2"]
    assert word.uses[0] == Use('Any "plane, or plane, of shade.', 15, 20, "1")


def test_another_folder_is_an_error_that_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stats"):
        read_usage_graphs(tmp_path)
    with pytest.raises(UsageError, match="no column context, indexes_target_token"):
        read_usage_graphs(graphs(tmp_path / "a", uses="grouping\n1\n"))
    with pytest.raises(UsageError, match="START:END"):
        read_usage_graphs(graphs(tmp_path / "b", uses=USES.replace("15:20", "first")))
    (tmp_path / "b" / "data" / "plane_nn" / "uses.csv").unlink()
    with pytest.raises(UsageError, match="Cannot read"):
        read_usage_graphs(tmp_path / "b")


def test_a_use_has_the_vector_of_its_own_place_in_the_text() -> None:
    engine = shared_engine(EngineConfig())
    text = "The bank lent him money on the bank of the river."
    places = [text.index("bank"), text.rindex("bank")]
    first, second = span_vectors(engine, [(text, at, at + 4) for at in places])
    (expected,) = word_in_text_vectors(engine, [(text, "bank")])
    assert first == pytest.approx(expected, abs=1e-3)
    assert np.abs(first - second).max() > 0.05


def test_a_use_of_several_tokens_and_behind_the_limit_has_the_mean_of_its_tokens() -> None:
    engine = shared_engine(EngineConfig())
    long = "Cafe\u0301s and " + "water and money " * 400 + "unbelievableness"
    (last, accented) = span_vectors(
        engine, [(long, len(long) - len("unbelievableness"), len(long)), ("A cafe\u0301 by the sea", 2, 7)]
    )
    (expected,) = word_in_text_vectors(engine, [(long, "unbelievableness")])
    assert last == pytest.approx(expected, abs=2e-3)
    (expected,) = word_in_text_vectors(engine, [("A cafe\u0301 by the sea", "caf\u00e9")])
    assert accented == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("place", [(3, 4), (5, 5), (2, 99)])
def test_a_place_without_a_token_is_an_error(place: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="has no token at"):
        span_vectors(shared_engine(EngineConfig()), [("The bank", *place)])
