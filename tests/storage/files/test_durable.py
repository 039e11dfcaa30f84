"""Durable files: whole under their name or not there, and on disk once the call has returned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.storage.files import durable


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record what is synced and renamed, in order."""
    seen: list[tuple[str, str]] = []
    sync, replace, rename = durable.sync, Path.replace, Path.rename
    monkeypatch.setattr(durable, "sync", lambda path: (seen.append(("sync", path.name)), sync(path))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (seen.append(("rename", path.name)), replace(path, to))[1])
    monkeypatch.setattr(Path, "rename", lambda path, to: (seen.append(("rename", path.name)), rename(path, to))[1])
    return seen


def test_a_small_file_is_synced_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    (tmp_path / "card.md").write_text("old")
    durable.write_atomically(tmp_path / "card.md", "né")
    assert (tmp_path / "card.md").read_text("utf-8") == "né"
    assert calls == [("sync", ".card.md.tmp"), ("rename", ".card.md.tmp"), ("sync", tmp_path.name)]
    assert os.listdir(tmp_path) == ["card.md"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "card.md").write_text("old")
    monkeypatch.setattr(durable, "sync", full)
    with pytest.raises(PolysemeError, match="Make room"):
        durable.write_atomically(tmp_path / "card.md", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("card.md", "old")]


def test_a_folder_is_synced_with_its_files_before_it_replaces_the_old_one(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    for name, text in (("step", "old"), (".step.tmp", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(text)
    durable.replace_folder(tmp_path / ".step.tmp", tmp_path / "step")
    assert (tmp_path / "step" / "weights").read_text() == "new"
    assert calls == [("sync", "weights"), ("sync", ".step.tmp"), ("rename", ".step.tmp"), ("sync", tmp_path.name)]


def test_the_names_of_new_folders_are_synced_in_their_parents(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    assert set(calls) == {("sync", tmp_path.name), ("sync", "a")}
    calls.clear()
    durable.make_folder(tmp_path / "a" / "b")
    assert calls == []
