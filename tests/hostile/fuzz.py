"""Fuzzers of what strangers write: names, catalogs, events, and the bytes of files.

python -m tests.hostile.fuzz --seconds 600                        # all four, 150 s each
python -m tests.hostile.fuzz --what catalogs --seconds 60 --seed 7   # prints what it did as JSON; 1 if it found a fault

A seed gives the same cases every time. It is printed first, because a fault may end the process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
import tempfile
from pathlib import Path

from tests.hostile import fuzz_readers, fuzzing

WHAT = ("names", "catalogs", "events", "readers")


def fuzz(what: str, *, seconds: float, seed: int) -> dict[str, object]:
    """Fuzz one kind of input; return what was done, with the faults under `broken`."""
    if what == "readers":
        with tempfile.TemporaryDirectory() as folder:
            return fuzz_readers.fuzz(seconds, seed, Path(folder))
    with importlib.import_module(f"tests.hostile.fuzz_{what}").promise() as promise:
        return fuzzing.fuzz(promise, seconds=seconds, first=seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=list(WHAT))
    parser.add_argument("--seconds", type=float, default=600.0, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="a number; by default a random one")
    given = parser.parse_args()
    print(f"--seed {given.seed}", file=sys.stderr, flush=True)  # noqa: T201
    broken = False
    for what in given.what:
        found = fuzz(what, seconds=given.seconds / len(given.what), seed=given.seed)
        print(json.dumps({"what": what, **found}), flush=True)  # noqa: T201
        broken = broken or bool(found["broken"])
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
