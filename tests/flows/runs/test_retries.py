"""Retries: what may pass is tried again, what will fail in the same way is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from polyseme.flows.runs.retries import may_pass
from polyseme.storage.errors import LakeError, ModelError, PolysemeError, UsageError
from polyseme.tasks.engine import Cancelled


def retried(error: Exception) -> bool:
    return may_pass(None, None, SimpleNamespace(result=lambda raise_on_failure: error))


def caused_by(cause: Exception) -> PolysemeError:
    error = PolysemeError("cannot be written")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError("disk full"),
        LakeError("locked"),
        MemoryError(),
        RuntimeError("CUDA out of memory"),
        caused_by(OSError()),
    ],
)
def test_a_full_disk_a_lock_and_a_device_out_of_memory_are_tried_again(error: Exception) -> None:
    assert retried(error)


@pytest.mark.parametrize(
    "error",
    [UsageError("x"), ModelError("x"), PolysemeError("x"), ValueError("x"), Cancelled("x"), caused_by(KeyError())],
)
def test_what_will_fail_in_the_same_way_again_is_not(error: Exception) -> None:
    assert not retried(error)


def test_every_task_of_ours_has_the_policy() -> None:
    from polyseme.flows.adapt import prepare_text, train, write_model
    from polyseme.flows.runs.shard_tasks import commit_shard, encode_shard

    for task in (prepare_text, train, write_model, encode_shard, commit_shard):
        assert (task.retries, task.retry_condition_fn, task.retry_jitter_factor) == (2, may_pass, 0.5)
