"""The docstrings of Python's standard library as a corpus: JSON lines to standard output, one module a document.

    python examples/docstrings.py > docstrings.jsonl

An English corpus that every Python installation has: docs/training.md continues pretraining on it for five minutes.
Modules are parsed, never imported. Each docstring of two sentences or more becomes one paragraph; code, lists, tables
and signatures are left out. The order is that of the modules' names, so the same Python writes the same corpus.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

_NOT_THE_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_SENTENCE_ENDS = re.compile(r"[a-z)\]'\"`][.?!](?=\s|$)")
_DRAWN = re.compile(r"\s*[-=~^*#]{3,}\s*|\s*[\w.]+\(.*\)\s*(->.*|:)?|.* -- .*")
_LEAST_CHARACTERS = 200


def main() -> None:
    """Write the documents to standard output, and their number and size to standard error."""
    count = characters = 0
    for name, text in documents(Path(sysconfig.get_path("stdlib"))):
        sys.stdout.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
        count, characters = count + 1, characters + len(text)
    print(f"{count} modules, {characters / 1e6:.2f} million characters", file=sys.stderr)


def documents(library: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the modules below `library` that have enough of it; no paragraph comes twice."""
    seen: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library)
        if not _NOT_THE_LIBRARY.isdisjoint(place.parts):
            continue
        fresh = [text for text in dict.fromkeys(paragraphs(path)) if text not in seen]
        seen.update(fresh)
        if sum(map(len, fresh)) >= _LEAST_CHARACTERS:
            yield ".".join(place.with_suffix("").parts).removesuffix(".__init__"), "\n\n".join(fresh)


def paragraphs(path: Path) -> Iterator[str]:
    """Yield the prose of a module's docstrings."""
    try:
        with warnings.catch_warnings(action="ignore"):  # such as an invalid escape: its author's to fix
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template, not a module
        return
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := prose(ast.get_docstring(node, clean=False) or "")):
            yield text


def prose(docstring: str) -> str:
    """Return a docstring's sentences on one line; empty if there are fewer than two."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    text = " ".join(" ".join(block.split()) for block in blocks if _is_prose(block))
    return text if len(_SENTENCE_ENDS.findall(text)) > 1 else ""


def _is_prose(block: str) -> bool:
    """True for sentences; code, lists, tables and headings are indented, drawn, or do not end like a sentence."""
    lines = block.splitlines()
    return (
        not any(line.startswith((" ", "\t", ">>>", "...", "-", "*", "|", "@", ":")) for line in lines)
        and not any(_DRAWN.fullmatch(line) for line in lines)
        and _SENTENCE_ENDS.search(block.rstrip()[-2:]) is not None
    )


if __name__ == "__main__":
    main()
