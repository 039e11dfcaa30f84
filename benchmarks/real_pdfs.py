"""How many words of real PDFs each library gives back, against the same document as text or HTML.

    apt-get download bash-doc debian-faq debian-policy debmake-doc developers-reference maint-guide
    for package in *.deb; do dpkg -x $package documents; done
    python -m benchmarks.real_pdfs documents

The pairs are manuals in Debian's packages, set by groff, TeX, XeTeX, Sphinx and DocBook. `recovered` is the share of
the source's words that come in order (the longest common subsequence); `added` the share of what came that is not the
source's: running heads, page numbers, a table of contents. What typesetting changes is no difference: ligatures, small
capitals, quotes, bullets, hyphens at line ends. Footnotes are at the end of a page in one and of the text in the other,
so that no library has all in order. Poppler's pdftotext is measured if it is installed. Each line is a process of its
own.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import subprocess
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.formats import by_kreuzberg, measured_apart, ours

PAIRS = {
    "groff": ("bash/bash.pdf", "bash/bash.html"),
    "texinfo": ("bash/bashref.pdf", "bash/bashref.html"),
    "DocBook, LaTeX": ("debian/FAQ/debian-faq.en.pdf.gz", "debian/FAQ/debian-faq.en.txt.gz"),
    "DocBook, XeTeX": ("debmake-doc/debmake-doc.en.pdf", "debmake-doc/debmake-doc.en.txt.gz"),
    "German": ("debmake-doc/debmake-doc.de.pdf", "debmake-doc/debmake-doc.de.txt.gz"),
    "Russian": ("debmake-doc/debmake-doc.ru.pdf", "debmake-doc/debmake-doc.ru.txt.gz"),
    "Japanese": ("debmake-doc/debmake-doc.ja.pdf", "debmake-doc/debmake-doc.ja.txt.gz"),
    "Sphinx": ("debian-policy/policy.pdf.gz", "debian-policy/policy.txt.gz"),
    "Sphinx, lists": ("developers-reference.pdf", "developers-reference.txt.gz"),
    "DocBook, guide": ("maint-guide/maint-guide.en.pdf", "maint-guide/maint-guide.en.txt.gz"),
}
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def words(text: str) -> list[str]:
    """Return the letters and digits of a text, as words; a CJK character is one."""
    text = unicodedata.normalize("NFKC", text.replace("\xad\n", "").replace("\xad", "")).casefold()
    return _WORD.findall(re.sub(r"(?<=\w)-\n\s*(?=\w)", "", text).replace("_", " "))


def in_order(wanted: list[str], got: list[str]) -> int:
    """Return the length of the longest common subsequence (Hyyrö 2004: bit i stands for `got[i]`)."""
    places: dict[str, int] = {}
    for i, word in enumerate(got):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(got)) - 1
    row = full
    for word in wanted:
        taken = row & places.get(word, 0)
        row = ((row + taken) | (row - taken)) & full
    return len(got) - row.bit_count()


def by_poppler(_: str, data: bytes) -> str:
    """Return what pdftotext gives, in the order of reading, without page breaks."""
    done = subprocess.run(["pdftotext", "-nopgbrk", "-", "-"], input=data, capture_output=True, check=True)
    return done.stdout.decode()


LIBRARIES: dict[str, Callable[[str, bytes], str]] = {
    "polyseme": ours, "kreuzberg": by_kreuzberg, "poppler": by_poppler,
}  # fmt: skip


def measure(folder: Path, pair: str, library: str) -> dict[str, float]:
    """Parse one file in this process; return what is printed of it."""
    data, source = (_read(folder, name) for name in PAIRS[pair])
    text = ours("html", source) if ".html" in PAIRS[pair][1] else source.decode()
    began, children = time.process_time(), _children()
    found = LIBRARIES[library]("pdf", data)
    seconds = time.process_time() - began + _children() - children
    wanted, got = words(text), words(found)
    matched = in_order(wanted, got)
    return {
        "words": len(wanted), "recovered": matched / len(wanted), "added": 1 - matched / len(got),
        "in_any_order": (Counter(wanted) & Counter(got)).total() / len(wanted),
        "mb_per_s": len(found.encode()) / 1e6 / seconds,
    }  # fmt: skip


def _read(folder: Path, name: str) -> bytes:
    path = next(path for path in sorted(folder.rglob(Path(name).name)) if path.match(name) and path.is_file())
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each document and library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the packages were unpacked")
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.folder, *given.one)))
        return
    print("| set by | library | words | recovered | in any order | added | MB/s |\n|---|---|---|---|---|---|---|")
    for pair in given.only:
        for library in LIBRARIES:
            found = measured_apart("benchmarks.real_pdfs", str(given.folder), "--one", pair, library)
            if isinstance(found, str):
                print(f"| {pair} | {library} | {found} |||||")
                continue
            print(
                f"| {pair} | {library} | {found['words']:,} | {found['recovered']:.4f} | {found['in_any_order']:.4f} "
                f"| {found['added']:.4f} | {found['mb_per_s']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
