"""Small files of the formats that programs write, made by hand, so that tests need none of these programs."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from xml.sax.saxutils import escape

PARAGRAPHS = (
    "The harbour froze in the winter of 1709, and the ships lay still.",
    "Naïve cafés — “quotes” & <tags> — stay as they are, as 東京 does.",
    "In spring the ice broke, with a noise like guns.",
)
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CORE = (
    f'{_XML}<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"><dc:title>On Harbours'
    "</dc:title><dc:creator>A. Author</dc:creator><dcterms:created>2020-01-01T00:00:00Z</dcterms:created>"
    "<dc:language>en-GB</dc:language></cp:coreProperties>"
)


def zipped(parts: Mapping[str, str | bytes], *, stored: Sequence[str] = ()) -> bytes:
    """Return a ZIP file of parts, the same bytes every time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in parts.items():
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(name), content, kind)
    return made.getvalue()


def relations(*targets: tuple[str, str, str]) -> str:
    """Return a part of relations: id, kind and target of each."""
    made = "".join(f'<Relationship Id="{i}" Type="{_RELATIONS}/{kind}" Target="{to}"/>' for i, kind, to in targets)
    space = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
    return f"{_XML}<Relationships {space}>{made}</Relationships>"


def office(main: str, content: str, more: Mapping[str, str]) -> bytes:
    """Return an Office file with its main part, and others."""
    return zipped(
        {
            "[Content_Types].xml": f'{_XML}<Types xmlns="types"/>',
            "_rels/.rels": relations(("r1", "officeDocument", main), ("r2", "core-properties", "docProps/core.xml")),
            "docProps/core.xml": _CORE,
            main: content,
            **more,
        }
    )


def docx(body: str | None = None, *, notes: str = "") -> bytes:
    """Return a document of Word: paragraphs, or what is given as the XML of its body."""
    if body is None:
        body = "".join(f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in PARAGRAPHS)
    more = {}
    if notes:
        more["word/_rels/document.xml.rels"] = relations(("r1", "footnotes", "footnotes.xml"))
        more["word/footnotes.xml"] = f"{_XML}<w:footnotes {_WORD}><w:footnote>{notes}</w:footnote></w:footnotes>"
    return office("word/document.xml", f"{_XML}<w:document {_WORD}><w:body>{body}</w:body></w:document>", more)


def pptx(slides: Sequence[str] = PARAGRAPHS, *, note: str = "Speak slowly.") -> bytes:
    """Return slides with a paragraph each, stored in the opposite of their order, and a note on the first."""
    space = f'xmlns:p="p" xmlns:a="a" xmlns:r="{_RELATIONS}"'

    def shape(text: str, name: str) -> str:
        field = '<a:p><a:fld type="slidenum"><a:t>7</a:t></a:fld></a:p>'
        return f"{_XML}<p:{name} {space}><a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p>{field}</p:{name}>"

    last = len(slides)
    ids = "".join(f'<p:sldId r:id="s{i}" id="{256 + i}"/>' for i in range(last))
    more = {f"ppt/slides/slide{last - i}.xml": shape(text, "sld") for i, text in enumerate(slides)}
    more["ppt/_rels/presentation.xml.rels"] = relations(
        *((f"s{i}", "slide", f"slides/slide{last - i}.xml") for i in range(last))
    )
    more[f"ppt/slides/_rels/slide{last}.xml.rels"] = relations(("n", "notesSlide", "../notesSlides/notes1.xml"))
    more["ppt/notesSlides/notes1.xml"] = shape(note, "notes")
    main = f"{_XML}<p:presentation {space}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
    return office("ppt/presentation.xml", main, more)


