"""Documents of programs: one text a file, with what it states of itself and where its pages start."""

from __future__ import annotations

import bz2
import gzip
import io
import json
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing import mail
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from tests import document_files as made
from tests.document_files import PARAGRAPHS
from tests.extras import require

JOINED = "\n\n".join(PARAGRAPHS)


def read(folder: Path, name: str, content: bytes, **options: int) -> list[Document | Reject]:
    path = folder / name
    path.write_bytes(content)
    return list(read_file(path, path.as_uri(), ReadOptions(**options)))  # type: ignore[arg-type]


def document(folder: Path, name: str, content: bytes) -> Document:
    (found,) = read(folder, name, content)
    assert isinstance(found, Document), found
    assert found.doc_id == found.uri == (folder / name).as_uri()
    return found


def code(folder: Path, name: str, content: bytes, **options: int) -> str:
    (found,) = read(folder, name, content, **options)
    assert isinstance(found, Reject)
    return found.code


def starts(found: Document, name: str) -> list[str]:
    """Return what stands at each of the places that the metadata names."""
    places = json.loads(found.metadata)[name]
    return [found.text[a:b].strip() for a, b in zip(places, [*places[1:], None], strict=True)]


@pytest.mark.parametrize(
    ("name", "content"), [("a.docx", made.docx()), ("a.odt", made.odt()), ("a.xml", made.tei()), ("a.tei", made.tei())]
)
def test_flowing_text_is_one_document_with_its_title_and_author(tmp_path: Path, name: str, content: bytes) -> None:
    found = document(tmp_path, name, content)
    assert found.text == JOINED
    assert found.title == "On Harbours"
    assert json.loads(found.metadata)["author"] == "A. Author"


