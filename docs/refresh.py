"""The output blocks of docs/concepts.md, refreshed: each command runs on the lake of the example corpus.

    python docs/refresh.py

For when the embedded model or the output of a command has changed. Makes the lake in a temporary folder first. What the
prose says about the numbers has to be checked by hand.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "concepts.md"
SHOWN = re.compile(r"(```console\n\$ ([^\n]+)\n)(.+?)(?=```)", re.DOTALL)


def main() -> None:
    """Rewrite the page."""
    with tempfile.TemporaryDirectory() as folder:
        runpy.run_path(str(ROOT / "examples" / "tutorial.py"))["embed"](Path(folder) / "lake")
        text = SHOWN.sub(lambda found: found[1] + printed(found[2], Path(folder)), PAGE.read_text("utf-8"))
    PAGE.write_text(text, "utf-8")


def printed(command: str, folder: Path) -> str:
    """Return the output of `command` in a folder that has the lake, without blanks at the ends of lines."""
    name, *arguments = shlex.split(command)
    program = [str(ROOT / arguments.pop(0))] if name == "python" else ["-m", "polyseme"]
    print(command[:100], file=sys.stderr)  # noqa: T201
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines) + "\n"


if __name__ == "__main__":
    main()
