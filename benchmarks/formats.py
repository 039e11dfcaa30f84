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
import html
import importlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from polyseme.tasks.reading.formats import PARSERS
from polyseme.tasks.reading.parsing.parsed import ParseRequest
from tests import document_files as made

_CORPUS = Path(__file__).parent.parent / "examples" / "corpus"
_PER_PAGE, _PER_SECTION = 8, 50
_AHEAD = 100
_TYPED = re.compile("[&“”—–éü%$]")


def paragraphs(megabytes: float) -> list[str]:
    """Return the source, as paragraphs."""
    texts = [path.read_text("utf-8") for path in sorted(_CORPUS.glob("*.txt"))]
    known = [" ".join(part.split()) for text in texts for part in text.split("\n\n") if part.strip()]
    found, size = list[str](), 0
    while size < megabytes * 1e6:
        found.append(f"{len(found)}. {known[len(found) % len(known)]} & <{len(found)}> “end”")
        size += len(found[-1].encode())
    return found


def docx(source: list[str]) -> bytes:
    document = importlib.import_module("docx").Document()
    for text in source:
        document.add_paragraph(text)
    return _saved(document.save)


def pptx(source: list[str]) -> bytes:
    show = importlib.import_module("pptx").Presentation()
    for start in range(0, len(source), _PER_PAGE):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.placeholders[1].text = "\n".join(source[start : start + _PER_PAGE])
    return _saved(show.save)


def xlsx(source: list[str]) -> bytes:
    book = importlib.import_module("openpyxl").Workbook(write_only=True)
    sheet = book.create_sheet("Texts")
    for text in source:
        sheet.append([text])
    return _saved(book.save)


def odt(source: list[str]) -> bytes:
    document = importlib.import_module("odf.opendocument").OpenDocumentText()
    paragraph = importlib.import_module("odf.text").P
    for text in source:
        document.text.addElement(paragraph(text=text))
    return _saved(document.save)


def pdf(source: list[str]) -> bytes:
    flow = importlib.import_module("reportlab.platypus")
    style = importlib.import_module("reportlab.lib.styles").getSampleStyleSheet()["Normal"]
    out = io.BytesIO()
    flow.SimpleDocTemplate(out).build([flow.Paragraph(html.escape(text), style) for text in source])
    return out.getvalue()


def page(source: list[str]) -> bytes:
    """Return a page with navigation, lists, a sidebar and a footer around the source."""
    links = "".join(f'<li><a href="/{i}">Section {i}</a></li>' for i in range(30))
    body = "".join(
        f"<li>{html.escape(text)}</li>" if i % 5 == 4 else f'<p>{html.escape(text)} <a href="#{i}"></a></p>'
        for i, text in enumerate(source)
    )
    return (
        f"<!doctype html><html><head><title>T</title></head><body><header><a href='/'>Site</a></header><nav><ul>{links}"
        f"</ul></nav><main>{body}</main><aside>Read more</aside><footer>Imprint</footer></body></html>"
    ).encode()


def epub(source: list[str]) -> bytes:
    return made.epub(["\n".join(source[i : i + _PER_SECTION]) for i in range(0, len(source), _PER_SECTION)])


def mbox(source: list[str]) -> bytes:
    parts = (source[i : i + _PER_SECTION] for i in range(0, len(source), _PER_SECTION))
    return made.mbox(*(made.mail("\n\n".join(part)) for part in parts))


def tei(source: list[str]) -> bytes:
    body = "".join(f"<p>{html.escape(text)}</p>" for text in source)
    return f"<?xml version='1.0'?><TEI><text>{body}</text></TEI>".encode()


def rtf(source: list[str]) -> bytes:
    coded = ("".join(c if c < "\x80" else f"\\u{ord(c)}?" for c in text) for text in source)
    return ("{\\rtf1\\ansi " + "\\par ".join(coded) + "}").encode()


def ipynb(source: list[str]) -> bytes:
    return made.notebook(*(("markdown", text) for text in source))


def latex(source: list[str]) -> bytes:
    """Return sections with accents, quotes, notes and mathematics as they are typed in LaTeX."""
    typed = {
        "&": "\\&",
        "“": "``",
        "”": "''",
        "—": "---",
        "–": "--",
        "é": "\\'e",
        "ü": '\\"{u}',
        "%": "\\%",
        "$": "\\$",
    }
    coded = (_TYPED.sub(lambda found: typed[found[0]], text) for text in source)
    body = "\n\n".join(
        f"{text}~\\cite{{key{i}}} % remark" if i % 2 else f"\\emph{{{text}}}\\label{{l{i}}}"
        for i, text in enumerate(coded)
    )
    return f"\\documentclass{{article}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n".encode()


def asciidoc(source: list[str]) -> bytes:
    """Return list items, bold text and paragraphs with anchors and comments between them."""
    marked = (
        f"* {text}" if i % 3 == 1 else f"*{text}*" if i % 3 else f"[[a{i}]]\n// no\n{{empty}}{text}"
        for i, text in enumerate(source)
    )
    return ("= T\n:toc:\n\n" + "\n\n".join(marked)).encode()


def converted(kind: str, write: Callable[[list[str]], bytes]) -> Callable[[list[str]], bytes]:
    """Return a writer of what LibreOffice makes of a file: it has to be installed."""

    def writer(source: list[str]) -> bytes:
        with TemporaryDirectory() as folder:
            made_from = Path(folder) / f"made.{write.__name__}"
            made_from.write_bytes(write(source))
            command = ["soffice", "--headless", "--convert-to", kind, "--outdir", folder, str(made_from)]
            subprocess.run(command, capture_output=True, check=True)
            return made_from.with_suffix(f".{kind}").read_bytes()

    return writer


def _saved(save: Callable[[Any], None]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    "docx": docx, "pptx": pptx, "xlsx": xlsx, "odt": odt, "pdf": pdf, "html": page, "epub": epub, "mbox": mbox,
    "xml": tei, "rtf": rtf, "ipynb": ipynb,
    "tex": latex, "adoc": asciidoc,
    "doc": converted("doc", docx), "ppt": converted("ppt", pptx), "xls": converted("xls", xlsx),
}  # fmt: skip


def ours(suffix: str, data: bytes) -> str:
    module, function = PARSERS[f".{suffix}"].split(":")
    parse = getattr(importlib.import_module(f"polyseme.tasks.reading.parsing.{module}"), function)
    request = ParseRequest(suffix=f".{suffix}", data=data, most_bytes=1 << 30, seconds=600, megabytes=1 << 20)
    return "\n".join(parsed.text for parsed in parse(data, request))


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
                command = [sys.executable, "-m", "benchmarks.formats", *words]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"| {suffix} | {library} | {done.stderr.strip().splitlines()[-1][:100]} ||||")
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"| {suffix} | {library} | {found['recovered']:.4f} | {found['added']:.4f} "
                    f"| {found['mb_per_s']:.1f} | {found['peak_mb']} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
