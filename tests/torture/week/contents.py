"""Contents: the text and record files of the week, whole or broken, as bytes. Knows no folders."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet", ".jsonl.gz")
_WORDS = ("heron", "reeds", "river", "bank", "boat", "rain", "cold", "past", "stood", "went", "by", "and", "in", "the")


@dataclass
class File:
    """A file's texts by record: by id, or by position without `ids`. A text file has one, under an empty key.

    `broken` is how its bytes differ from that: `empty`, without the text `field`, or `cut` short. `protected` documents
    have to stay in the lake while the file is broken: it was not moved since.
    """

    suffix: str
    texts: dict[str, str]
    ids: bool = False
    note: int = 0
    broken: str = ""
    protected: bool = True
    replaced_by: str = ""
    """`folder` or `pipe` if one of these is in its place: the file is deleted, and may come back."""
    linked_to: str = ""
    """Where the bytes are, if the file is a link."""
    keys: int = field(default=0)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file as it is now."""
        if self.broken == "empty":
            return b""
        if self.suffix == ".txt":
            return self.texts[""].encode()
        data = _records(self)
        return data[: len(data) * 2 // 3] if self.broken == "cut" else data

    def ways_to_break(self) -> tuple[str, ...]:
        """Return the ways in which a file of this kind is broken without a document being deleted."""
        if self.suffix == ".txt":
            return ("empty",)
        return ("empty", "field", "cut") if self.suffix in (".parquet", ".jsonl.gz") else ("empty", "field")


def text(chance: random.Random, number: int) -> str:
    """Return two or three sentences that occur nowhere else."""
    sentences = [" ".join(chance.choices(_WORDS, k=chance.randrange(3, 9))) for _ in range(chance.choice((1, 2, 3)))]
    return " ".join(f"Note {number} says {sentence}." for sentence in sentences)


def _records(file: File) -> bytes:
    name = "body" if file.broken == "field" else "text"
    rows: list[dict[str, object]] = [
        {**({"id": key} if file.ids else {}), name: text, "note": file.note} for key, text in file.texts.items()
    ]
    if file.suffix == ".parquet":
        out = io.BytesIO()
        pq.write_table(pa.table({column: [row[column] for row in rows] for column in rows[0]}), out)
        return out.getvalue()
    if file.suffix == ".csv":
        lines = io.StringIO()
        writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return lines.getvalue().encode()
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return gzip.compress(data, mtime=0) if file.suffix.endswith(".gz") else data