def test_what_a_reader_of_word_does_not_see_is_left_out(tmp_path: Path) -> None:
    body = (
        '<w:p><w:pPr><w:pStyle w:val="x"/></w:pPr><w:r><w:t xml:space="preserve">The ice </w:t></w:r>'
        "<w:del><w:r><w:delText>melted</w:delText></w:r></w:del><w:ins><w:r><w:t>broke</w:t></w:r></w:ins>"
        "<w:r><w:instrText>PAGE</w:instrText><w:tab/><w:t>late.</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>"
        "</w:tbl><w:p><w:r><w:t>Beside</w:t></w:r><w:r><mc:AlternateContent xmlns:mc='mc'><mc:Choice><w:txbxContent>"
        "<w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent></mc:Choice><mc:Fallback><w:p><w:r><w:t>In a box."
        "</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    found = document(tmp_path, "a.docx", made.docx(body, notes="<w:p><w:r><w:t>A note.</w:t></w:r></w:p>"))
    assert found.text == "The ice broke\tlate.\n\na\tb\n\nIn a box.\n\nBeside\n\nA note."


def test_slides_come_in_the_order_of_the_show_with_their_notes(tmp_path: Path) -> None:
    found = document(tmp_path, "a.pptx", made.pptx())
    assert starts(found, "slides") == [f"{PARAGRAPHS[0]}\n\nSpeak slowly.", *PARAGRAPHS[1:]]


def test_slides_of_open_document_too(tmp_path: Path) -> None:
    pages = "".join(f"<draw:page><text:p>{text}</text:p></draw:page>" for text in ("One", "Two"))
    found = document(tmp_path, "a.odp", made.open_document("presentation", pages))
    assert starts(found, "slides") == ["One", "Two"]


def test_a_sheet_is_a_document_of_its_own(tmp_path: Path) -> None:
    ports, notes = read(tmp_path, "a.xlsx", made.xlsx())
    assert isinstance(ports, Document)
    assert isinstance(notes, Document)
    assert ports.text == "name\t\tdepth\n2024-01-01\t12.50\tTRUE"
    assert (ports.locator, ports.title) == ("sheet Ports", "On Harbours: Ports")
    assert notes.doc_id == f"{notes.uri}#sheet=Notes%20%26%20more"
    assert json.loads(notes.metadata)["sheet"] == "Notes & more"


def test_times_and_dates_that_are_none_are_shown_as_they_are(tmp_path: Path) -> None:
    rows = '<row><c s="2"><v>0.5</v></c><c s="1"><v>45292.75</v></c><c s="1"><v>-3</v></c><c s="9"><v>7</v></c></row>'
    (found,) = read(tmp_path, "a.xlsx", made.xlsx({"S": rows}))
    assert isinstance(found, Document)
    assert found.text == "12:00:00\t2024-01-01T18:00:00\t-3\t7"


def test_sheets_of_open_document_too(tmp_path: Path) -> None:
    row = (
        '<table:table-row><table:table-cell table:number-columns-repeated="2"><text:p>a</text:p></table:table-cell>'
        '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
    )
    body = f'<table:table table:name="S">{row}{row}</table:table><table:table table:name="Empty"/>'
    (found,) = read(tmp_path, "a.ods", made.open_document("spreadsheet", body))
    assert isinstance(found, Document)
    assert (found.text, found.locator) == ("a\ta\na\ta", "sheet S")


def test_open_document_keeps_its_spaces_and_drops_what_was_deleted(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:deletion><text:p>gone</text:p></text:deletion></text:tracked-changes>"
        '<text:p>The\n   ice<text:s text:c="2"/>broke<text:tab/><text:span>late</text:span><text:note>'
        "<text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body>"
        "</text:note>."
        "<office:annotation><text:p>A comment.</text:p></office:annotation></text:p>"
    )
    assert document(tmp_path, "a.odt", made.open_document("text", body)).text == "A note.\n\nThe ice  broke\tlate."


def test_a_message_has_its_subject_for_title_and_its_headers_as_metadata(tmp_path: Path) -> None:
    found = document(tmp_path, "a.eml", made.mail())
    assert (found.text, found.title) == (PARAGRAPHS[1], "Die Häfen")
    assert json.loads(found.metadata) == {
        "attachments": ["table.csv"], "date": "Wed, 01 Jan 2020 10:00:00 +0000",
        "from": '"A. Author" <a@example.org>', "message_id": "<1@example.org>", "to": "b@example.org",
    }  # fmt: skip


def test_a_message_of_a_mailbox_is_a_document_of_its_own(tmp_path: Path) -> None:
    mailbox = made.mbox(made.mail("One."), made.mail(">From here\n\n>From there on."), made.mail("Three."))
    found = read(tmp_path, "a.mbox", mailbox)
    assert [item.locator for item in found] == ["message 1", "message 2", "message 3"]
    assert [item.text for item in found if isinstance(item, Document)] == [
        "One.", "From here\n\nFrom there on.", "Three.",
    ]  # fmt: skip
    assert found[1].doc_id == f"{found[1].uri}#message=2"


def test_a_message_without_a_text_is_a_reject_of_its_own(tmp_path: Path) -> None:
    one, two, three = read(tmp_path, "a.mbox", made.mbox(made.mail("One."), made.mail(""), made.mail("Three.")))
    assert isinstance(one, Document)
    assert isinstance(three, Document)
    assert isinstance(two, Reject)
    assert (two.code, two.locator, two.doc_id) == ("empty-text", "message 2", f"{two.uri}#message=2")


def test_a_notebook_is_its_text_and_its_code_not_what_it_printed(tmp_path: Path) -> None:
    found = document(tmp_path, "a.ipynb", made.notebook(("markdown", "# Ice"), ("code", "melt()\n"), ("raw", "")))
    assert starts(found, "cells") == ["# Ice", "melt()", ""]
    assert json.loads(found.metadata)["programming_language"] == "python"
    assert found.title == "a"


@pytest.mark.extra
def test_pages_of_a_pdf_start_where_the_metadata_say(tmp_path: Path) -> None:
    require("pypdfium2", "documents")
    found = document(tmp_path, "a.pdf", made.pdf(["The harbour froze.", "", "Ships lay still."]))
    assert starts(found, "pages") == ["The harbour froze.", "", "Ships lay still."]
    assert found.title == "On Harbours"
    stated = json.loads(found.metadata)
    assert (stated["author"], stated["created"], stated["language"]) == (
        "A. Author", "2020-01-01T12:00:00+01:00", "en-GB",
    )  # fmt: skip


@pytest.mark.extra
def test_a_pdf_of_pictures_says_so(tmp_path: Path) -> None:
    require("pypdfium2", "documents")
    assert code(tmp_path, "scan.pdf", made.pdf(["", ""])) == "no-text-layer"


@pytest.mark.extra
def test_a_damaged_pdf_is_refused(tmp_path: Path) -> None:
    require("pypdfium2", "documents")
    assert code(tmp_path, "a.pdf", made.pdf()[:60]) == "corrupt"


@pytest.mark.extra
def test_a_page_is_read_without_what_it_marks_as_navigation(tmp_path: Path) -> None:
    require("resiliparse", "documents")
    found = document(tmp_path, "a.html", made.page(PARAGRAPHS[1]).encode())
    assert found.text == PARAGRAPHS[1]
    assert found.title == "On Harbours"
    assert json.loads(found.metadata) == {"author": "A. Author", "language": "en"}


@pytest.mark.extra
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "koi8-r", "shift_jis"])
def test_a_page_is_decoded_as_it_declares(tmp_path: Path, encoding: str) -> None:
    require("resiliparse", "documents")
    word = {"koi8-r": "гавань", "shift_jis": "東京"}.get(encoding, "café")
    content = f'<html><head><meta charset="{encoding}"></head><body><p>The word {word}.</p></body></html>'
    assert document(tmp_path, "a.html", content.encode(encoding)).text == f"The word {word}."


