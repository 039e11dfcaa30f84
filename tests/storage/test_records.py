"""Records: the hashes by which documents and encodings are known never change, because lakes store them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage import checks
from polyseme.storage.records import Document, EncodingSpec
from tests.lakes import make_spec

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


def test_the_id_of_an_encoding_never_changes() -> None:
    assert make_spec().encoding_id == "ac6cfe5d4c769657"
    assert make_spec(scheme=2).encoding_id == "20e51d92e0825109"
    assert make_spec(model="renamed").encoding_id == "ac6cfe5d4c769657"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterSpec(EncodingSpec):
    """An encoding with a field that this release does not have."""

    reversed: bool = False


def test_a_later_field_counts_in_an_encoding_only_where_it_is_not_as_before() -> None:
    given = make_spec().stated()
    assert LaterSpec(**given).encoding_id == make_spec().encoding_id
    assert LaterSpec(**given).stated() == given
    assert LaterSpec(**given, reversed=True).encoding_id != make_spec().encoding_id
    assert LaterSpec(**given, reversed=True).stated() == given | {"reversed": True}


def test_a_stored_encoding_may_lack_the_fields_that_have_a_default() -> None:
    stored = {f: v for f, v in make_spec().stated().items() if f not in EncodingSpec.defaults()}
    assert checks.spec(checks.Origin("the catalog"), json.dumps(stored)) == make_spec()
