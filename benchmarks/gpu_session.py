"""One command for a GPU machine that is there for minutes: `python -m benchmarks.gpu_session --minutes M --out DIR`.

A check of less than 60 s, the measurements of `benchmarks.gpu` with the most valuable first, then continued pretraining
of the embedded model until the minutes end. Every part runs in a child process, is bounded in time, and is on disk as
it ends: a crash, a hang or the loss of the machine costs one part. This process needs Python alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import gpu_wheels
from benchmarks.gpu_session_plan import CHECK, MEASUREMENTS, TRAIN, Plan, Record

EXIT_CHECK = 5
_ROOT = Path(__file__).resolve().parents[1]
_GRACE = 5.0
"""Seconds that a process may take to end after its limit, before it is killed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a session. Returns 0, 1 if a part failed or was stopped, 5 if the check found something wrong."""
    started = time.time()
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        plan = _plan(options, started)
    except (OSError, ValueError) as error:
        print(f"{options.train_json} cannot be read: {error}", file=sys.stderr)
        return EXIT_CHECK
    record = Record(options.out)
    record.content |= {"plan": json.loads(plan.to_json()), "wheels": _wheels(options)}
    for part in plan.parts:
        record.content["parts"].pop(part, None)
    record.write()
    measured = [part for part in plan.parts if part != TRAIN]
    for group in (measured, [TRAIN]) if len(measured) > 1 and TRAIN in plan.parts else (list(plan.parts),):
        if not _carry_out(plan, group):
            return EXIT_CHECK
    record = Record(options.out)
    record.content["seconds"] = round(time.time() - started, 1)
    record.write()
    parts = record.content["parts"]
    bad = [name for name, part in parts.items() if "failed" in part or "stopped" in part]
    print(f"\n{record.content['seconds']} seconds; {', '.join(bad) or 'no part'} failed. All figures: {record.path}")
    return int(bool(bad))


def _carry_out(plan: Plan, parts: list[str]) -> bool:
    """Run `parts` in a child process, and what is left of them in another one if it dies. False if the check failed."""
    left = list(parts)
    while left:
        _run(plan, left)
        record = Record(Path(plan.out))
        if CHECK in left and record.state(CHECK) != "ended":
            print(f"The check did not end. The last lines of {plan.out}/errors.txt:\n{_last_errors(plan)}")
            return False
        if CHECK in left and "failed" in record.content["parts"][CHECK]:
            return False
        left = [part for part in left if record.state(part) != "ended"]
        if left:
            # The first of them was running when the process died, or kept it from starting.
            lost = left.pop(0)
            found = record.content["parts"].get(lost, {}) | {"state": "ended", "stopped": _last_errors(plan)}
            record.put(lost, found)
            print(f"{lost}: stopped, see {plan.out}/errors.txt")
    return True


def _run(plan: Plan, parts: Sequence[str]) -> None:
    path = os.pathsep.join([str(_ROOT), str(Path(plan.work) / "wheels"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "benchmarks.gpu_session_worker", plan.to_json(), *parts]
    with (
        (Path(plan.out) / "errors.txt").open("ab") as errors,
        subprocess.Popen(command, stderr=errors, env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}) as worker,
    ):
        try:
            worker.wait(timeout=max(_GRACE, plan.end - time.time() + _GRACE))
        except BaseException as error:
            worker.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise


def _last_errors(plan: Plan, lines: int = 25) -> str:
    text = (Path(plan.out) / "errors.txt").read_text("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


def _wheels(options: argparse.Namespace) -> list[str]:
    """Unpack the wheels that were carried along and print a line on each."""
    if options.wheels is None or not options.wheels.is_dir():
        return ["no folder of wheels"]
    lines = gpu_wheels.unpack(options.wheels, options.work / "wheels")
    print("\n".join(lines), flush=True)
    return lines


def _plan(options: argparse.Namespace, started: float) -> Plan:
    parts = [p for chosen in options.parts for p in (MEASUREMENTS if chosen == "measure" else (chosen,))]
    parts = [CHECK, *(p for p in (*MEASUREMENTS, TRAIN) if p in parts)]
    seconds = {"reserve_seconds": options.reserve_seconds, "snapshot_seconds": options.snapshot_seconds}
    return Plan(
        out=str(options.out.resolve()), work=str(options.work.resolve()), started=started, minutes=options.minutes,
        parts=tuple(parts), device=options.device, tiny=options.tiny, model=options.model,
        texts=tuple(str(text.resolve()) for text in options.text), piece_mib=options.piece_mib,
        train_options={} if options.train_json is None else json.loads(options.train_json.read_text("utf-8")),
        **seconds,
    )  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_session", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--minutes", type=float, required=True, help="wall-clock minutes for everything")
    add("--out", type=Path, required=True, metavar="DIR", help="for figures, and the model in pieces")
    add(
        "--parts", nargs="+", choices=("measure", TRAIN, *MEASUREMENTS), default=["measure", TRAIN],
        help="measure is every measurement; the check always runs (default: measure train)",
    )  # fmt: skip
    add("--device", choices=("cuda", "mps", "cpu"), default="cuda")
    add("--tiny", action="store_true", help="toy sizes, to rehearse without a GPU; the figures mean nothing")
    add("--wheels", type=Path, default=_ROOT / "wheels", metavar="DIR", help="wheels carried along (default: wheels)")
    add("--model", metavar="DIR", help="the model to train (default: the embedded one)")
    add("--text", type=Path, nargs="+", default=[], metavar="FILE", help="text to train on; .xz is decompressed")
    add("--train-json", type=Path, metavar="FILE", help="fields of Adaptation: {'training': {…}, 'teacher': …}")
    add(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "polyseme-gpu-session", metavar="DIR",
        help="for prepared text and checkpoints; the same folder continues a training run (default: %(default)s)",
    )  # fmt: skip
    add("--reserve-seconds", type=float, default=60.0, help="kept at the end to write the model (default: 60)")
    add("--snapshot-seconds", type=float, default=120.0, help="between two copies of the model (default: 120)")
    add("--piece-mib", type=float, default=15.0, help="files of the result are smaller (default: 15)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
