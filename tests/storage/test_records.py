"""Records: the hash that decides whether a document is up to date never changes, because lakes store it."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.none() | TEXT, TEXT, TEXT)
def test_a_record_is_known_by_the_hash_of_its_title_metadata_and_text(
    title: str | None, metadata: str, text: str
) -> None:
    head = json.dumps([title, metadata], ensure_ascii=False).encode()
    document = Document("d", "file:///d", text, title=title, metadata=metadata)
    assert document.record_sha256 == hashlib.sha256(head + b"\0" + text.encode()).hexdigest()


def test_the_hash_of_a_record_never_changes() -> None:
    document = Document("d", "file:///d", "A bank.", title="Ünder", metadata='{"a":"\\n"}')
    assert document.record_sha256 == "a3822e0102dd9e40237bdf00045d21b816bfb6db3904e362d0cedda1d514f6c4"