def xlsx(sheets: Mapping[str, str] | None = None) -> bytes:
    """Return a workbook of sheets, each given as the XML of its rows. Style 1 is a date, style 2 a time of its own."""
    if sheets is None:
        sheets = {
            "Ports": '<row><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><t>depth</t></is></c></row>'
            '<row><c r="A2" s="1"><v>45292</v></c><c r="B2"><v>12.50</v></c><c r="C2" t="b"><v>1</v></c></row>',
            "Nothing": "",
            "Notes & more": '<row><c t="str"><v>The harbour froze.</v></c></row>',
        }
    space = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{_RELATIONS}"'
    names = "".join(
        f'<sheet name="{escape(name)}" sheetId="{i}" r:id="s{i}"/>' for i, name in enumerate(sheets, start=1)
    )
    more = {
        f"xl/worksheets/sheet{i}.xml": f"{_XML}<worksheet {space}><sheetData>{rows}</sheetData></worksheet>"
        for i, rows in enumerate(sheets.values(), start=1)
    }
    more["xl/_rels/workbook.xml.rels"] = relations(
        *((f"s{i}", "worksheet", f"worksheets/sheet{i}.xml") for i in range(1, len(sheets) + 1)),
        ("strings", "sharedStrings", "sharedStrings.xml"),
        ("styles", "styles", "styles.xml"),
    )
    more["xl/sharedStrings.xml"] = f"{_XML}<sst {space}><si><r><t>na</t></r><r><t>me</t></r></si></sst>"
    more["xl/styles.xml"] = (
        f'{_XML}<styleSheet {space}><numFmts><numFmt numFmtId="164" formatCode="hh:mm"/></numFmts><cellXfs>'
        '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>'
    )
    return office("xl/workbook.xml", f"{_XML}<workbook {space}><sheets>{names}</sheets></workbook>", more)


def open_document(kind: str, body: str, **more: str) -> bytes:
    """Return an OpenDocument file of a kind, `text` and so on, with the XML of its body."""
    space = 'xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:draw="d" xmlns:dc="c" xmlns:meta="m"'
    content = f"<office:document-content {space}><office:body>{body}</office:body></office:document-content>"
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"{_XML}{content}",
            "meta.xml": f"{_XML}<office:document-meta {space}><office:meta><dc:title>On Harbours</dc:title>"
            "<meta:initial-creator>A. Author</meta:initial-creator></office:meta></office:document-meta>",
            **more,
        },
        stored=["mimetype"],
    )


def odt() -> bytes:
    """Return a text document."""
    return open_document("text", "".join(f"<text:p>{escape(text)}</text:p>" for text in PARAGRAPHS))


def epub(chapters: Sequence[str] = PARAGRAPHS, **more: str) -> bytes:
    """Return a book with a chapter a paragraph."""
    items = "".join(
        f'<item id="c{i}" href="text/c%20{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    package = (
        f'{_XML}<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>On Harbours</dc:title><dc:creator>A. Author</dc:creator><dc:language>en</dc:language></metadata>"
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'{_XML}<container><rootfile full-path="OEBPS/p.opf"/></container>',
            "OEBPS/p.opf": package,
            **{f"OEBPS/text/c {i}.xhtml": page(text) for i, text in enumerate(chapters)},
            **more,
        },
        stored=["mimetype"],
    )


def page(text: str) -> str:
    """Return a page of XHTML."""
    return (
        f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head><title>On Harbours</title>'
        f'<meta name="author" content="A. Author"/></head><body><nav><a href="/">Home</a></nav><p>{escape(text)}</p>'
        "<footer>Imprint</footer></body></html>"
    )


def pdf(pages: Sequence[str | bytes] = PARAGRAPHS, *, title: str = "On Harbours") -> bytes:
    """Return a PDF with a line of text a page, of characters that Windows-1252 has; others become question marks.

    Of a page in bytes these are what stands between the operators BT and ET.
    """
    objects: list[bytes] = []
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R /Lang (en-GB) >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    for i, text in enumerate(pages):
        content = zlib.compress(b"BT " + (_pdf_line(text) if isinstance(text, str) else text) + b" ET")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        stream = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(content)
        objects.append(stream + content + b"\nendstream")
    objects.append(f"<< /Title ({title}) /Author (A. Author) /CreationDate (D:20200101120000+01'00') >>".encode())
    return _pdf_of(objects)


