"""The tree of modules, from the first line of each docstring.

python docs/tree.py            # print it
python docs/tree.py --write    # put it into docs/architecture.md
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from printed import DOCS, run

ROOT = DOCS.parent
PAGE = DOCS / "architecture.md"
_WIDTH = 120


def tree() -> str:
    """Return the tree as a code block: each folder with its room's docstring, then the folder's modules."""
    return "```\n" + "\n\n".join("\n".join(section(folder)) for folder in folders()) + "\n```\n"


def folders() -> Iterator[Path]:
    """Yield every package, each before the rooms inside it. `polyseme/` itself holds links to the other three."""
    yield ROOT / "polyseme"
    for top in ("flows", "tasks", "storage"):
        yield from sorted(init.parent for init in (ROOT / top).rglob("__init__.py"))


def section(folder: Path) -> Iterator[str]:
    """Yield the lines of one folder."""
    name = f"{folder.relative_to(ROOT).as_posix()}/"
    yield f"{name}  {fitted(summary(folder / '__init__.py'), _WIDTH - len(name) - 2)}"
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    column = max((len(path.name) for path in modules), default=0)
    for path in modules:
        yield f"  {path.name:{column}}  {fitted(summary(path), _WIDTH - column - 4)}"


def summary(path: Path) -> str:
    """Return the first sentence of a module's docstring, as far as its first line goes."""
    line = (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]
    return re.split(r"\.(?:\s|$)", line, maxsplit=1)[0]


def fitted(text: str, width: int) -> str:
    """Return `text`, or as many of its clauses as fit."""
    if len(text) <= width:
        return text
    *_, cut = re.finditer(r"[,;:] ", text[: width - 1])
    return f"{text[: cut.start()]} …"


if __name__ == "__main__":
    run(PAGE, tree, description=__doc__)
