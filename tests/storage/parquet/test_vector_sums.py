"""Sums of a part's vectors by form: those of the rows that are shown, however they are ordered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.lake import Lake
from polyseme.storage.parquet.vector_sums import Change, Hidden, Wanted, changes
from polyseme.storage.parts import write_part
from tests import lakes

WIDTH, ROWS = 4, 3000


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[lakes.Row]]:
    """A part of three row groups, whose words and lemmas are in different orders."""
    rng = np.random.default_rng(0)
    words = rng.choice(["a", "b", "c", "d"], ROWS).tolist()
    found = [
        {"doc_id": f"d{i % 7}", "version": i % 7 % 3, "sentence_index": i, "word_index": 0, "char_start": 0,
         "char_end": 1, "word": word, "word_lower": word, "lemma": f"l{i % 5}" if i % 11 else None, "tokens": [word]}
        for i, word in enumerate(words)
    ]  # fmt: skip
    table = lakes.arrow_table("words", WIDTH, found)
    lake = Lake(tmp_path_factory.mktemp("sums") / "lake")
    batches = table.to_batches(max_chunksize=1100)
    written = write_part(lake, batches, table="words", encoding_id="e", width=WIDTH)
    return lake.root / written.path, table.to_pylist()


def sums(found: list[Change], places: int) -> tuple[list[int], np.ndarray]:
    total, rows = np.zeros((places, WIDTH)), np.zeros(places, np.int64)
    for change in found:
        assert len(set(change.places.tolist())) == len(change.places)
        total[change.places] += change.sums
        rows[change.places] += change.rows
    return rows.tolist(), total


def expected(rows: list[lakes.Row], column: str, place: dict[str, int], hidden: set[tuple[str, int]]) -> np.ndarray:
    total = np.zeros((len(place), WIDTH))
    for row in rows:
        if row[column] in place and (row["doc_id"], row["version"]) not in hidden:
            total[place[row[column]]] += np.array(row["embedding"], np.float64)
    return total


@pytest.mark.parametrize(
    ("column", "place"), [("word_lower", {"a": 0, "c": 1}), ("lemma", {"l3": 0, "l0": 1, "l4": 2})]
)
def test_sums_are_those_of_all_rows_that_are_shown(
    part: tuple[Path, list[lakes.Row]], column: str, place: dict[str, int]
) -> None:
    path, rows = part
    pairs = {("d1", 1), ("d2", 0), ("d4", 1), ("nowhere", 2)}
    hidden, nothing = Hidden(*zip(*pairs, strict=True)), Hidden((), ())
    none = np.zeros(len(place), np.bool_)

    def found(now: Hidden, before: Hidden | None, known: np.ndarray) -> tuple[list[int], np.ndarray]:
        wanted = Wanted(column=column, place=place, hidden=now, known=known, before=before)
        return sums(changes(path, WIDTH, wanted, lambda: None), len(place))

    all_rows, shown = found(nothing, None, none), found(hidden, None, none)
    assert (all_rows[1] == expected(rows, column, place, set())).all()
    assert (shown[1] == expected(rows, column, place, pairs)).all()
    # What is taken out of the sum of all leaves that of the rest, to the last bit; put back it is that of all again.
    assert (all_rows[1] + found(hidden, nothing, ~none)[1] == shown[1]).all()
    assert (shown[1] + found(nothing, hidden, ~none)[1] == all_rows[1]).all()
    half = np.arange(len(place)) == 0
    assert (np.where(half[:, None], all_rows[1], 0) + found(hidden, nothing, half)[1] == shown[1]).all()


def test_a_part_without_the_column_or_the_words_changes_nothing(part: tuple[Path, list[lakes.Row]]) -> None:
    nothing = Hidden((), ())
    for column, place in (("absent", {"a": 0}), ("word_lower", {"z": 0})):
        wanted = Wanted(column=column, place=place, hidden=nothing, known=np.zeros(1, np.bool_), before=None)
        assert changes(part[0], WIDTH, wanted, lambda: None) == []