def _pdf_line(text: str) -> bytes:
    line = text.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"/F1 9 Tf 20 700 Td (" + line + b") Tj"


def _pdf_of(objects: Sequence[bytes]) -> bytes:
    made = bytearray(b"%PDF-1.5\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    made += b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (len(objects) + 1, len(objects))
    return bytes(made + b"startxref\n%d\n%%%%EOF\n" % end)


def mail(text: str = PARAGRAPHS[1], *, html: bool = False, subject: str = "Die Häfen") -> bytes:
    """Return a message with an attachment, its text plain or in HTML."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "A. Author <a@example.org>", "b@example.org", subject
    message["Date"], message["Message-ID"] = "Wed, 01 Jan 2020 10:00:00 +0000", "<1@example.org>"
    message.set_content(f"<p>{escape(text)}</p>" if html else text, subtype="html" if html else "plain")
    message.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="table.csv")
    message.set_boundary("a-boundary")
    return message.as_bytes()


def mbox(*messages: bytes) -> bytes:
    """Return a mailbox."""
    return b"".join(b"From a@example.org Wed Jan  1 10:00:00 2020\n" + one.rstrip() + b"\n\n" for one in messages)


def notebook(*cells: tuple[str, str]) -> bytes:
    """Return a notebook of cells, each a kind and its source."""
    made = [
        {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
        | ({"outputs": [{"output_type": "stream", "text": ["printed"]}]} if kind == "code" else {})
        for kind, source in cells
    ]
    kernel = {"kernelspec": {"language": "python", "name": "python3"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": made}).encode()


def tei() -> bytes:
    """Return a text of TEI."""
    body = "".join(f"<p>{escape(text).replace('1709', '<date>1709</date>')}</p>" for text in PARAGRAPHS)
    return (
        f'{_XML}<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>On Harbours</title>'
        f"<author>A. Author</author></titleStmt></fileDesc></teiHeader><text><body>{body}</body></text></TEI>"
    ).encode()


def rtf() -> bytes:
    """Return a document of RTF."""

    def coded(text: str) -> str:
        return "".join(c if c < "\x80" else f"\\u{ord(c)}?" for c in text)

    body = "\\par ".join(map(coded, PARAGRAPHS))
    return f"{{\\rtf1\\ansi\\ansicpg1252{{\\info{{\\title On Harbours}}{{\\author A. Author}}}}{body}\\par}}".encode()


def latex(body: str = "") -> bytes:
    """Return a source of LaTeX with a head: of `body`, or of the paragraphs."""
    text = (
        body
        or r"""\section*{Ice}\label{sec:ice}
The harbour froze~\cite{lee}.\footnote{Early, \emph{too}.} In K\"oln, ``$x_i$'' --- \ours{} --- rose.
\[ E = \frac{m}{c^{2}} \]
\begin{tabular}{l|r} Port & Ships \\ \hline Kiel & 12 \end{tabular}
\begin{verbatim}
a % b
\end{verbatim}
\begin{itemize} \item[a] one \item two \end{itemize} \foo[x=1]{two} \verb|c|, \SI{3}{\kilo\metre}.
\iffalse no \else yes \fi \href{https://x.org}{a link} % a remark"""
    )
    head = r"\newcommand{\ours}[1][x]{our #1} \title{On Harbours} \author{A. Author} \date{1901}"
    return f"\\documentclass{{article}}\n{head}\n\\begin{{document}}\n\\maketitle\n{text}\n\\end{{document}}\n".encode()


def asciidoc(body: str = "") -> bytes:
    """Return a document of AsciiDoc with a header: of `body`, or with one block of each kind."""
    text = (
        body
        or """[[ice]]
== Ice

The *harbour* froze.footnote:[Early.] See <<ice,the start>>, https://x.org[a link] and {port}.

// no
[source,python]
----
a = b * c
----

* one +
more
Term:: said

|===
|Port |Ships
|===

Old
---"""
    )
    return f"= On Harbours\nA. Author <a@x.org>\nv1, 1901-02-03\n:port: Kiel\n\n{text}\n".encode()
