"""A command that is planned and then run over one lake, and sources for it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import write_records
from tests.flows.test_cli import polyseme

BANK = "The bank lent him the money. He paid it back within a year. His account is closed now."
COUNTED = (
    "sentences", "words", "tokens", "transitions", "forward_tokens", "reused_sentences", "reused_tokens",
)  # fmt: skip


def bytes_of(root: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder, with its contents and when it was written."""
    return {
        str(path.relative_to(root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


class Planned:
    """Plans and runs one command over one lake."""

    def __init__(self, capfd: pytest.CaptureFixture[str], lake: Path, *options: str | Path) -> None:
        self._capfd, self._lake, self._options = capfd, lake, options

    def plan(self, *words: str | Path) -> dict[str, Any]:
        before, was_there = bytes_of(self._lake), self._lake.exists()
        code, out, err = self._ask(*words, "--dry-run")
        assert code == 0, err
        assert bytes_of(self._lake) == before
        assert self._lake.exists() == was_there
        found: dict[str, Any] = json.loads(out)
        return found

    def then_run(self, *words: str | Path, code: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        """Plan, run, require that both say the same, and return both."""
        planned = self.plan(*words)
        done, out, err = self._ask(*words)
        assert done == code, err
        report = json.loads(out)
        tally, counts = report["tally"], report["counts"]
        tally["refused"], tally["chars"] = tally.pop("rejected"), tally.pop("chars_to_encode")
        assert {name: planned[name] for name in tally} == tally
        assert [*planned["refused_by_code"].items()] == [*report["refused_by_code"].items()]
        assert planned["is_exact"]
        assert {name: planned[name] for name in COUNTED} == {name: counts[name] for name in COUNTED}
        assert planned["to_encode"] == counts["documents"]
        assert planned["redescribed"] == counts["redescribed"]
        assert planned["encoding"] == report["encoding"]
        assert [(h["source"], h["documents"], h["had"], h["reason"]) for h in planned["held_back"]] == [
            (h["source"], h["documents"], h["had"], h["reason"]) for h in report["held_back"]
        ]
        if planned["sources"]:
            for name in tally:
                assert sum(source[name] for source in planned["sources"]) == tally[name], name
            by_source = (Counter(source["refused_by_code"]) for source in planned["sources"])
            assert dict(sum(by_source, Counter())) == planned["refused_by_code"]
        assert (planned["tokens_per_second"] > 0) == (planned["forward_tokens"] > 0)
        return planned, report

    def _ask(self, *words: str | Path) -> tuple[int, str, str]:
        command, *sources = words
        return polyseme(self._capfd, command, *sources, "--lake", self._lake, *self._options, "--json")


@pytest.fixture
def planned(capfd: pytest.CaptureFixture[str], lake: Path, tiny_folder: Path) -> Planned:
    return Planned(capfd, lake, "--model", tiny_folder, "--device", "cpu")


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of texts, and one of records of which one is refused."""
    notes, mail = tmp_path / "notes", tmp_path / "mail"
    notes.mkdir()
    mail.mkdir()
    for i in range(4):
        (notes / f"{i}.txt").write_text(f"Note {i} is short. {BANK} The river rose {i} feet.")
    write_mail(mail)
    return notes, mail


def write_mail(folder: Path, *, views: int = 0, text: str = "She served from the far court. It was out.") -> None:
    records = [{"id": f"m{i}", "text": f"Mail {i}. {text}", "views": views} for i in range(3)]
    write_records(folder / "all.jsonl", [*records, {"id": "empty"}])
