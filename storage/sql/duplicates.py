"""Exact duplicates as views: sentences that a lake has several times, and documents with the same text.

Pure SQL over the views of one encoding, so that plain DuckDB has them too. Groups are numbered by how many they have,
the largest first, so that a number means the same only as long as the lake does. Knows nothing of likeness.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote

DUPLICATES = ("duplicate_sentences", "duplicate_documents")

_OTHER_SPACES = r"\t\n\f\r\x0b\x1c-\x1f\x85\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
"""All characters that Python takes for space, but the space itself, as RE2 has them in a class."""
_MORE_THAN_A_SPACE = f"[ {_OTHER_SPACES}]{{2,}}|[{_OTHER_SPACES}]"
"""What a space is put in place of. To put one in place of every space too would take five times as long."""


def duplicate_views(suffix: str) -> list[str]:
    """Return the CREATE statements for a database that has the views with this suffix, which is escaped."""
    return [_sentences(suffix), _documents(suffix)]


def _sentences(suffix: str) -> str:
    """Sentences with the same characters, whatever space is between them: a hard-wrapped one is what it was before."""
    key = f"trim(regexp_replace(text, {quote(_MORE_THAN_A_SPACE)}, ' ', 'g'))"
    return f"""
CREATE VIEW "duplicate_sentences{suffix}" AS
WITH sentence AS (
    SELECT doc_id, sentence_index, text, {key} AS key FROM "sentences{suffix}"
), repeated AS (
    SELECT key, count(*) AS copies,
           row_number() OVER (ORDER BY count(*) DESC, min((doc_id, sentence_index))) AS group_id
    FROM sentence GROUP BY key HAVING count(*) > 1
)
SELECT group_id, copies, row_number() OVER (PARTITION BY group_id ORDER BY doc_id, sentence_index) AS place,
       doc_id, sentence_index, text
FROM sentence JOIN repeated USING (key)
ORDER BY group_id, place"""


def _documents(suffix: str) -> str:
    """Documents with the same text, to the last character, by its hash: no text is read."""
    return f"""
CREATE VIEW "duplicate_documents{suffix}" AS
WITH repeated AS (
    SELECT content_sha256, count(*) AS copies, row_number() OVER (ORDER BY count(*) DESC, min(doc_id)) AS group_id
    FROM "documents{suffix}" GROUP BY content_sha256 HAVING count(*) > 1
)
SELECT group_id, copies, row_number() OVER (PARTITION BY group_id ORDER BY doc_id) AS place, doc_id, uri, title
FROM "documents{suffix}" JOIN repeated USING (content_sha256)
ORDER BY group_id, place"""
