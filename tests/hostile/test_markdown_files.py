"""Markdown files in a lake: prose is encoded, the whole text is stored, and what did not change is reused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from tests.hostile.lakeside import Lakeside, lakeside

__all__ = ["lakeside"]

TEXT = "".join(f"Sentence {n} names [the river](https://example.org/{n}) and a bank. " for n in range(40))
PAGE = f"# Rivers\n\n{TEXT}\n\n```\nx = 1\n```\n\nThe last paragraph.\n"


def test_a_page_is_stored_whole_encoded_as_prose_and_reused(lakeside: Lakeside, tmp_path: Path) -> None:
    page = tmp_path / "root" / "page.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    (tmp_path / "root" / "same.txt").write_text(PAGE)
    lakeside.embed(page.parent)
    with connect(lakeside.catalog.lake) as con:
        (whole,) = con.execute("SELECT text FROM documents WHERE uri LIKE '%.md'").fetchall()[0]
        found = con.execute(
            "SELECT s.text = substring(d.text, s.char_start + 1, s.char_end - s.char_start), s.n_tokens, s.text "
            "FROM sentences s JOIN documents d USING (doc_id) WHERE d.uri LIKE '%.md' ORDER BY sentence_index"
        ).fetchall()
        (of_text,) = con.execute("SELECT sum(n_tokens) FROM documents WHERE uri LIKE '%.txt'").fetchall()[0]
    assert whole == PAGE
    assert all(is_slice for is_slice, *_ in found)
    assert not any("x = 1" in text for *_, text in found)
    assert sum(tokens for _, tokens, _ in found) < 0.6 * of_text
    assert verify(lakeside.catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()

    page.write_text(PAGE.replace("last", "very last"))
    lakeside.embed(page.parent)
    runs = lakeside.catalog.snapshot().runs
    reused, sentences = (runs[name].to_pylist()[-1] for name in ("reused_sentences", "sentences"))
    assert sentences - 3 <= reused < sentences
