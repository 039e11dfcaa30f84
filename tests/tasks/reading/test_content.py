"""What a file is by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile
from email.message import EmailMessage

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.reading.content import HEAD_BYTES, format_of_content, has_signature

TEXT = b"The harbour froze in the winter of 1709, and the ships lay still.\n"


TEXTS = {".txt", ".html", ".xml", ".mbox", ".eml", ".jsonl", ".json", ".ipynb", ".tex"}


def zipped(*names: str, first: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for number, name in enumerate(names):
            file.writestr(zipfile.ZipInfo(name), first if number == 0 else b"<x/>")
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        member = tarfile.TarInfo("a.txt")
        member.size = len(TEXT)
        file.addfile(member, io.BytesIO(TEXT))
    return made.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "The harbour"
    message["Message-ID"] = "<1@example.org>"
    message.set_content(TEXT.decode())
    return message.as_bytes()


def ole(stream: str) -> bytes:
    return bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + stream.encode("utf-16-le") + bytes(64)


CONTENTS = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\n1 0 obj", (".pdf", "")),
    "pdf behind junk": (b"\0\0junk\n%PDF-1.4\n", (".pdf", "")),
    "rtf": (b"{\\rtf1\\ansi The harbour}", (".rtf", "")),
    "docx": (zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"), (".docx", "")),
    "pptx": (zipped("[Content_Types].xml", "_rels/.rels", "ppt/presentation.xml"), (".pptx", "")),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), (".xlsx", "")),
    "epub": (zipped("mimetype", "META-INF/container.xml", first=b"application/epub+zip"), (".epub", "")),
    "odt": (zipped("mimetype", first=b"application/vnd.oasis.opendocument.text"), (".odt", "")),
    "a template of odt": (zipped("mimetype", first=b"application/vnd.oasis.opendocument.text-template"), (".odt", "")),
    "zip": (zipped("a.txt", "word/b.txt"), (".zip", "")),
    "empty zip": (zipped(), (".zip", "")),
    "tar": (tarred(), (".tar", "")),
    "tar.gz": (gzip.compress(tarred()), (".tar", ".gz")),
    "tar.xz": (lzma.compress(tarred()), (".tar", ".xz")),
    "txt.gz": (gzip.compress(TEXT), (".txt", ".gz")),
    "txt.bz2": (bz2.compress(TEXT), (".txt", ".bz2")),
    "txt.zst": (zstandard.compress(TEXT), (".txt", ".zst")),
    "gzip of data": (gzip.compress(bytes(range(256)) * 9), None),
    "damaged gzip": (b"\x1f\x8b\x08" + b"\xff" * 40, None),
    "parquet": (b"PAR1\x15\x04", (".parquet", "")),
    "warc": (b"WARC/1.1\r\nWARC-Type: warcinfo\r\n", (".warc", "")),
    "warc.gz": (gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\n"), (".warc", ".gz")),
    "msg": (ole("__substg1.0_0037001F"), (".msg", "")),
    "doc": (ole("WordDocument"), (".doc", "")),
    "ole of another kind": (ole("Catalog"), None),
    "html": (b"\xef\xbb\xbf\n<!-- saved --><!DOCTYPE HTML PUBLIC '-//W3C'>\n<title>", (".html", "")),
    "html in UTF-16": ("<!doctype html><p>The harbour".encode("utf-16"), (".html", "")),
    "xhtml": (b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">', (".html", "")),
    "latex": (b"% a remark\n\n\\RequirePackage{a}\n\\documentclass[a4paper]{article}", (".tex", "")),
    "text that speaks of LaTeX": (b"The line \\documentclass{article} begins it.", (".txt", "")),
    "xml": (b'<?xml version="1.0"?>\n<TEI xmlns="http://www.tei-c.org/ns/1.0">', (".xml", "")),
    "mbox": (b"From a@example.org Thu Jan  1 00:00:00 1970\n" + mail(), (".mbox", "")),
    "eml": (mail(), (".eml", "")),
    "eml in CRLF": (mail().replace(b"\n", b"\r\n"), (".eml", "")),
    "a letter": (b"From: the harbour master\nTo: the ships\nDate: in winter\n\n" + TEXT, (".txt", "")),
    "From the beginning": (b"From the sea came fog: it stayed.\nSo it was: cold.\n", (".txt", "")),
    "json lines": (b'{"text": "The harbour froze."}\n{"text": "It thawed."}\n', (".jsonl", "")),
    "an object": (b'{\n  "text": "The harbour froze."\n}\n', (".json", "")),
    "an array": (b'[\n {"text": "The harbour froze."}]', (".json", "")),
    "a citation": (b"[1] The harbour froze.\n", (".txt", "")),
    "notebook": (b'{\n "cells": [\n  {\n   "cell_type": "markdown",', (".ipynb", "")),
    "text": (TEXT, (".txt", "")),
    "text in UTF-16": (TEXT.decode().encode("utf-16"), (".txt", "")),
    "text in UTF-16 without a mark": (TEXT.decode().encode("utf-16-le"), (".txt", "")),
    "text in Windows-1252": ("Das Café im Hafen ist für alle Gäste geöffnet.\n".encode("cp1252"), (".txt", "")),
    "text about PDF": (b"A file begins with %PDF-1.4, as the standard says.\n", (".txt", "")),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), None),
    "elf": (b"\x7fELF\x02\x01\x01" + bytes(64), None),
    "a few bytes of control": (b"\x01\x02\x03\x04\x05 ab", None),
    "nothing": (b"", None),
}  # fmt: skip


@pytest.mark.parametrize("what", CONTENTS)
def test_what_a_file_is_shows_in_its_first_bytes(what: str) -> None:
    content, expected = CONTENTS[what]
    assert format_of_content(content[:HEAD_BYTES]) == expected


def test_a_character_that_the_end_of_the_head_cuts_leaves_text_text() -> None:
    head = ("x" + "é" * HEAD_BYTES).encode()[:HEAD_BYTES]
    assert head[-1:] == b"\xc3"
    assert format_of_content(head) == (".txt", "")


def test_the_name_decides_what_the_beginning_leaves_open() -> None:
    late = zipped("[Content_Types].xml", "docProps/app.xml")
    assert format_of_content(late, "Budget.XLSX") == (".xlsx", "")
    assert format_of_content(late, "budget.pdf") == (".zip", "")
    assert format_of_content(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "letter.msg") == (".msg", "")


def test_a_signature_is_of_what_is_no_text() -> None:
    signed = {what for what, (content, _) in CONTENTS.items() if has_signature(content)}
    unsigned = {what for what, (_, found) in CONTENTS.items() if found is None or (found[0] in TEXTS and not found[1])}
    assert "pdf" in signed
    assert "tar" in signed
    assert not {what for what in unsigned & signed if CONTENTS[what][1] is not None}


@pytest.mark.parametrize(
    "unit", [b"<!---->", b"From a b\na:b\n", b"a:b\n c\n", b"PK\x03\x04", b" ", b'{ "', b"<?xml >"]
)
def test_no_beginning_takes_long(unit: bytes) -> None:
    began = time.process_time()
    format_of_content((unit * HEAD_BYTES)[:HEAD_BYTES])
    assert time.process_time() - began < 1


@given(st.sampled_from([content for content, _ in CONTENTS.values()]), st.binary(max_size=40), st.integers(0, 400))
def test_any_bytes_have_an_answer(content: bytes, edit: bytes, at: int) -> None:
    format_of_content(content[:at] + edit + content[at + len(edit) :])
    format_of_content(content[:at])
