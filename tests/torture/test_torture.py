"""A reduced torture: every promise under its fault, and a violation for every safeguard that is removed.

`make torture` runs the same with the full counts. Each mode is a process of its own, because it forks.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests import processes
from tests.repository import ROOT
from tests.torture.crowd_mutants import CROWD_MUTANTS

SAME_MACHINE = "skipped:"
BETWEEN_PARTS = ("--near", "open", "--often", "0.3")
"""A shard's next part is opened when its first is named already and not committed yet."""

pytestmark = pytest.mark.torture


def figures(script: str, *arguments: str) -> dict[str, Any]:
    """Run a mode and return what it printed."""
    done = processes.run(sys.executable, "-m", f"tests.torture.{script}", *arguments, check=False, cwd=ROOT)
    if SAME_MACHINE in done.stderr:
        pytest.skip(done.stderr.strip())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_writer_killed_at_any_call_leaves_exactly_what_was_acknowledged() -> None:
    found = figures("harness", "kill", "--count", "12")
    assert (found["kills"], found["violations"], found["first"]) == (12, 0, [])
    assert len(found["killed_before"]) > 4
    assert found["resumed"] > 0


def test_a_writer_killed_inside_a_commit_leaves_all_of_it_or_nothing() -> None:
    found = figures("harness", "commit", "--count", "8")
    assert (found["kills"], found["violations"], found["first"]) == (8, 0, [])
    assert found["calls_in_the_commit"] > 100, "parts are written, the catalog changed and small parts merged"


def test_power_lost_at_any_call_costs_nothing_that_was_acknowledged() -> None:
    found = figures("harness", "power", "--count", "40")
    assert (found["images"], found["violations"], found["first"]) == (40, 0, [])


def test_a_full_disk_is_reported_and_survived() -> None:
    found = figures("harness", "full", "--count", "8")
    assert (found["full"], found["violations"], found["first"]) == (8, 0, [])


def test_a_damaged_part_is_found_never_merged_and_encoded_again() -> None:
    found = figures("damage", "--count", "6")
    assert (found["damaged"], len(found["how"]), found["violations"], found["first"]) == (6, 6, 0, [])


def test_writers_maintenance_and_readers_do_not_disturb_each_other() -> None:
    found = figures("crowd", "--writers", "3", "--commits", "8")
    assert (found["violations"], found["first"]) == (0, [])
    assert found["backups"] > 1
    # Two of the writers were stopped across a vacuum, found their parts gone and wrote them again.
    assert found["refused_after_a_vacuum_and_retried"] > 0
    assert min(found["merges"], found["files_vacuumed"], found["reader_queries"], found["searches"]) > 0
    # Documents were described anew, and writers merged small parts after their commits.
    assert min(found["descriptions"], found["merges_of_writers"]["merged"]) > 0


@pytest.mark.parametrize("moments", [(), BETWEEN_PARTS], ids=["anywhere", "between-parts"])
def test_runs_that_copy_vectors_are_killed_amid_maintenance_and_end_with_the_lake_made_at_once(
    moments: tuple[str, ...],
) -> None:
    found = figures("reuse", "--count", "3", *moments)
    assert (found["kills"], found["violations"], found["first"]) == (3, 0, [])
    assert found["maintained"] > 3


def test_writers_that_copy_each_others_vectors_are_killed_and_leave_what_a_lake_made_at_once_has() -> None:
    found = figures("reuse_crowd", "--writers", "2", "--commits", "6")
    assert (found["violations"], found["first"]) == (0, [])
    assert min(found["killed"], found["merges"], found["reused_sentences"], found["reader_queries"]) > 0


def test_a_week_in_small_ends_with_the_lake_equal_to_the_folders() -> None:
    found = figures("week", "--runs", "16", "--served", "0", "--seed", "2")
    assert (found["violations"], found["first"]) == (0, [])
    assert min(found["killed"], found["unmounts"], found["held-back"], found["edits"]) > 0


def test_a_week_in_small_reveals_what_is_forgotten_hidden_stale_or_kept() -> None:
    found = figures("week", "--runs", "16", "--served", "0", "--seed", "2", "--mutant", "each")
    assert set(found) == {"forgets", "no-guard", "stale", "keeps"}
    assert all(found.values()), found


def test_embed_that_is_interrupted_at_any_moment_ends_within_seconds_and_leaves_nothing_behind() -> None:
    found = figures("interrupts", "--count", "3")
    assert (found["moments"], found["violations"], found["first"]) == (3, 0, [])


@pytest.mark.parametrize("mutant", ["no-fsync", "no-folder-fsync", "lazy-catalog"])
def test_power_loss_reveals_a_missing_sync(mutant: str) -> None:
    assert figures("harness", "power", "--count", "12", "--mutant", mutant)["violations"] > 0


def test_kills_reveal_a_commit_before_its_parts() -> None:
    assert figures("harness", "kill", "--count", "12", "--near", "part", "--mutant", "commit-first")["violations"] > 0


@pytest.mark.parametrize("mutant", ["old-parts-stay", "live-row-lost", "described-twice"])
def test_the_plan_reveals_rows_that_are_shown_twice_or_lost_in_a_merge(mutant: str) -> None:
    command = (sys.executable, "-m", "tests.torture.harness", "kill", "--count", "1", "--mutant", mutant)
    done = processes.run(*command, check=False, cwd=ROOT)
    if SAME_MACHINE in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode != 0
    assert "an undisturbed run is faulty" in done.stderr


@pytest.mark.parametrize("mutant", ["no-hash", "no-mark"])
def test_damage_reveals_a_missing_hash_check_and_a_missing_mark(mutant: str) -> None:
    assert figures("damage", "--count", "4", "--mutant", mutant)["violations"] > 0


@pytest.mark.parametrize("mutant", CROWD_MUTANTS[1:])
def test_a_crowd_reveals_which_safeguard_is_missing(mutant: str) -> None:
    assert figures("crowd", "--writers", "3", "--commits", "8", "--mutant", mutant)["violations"] > 0


@pytest.mark.parametrize("mutant", ["keys-ignore-text", "superseded-rows"])
def test_an_undisturbed_run_reveals_a_stale_vector(mutant: str) -> None:
    assert figures("reuse", "--count", "0", "--mutant", mutant)["violations"] > 0


@pytest.mark.parametrize(
    ("mutant", "moments"),
    [
        ("deleted-part-read", ("--often", "0.08")),
        ("deleted-part-committed", BETWEEN_PARTS),
        ("retired-part-merged", ("--often", "0.08")),
    ],
)
def test_maintenance_amid_a_run_reveals_the_use_of_a_deleted_part(mutant: str, moments: tuple[str, ...]) -> None:
    assert figures("reuse", "--count", "12", *moments, "--mutant", mutant)["violations"] > 0


def test_a_crowd_reveals_a_stale_vector() -> None:
    found = figures("reuse_crowd", "--writers", "2", "--commits", "6", "--mutant", "keys-ignore-text")
    assert found["violations"] > 0
