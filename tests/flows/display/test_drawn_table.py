"""Tables on a terminal: no line is wider than it, no column is left out, nothing in a cell breaks its box."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from polyseme.flows.display.drawn_table import Drawing, Sideways, cut, draw
from polyseme.flows.display.table_cells import cell_columns
from polyseme.flows.display.terminal import escaped

SENTENCE = "The river left its bank in spring, and the fields of the valley were under water for a whole week."
VECTOR = pa.array([[0.125] * 384] * 2, pa.list_(pa.float32(), 384))
SENTENCES = pa.table(
    {"doc_id": ["river", "brook"], "sentence_index": [0, 1], "text": [SENTENCE, "Short."], "embedding": VECTOR}
)


def drawn(table: pa.Table, width: int | None, *, sideways: Sideways = "auto", raw: bool = True) -> Drawing:
    columns = cell_columns(table, table.column_names)
    return draw(columns, range(table.num_rows), width, sideways=sideways, raw=raw)


@given(
    rows=st.lists(st.tuples(st.text(max_size=90), st.integers(0, 10**6), st.text(max_size=9)), min_size=1, max_size=4),
    width=st.integers(30, 200),
    raw=st.booleans(),
)
def test_no_line_is_wider_than_the_terminal_and_nothing_in_it_is_obeyed(
    rows: list[tuple[str, int, str]], width: int, raw: bool
) -> None:
    readable = [(a.encode(errors="ignore").decode(), n, b.encode(errors="ignore").decode()) for a, n, b in rows]
    a, n, b = zip(*readable, strict=True)
    found = drawn(pa.table({"a": a, "number": n, "b": b}), width, raw=raw)
    assert all(cell_len(line) <= width for line in found.lines)
    assert all(escaped(line) == line and "\n" not in line and "\t" not in line for line in found.lines)
    if not found.turned:
        assert len({cell_len(line) for line in found.lines}) == 1


def test_at_eighty_columns_the_text_of_a_sentence_stays_and_is_cut() -> None:
    found = drawn(SENTENCES, 80)
    assert not found.turned
    shown = "\n".join(found.lines)
    assert all(name in shown for name in ("doc_id", "text", "embedding", "float[384]"))
    assert "The river left its bank" in shown
    assert "…" in shown
    assert "… 384]" in shown
    assert SENTENCE not in shown


def test_what_is_too_wide_for_a_box_is_turned_on_its_side_with_every_column() -> None:
    wide = pa.table({f"column_{i}": [f"a value of some length {i}"] for i in range(12)})
    found = drawn(wide, 80)
    assert found.turned
    assert all(f"column_{i} " in line and f"length {i}" in line for i, line in enumerate(found.lines[1:]))
    assert len(found.lines) == 13
    assert not drawn(wide, 80, sideways="off").turned
    assert not drawn(wide, None).turned


def test_a_long_text_on_its_side_goes_on_below_and_is_whole_if_it_was_asked_for() -> None:
    text = " ".join(f"word{i}" for i in range(200))
    table = pa.table({"text": [text], **{f"column_{i}": ["x" * 20] for i in range(9)}})
    assert "word199" not in "\n".join(drawn(table, 60).lines)
    whole = [
        line.split(" │ ")[1] for line in drawn(table, 60, sideways="on").lines[1:] if not line.startswith("column")
    ]
    assert " ".join(whole) == text


def test_numbers_and_vectors_are_never_cut_but_rounded_where_there_is_little_room() -> None:
    table = pa.table({"similarity": [0.6027512550354004], "n": [123456789012], "text": [SENTENCE], "v": VECTOR[:1]})
    narrow, wide = "\n".join(drawn(table, 80).lines), "\n".join(drawn(table, 200).lines)
    assert "0.6028 │" in narrow
    assert "123456789012 │" in narrow
    assert "[0.12, … 384]" in narrow
    assert "0.6027512550354004" in wide
    assert "[0.12, 0.12, … 384]" in wide


def test_of_an_address_the_end_is_shown_and_of_a_text_the_beginning() -> None:
    assert cut("file:///srv/corpus/notes/river.txt", 12) == "…s/river.txt"
    assert cut("The river left its bank", 12) == "The river l…"
    assert cut("東京都の天気", 6) == "東京…"
    assert all(
        cell_len(cut(text, 5)) <= 5 for text in ("東京都の天気", "s3://東京都/の天気", "👩\u200d🚀👩\u200d🚀👩\u200d🚀")
    )


@pytest.mark.parametrize("width", [None, 400])
def test_where_there_is_room_nothing_is_cut(width: int | None) -> None:
    assert SENTENCE in "\n".join(drawn(SENTENCES, width).lines)


def test_texts_of_a_table_for_reading_go_on_below_instead_of_being_cut() -> None:
    found = drawn(pa.table({"code": ["bad-row"], "message": [SENTENCE]}), 50, raw=False)
    cells = [line.split("│")[2].strip() for line in found.lines if line.startswith("│")][1:]
    assert " ".join(cells) == SENTENCE
