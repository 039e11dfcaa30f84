"""`polyseme embed` and `polyseme sql`: files and records of many kinds become the sentences that a reader sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.test_cli import polyseme

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

FILES = {
    "harbour.md": [
        "# Harbour", "The tide comes in at six. Boats leave with it.", "## Lights", "The keeper lights them.",
        "Old charts\n==========", "Sailors copied them by hand.",
    ],
    "packing.md": ["Bring for the walk:", "+ a map", "+ a compass", "+ dry socks"],
    "packing.txt": ["Bring for the walk:", "● a map", "■ a compass", "– dry socks", "ii) a whistle"],
}  # fmt: skip
"""Files, one sentence a line; the second line of the first has two."""
RECORDS = {
    "marks": [
        "The dike broke at night.[3]", "The village was empty by then.[4][5]",
        "It rained.12", "She left.†", "He stayed.",
    ],
    "names": ["Yahoo! is a company.", "She worked for Yahoo! in Rome."],
    "ranks": ["They called Lt. Col. Reed.", "He came with Maj. Gen. Cole at dawn."],
    "degree": ["He has a Ph.D.", "His sister sails."],
    "ordinary": [
        "Jonas walked to the bank.", "Eva slept in the car.", "Snow lay on the book.", "Karl told a story.",
        "Nobody saw the horse.", "Leaves covered the wall.", "Water is cold.", "Spring came in that century.",
    ],
    "armenian": ["Գետը բարձր է։", "Մենք գնում ենք։"],
    "amharic": ["ቤት ትልቅ ነው።", "ልጁ መጣ።"],
    "burmese": ["မိုးရွာသည်။", "ကျွန်မ သွားမည်။"],
    "khmer": ["ភ្លៀងធ្លាក់។", "ខ្ញុំទៅផ្ទះ។"],
}  # fmt: skip


def test_sentences_and_languages_of_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, lake = tmp_path / "in", tmp_path / "lake"
    source.mkdir()
    for name, lines in FILES.items():
        (source / name).write_text("\n".join(lines), encoding="utf-8")
    records = ({"id": doc_id, "text": " ".join(sentences)} for doc_id, sentences in RECORDS.items())
    (source / "records.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    code, _, told = polyseme(capfd, "embed", source, "--lake", lake, "--level", "sentences", "--no-nsp")
    assert code == 0, told
    query = (
        "SELECT parse_filename(doc_id) AS name, list(text ORDER BY sentence_index) AS texts FROM sentences GROUP BY 1"
    )
    code, shown, told = polyseme(capfd, "sql", query, "--lake", lake, "--format", "jsonl")
    assert code == 0, told
    found = {row["name"]: row["texts"] for row in map(json.loads, shown.splitlines())}
    heading, running, *others = FILES["harbour.md"]
    first, second = running.split(". ")
    assert found == {**FILES, **RECORDS, "harbour.md": [heading, f"{first}.", second, *others]}
    query = "SELECT doc_id, language FROM documents WHERE doc_id IN ('armenian', 'amharic', 'burmese', 'khmer')"
    _, shown, _ = polyseme(capfd, "sql", query, "--lake", lake, "--format", "jsonl")
    languages = {row["doc_id"]: row["language"] for row in map(json.loads, shown.splitlines())}
    assert languages == {"armenian": "hy", "amharic": "am", "burmese": "my", "khmer": "km"}
