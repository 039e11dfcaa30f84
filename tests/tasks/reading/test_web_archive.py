"""Web archives: each page a document, everything else counted or refused, and nothing else lost when one is damaged."""

from __future__ import annotations

import gzip
import io
import json
import resource
import struct
import zlib
from pathlib import Path

import pytest
import zstandard

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading import readers
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.skipped import NOT_A_PAGE, NOT_TEXT, Skipped

stream_io = pytest.importorskip("fastwarc.stream_io")
pytest.importorskip("resiliparse")
pytestmark = pytest.mark.extra

PAGE = "<html><head><title>Häfen</title></head><body><nav>Start</nav><p>Die Fähre fuhr ab.</p></body></html>"


def record(kind: str, content: bytes, url: str = "https://example.org/a", type_: str = "application/http") -> bytes:
    lines = [
        "WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: {url}", "WARC-Date: 2026-01-02T03:04:05Z",
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>", f"Content-Type: {type_}",
        f"Content-Length: {len(content)}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + content + b"\r\n\r\n"


def answer(content: bytes, type_: str = "text/html", status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {type_}\r\n{more}\r\n".encode() + content


def page(text: str) -> bytes:
    return record("response", answer(f"<p>{text}".encode()), f"https://example.org/{text[:3]}")


INFO = record("warcinfo", b"software: a crawler\r\n", type_="application/warc-fields")


def read(folder: Path, content: bytes, name: str = "a.warc", **options: int) -> list[Document | Reject | Skipped]:
    path = folder / name
    path.write_bytes(content)
    return list(read_file(path, "file:///" + name, ReadOptions(**options)))  # type: ignore[arg-type]


def test_a_page_is_a_document_with_what_the_archive_says_of_it(tmp_path: Path) -> None:
    (found,) = read(tmp_path, INFO + record("response", answer(PAGE.encode())))
    assert isinstance(found, Document)
    assert (found.text, found.title) == ("Die Fähre fuhr ab.", "Häfen")
    assert (found.uri, found.doc_id, found.locator) == ("file:///a.warc", "file:///a.warc#1", "record 1")
    assert json.loads(found.metadata) == {
        "url": "https://example.org/a", "date": "2026-01-02T03:04:05Z", "content_type": "text/html",
        "record_id": "<urn:uuid:00000000-0000-0000-0000-000000000001>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "type_", "more"),
    [
        (PAGE.encode("latin-1"), "text/html; charset=iso-8859-1", ""),
        (gzip.compress(PAGE.encode()), "text/html", "Content-Encoding: gzip\r\n"),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE.encode()), PAGE.encode()), "text/html", "Transfer-Encoding: chunked\r\n"),
        ("Die Fähre fuhr ab.".encode("latin-1"), "text/plain; charset=iso-8859-1", ""),
    ],
    ids=["charset", "gzip", "chunked", "plain"],
)
def test_a_page_is_read_as_its_server_sent_it(tmp_path: Path, content: bytes, type_: str, more: str) -> None:
    (found,) = read(tmp_path, record("response", answer(content, type_, more=more)))
    assert isinstance(found, Document)
    assert found.text == "Die Fähre fuhr ab."


def test_the_texts_of_wet_files_are_documents_in_their_order(tmp_path: Path) -> None:
    texts = [f"Text {n}. Ende." for n in range(40)]
    content = b"".join(gzip.compress(record("conversion", text.encode(), type_="text/plain")) for text in texts)
    found = read(tmp_path, content, "a.wet.gz")
    assert [item.text for item in found if isinstance(item, Document)] == texts


def test_pages_come_in_their_order_however_long_each_takes(tmp_path: Path) -> None:
    texts = ["word " * (20_000 if n % 7 == 0 else 1) + str(n) for n in range(30)]
    found = read(tmp_path, b"".join(map(page, texts)))
    assert [item.text for item in found if isinstance(item, Document)] == texts


def test_what_is_no_text_and_what_is_no_page_is_counted(tmp_path: Path) -> None:
    image = record("response", answer(b"\x89PNG", "image/png"), "https://example.org/logo.png?v=2")
    gone = record("response", answer(b"<p>Not found.", status="404 Not Found"), "https://example.org/gone")
    asked = record("request", b"GET / HTTP/1.1\r\n\r\n")
    found = read(tmp_path, image + asked + page("Good.") + gone + record("response", b"no answer"))
    assert [item for item in found if isinstance(item, Skipped)] == [
        Skipped("file:///a.warc!/https%3A//example.org/logo.png", NOT_TEXT),
        Skipped("file:///a.warc!/https%3A//example.org/gone", NOT_A_PAGE),
        Skipped("file:///a.warc!/https%3A//example.org/a", NOT_A_PAGE),
    ]
    assert [item.text for item in found if isinstance(item, Document)] == ["Good."]


