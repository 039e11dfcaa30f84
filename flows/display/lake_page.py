"""The report: one HTML page about a lake that needs nothing else, neither files nor a network.

Runs queries and lays out their results; the pictures are SVG inside the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

from polyseme.flows.display.coherence_curve import draw_coherence_curve
from polyseme.flows.display.sense_map import SENSES, draw_sense_map, summarise
from polyseme.flows.display.svg import histogram
from polyseme.storage.wording import many

Ask = Callable[..., list[dict[str, Any]]]
"""Takes SQL and named parameters, returns records."""

_CURVES = 3
_WORDS = 4
_BARS = 24
_STYLE = """
body { font: 15px/1.5 system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; color: #222; background: #fff;
       max-width: 820px; margin: 32px auto; padding: 0 16px }
h1 { font-size: 26px; margin: 0 }
h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid #ddd }
p { margin: 6px 0 }
table { border-collapse: collapse; width: 100%; font-size: 13px }
td, th { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #eee; vertical-align: top;
         overflow-wrap: anywhere }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal }
svg { display: block; margin: 12px 0 }
mark { background: #fdeecb }
.faint { color: #777 }
.figures { display: flex; flex-wrap: wrap; gap: 24px; margin: 16px 0 }
.figures b { display: block; font-size: 24px }
.kwic { font-size: 13px; margin: 2px 0 2px 14px }
"""

_FIGURES = """
SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM sentences) AS sentences,
       (SELECT count(*) FROM words) AS words, (SELECT coalesce(sum(n_tokens), 0)::BIGINT FROM sentences) AS tokens,
       (SELECT count(*) FROM rejects) AS rejects"""
_LENGTHS = """
SELECT least(n_tokens, 119) // 5 AS bin, count(*) AS n FROM sentences GROUP BY bin ORDER BY bin"""
_MARGINS = """
SELECT least(greatest(floor(margin), -12), 11)::INTEGER AS bin, count(*) AS n FROM coherence WHERE margin IS NOT NULL
GROUP BY bin ORDER BY bin"""
_REJECTS = """
SELECT code, count(*) AS records, any_value(message) AS example FROM rejects
GROUP BY code ORDER BY records DESC, code"""
_WORST = """
SELECT c.doc_id, any_value(d.title) AS title, count(*) AS steps, avg(c.margin) AS mean_margin,
       avg(c.percentile) AS percentile
FROM coherence AS c JOIN documents AS d ON d.doc_id = c.doc_id
WHERE c.margin IS NOT NULL GROUP BY c.doc_id HAVING count(*) >= 5 ORDER BY mean_margin, c.doc_id LIMIT 10"""
_CURVE = """
SELECT sentence_index, margin, is_break, text, next_text FROM breaks($doc_id) ORDER BY sentence_index"""
_POLYSEMY = """
SELECT word, occurrences, documents, distance FROM polysemy(at_least := $at_least)
WHERE length(word) > 3 AND documents >= 3 LIMIT 12"""
_ENCODINGS = """
SELECT name, model, model_sha256, width, layers, pooling, context, max_tokens, precision, splitter, created_at
FROM encodings WHERE is_default"""
_RUNS = """
SELECT run_id, state, started_at, documents, tokens FROM runs ORDER BY ordinal DESC LIMIT 5"""


def page(ask: Ask, *, title: str, words: Sequence[str] = ()) -> str:
    """Return the page. `words` are drawn as sense maps; by default the most polysemous ones."""
    parts = [_head(title), *_figures(ask), *_coherence(ask), *_senses(ask, words), *_provenance(ask)]
    return "\n".join([*parts, "</body></html>", ""])


def _head(title: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
    )


def _figures(ask: Ask) -> Iterator[str]:
    figures = ask(_FIGURES)[0]
    yield '<div class="figures">'
    for name, value in figures.items():
        yield f"<div><b>{value:,}</b>{'records refused' if name == 'rejects' else name}</div>"
    yield "</div>"
    lengths = {row["bin"]: row["n"] for row in ask(_LENGTHS)}
    names = [f"{5 * i}" + ("+" if i == _BARS - 1 else "") for i in range(_BARS)]
    yield histogram([lengths.get(i, 0) for i in range(_BARS)], names, title="Sentences by length in tokens")
    refused = ask(_REJECTS)
    if refused:
        yield "<h2>Refused</h2>" + _table(refused, ("code", "records", "example"))


def _coherence(ask: Ask) -> Iterator[str]:
    yield "<h2>Coherence</h2>"
    margins = {row["bin"]: row["n"] for row in ask(_MARGINS)}
    if not margins:
        yield '<p class="faint">No transitions were scored with NSP.</p>'
        return
    yield "<p>Next Sentence Prediction's log-odds that a sentence continues the one before; above 0 it does.</p>"
    names = [str(i) for i in range(-12, 12)]
    yield histogram([margins.get(i, 0) for i in range(-12, 12)], names, title="Steps by margin")
    worst = ask(_WORST)
    shown = [
        {
            "document": row["title"] or row["doc_id"],
            "steps": row["steps"],
            "mean margin": f"{row['mean_margin']:+.2f}",
            "beats random pairs": "" if row["percentile"] is None else f"{row['percentile']:.0%}",
        }
        for row in worst
    ]
    yield "<p>The least coherent documents of five steps or more:</p>"
    yield _table(shown, ("document", "steps", "mean margin", "beats random pairs"))
    for row in worst[:_CURVES]:
        yield draw_coherence_curve(row["title"] or row["doc_id"], ask(_CURVE, doc_id=row["doc_id"]))


def _senses(ask: Ask, words: Sequence[str]) -> Iterator[str]:
    varied = ask(_POLYSEMY, at_least=8)
    chosen = list(words) or [row["word"] for row in varied[:_WORDS]]
    if not chosen:
        return
    yield "<h2>Words in several senses</h2>"
    if varied:
        yield "<p>Words of four letters and more by the mean distance between two of their occurrences:</p>"
        rows = [{**row, "distance": f"{row['distance']:.2f}"} for row in varied]
        yield _table(rows, ("word", "occurrences", "documents", "distance"))
    for word in chosen:
        found = ask(SENSES, word=word, by_lemma=False)
        if not found:
            yield f'<p class="faint">{escape(word)} does not occur.</p>'
            continue
        groups = summarise(word, found, 3)
        yield draw_sense_map(word, found, groups)
        for group in groups:
            yield f"<p>{escape(word)}, sense {group['sense']}: {many(group['size'], 'occurrences')}</p>"
            for row in group["occurrences"]:
                before, after = escape(row["text_before"][-70:]), escape(row["text_after"][:70])
                yield f'<p class="kwic">… {before}<mark>{escape(row["word"])}</mark>{after} …</p>'


def _provenance(ask: Ask) -> Iterator[str]:
    yield "<h2>Provenance</h2>"
    for encoding in ask(_ENCODINGS):
        yield _table([{"": name, "value": value} for name, value in encoding.items()], ("", "value"))
    runs = ask(_RUNS)
    if runs:
        yield "<p>Last runs:</p>" + _table(runs, tuple(runs[0]))


def _table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    numeric = {name for name in names if all(isinstance(row[name], int | float) for row in rows)}

    number = ' class="n"'

    def cell(tag: str, name: str, value: object) -> str:
        text = f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)
        return f"<{tag}{number if name in numeric else ''}>{escape(text)}</{tag}>"

    head = "".join(cell("th", name, name) for name in names)
    body = "".join(f"<tr>{''.join(cell('td', name, row[name]) for name in names)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
