"""Maintenance by command and by flow: broken parts are named and repaired, files without use removed, and no others."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import FORMAT_VERSION
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.tasks.engine_config import EngineConfig
from tests import embedded_lakes
from tests.flows.conftest import Ask
from tests.flows.test_backfill import contents, polyseme

ORPHAN = f"{'0' * 32}.parquet"


@pytest.fixture
def made(lake: Path, tiny_folder: Path) -> Lake:
    """Six documents in two commits."""
    config, found = EngineConfig(model=str(tiny_folder), device="cpu"), embedded_lakes.documents()
    embedded_lakes.make(lake, found[:3], config=config, run_id="first")
    return embedded_lakes.make(lake, found[3:], config=config, run_id="second")


def test_a_source_is_found_again_whatever_bytes_its_name_has(tmp_path: Path) -> None:
    from polyseme.flows.repair import files_of

    there = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 [1]?.txt"))
    there.write_text("A text.")
    marked = {"a": there.as_uri(), "b": (tmp_path / "gone.txt").as_uri(), "c": "stdin:"}
    assert list(files_of(marked)) == [there.as_uri()]
    assert list(files_of({"of somebody else": "file://[x/y"})) == []


def parts(made: Lake, table: str) -> list[Path]:
    return sorted(made.data.glob(f"{table}/*/*.parquet"))


def damage(part: Path, content: bytes) -> None:
    part.unlink()
    part.write_bytes(content)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_broken_parts_are_named_and_repaired_as_they_were(
    capfd: pytest.CaptureFixture[str], made: Lake, tiny_folder: Path
) -> None:
    before = contents(made)
    assert polyseme(capfd, made, "verify")[0] == 0
    truncated, missing = parts(made, "words")[0], parts(made, "transitions")[0]
    flipped = parts(made, "sentences")[1]
    damage(truncated, truncated.read_bytes()[:200])
    missing.unlink()
    damage(flipped, flipped.read_bytes()[:-1] + b"x")

    code, out, _ = polyseme(capfd, made, "verify", "--json")
    found = {(f["kind"], Path(f["subject"]).name) for f in json.loads(out)["findings"]}
    assert (code, found) == (1, {("corrupt", truncated.name), ("missing", missing.name), ("corrupt", flipped.name)})
    assert truncated.stat().st_size == 200  # nothing is repaired silently

    code, out, err = polyseme(capfd, made, "verify", "--repair", "--model", tiny_folder)
    assert code == 0, out + err
    assert "all well" in out
    assert contents(made) == before
    assert polyseme(capfd, made, "verify")[0] == 0


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_a_text_that_was_in_a_broken_part_is_read_from_its_source_or_reported_as_lost(
    capfd: pytest.CaptureFixture[str], lake: Path, corpus: Path, tiny_folder: Path
) -> None:
    from polyseme.flows.embed import EmbedRequest, embed_corpus

    config = EngineConfig(model=str(tiny_folder), device="cpu")
    embed_corpus(EmbedRequest(sources=[str(corpus)], lake=str(lake), engine=config))
    made, before = Lake(lake), contents(Lake(lake))
    gone = corpus / "money.txt"
    shutil.move(gone, corpus.parent / "elsewhere.txt")
    damage(parts(made, "documents")[0], b"")

    code, out, _ = polyseme(capfd, made, "verify", "--repair", "--model", tiny_folder)
    assert code == 1
    assert gone.as_uri() in out
    assert {row[0] for row in contents(made)["documents"]} == {
        (corpus / "river.txt").as_uri(),
        (corpus / "tennis.txt").as_uri(),
    }
    shutil.move(corpus.parent / "elsewhere.txt", gone)
    assert polyseme(capfd, made, "verify", "--repair", "--model", tiny_folder)[0] == 0
    assert contents(made) == before


def test_a_lake_with_a_broken_part_is_refused_with_how_to_repair_it(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    damage(parts(made, "sentences")[0], b"")
    code, out, err = polyseme(capfd, made, "sql", "FROM sentences")
    assert (code, out) == (4, "")
    assert "polyseme verify --repair" in err


def test_unknown_parts_are_removed_only_with_yes_and_replaced_parts_only_after_the_grace_period(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    before, old = contents(made), parts(made, "words")
    orphan = old[0].with_name(ORPHAN)
    shutil.copy(old[0], orphan)
    foreign = old[0].with_name("notes.parquet")
    foreign.write_text("not Polyseme's")
    yesterday = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in (orphan, foreign):
        os.utime(path, (yesterday, yesterday))
    code, out, _ = polyseme(capfd, made, "verify")
    assert (code, ORPHAN in out) == (1, True)

    assert polyseme(capfd, made, "compact")[0] == 0
    code, out, _ = polyseme(capfd, made, "vacuum")
    assert code == 0
    assert "--yes" in out
    assert orphan.exists()
    assert all(path.exists() for path in old)
    polyseme(capfd, made, "vacuum", "--grace-hours", "0", "--dry-run")
    assert all(path.exists() for path in old)
    assert polyseme(capfd, made, "vacuum", "--grace-hours", "0")[0] == 0
    assert not any(path.exists() for path in old)
    assert orphan.exists()
    assert polyseme(capfd, made, "vacuum", "--yes")[0] == 0
    assert not orphan.exists()
    assert foreign.exists()
    assert contents(made) == before


@pytest.mark.parametrize("how", ["removed", "damaged", "stale"])
def test_the_published_file_is_rebuilt_whatever_happened_to_it(
    capfd: pytest.CaptureFixture[str], made: Lake, ask: Ask, how: str
) -> None:
    assert polyseme(capfd, made, "publish")[0] == 0
    if how == "removed":
        made.published_path.unlink()
    elif how == "damaged":
        made.published_path.write_bytes(b"not a database" * 1000)
    else:
        # Right by its number, wrong in what it shows.
        import duckdb

        with duckdb.connect(str(made.published_path)) as con:
            con.execute("DROP VIEW words")
    code, out, err = polyseme(capfd, made, "publish")
    assert code == 0, err
    assert str(made.published_path) in out
    assert ask("SELECT count(*) FROM documents") == [(6,)]
    assert ask("SELECT count(*) > 0 FROM words") == [(True,)]


@pytest.mark.parametrize("command", ["status", "sql", "verify", "compact", "vacuum", "publish", "backfill"])
def test_a_lake_of_a_newer_polyseme_is_refused_with_4(
    capfd: pytest.CaptureFixture[str], made: Lake, command: str
) -> None:
    with sqlite3.connect(made.catalog_path) as raw:
        raw.execute("UPDATE meta SET value = ? WHERE key = 'format_version'", (str(FORMAT_VERSION + 1),))
    raw.close()
    code, out, err = polyseme(capfd, made, command, *(["FROM words"] if command == "sql" else []))
    assert (code, out) == (4, "")
    assert f"has format {FORMAT_VERSION + 1}" in err
    assert "Upgrade Polyseme" in err


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_every_kind_of_maintenance_is_a_flow(made: Lake, ask: Ask, tiny_folder: Path) -> None:
    from polyseme.flows.maintain import compact_lake, publish_lake, vacuum_lake, verify_lake

    root, before = str(made.root), contents(made)
    assert compact_lake(root)["parts"] == 8
    assert compact_lake(root)["parts"] == 0
    assert vacuum_lake(root, grace_hours=0)["retired"] == 8
    assert verify_lake(root)["parts"] == 4
    damage(parts(made, "words")[0], b"")
    with pytest.raises(PolysemeError, match="--repair"):
        verify_lake(root)
    assert verify_lake(root, repair=True, model=str(tiny_folder))["parts"] > 0
    with Catalog.open(made) as catalog:
        assert publish_lake(root) == catalog.version
    assert ask("SELECT count(*) FROM documents") == [(6,)]
    assert contents(made) == before
