"""The map: every sentence, or every occurrence of a word, as a point, near those that are alike.

The page is a form and a list; its script draws what `.state` says is there and `.points` holds, and asks `.json` with
`rows=` for the texts of a few points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters, Raw
from polyseme.flows.explorer.pages.facets import chosen, facets
from polyseme.flows.explorer.point_colours import MOST_GROUPED, Colours, colour
from polyseme.flows.explorer.point_maps import MOST_OCCURRENCES, PointMap, Progress
from polyseme.storage.errors import UsageError

A_PAGE = 50
MOST_ROWS = 200
"""Points whose texts are given at once."""
_OF = ("sentences", "words")
_COUNTS = """
SELECT count(*) AS points FROM occurrences($word, by_lemma := $by_lemma) AS p
WHERE doc_id IN (SELECT d.doc_id FROM {documents} AS d WHERE {narrowed})"""
_SENTENCES = """
SELECT s.text, d.title, s.doc_id, s.sentence_index FROM sentences AS s JOIN {documents} AS d ON d.doc_id = s.doc_id
WHERE {narrowed} ORDER BY s.doc_id, s.sentence_index LIMIT {limit} OFFSET {offset}"""
_WORDS = """
SELECT substr(s.text, 1, o.char_start - s.char_start) AS text_before, o.word,
       substr(s.text, o.char_end - s.char_start + 1) AS text_after, d.title, o.doc_id, o.sentence_index, o.word_index
FROM occurrences($word, by_lemma := $by_lemma) AS o JOIN {documents} AS d ON d.doc_id = o.doc_id
JOIN sentences AS s ON s.doc_id = o.doc_id AND s.sentence_index = o.sentence_index
WHERE {narrowed} ORDER BY o.doc_id, o.sentence_index, o.word_index LIMIT {limit} OFFSET {offset}"""
_DOCUMENTS = "SELECT d.doc_id FROM {documents} AS d WHERE {narrowed}"
_TEXTS = """
WITH wanted AS (
    SELECT unnest($rows) AS row, unnest($docs) AS doc_id, unnest($sentences) AS sentence_index,
           unnest($starts) AS first, unnest($ends) AS last
), text AS (
    SELECT doc_id, sentence_index, text FROM sentences
    WHERE doc_id IN (SELECT unnest($docs)) AND sentence_index IN (SELECT unnest($sentences))
)
SELECT w.row, {text}, d.title, w.doc_id, w.sentence_index
FROM wanted AS w JOIN text AS s ON s.doc_id = w.doc_id AND s.sentence_index = w.sentence_index
JOIN documents AS d ON d.doc_id = w.doc_id ORDER BY list_position($rows, w.row)"""
_OF_SENTENCE = "s.text"
_OF_WORD = """substr(s.text, 1, w.first) AS text_before, substr(s.text, w.first + 1, w.last - w.first) AS word,
       substr(s.text, w.last + 1) AS text_after"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the form, and the texts of the points `rows`, or else of those that the filter leaves, page by page."""
    of, word, by_lemma = _subject(parameters)
    rows = parameters.text("rows")
    page = parameters.number("page", 1, least=1)
    found = _texts(lake, parameters, rows) if rows else _listed(lake, parameters, page)
    known = facets(lake)
    title = f"Map of {word}" if of == "words" else "Map"
    return Content(
        title,
        {"points": found},
        {"of": of, "word": word, "lemma": by_lemma, "page": page, "facets": known, "listed": not rows,
         "chosen": parameters.starting("m."), "where": parameters.text("where"), "view": parameters.text("view"),
         "colour": _colour(lake, parameters), "colours": [*_kinds(of), *(f"m.{key}" for key in known)],
         "more": found.num_rows == A_PAGE},
    )  # fmt: skip


def state(lake: Asked, parameters: Parameters) -> Raw:
    """Return how far the map is, or else how many points it has and what their colours mean."""
    found = _points(lake, parameters)
    if isinstance(found, Progress):
        return _json({"ready": False, "doing": found.doing, "share": found.share})
    kept, colours = _filtered(lake, found, parameters), _colours(lake, found, parameters)
    counts = np.bincount(colours.code[kept], minlength=1)
    legend = [
        {"code": code, "label": label, "points": int(counts[code])}
        for code, label in colours.labels.items()
        if code < len(counts) and counts[code]
    ]
    sampled = found.word is not None and len(found) == MOST_OCCURRENCES
    return _json({"ready": True, "version": found.version, "points": len(kept), "of": len(found), "legend": legend,
                  "sampled": sampled})  # fmt: skip


def points(lake: Asked, parameters: Parameters) -> Raw:
    """Return the points that the filter leaves: all places as two float32, all row numbers as uint32, all codes as a
    byte each. Raises UsageError while the map is being made."""
    found = _points(lake, parameters)
    if isinstance(found, Progress):
        raise UsageError("The map is still being made. /map.state says how far it is.")
    _same(found, parameters)
    kept, colours = _filtered(lake, found, parameters), _colours(lake, found, parameters)
    parts = (found.place[kept].astype("<f4"), kept.astype("<u4"), colours.code[kept])
    return Raw(b"".join(part.tobytes() for part in parts), "application/octet-stream")


