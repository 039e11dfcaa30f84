"""Values in catalogs that were once used without a check: each is refused in words by whatever reads it.

Most were found by `fuzz_catalogs`; others of their kinds are here beside them.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from tests.hostile.fuzz_catalogs import USES
from tests.hostile.lake_changes import ID, template

NEVER = "'2026-02-30T00:00:00+00:00'"
ELSEWHERE = "0" * 16
REFUSED: list[tuple[str, str, str, str]] = [
    # what is wrong, the change, the use, what the message says
    ("a default that is not there", f"UPDATE meta SET value = '{ELSEWHERE}' WHERE key = 'default_encoding'",
     "sql", "meta default_encoding"),
    ("no default", "DELETE FROM meta WHERE key = 'default_encoding'", "rejects", "meta default_encoding"),
    ("half a character in a model's name",
     """UPDATE encodings SET spec = json_set(spec, '$.model', json('"\\ud800"'))""",
     "sql", "spec model"),
    ("an encoding made on no day", f"UPDATE encodings SET created_at = {NEVER}", "sql", "encodings.created_at"),
    ("parts of an unknown encoding",
     f"UPDATE parts SET encoding_id = '{ELSEWHERE}', path = replace(path, '{ID}', '{ELSEWHERE}') "
     f"WHERE encoding_id = '{ID}'", "verify", "parts.encoding_id"),
    ("a run on no day", f"UPDATE runs SET started_at = {NEVER}", "status", "runs.started_at"),
    ("a run in the year 0", "UPDATE runs SET started_at = '0000-01-01T00:00:00Z'", "status", "runs.started_at"),
    ("a run at no time", "UPDATE runs SET started_at = NULL", "status as JSON", "runs.started_at"),
    ("a part retired on no day", f"UPDATE retired_parts SET retired_at = {NEVER}", "vacuum", "retired_at"),
    ("a version that is text", "UPDATE document_versions SET version = 'x'", "commit", "document_versions.version"),
    ("a text's version that is text", "UPDATE document_versions SET text_version = 'x'", "commit", "text_version"),
    ("an address that is bytes", "UPDATE document_versions SET uri = x'66'", "scan", "document_versions.uri"),
    ("no address", "UPDATE document_versions SET uri = NULL", "read", "document_versions.uri"),
    ("another address that is bytes", "UPDATE other_uris SET uri = x'66'", "scan", "address"),
    ("a shard of no run", "UPDATE shards SET run_id = 'gone'", "back up", "FOREIGN KEY"),
    ("a deletion at no time", "UPDATE deleted_documents SET deleted_at = NULL", "list deleted", "deleted_at"),
    ("a deletion of bytes", "UPDATE deleted_documents SET deleted_at = x'00'", "list deleted", "deleted_at"),
    ("a deleted version that is text", "UPDATE deleted_documents SET version = 'x'", "restore", "version"),
    ("no examples of what is held back", "UPDATE held_back SET examples = '[]'", "status", "held_back.examples"),
    ("examples that are no JSON", "UPDATE held_back SET examples = '['", "status", "held_back.examples"),
    ("examples of half a character", """UPDATE held_back SET examples = '["\\ud800"]'""",
     "status as JSON", "held_back.examples"),
    ("held back in text", "UPDATE held_back SET documents = 'many'", "status", "held_back.documents"),
    ("held back for another reason", "UPDATE held_back SET reason = 'x'", "status", "held_back.reason"),
    ("a limit that is a command", "UPDATE held_back SET confirm_with = '1; rm'", "status", "held_back.confirm_with"),
    ("a source that is bytes", "UPDATE held_back SET source = x'2f'", "status", "held_back.source"),
    ("held back at no time", f"UPDATE held_back SET held_at = {NEVER}", "status as JSON", "held_back.held_at"),
]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "lake"
    template(folder)
    return folder


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "lake"))


@pytest.mark.parametrize(("change", "use", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_value_that_no_lake_has_is_refused_in_words(root: Path, change: str, use: str, message: str) -> None:
    with closing(sqlite3.connect(root / "catalog.sqlite", isolation_level=None)) as raw:
        assert raw.execute(change).rowcount
    with pytest.raises(LakeError, match=message):
        USES[use](Lake(root))


@pytest.mark.parametrize("use", ["sql", "publish anew", "restore"])
def test_a_part_whose_footer_is_broken_is_refused_in_words(root: Path, use: str) -> None:
    for part in (root / "data" / "documents").rglob("*.parquet"):
        content = bytearray(part.read_bytes())
        size = int.from_bytes(content[-8:-4], "little")
        content[-8 - size : -8] = b"\xff" * size
        part.write_bytes(content)
    with pytest.raises(LakeError, match="has a part that cannot be read"):
        USES[use](Lake(root))


@pytest.mark.parametrize("use", [*USES])
def test_the_lake_that_is_changed_is_good(root: Path, use: str) -> None:
    USES[use](Lake(root))