@pytest.mark.extra
def test_chapters_of_a_book_come_in_its_order(tmp_path: Path) -> None:
    require("resiliparse", "documents")
    found = document(tmp_path, "a.epub", made.epub())
    assert starts(found, "chapters") == list(PARAGRAPHS)
    assert (found.title, json.loads(found.metadata)["language"]) == ("On Harbours", "en")


@pytest.mark.extra
def test_a_message_in_html_alone_is_read(tmp_path: Path) -> None:
    require("resiliparse", "documents")
    assert document(tmp_path, "a.eml", made.mail(html=True)).text == PARAGRAPHS[1]


@pytest.mark.extra
def test_rtf_is_read(tmp_path: Path) -> None:
    require("kreuzberg", "documents")
    found = document(tmp_path, "a.rtf", made.rtf())
    assert found.text.split() == JOINED.split()
    assert found.title == "On Harbours"


@pytest.mark.parametrize(("suffix", "squeezed"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_document_is_read(tmp_path: Path, suffix: str, squeezed: object) -> None:
    assert document(tmp_path, f"a.docx{suffix}", squeezed(made.docx())).text == JOINED  # type: ignore[operator]


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.odt", "a.ipynb", "a.xml", "a.mbox"])
def test_a_damaged_file_is_one_reject(tmp_path: Path, name: str) -> None:
    contents = {
        "a.docx": made.docx()[:400], "a.pptx": made.pptx()[:900], "a.xlsx": made.xlsx()[:300],
        "a.odt": made.odt()[:200], "a.ipynb": b'{"cells": [', "a.xml": made.tei()[:-20], "a.mbox": b"\0\1\2",
    }  # fmt: skip
    assert code(tmp_path, name, contents[name]) in ("corrupt", "wrong-format")


def test_files_with_a_password_say_so(tmp_path: Path) -> None:
    encrypted = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(64)
    assert code(tmp_path, "a.docx", ole) == "encrypted"
    locked = made.open_document("text", "<text:p>x</text:p>", **{"META-INF/manifest.xml": encrypted})
    assert code(tmp_path, "a.odt", locked) == "encrypted"


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = "<!DOCTYPE a [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><a>&b;</a>"
    assert code(tmp_path, "a.xml", f'<?xml version="1.0"?>{bomb}'.encode()) == "corrupt"


def test_xml_in_an_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    assert code(tmp_path, "a.xml", b'<?xml version="1.0" encoding="UTF-99"?><a>x</a>') == "corrupt"


def test_an_empty_file_and_a_document_without_text_are_rejects(tmp_path: Path) -> None:
    assert code(tmp_path, "a.docx", b"") == "empty-file"
    assert code(tmp_path, "a.docx", made.docx("<w:p/>")) == "empty-text"
    assert code(tmp_path, "a.xlsx", made.xlsx({"S": ""})) == "empty-text"


def test_a_document_above_the_limit_is_refused(tmp_path: Path) -> None:
    assert code(tmp_path, "a.docx", made.docx(), max_document_bytes=100) == "document-too-large"
    assert code(tmp_path, "a.xlsx", made.xlsx(), max_document_bytes=10) == "document-too-large"


def test_a_file_is_read_as_what_it_is_whatever_its_name_says(tmp_path: Path) -> None:
    assert document(tmp_path, "a.txt", made.docx()).text == JOINED
    assert document(tmp_path, "b.pptx", made.docx()).text == JOINED
    assert document(tmp_path, "c.md", gzip.compress(b"The ice broke.")).text == "The ice broke."
    assert len(read(tmp_path, "d.eml", made.mbox(made.mail(), made.mail()))) == 2
    assert code(tmp_path, "e.docx", b"It is plain text, which nobody made with a program.\n") == "wrong-format"
    (member,) = read(tmp_path, "f.csv", made.zipped({"a.txt": "x"}))
    assert member.uri.endswith("/f.csv!/a.txt")


@pytest.mark.parametrize(
    ("name", "title"), [("page.xml", "page"), ("README", "README"), ("a.htm", "a"), ("İ.html", "İ")]
)
@pytest.mark.extra
def test_a_title_from_the_name_is_that_of_the_file_whatever_it_is_read_as(
    tmp_path: Path, name: str, title: str
) -> None:
    require("resiliparse", "documents")
    content = b"<!doctype html><html><body><p>The harbour froze in the winter of 1709.</p></body></html>"
    assert document(tmp_path, name, content).title == title


def test_markup_in_a_text_file_stays_text(tmp_path: Path) -> None:
    assert document(tmp_path, "a.txt", b"<!doctype html><p>The ice.").text == "<!doctype html><p>The ice."


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.reading.formats.find_spec", lambda package: None)
    (found,) = read(tmp_path, "a.pdf", made.pdf())
    assert isinstance(found, Reject)
    assert found.code == "missing-extra"
    assert "pip install 'polyseme[documents]'" in found.message


def test_messages_that_are_html_alone_need_its_package_and_the_others_of_their_mailbox_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail, "missing_package", lambda suffix: "resiliparse")
    request = ParseRequest(suffix=".mbox", most_bytes=1 << 20, seconds=10, megabytes=100)
    refused, plain = mail.parse_mbox(made.mbox(made.mail(html=True), made.mail()), request)
    assert isinstance(refused, RefusedError)
    assert isinstance(plain, Parsed)
    assert (refused.code, refused.part) == ("missing-extra", ("message", "1"))
    assert "pip install 'polyseme[documents]'" in refused.message
    assert plain.part == ("message", "2")


def test_files_of_a_folder_come_in_order_however_long_each_takes(tmp_path: Path) -> None:
    long = "".join(f"<w:p><w:r><w:t>{'The harbour froze. ' * 50}</w:t></w:r></w:p>" for _ in range(2000))
    contents = {"a.docx": made.docx(long), "b.txt": b"Text.", "c.docx": made.docx(), "d.xlsx": made.xlsx(),
                "e.docx": b"PK\3\4", "f.odt": made.odt(), "g.jsonl": b'{"text": "A line."}'}  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = list(read_sources(resolve([str(tmp_path)]), ReadOptions(), stdin=io.BytesIO()))
    assert [item.uri.rpartition("/")[2] for item in found] == [
        "a.docx", "b.txt", "c.docx", "d.xlsx", "d.xlsx", "e.docx", "f.odt", "g.jsonl",
    ]  # fmt: skip
    assert [item.uri.rpartition("/")[2] for item in found if isinstance(item, Reject)] == ["e.docx"]
