"""The output blocks of the guides, refreshed: each command and snippet runs on the lake of the example corpus.

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
PAGES = [ROOT / "docs" / name for name in ("concepts.md", "bench.md", "gallery.md")]
SHOWN = re.compile(r"(```console\n\$ ([^\n]+)\n)((?!\$ ).+?)(?=```)", re.DOTALL)
SNIPPET = re.compile(r"(```python\n([^`]+)```\n\n```text\n)(.+?)(?=```)", re.DOTALL)


def main() -> None:
    """Rewrite the pages."""
    with tempfile.TemporaryDirectory() as folder:
        runpy.run_path(str(ROOT / "examples" / "tutorial.py"))["embed"](Path(folder) / "lake")
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        for page in PAGES:
            refresh(page, Path(folder))


def refresh(page: Path, folder: Path) -> None:
    """Rewrite a page with what its commands and snippets print in a folder that has the lake."""
    text = SHOWN.sub(lambda found: found[1] + printed(words(found[2]), folder), page.read_text("utf-8"))
    page.write_text(SNIPPET.sub(lambda found: found[1] + printed(["-c", found[2]], folder), text), "utf-8")


def words(command: str) -> list[str]:
    """Return what Python is to run for a command of a page."""
    name, *arguments = shlex.split(command)
    return [str(ROOT / arguments[0]), *arguments[1:]] if name == "python" else ["-m", "polyseme", *arguments]


def printed(program: list[str], folder: Path) -> str:
    """Return the output of a program of Python, without blanks at the ends of lines."""
    print(" ".join(program)[:100].replace("\n", " "), file=sys.stderr)  # noqa: T201
    done = subprocess.run(
        [sys.executable, *program], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines) + "\n"


if __name__ == "__main__":
    main()
