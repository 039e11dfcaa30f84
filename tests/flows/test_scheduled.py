"""Configured corpora: embedded by name, reconciled with their lakes; one that fails does not stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from polyseme.storage.errors import PolysemeError

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write `polyseme.toml` for corpora with these sources, all in the lake `lake`, and work beside it."""

    def write(**sources: Path) -> None:
        tables = [
            f"[corpus.{name}]\nsources = [{json.dumps(str(path))}]\nmodel = {json.dumps(str(tiny_folder))}\n"
            'lake = "lake"\nlevel = "sentences"\nnsp = false\n'
            for name, path in sources.items()
        ]
        (tmp_path / "polyseme.toml").write_text("\n".join(tables))

    monkeypatch.chdir(tmp_path)
    return write


def gaps() -> dict[str, object]:
    """What the last reconciliation found that no event had brought in."""
    from prefect.artifacts import Artifact

    found = Artifact.get("reconcile-summary")
    assert found is not None
    (row,) = json.loads(found.data)
    return {key: row[key] for key in ("documents", "missed new", "missed changed", "missed gone")}


def test_reconciling_closes_every_gap_and_reports_what_was_missed(corpus: Path, configure: Configure) -> None:
    from polyseme.flows.scheduled import embed_corpora, reconcile

    configure(news=corpus)
    embed_corpora(["news"])
    reconcile()
    assert gaps() == {"documents": 3, "missed new": 0, "missed changed": 0, "missed gone": 0}
    (corpus / "new.txt").write_text("Nobody told the server of this one.")
    (corpus / "money.txt").write_text("The bank wanted its money back.")
    (corpus / "tennis.txt").unlink()
    reconcile()
    assert gaps() == {"documents": 3, "missed new": 1, "missed changed": 1, "missed gone": 1}


def test_a_corpus_that_fails_does_not_stop_the_others(
    corpus: Path, tmp_path: Path, configure: Configure, ask: Callable[..., list[tuple[object, ...]]]
) -> None:
    from polyseme.flows.scheduled import embed_corpora

    configure(gone=tmp_path / "nowhere", news=corpus)
    with pytest.raises(PolysemeError, match="gone: "):
        embed_corpora()
    assert ask("SELECT count(*) FROM documents") == [(3,)]


def test_an_unforeseen_error_does_not_stop_the_others_either(
    corpus: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows import scheduled

    done = list[str]()

    def carry_out(job: object) -> None:
        done.append(str(job))
        raise OSError("No space left on device")

    configure(one=corpus, two=corpus)
    monkeypatch.setattr(scheduled, "carry_out", carry_out)
    with pytest.raises(PolysemeError, match=r"one: OSError: No space left.*two: OSError"):
        scheduled.embed_corpora()
    assert len(done) == 2


def test_a_lake_that_does_not_exist_yet_is_not_a_fault_of_maintenance(corpus: Path, configure: Configure) -> None:
    from polyseme.flows.maintain import maintain
    from polyseme.flows.scheduled import embed_corpora

    configure(news=corpus)
    maintain()
    embed_corpora()
    maintain()
    with pytest.raises(PolysemeError, match="There is no lake"):
        maintain(["nowhere"])
