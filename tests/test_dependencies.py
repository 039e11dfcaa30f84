"""Dependencies: one exact version of each, one list of its files, and an audit that never passes by not asking."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from tests.repository import ROOT


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HASHES, AUDIT = script("hashes"), script("audit")
KNOWN = HASHES.hashes(HASHES.HASHED.read_text("utf-8"))


def installed(name: str, **archive: Any) -> dict[str, Any]:
    info = {"url": f"https://index.invalid/{name}-1.whl", **archive}
    return {"install": [{"metadata": {"name": name, "version": "1"}, "download_info": info}]}


def test_every_pinned_version_has_hashes_and_no_other() -> None:
    pinned = HASHES.pins(HASHES.CONSTRAINTS.read_text("utf-8"))
    assert HASHES.pins(HASHES.HASHED.read_text("utf-8")) == pinned
    assert set(KNOWN) == set(pinned)
    assert all(KNOWN.values())


def test_a_package_whose_file_is_not_known_is_refused() -> None:
    good = next(iter(KNOWN["duckdb"]))
    assert HASHES.strangers(installed("DuckDB", archive_info={"hashes": {"sha256": good}}), KNOWN) == []
    assert HASHES.strangers(installed("duckdb", archive_info={"hash": f"sha256={good}"}), KNOWN) == []
    for report in (
        installed("duckdb", archive_info={"hashes": {"sha256": "0" * 64}}),
        installed("duckdb", archive_info={}),
        installed("no-such-package", archive_info={"hashes": {"sha256": good}}),
    ):
        assert len(HASHES.strangers(report, KNOWN)) == 1
    assert HASHES.strangers(installed("polyseme", dir_info={"editable": True}), KNOWN) == []


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (None, 0, "could not be asked for"),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 0, "could not be asked for"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0, "none in 1 packages."),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}]},
            0,
            "none in 1 packages; 1 could not be asked for",
        ),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]},
            1,
            "a 1: X-1, mended in 2",
        ),
    ],
)
def test_the_audit_says_what_is_known_and_what_was_not_asked(found: Any, code: int, said: str) -> None:
    given, lines = AUDIT.verdict(found)
    assert given == code
    assert said in "\n".join(lines)