def _subject(parameters: Parameters) -> tuple[str, str, bool]:
    of = parameters.choice("of", _OF)
    word = parameters.required("w", "word") if of == "words" else ""
    return of, word, parameters.text("lemma") == "1"


def _points(lake: Asked, parameters: Parameters) -> PointMap | Progress:
    of, word, by_lemma = _subject(parameters)
    return lake.word_map(word, by_lemma=by_lemma) if of == "words" else lake.sentence_map()


def _kinds(of: str) -> tuple[str, ...]:
    return ("sense", "language", "document", "margin") if of == "words" else ("language", "document", "margin")


def _colour(lake: Asked, parameters: Parameters) -> str:
    """Return what is coloured by: of words by sense, of sentences by the metadata, if nothing is asked for."""
    of, word, by_lemma = _subject(parameters)
    if asked := parameters.text("colour"):
        return asked
    if of == "words":
        (counted,) = lake.rows(_COUNTS.format(documents="documents", narrowed="true"), word=word, by_lemma=by_lemma)
        return "sense" if counted["points"] <= MOST_GROUPED else "document"
    return next((f"m.{key}" for key in facets(lake)), "language")


def _colours(lake: Asked, found: PointMap, parameters: Parameters) -> Colours:
    _, word, by_lemma = _subject(parameters)
    return colour(lake, found, _colour(lake, parameters), word=word, by_lemma=by_lemma)


def _filtered(lake: Asked, found: PointMap, parameters: Parameters) -> npt.NDArray[np.int64]:
    """Return the rows of the points whose documents meet the condition and have the chosen values."""
    where, values = parameters.text("where"), parameters.starting("m.")
    if not where and not values:
        return np.arange(len(found))
    narrowed, named = chosen(values)
    documents = "chosen_documents" if where else "documents"
    left = lake.ask(_DOCUMENTS.format(documents=documents, narrowed=narrowed), where=where, **named)
    meets = pc.is_in(found.docs, value_set=left["doc_id"].combine_chunks()).to_numpy(zero_copy_only=False)
    return np.flatnonzero(meets[found.doc])


def _listed(lake: Asked, parameters: Parameters, page: int) -> pa.Table:
    """Return what the filter leaves in the order of the texts, which needs no map. Raises AbsentError for no word."""
    of, word, by_lemma = _subject(parameters)
    where = parameters.text("where")
    narrowed, named = chosen(parameters.starting("m."))
    documents = "chosen_documents" if where else "documents"
    asked: dict[str, Any] = {**named, **({"word": word, "by_lemma": by_lemma} if of == "words" else {})}
    query = (_WORDS if of == "words" else _SENTENCES).format(
        documents=documents, narrowed=narrowed, **parameters.rows(A_PAGE)
    )
    found = lake.ask(query, where=where, **asked)
    if of == "words" and not found.num_rows and page == 1 and not where and not named:
        raise AbsentError(f"{word[:100]!r} does not occur in the lake, or was not kept.")
    return found


def _texts(lake: Asked, parameters: Parameters, rows: str) -> pa.Table:
    found = _points(lake, parameters)
    if isinstance(found, Progress):
        raise UsageError("The map is still being made. /map.state says how far it is.")
    _same(found, parameters)
    wanted = _numbers(rows, len(found))
    word = np.zeros((len(found), 3), np.int32) if found.word is None else found.word
    return lake.ask(
        _TEXTS.format(text=_OF_SENTENCE if found.word is None else _OF_WORD), rows=wanted,
        docs=found.docs.take(pa.array(found.doc[wanted])).to_pylist(), sentences=found.sentence[wanted].tolist(),
        starts=word[wanted, 1].tolist(), ends=word[wanted, 2].tolist(),
    )  # fmt: skip


def _numbers(rows: str, most: int) -> list[int]:
    parts = rows.split(",", MOST_ROWS)
    numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < 12 else most for part in parts]
    if len(parts) > MOST_ROWS or max(numbers) >= most:
        raise UsageError(f"rows takes up to {MOST_ROWS} numbers below {most:,} with commas between, got {rows[:40]!r}.")
    return list(dict.fromkeys(numbers))


def _same(found: PointMap, parameters: Parameters) -> None:
    """Raise UsageError for rows that were numbered by another version of the lake."""
    if parameters.text("version", found.version) != found.version:
        raise UsageError("The lake has changed since this map was drawn. Load the page again.")


def _json(content: dict[str, object]) -> Raw:
    return Raw(orjson.dumps(content), "application/json")


PAGE = Page("map", load, "Map", {"state": state, "points": points})
