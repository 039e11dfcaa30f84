"""How much of a known text each format's parser gives back, how fast, and in how much memory; and other libraries'.

    python -m benchmarks.formats                       # every format whose writer is installed
    python -m benchmarks.formats --only pdf docx --megabytes 2

The source is the text of the example corpus, again and again, a number in each paragraph. Office, PDF and OpenDocument
files are written by python-docx, python-pptx, openpyxl, reportlab and odfpy (of the extra bench), `.doc`, `.ppt` and
`.xls` by LibreOffice, the others by hand. `recovered` is the share of the source's characters, white space aside, that
come back in order; `added` the share of what came back that is not the source's. Each line is a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.format_files import WRITERS
from polyseme.storage.records import Document
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.formats import PARSERS, WEB_ARCHIVES
from polyseme.tasks.reading.parsing.parsed import ParseRequest
from polyseme.tasks.reading.readers import read_file

_CORPUS = Path(__file__).parent.parent / "examples" / "corpus"
_AHEAD = 100


def paragraphs(megabytes: float) -> list[str]:
    """Return the source, as paragraphs."""
    texts = [path.read_text("utf-8") for path in sorted(_CORPUS.glob("*.txt"))]
    known = [" ".join(part.split()) for text in texts for part in text.split("\n\n") if part.strip()]
    found, size = list[str](), 0
    while size < megabytes * 1e6:
        found.append(f"{len(found)}. {known[len(found) % len(known)]} & <{len(found)}> “end”")
        size += len(found[-1].encode())
    return found


def ours(suffix: str, data: bytes) -> str:
    if f".{suffix}" in WEB_ARCHIVES:
        return _read(suffix, data)
    module, function = PARSERS[f".{suffix}"].split(":")
    parse = getattr(importlib.import_module(f"polyseme.tasks.reading.parsing.{module}"), function)
    request = ParseRequest(suffix=f".{suffix}", data=data, most_bytes=1 << 30, seconds=600, megabytes=1 << 20)
    return "\n".join(parsed.text for parsed in parse(data, request))


def _read(suffix: str, data: bytes) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(data)
        found = read_file(path, path.as_uri(), ReadOptions())
        return "\n".join(one.text for one in found if isinstance(one, Document))


def by_kreuzberg(suffix: str, data: bytes) -> str:
    kreuzberg = importlib.import_module("kreuzberg")
    one = kreuzberg.ConcurrencyConfig(max_threads=1)
    config = kreuzberg.ExtractionConfig(use_cache=False, enable_quality_processing=False, concurrency=one)
    kind = kreuzberg.detect_mime_type(data)
    kind = {
        "html": "text/html",
        "xml": "application/xml",
        "ipynb": "application/x-ipynb+json",
        "tex": "application/x-latex",
    }.get(suffix, kind)
    return str(kreuzberg.extract_bytes_sync(data, kind, config).content)


def by_pylatexenc(_: str, data: bytes) -> str:
    found = importlib.import_module("pylatexenc.latex2text").LatexNodes2Text(math_mode="verbatim")
    return str(found.latex_to_text(data.decode()))


def main_content_by_resiliparse(_: str, data: bytes) -> str:
    extract = importlib.import_module("resiliparse.extract.html2text").extract_plain_text
    return str(extract(data.decode(), main_content=True, alt_texts=False))


LIBRARIES: dict[str, tuple[Callable[[str, bytes], str], tuple[str, ...]]] = {
    "polyseme": (ours, tuple(WRITERS)),
    "kreuzberg": (by_kreuzberg, ("docx", "pptx", "xlsx", "odt", "pdf", "html", "xml", "ipynb", "tex")),
    "pylatexenc": (by_pylatexenc, ("tex",)),
    "resiliparse, main content": (main_content_by_resiliparse, ("html",)),
}


def measure(suffix: str, library: str, megabytes: float) -> dict[str, object]:
    """Parse one file in this process; return what is printed of it."""
    source = paragraphs(megabytes)
    data = WRITERS[suffix](source)
    small = WRITERS[suffix](source[:20])
    parse = LIBRARIES[library][0]
    parse(suffix, small)  # imports
    before = _peak()
    began = time.process_time()
    found = parse(suffix, data)
    seconds = time.process_time() - began
    wanted, got = " ".join(source).split(), found.split()
    matched = in_order(wanted, got)
    return {
        "recovered": matched / sum(map(len, wanted)), "added": 1 - matched / max(sum(map(len, got)), 1),
        "mb_per_s": len(" ".join(source).encode()) / 1e6 / seconds, "peak_mb": max(_peak() - before, 0),
    }  # fmt: skip


def measured_apart(module: str, *arguments: str) -> dict[str, Any] | str:
    """Return what a benchmark prints as JSON in a process of its own, or the last line of its error."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:100]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_order(wanted: list[str], got: list[str]) -> int:
    """Return how many characters of the wanted words come in order, each looked for among the next of what came."""
    at = matched = 0
    for word in wanted:
        try:
            at = got.index(word, at, at + _AHEAD) + 1
            matched += len(word)
        except ValueError:
            continue
    return matched


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def main() -> None:
    """Print a line for each format and library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=WRITERS, default=list(WRITERS))
    parser.add_argument("--megabytes", type=float, default=0.5, help="of source text")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one, given.megabytes)))
        return
    print("| format | library | recovered | added | MB/s | MB of memory |\n|---|---|---|---|---|---|")
    for suffix in given.only:
        for library, (_, formats) in LIBRARIES.items():
            if suffix in formats:
                words = ("--one", suffix, library, "--megabytes", str(given.megabytes))
                found = measured_apart("benchmarks.formats", *words)
                if isinstance(found, str):
                    print(f"| {suffix} | {library} | {found} ||||")
                    continue
                print(
                    f"| {suffix} | {library} | {found['recovered']:.4f} | {found['added']:.4f} "
                    f"| {found['mb_per_s']:.1f} | {found['peak_mb']} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
