"""The process that carries out parts of a session: `python -m benchmarks.gpu_session_worker PLAN PART…`.

Each part has a limit after which a watchdog thread of C, which no hanging kernel can hold up, writes where every thread
is and ends the process. What was measured until then is on disk.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_session_plan import CHECK, TRAIN, Plan, Record

if TYPE_CHECKING:
    import torch

    from benchmarks.gpu_setting import Setting
    from polyseme.storage.records import Precision

_FAILED = "failed"


def main(arguments: Sequence[str]) -> int:
    """Run the parts in order. A failed check ends the process."""
    plan, parts = Plan.from_json(arguments[0]), arguments[1:]
    logging.basicConfig(level=logging.ERROR)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    record = Record(Path(plan.out))
    with tempfile.TemporaryDirectory(prefix="polyseme-gpu-", dir=plan.work) as scratch:
        session = _Session(plan, record, Path(scratch))
        for part in parts:
            found = _bounded(plan, record, part, session.work_of(part))
            if part == CHECK and _FAILED in found:
                return 1
    return 0


def _bounded(plan: Plan, record: Record, part: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run one part within its limit and return what it found, which is also in the record."""
    if (limit := plan.limit(part)) is None:
        found: dict[str, Any] = {"state": "ended", "not measured": "no time was left"}
    else:
        record.put(part, {"state": "running"})
        faulthandler.dump_traceback_later(limit, exit=True)
        begun = time.time()
        try:
            found = work()
        except Exception as error:
            logging.getLogger(__name__).exception("%s failed", part)
            found = record.content["parts"][part] | {"failed": f"{type(error).__name__}: {error}"}
            print(f"  failed: {found['failed']}", flush=True)
        faulthandler.cancel_dump_traceback_later()
        found |= {"state": "ended", "seconds": round(time.time() - begun, 1)}
    record.put(part, found)
    return found


class _Session:
    """The parts of one process. They share the setting of the measurements, with its models."""

    def __init__(self, plan: Plan, record: Record, scratch: Path) -> None:
        self._plan, self._record, self._scratch = plan, record, scratch
        self._made: Setting | None = None

    def work_of(self, part: str) -> Callable[[], dict[str, Any]]:
        """Return the function that carries out `part`. Imports happen in it, so that the limit covers them."""
        return {CHECK: self._check, TRAIN: self._train}.get(part, lambda: self._measure(part))

    def _check(self) -> dict[str, Any]:
        from benchmarks.gpu_session_check import checked

        print("Check", flush=True)
        found = checked(self._plan, self._scratch, lambda found: self._put(CHECK, found))
        if _FAILED not in found:
            self._describe()
        return found

    def _measure(self, part: str) -> dict[str, Any]:
        from benchmarks import gpu

        title, measurement = gpu.PARTS[part]
        print(f"\n{title}", flush=True)
        return gpu.measured(measurement, self._setting, lambda found: self._put(part, found))

    def _train(self) -> dict[str, Any]:
        from benchmarks.gpu_session_training import train

        print("\nContinued pretraining", flush=True)
        self._made = None
        return train(self._plan, lambda found: self._put(TRAIN, found))

    def _put(self, part: str, found: dict[str, Any]) -> None:
        self._record.put(part, found | {"state": "running"})

    @property
    def _setting(self) -> Setting:
        from benchmarks.gpu_setting import Setting

        if self._made is None:
            device, precision = self._describe()
            self._made = Setting(device, precision, self._plan.tiny, self._plan.seconds, self._scratch)
        return self._made

    def _describe(self) -> tuple[torch.device, Precision]:
        """Return device and precision, and put the machine into the record."""
        from benchmarks.gpu import machine
        from polyseme.tasks.model.devices import resolve_device

        device, precision = resolve_device(self._plan.device, "auto")  # type: ignore[arg-type]
        self._record.content |= {"machine": machine(device), "precision": precision}
        return device, precision


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