@pytest.mark.parametrize("cut", [5, 60, 200])
def test_an_archive_that_ends_early_is_told_and_what_is_whole_is_kept(tmp_path: Path, cut: int) -> None:
    found = read(tmp_path, page("Good.") + page("Lost.")[:-cut])
    assert isinstance(found[0], Document)
    assert found[0].text == "Good."
    assert [getattr(item, "code", None) for item in found[1:]] == ["truncated"]


def frames(*records: bytes, suffix: str, dictionary: bytes = b"") -> bytes:
    """Compress each record by itself, as crawlers do."""
    if suffix == ".gz":
        return b"".join(map(gzip.compress, records))
    data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    return b"".join(zstandard.ZstdCompressor(dict_data=data).compress(record) for record in records)


def told(found: list[Document | Reject | Skipped]) -> list[str]:
    """Return texts, and the codes of rejects with their place."""
    return [f"{i.code} {i.locator}".strip() if isinstance(i, Reject) else getattr(i, "text", "") for i in found]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [1, 9, 40])
def test_pages_before_the_end_of_a_cut_archive_are_kept_when_each_is_compressed_by_itself(
    tmp_path: Path, suffix: str, cut: int
) -> None:
    content = frames(INFO, page("one"), page("two"), page("three " * 40), suffix=suffix)
    one, two, *last, end = told(read(tmp_path, content[:-cut], f"a.warc{suffix}"))
    assert (one, two, end) == ("one", "two", "truncated")
    assert last in ([], ["truncated record 3"], [("three " * 40).strip()])  # of gzip all may be there but the checksum


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [30, 150, 250])
def test_a_record_that_ends_early_in_its_frame_takes_nothing_of_the_next(tmp_path: Path, suffix: str, cut: int) -> None:
    content = frames(INFO, page("one"), page("two")[:-cut], page("three"), page("four"), suffix=suffix)
    found = told(read(tmp_path, content, f"a.warc{suffix}"))
    assert found == ["one", "truncated record 2", "three", "four"]


def test_damage_in_one_frame_costs_no_other(tmp_path: Path) -> None:
    content = frames(page("one"), b"WARC/ no record " * 99, page("two"), suffix=".zst")
    assert told(read(tmp_path, content, "a.warc.zst")) == ["one", "two", "corrupt"]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
def test_a_zstd_archive_with_its_dictionary_in_the_first_frame_is_read(tmp_path: Path, packed: bool) -> None:
    samples = [page(f"page {n} " + f"the heron stood in the reeds {n} " * 20) for n in range(200)]
    dictionary = zstandard.train_dictionary(2000, samples).as_bytes()
    content = frames(INFO, page("one"), page("two"), suffix=".zst", dictionary=dictionary)
    held = zstandard.compress(dictionary) if packed else dictionary
    first = struct.pack("<II", 0x184D2A5D, len(held)) + held
    assert told(read(tmp_path, first + content, "a.warc.zst")) == ["one", "two"]
    assert told(read(tmp_path, (first + content)[:-9], "a.warc.zst")) == ["one", "truncated"]
    assert told(read(tmp_path, first[:-9], "a.warc.zst")) == ["truncated"]
    (refused,) = read(tmp_path, content, "a.warc.zst")
    assert isinstance(refused, Reject)
    assert "needs a dictionary that is not in it" in refused.message


def test_skippable_frames_of_any_kind_are_skipped(tmp_path: Path) -> None:
    kinds = [struct.pack("<II", magic, 5) + b"hello" for magic in (0x184D2A5D, 0x184D2A50)]
    pages = [frames(page(text), suffix=".zst") for text in ("one", "two")]
    content = kinds[0] + pages[0] + kinds[1] + pages[1] + kinds[1]
    assert told(read(tmp_path, content, "a.warc.zst")) == ["one", "two"]


