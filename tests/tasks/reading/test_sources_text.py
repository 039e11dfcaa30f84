"""Files with one text each: encodings, normalization, titles, limits, compression."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import time
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.normalization import EXCERPT_CHARS, excerpt, normalise
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import INCOMPLETE_CODES, read_sources, shields

MIB = 1 << 20
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
}
ANY_TEXT = st.text(st.characters(codec=None, categories=None)) | st.text(
    st.sampled_from("ae\0\ud800\udfff\u0301\u0316\u0344\u0f73\r\n\u1100\u1161\u11a8\U0001f600")
)


def read(path: Path, **options: int) -> Document | Reject:
    (only,) = read_sources(resolve([str(path)]), ReadOptions(**options), stdin=io.BytesIO())  # type: ignore[arg-type]
    return only


def text_of(path: Path, content: bytes) -> tuple[str, str]:
    path.write_bytes(content)
    document = read(path)
    assert isinstance(document, Document), document
    return document.text, json.loads(document.metadata).get("encoding", "utf-8")


def refusal(path: Path, content: bytes, **options: int) -> Reject:
    path.write_bytes(content)
    reject = read(path, **options)
    assert isinstance(reject, Reject), reject
    return reject


@given(ANY_TEXT)
def test_normalization_is_idempotent_and_leaves_no_nul_and_no_surrogates(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\0" not in once
    once.encode()


@given(st.text())
def test_clean_text_is_normalised_to_nfc(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFC", text.replace("\0", "\ufffd"))


@given(st.lists(st.sampled_from("\u0301\u0316\u0344\u0f73\u0327\u20d0"), min_size=256, max_size=600), ANY_TEXT)
@settings(max_examples=30)
def test_long_runs_of_combining_marks_are_composed_exactly(marks: list[str], around: str) -> None:
    text = normalise(around) + "e" + "".join(marks) + "a"
    assert normalise(text) == unicodedata.normalize("NFC", text)


def test_a_million_combining_marks_take_no_quadratic_time() -> None:
    start = time.thread_time()
    assert len(normalise("a" + "\u0301\u0316" * 500_000)) == 1_000_000
    assert time.thread_time() - start < 20


@given(ANY_TEXT | st.binary())
def test_an_excerpt_is_short_printable_and_one_line(value: str | bytes) -> None:
    shown = excerpt(value)
    assert len(shown) <= EXCERPT_CHARS
    assert shown.isprintable()
    shown.encode()


def test_newlines_stay_as_they_are(tmp_path: Path) -> None:
    assert text_of(tmp_path / "a.txt", b"one\r\ntwo\rthree\n")[0] == "one\r\ntwo\rthree\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("compression", COMPRESS)
def test_unicode_encodings_are_read_whatever_the_compression(tmp_path: Path, encoding: str, compression: str) -> None:
    text = "Grüße, мир, 世界 and a plain sentence of English besides.\n" * 50
    content = COMPRESS[compression]((("\ufeff" if encoding == "utf-16-be" else "") + text).encode(encoding))
    assert text_of(tmp_path / f"a.txt{compression}", content)[0] == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_not_read_as_nul_bytes(tmp_path: Path, encoding: str) -> None:
    assert text_of(tmp_path / "a.txt", "plain English".encode(encoding)) == ("plain English", encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café", "cp1252"),
        ("Le café était fermé. Il a peut-être rêvé; la préfète a reçu une réponse naïve.", "cp1252"),
        ("He said “hello” – and left. It’s fine… really.", "cp1252"),
        ("El niño español comió una piña mañana, señor. ¿Qué pasó?", "cp1252"),
        ("Zażółć gęślą jaźń. Książka leży na stole, a świat jest piękny.", "cp1250"),
        ("Dziś rano była ładna pogoda, więc poszliśmy na długi spacer do parku.", "cp1250"),
        ("Dnes je krásný den a děti si hrají na hřišti u řeky, protože nemusí do školy.", "cp1250"),
        ("Nagyon szép idő van ma, ezért elmegyünk kirándulni a hegyekbe, és este főzünk.", "cp1250"),
        ("Türkçe çok güzel bir dil, şimdi öğreniyorum ve ağaçların altında oturuyorum.", "cp1254"),
        ("Hän söi hyvää ruokaa pöydässä, äiti lähti työhön.", "cp1252"),
        ("Привет, как дела? Сегодня хорошая погода, и мы идём гулять в парк.", "cp1251"),
        ("Привет, как дела? Сегодня хорошая погода, и мы идём гулять в парк.", "koi8_r"),
        ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", "cp932"),
        ("今天天气很好,我们一起去公园散步吧。北京是中国的首都。", "gb18030"),
    ],
)
def test_a_legacy_encoding_is_detected_and_recorded(tmp_path: Path, text: str, encoding: str) -> None:
    padded = "plain ascii at first\n" * 10_000 + text
    assert text_of(tmp_path / "a.txt", text.encode(encoding)) == (text, encoding)
    assert text_of(tmp_path / "b.txt", padded.encode(encoding)) == (padded, encoding)


def test_damaged_utf8_is_rejected_and_not_read_as_another_alphabet(tmp_path: Path) -> None:
    reject = refusal(tmp_path / "a.txt", "Grüße aus Köln und Zürich. ".encode() + b"\xff" + "Schöne Grüße".encode())
    assert (reject.code, reject.doc_id) == ("invalid-utf8", (tmp_path / "a.txt").as_uri())


def test_a_binary_file_under_a_text_name_is_undecodable(tmp_path: Path) -> None:
    reject = refusal(tmp_path / "a.txt", bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(range(256)) * 20)
    assert reject.code == "undecodable"
    assert reject.code in INCOMPLETE_CODES


def test_half_a_utf_16_unit_at_the_end_is_undecodable(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.txt", "\ufefftext".encode("utf-16-le") + b"x").code == "undecodable"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b" \r\n\t", "empty-text"),
        (b"\xe2\x80\x8b\xe2\x80\x8b", "empty-text"),
        (b"\x00\x00\x01", "empty-text"),
        (b"\xef\xbb\xbf", "empty-file"),
    ],
)
def test_a_text_with_nothing_to_read_is_rejected_under_its_own_id(tmp_path: Path, content: bytes, code: str) -> None:
    reject = refusal(tmp_path / "a.txt", content)
    assert (reject.code, reject.locator, reject.doc_id) == (code, "", (tmp_path / "a.txt").as_uri())


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("my file.txt", "# not markdown", "my file"),
        ("v1.2.txt.gz", "text", "v1.2"),
        ("a.md", "intro\n\n## The *Title* ##\n# Later", "The *Title*"),
        ("a.md", "---\n# yaml comment\nlang: en\n---\n# Real\r\n", "Real"),
        ("a.md", "````\n```\n# comment\n````\n# Real", "Real"),
        ("a.md", "```\n```python\n# comment\n```\n# Real", "Real"),
        ("a.md", "```sh\n# comment\n```\n# Real", "Real"),
        ("a.md", "#hashtag\nno heading", "a"),
        ("a.md", "#  \n# Second", "Second"),
    ],
)
def test_a_title_is_the_first_heading_or_the_file_name(tmp_path: Path, name: str, text: str, title: str) -> None:
    path = tmp_path / name
    path.write_bytes(COMPRESS[".gz" if name.endswith(".gz") else ""](text.encode()))
    document = read(path)
    assert isinstance(document, Document)
    assert document.title == title
    assert document.doc_id == document.uri == path.as_uri()


def test_a_text_of_exactly_the_limit_is_read_and_one_byte_more_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 1000)
    assert isinstance(read(tmp_path / "a.txt", max_document_bytes=1000), Document)
    assert refusal(tmp_path / "b.txt", b"x" * 1001, max_document_bytes=1000).code == "document-too-large"


def test_the_limit_counts_utf8_whatever_the_encoding_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(("x" * 1000).encode("utf-32"))
    assert isinstance(read(tmp_path / "a.txt", max_document_bytes=1000), Document)
    latin = "Le café était fermé à midi.\n".encode("cp1252") * 35
    assert len(latin) < 1000
    assert refusal(tmp_path / "b.txt", latin, max_document_bytes=1000).code == "document-too-large"


def test_one_word_of_half_a_million_characters_is_a_document(tmp_path: Path) -> None:
    assert len(text_of(tmp_path / "a.txt", "ü".encode() * 500_000)[0]) == 500_000


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_a_compressed_text_that_ends_early_is_truncated(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESS[suffix](bytes(range(32, 127)) * 1000)
    reject = refusal(tmp_path / f"a.txt{suffix}", whole[:-5])
    assert reject.code == "truncated"
    assert shields(reject, (tmp_path / f"a.txt{suffix}").as_uri())


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_a_file_in_another_format_than_its_suffix_is_corrupt(tmp_path: Path, suffix: str) -> None:
    assert refusal(tmp_path / f"a.txt{suffix}", b"this is not compressed at all").code == "corrupt"


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_several_compressed_members_in_a_row_are_one_text(tmp_path: Path, suffix: str) -> None:
    content = COMPRESS[suffix](b"one ") + COMPRESS[suffix](b"two")
    assert text_of(tmp_path / f"a.txt{suffix}", content)[0] == "one two"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
def test_a_line_of_100_megabytes_is_rejected_in_bounded_memory(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{kind}{suffix}"
    head = b'{"text": "' if kind == ".jsonl" else b'text\n"'
    path.write_bytes(COMPRESS[suffix](head + b"x" * (100 * MIB)))
    tracemalloc.start()
    found = list(
        read_sources(
            resolve([str(path)]), ReadOptions(max_document_bytes=2 * MIB, max_line_bytes=2 * MIB), stdin=io.BytesIO()
        )
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r.code for r in found if isinstance(r, Reject)] == [
        "document-too-large" if kind == ".txt" else "line-too-long"
    ]
    assert len(found) == 1
    assert peak < 32 * MIB


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_a_decompression_bomb_is_rejected_early_and_its_document_not_taken_for_gone(
    tmp_path: Path, suffix: str
) -> None:
    """Any number of zeros in a few kilobytes: line limits bound memory, this bounds time."""
    opened = {".gz": gzip.open, ".zst": zstandard.open, ".bz2": bz2.open}[suffix]
    with opened(tmp_path / f"bomb.jsonl{suffix}", "wb") as file:  # type: ignore[operator]
        for _ in range(200):
            file.write(bytes(MIB))
    reject = read(tmp_path / f"bomb.jsonl{suffix}")
    assert isinstance(reject, Reject)
    assert (reject.code, reject.locator) == ("decompression-bomb", "")
    assert reject.code in INCOMPLETE_CODES


def test_records_before_a_decompression_bomb_are_kept(tmp_path: Path) -> None:
    good = b'{"text": "The bank was closed."}\n'
    (tmp_path / "late.jsonl.gz").write_bytes(gzip.compress(good + bytes(200 * MIB)))
    found = list(read_sources(resolve([str(tmp_path / "late.jsonl.gz")]), ReadOptions(), stdin=io.BytesIO()))
    assert [type(item) for item in found] == [Document, Reject]
