"""Which formats are read, by the name of a file. Knows no reader."""

from __future__ import annotations

from polyseme.tasks.reading.byte_streams import COMPRESSIONS

WHOLE_FILE = (".txt", ".md")
RECORD_FILES = (".jsonl", ".ndjson", ".csv", ".tsv")
SUFFIXES = (*WHOLE_FILE, *RECORD_FILES, ".parquet")


def format_of(name: str) -> tuple[str, str] | None:
    """Return the format and compression suffixes of a file name; None for other formats."""
    stem, compression = name.lower(), ""
    for suffix in COMPRESSIONS:
        if stem.endswith(suffix):
            stem, compression = stem.removesuffix(suffix), suffix
    found = next((s for s in SUFFIXES if stem.endswith(s)), None)
    return None if found is None or (found == ".parquet" and compression) else (found, compression)


def may_be_read(name: str) -> bool:
    """Return whether a file of this name is read, or looked into because its name has no suffix."""
    return format_of(name) is not None or "." not in name.strip(".")
