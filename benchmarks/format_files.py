"""One text as a file of each format that Polyseme reads, written by the usual programs and libraries (extra bench)."""

from __future__ import annotations

import html
import importlib
import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests import document_files as made

_PER_PAGE, _PER_SECTION = 8, 50
_TYPED = re.compile("[&“”—–éü%$]")


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


def warc(source: list[str]) -> bytes:
    """Return a web archive with a page for each section, as a crawler keeps what a server answered."""
    pages = (page(source[i : i + _PER_SECTION]) for i in range(0, len(source), _PER_SECTION))
    lines = (
        "WARC/1.0", "WARC-Type: response", "WARC-Target-URI: https://example.org/{}", "WARC-Date: 2026-01-02T03:04:05Z",
        "WARC-Record-ID: <urn:uuid:{:032x}>", "Content-Type: application/http; msgtype=response", "Content-Length: {}",
    )  # fmt: skip
    head = "\r\n".join((*lines, "", ""))
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    return b"".join(
        head.format(n, n, len(answer + content)).encode() + answer + content + b"\r\n\r\n"
        for n, content in enumerate(pages)
    )


WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    "docx": docx, "pptx": pptx, "xlsx": xlsx, "odt": odt, "pdf": pdf, "html": page, "epub": epub, "mbox": mbox,
    "xml": tei, "rtf": rtf, "ipynb": ipynb,
    "tex": latex, "adoc": asciidoc, "warc": warc,
    "doc": converted("doc", docx), "ppt": converted("ppt", pptx), "xls": converted("xls", xlsx),
}  # fmt: skip
