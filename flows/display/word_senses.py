"""The senses of a word: a record for each."""

from __future__ import annotations

import re
from typing import Any

from polyseme.storage.word_keys import word_key, word_keys

_WORDS = re.compile(r"[^\W\d_]{4,}")
"""Shorter ones are mostly grammar."""
SENSES = """
SELECT sense.*, s.text AS sentence, s.char_start AS sentence_start, d.uri
FROM senses($word, by_lemma := $by_lemma) AS sense
JOIN sentences AS s ON s.doc_id = sense.doc_id AND s.sentence_index = sense.sentence_index
JOIN documents AS d ON d.doc_id = sense.doc_id
ORDER BY sense.sense, sense.rank"""


def summarise(word: str, found: list[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """Return a record for each sense: size, silhouette of the grouping, neighbours, typical occurrences."""
    from polyseme.tasks.analysis.senses import distinguishing

    own = {word_key(word), *word_keys(word)}
    texts = [[w for w in _WORDS.findall(row["sentence"].lower()) if word_key(w) not in own] for row in found]
    near = distinguishing(texts, [row["sense"] for row in found], most=8)
    groups = []
    for sense in sorted(near):
        rows = [row for row in found if row["sense"] == sense]
        shown = [
            {name: row[name] for name in ("text_before", "word", "text_after", "typicality", "uri", "sentence_index")}
            for row in rows[:k]
        ]
        groups.append(
            {"sense": sense, "size": rows[0]["size"], "silhouette": rows[0]["silhouette"], "neighbours": near[sense],
             "occurrences": shown}
        )  # fmt: skip
    return groups
