"""Numbers of JSON Lines: whatever its number of digits, a number keeps its value, in an id and in metadata."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file

WHOLE = st.from_regex(r"-?(0|[1-9][0-9]{0,40})", fullmatch=True)
FRACTIONS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,30}", fullmatch=True).filter(
    lambda written: len(written.lstrip("-0.").replace(".", "")) not in (16, 17)
)
"""Sixteen and seventeen digits are how a float is printed, and are read as the nearest one."""


def read(folder: Path, line: str) -> Document:
    path = folder / "a.jsonl"
    path.write_text(line)
    (document,) = read_file(path, path.as_uri(), ReadOptions())
    assert isinstance(document, Document)
    return document


def test_digits_beyond_64_bits_and_beyond_a_float_are_kept_as_written(tmp_path: Path) -> None:
    account = read(tmp_path, '{"id": "b1", "text": "A number.", "account": 184467440737095516161}')
    assert account.metadata == '{"account":184467440737095516161}'
    ratio = read(tmp_path, '{"id": "b3", "text": "A ratio.", "deep": [{"ratio": 0.12345678901234567890123}]}')
    assert ratio.metadata == '{"deep":[{"ratio":0.12345678901234567890123}]}'


def test_an_id_of_more_than_64_bits_is_its_digits(tmp_path: Path) -> None:
    assert read(tmp_path, '{"id": 123456789012345678901, "text": "A big id."}').doc_id == "123456789012345678901"


@given(written=st.lists(WHOLE | FRACTIONS, min_size=1, max_size=4))
def test_every_number_keeps_its_value(tmp_path_factory: pytest.TempPathFactory, written: list[str]) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    document = read(folder, f'{{"text": "Numbers.", "n": [{", ".join(written)}]}}')
    found = json.loads(document.metadata, parse_int=Decimal, parse_float=Decimal)["n"]
    assert [Decimal(x) for x in found] == [Decimal(x) for x in written]
