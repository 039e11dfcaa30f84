"""Rows of skipped files are added up by source and kind, and replaced as a run decides."""

from __future__ import annotations

from dataclasses import asdict

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.records import EncodingSpec
from tests import lakes


def row(example: str, files: int = 1, **changed: str) -> SkippedFiles:
    fields = {"source": "/in", "extension": ".png", "reason": "not-a-text-format", "example": example} | changed
    return SkippedFiles(files=files, **fields)  # type: ignore[arg-type]


def test_the_view_adds_up_what_a_run_counted_in_each_place(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "run")
    found = [row("file:///in/b.png", 2), row("file:///in/a/c.png"), row("", 5), row("", extension=".x")]
    catalog.replace_skipped("run", lambda older, later: ([], found))
    assert catalog.snapshot().skipped.to_pylist() == [
        asdict(row("file:///in/a/c.png", 8)) | {"run_id": "run"},
        asdict(row("", extension=".x")) | {"run_id": "run"},
    ]


def test_a_run_is_told_of_the_rows_of_others_and_decides_which_stay(catalog: Catalog, spec: EncodingSpec) -> None:
    for number, run_id in enumerate(("first", "slow", "last")):
        lakes.begin(catalog, spec, run_id)
        if run_id != "slow":
            catalog.replace_skipped(run_id, lambda older, later, n=number: ([], [row(f"file:///in/{n}.png")]))  # type: ignore[misc]
    for _ in range(2):  # as after a retry
        catalog.replace_skipped(
            "slow",
            lambda older, later: (
                [n for n, one in older.items() if one == row("file:///in/0.png")],
                [row("file:///in/mine.png"), *(row("file:///in/not.png") for one in later if one.files > 1)],
            ),
        )
    assert sorted(catalog.snapshot().skipped["example"].to_pylist()) == ["file:///in/2.png", "file:///in/mine.png"]