def test_a_dictionary_that_expands_without_end_is_refused(tmp_path: Path) -> None:
    held = zstandard.compress(bytes(64 << 20))
    content = struct.pack("<II", 0x184D2A5D, len(held)) + held + frames(page("one"), suffix=".zst")
    assert told(read(tmp_path, content, "a.warc.zst")) == ["decompression-bomb"]


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (b"\0\1" + gzip.compress(PAGE.encode()), "Content-Encoding: gzip\r\n"),
        (b"zz\r\n" + PAGE.encode(), "Transfer-Encoding: chunked\r\n"),
        (PAGE.encode(), "Transfer-Encoding: odd\r\n"),
    ],
    ids=["damaged", "chunks", "unknown"],
)
def test_a_page_that_is_not_coded_as_it_says_is_one_reject(tmp_path: Path, content: bytes, more: str) -> None:
    bad = record("response", answer(content, more=more))
    found = read(tmp_path, page("one") + bad + page("two"))
    assert [item.text if isinstance(item, Document) else item.code for item in found] == ["one", "corrupt", "two"]  # type: ignore[union-attr]


def test_pages_before_damage_are_kept(tmp_path: Path) -> None:
    pages = [page(f"page {n}") for n in range(3)]
    *kept, last = read(tmp_path, b"".join(pages) + b"no record " * 999)
    assert [item.text for item in kept if isinstance(item, Document)] == ["page 0", "page 1", "page 2"]
    assert isinstance(last, Reject)
    assert last.code == "corrupt"


@pytest.mark.parametrize("length", ["\x1c1", "\xb2", "9" * 5000, "-1", "+1", "1_0", ""])
def test_a_length_that_is_no_number_is_a_reject(tmp_path: Path, length: str) -> None:
    odd = record("resource", b"x", type_="text/plain").replace(b"Length: 1", b"Length: " + length.encode("latin-1"))
    found = read(tmp_path, page("one") + odd)
    assert isinstance(found[0], Document)
    assert isinstance(found[1], Reject)
    assert found[1].code in ("truncated", "document-too-large")


@pytest.mark.parametrize(
    ("content", "code"), [(b"no archive\n" * 20, "corrupt"), (INFO, "empty-file"), (b"", "empty-file")]
)
def test_what_is_no_archive_is_one_reject(tmp_path: Path, content: bytes, code: str) -> None:
    (found,) = read(tmp_path, content)
    assert isinstance(found, Reject)
    assert (found.code, found.locator) == (code, "")


def test_a_record_beyond_the_limits_is_one_reject(tmp_path: Path) -> None:
    bomb = record("response", answer(gzip.compress(b"a " * (33 << 20)), more="Content-Encoding: gzip\r\n"))
    found = read(
        tmp_path, page("One.") + bomb + page("word " * 300) + page("Two."), parse_mb=64, max_document_bytes=999
    )
    assert [getattr(item, "code", "read") for item in found] == ["read", *["document-too-large"] * 2, "read"]
    assert [item.locator for item in found if isinstance(item, Reject)] == ["record 2", "record 3"]


def test_without_the_package_it_is_a_reject_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "missing_package", lambda suffix: "fastwarc")
    (found,) = read(tmp_path, page("One."))
    assert isinstance(found, Reject)
    assert found.code == "missing-extra"
    assert "polyseme[documents]" in found.message


def coded(coding: str, content: bytes) -> bytes:
    out = io.BytesIO()
    if coding in ("br", "zstd"):
        writer = stream_io.BrotliWriter(out) if coding == "br" else stream_io.ZstdWriter(out)
        writer.write(content)
        writer.close()
        return out.getvalue()
    packed = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else -15)
    return packed.compress(content) + packed.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_page_is_expanded_as_its_server_packed_it(tmp_path: Path, coding: str) -> None:
    packed = answer(coded(coding, PAGE.encode()), more=f"Content-Encoding: {coding}\r\n")
    (found,) = read(tmp_path, record("response", packed))
    assert isinstance(found, Document)
    assert found.text == "Die Fähre fuhr ab."


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_page_that_expands_without_end_takes_no_more_than_the_limit(tmp_path: Path, coding: str) -> None:
    bomb = coded(coding, bytes(256 << 20))
    bad = record("response", answer(bomb, more=f"Content-Encoding: {coding}\r\n"))
    (tmp_path / "a.warc").write_bytes(page("one") + bad + page("two"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = list(read_file(tmp_path / "a.warc", "file:///a.warc", ReadOptions(parse_mb=16)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    one, refused, two = (getattr(item, "code", "read") for item in found)
    assert (one, two) == ("read", "read")
    assert refused in ("document-too-large", "parser-memory")
    assert grown < 128 << 10, "KB, beside 256 MB of what is packed"
