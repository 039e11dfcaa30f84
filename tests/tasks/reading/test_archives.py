"""Archives are folders: every member is read by its format, at an address of its own, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading import archives
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import BINARY, EMPTY, HIDDEN, NOT_TEXT, SPECIAL, Skipped
from polyseme.tasks.reading.sources import shields
from tests import document_files as made

MEMBERS = {
    "a.txt": b"The harbour froze.",
    "sub/b #1.jsonl": b'{"text": "One."}\n{"text": "Two."}\n',
    "sub/c.docx": made.docx(),
    "d.csv.gz": gzip.compress(b"id,text\nx,Three.\n"),
    "README": b"It has no suffix.",
}
EXPECTED = [
    ("a.txt", "a.txt"), ("sub/b%20%231.jsonl", "sub/b%20%231.jsonl#1"), ("sub/b%20%231.jsonl", "sub/b%20%231.jsonl#2"),
    ("sub/c.docx", "sub/c.docx"), ("d.csv.gz", "x"), ("README", "README"),
]  # fmt: skip


def tarred(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            file.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return made.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["From Parquet."]}), out)
    return out.getvalue()


def read(folder: Path, name: str, content: bytes) -> list[Document | Reject | Skipped]:
    path = folder / name
    path.write_bytes(content)
    return list(read_file(path, path.as_uri(), ReadOptions()))


def texts(items: list[Document | Reject | Skipped]) -> list[str]:
    return [item.text for item in items if isinstance(item, Document)]


def codes(items: list[Document | Reject | Skipped]) -> list[str]:
    return [item.code for item in items if isinstance(item, Reject)]


TARS: dict[str, Callable[[bytes], bytes]] = {
    "a.tar": bytes, "a.tar.gz": gzip.compress, "a.tgz": gzip.compress, "a.tar.bz2": bz2.compress,
    "a.tar.xz": lzma.compress, "a.txz": lzma.compress, "a.tar.zst": zstandard.compress,
}  # fmt: skip


@pytest.mark.parametrize("name", ["a.zip", *TARS])
def test_members_are_read_by_their_formats_in_their_order(tmp_path: Path, name: str) -> None:
    content = made.zipped(MEMBERS) if name == "a.zip" else TARS[name](tarred(MEMBERS))
    found = read(tmp_path, name, content)
    within = (tmp_path / name).as_uri() + "!/"
    documents = [item for item in found if isinstance(item, Document)]
    assert len(documents) == len(found)
    assert [(item.uri.removeprefix(within), item.doc_id.removeprefix(within)) for item in documents] == EXPECTED
    assert documents[0].title == "a"


def test_formats_that_are_read_from_their_end_are_members_too(tmp_path: Path) -> None:
    members = {"a.parquet": parquet(), "b.zip": made.zipped({"c.txt": b"Within."})}
    for content, name in ((made.zipped(members), "a.zip"), (tarred(members), "a.tar")):
        found = read(tmp_path, name, content)
        assert texts(found) == ["From Parquet.", "Within."]
        assert found[1].uri.endswith(f"{name}!/b.zip!/c.txt")


def test_what_is_not_read_is_named_with_its_reason(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("device.txt")
    device.type = tarfile.CHRTYPE
    members = {"a.png": b"\x89PNG", ".b.txt": b"x", "__MACOSX/c.txt": b"x", "d": b"\0\1", "e": b"",
               "link": link, "device": device, "f.txt": b"Read."}  # fmt: skip
    found = read(tmp_path, "a.tar", tarred(members))
    assert [item.reason for item in found if isinstance(item, Skipped)] == [
        NOT_TEXT, HIDDEN, HIDDEN, BINARY, EMPTY, SPECIAL, SPECIAL,
    ]  # fmt: skip
    assert texts(found) == ["Read."]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", made.zipped({})),
        ("a.zip", made.zipped({"folder/": ""})),
        ("a.tar", tarred({})),
        ("a.tar.gz", gzip.compress(bytes(10240), mtime=0)),
        ("a.odt", made.zipped({})),
    ],
)
def test_an_archive_without_a_file_is_a_reject(tmp_path: Path, name: str, content: bytes) -> None:
    (reject,) = read(tmp_path, name, content)
    assert isinstance(reject, Reject)
    assert (reject.code, reject.locator, reject.doc_id) == ("empty-file", "", None)
    (inner,) = read(tmp_path, "outer.zip", made.zipped({f"in/{name}": content}))
    assert isinstance(inner, Reject)
    assert (inner.code, inner.uri.endswith(f"outer.zip!/in/{name}")) == ("empty-file", True)


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    (found,) = read(tmp_path, "a.zip", out.getvalue())
    assert found == Skipped((tmp_path / "a.zip").as_uri() + "!/link.txt", SPECIAL)


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "b/../../a.txt"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    for content, archive in ((made.zipped({name: b"x", "b.txt": b"Good."}), "a.zip"),
                             (tarred({name: b"x", "b.txt": b"Good."}), "a.tar")):  # fmt: skip
        found = read(tmp_path, archive, content)
        assert codes(found) == ["unsafe-path"]
        assert texts(found) == ["Good."]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_members_that_expand_too_far_end_the_archive(tmp_path: Path, name: str) -> None:
    zeros = bytes(200 << 20)
    content = {
        "a.zip": lambda: made.zipped({"a.txt": b"Good.", "b.jsonl": zeros, "c.txt": b"Late."}),
        "a.tar": lambda: tarred({"a.txt": b"Good.", "b.jsonl.gz": gzip.compress(zeros), "c.txt": b"Late."}),
        "a.tar.gz": lambda: gzip.compress(tarred({"b.jsonl": zeros})),
    }
    found = read(tmp_path, name, content[name]())
    assert "decompression-bomb" in codes(found)


def test_archives_are_opened_so_deep_and_no_deeper(tmp_path: Path) -> None:
    content = made.zipped({"a.txt": b"Deep."})
    for depth in range(2, archives.MOST_DEPTH + 1):
        content = made.zipped({f"{depth}.zip": content})
    assert texts(read(tmp_path, "a.zip", content)) == ["Deep."]
    assert codes(read(tmp_path, "a.zip", made.zipped({"x.zip": content}))) == ["decompression-bomb"]


def test_too_many_members_end_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    found = read(tmp_path, "a.zip", made.zipped({f"{i}.txt": b"x" for i in range(3)}))
    assert (len(texts(found)), codes(found)) == (2, ["decompression-bomb"])


def test_a_damaged_member_costs_itself_and_a_truncated_tar_its_rest(tmp_path: Path) -> None:
    content = bytearray(made.zipped({"a.txt": b"The harbour froze. " * 9, "b.txt": b"Good."}))
    content[40] ^= 0xFF
    found = read(tmp_path, "a.zip", bytes(content))
    assert (codes(found), texts(found)) == (["corrupt"], ["Good."])
    cut = gzip.compress(tarred({"a.txt": b"Good.", "b.txt": random.Random(0).randbytes(100_000)}))
    found = read(tmp_path, "a.tar.gz", cut[: len(cut) // 2])
    assert texts(found)[:1] == ["Good."]
    assert codes(found)


def test_a_place_in_the_list_of_members_that_is_none_costs_that_member(tmp_path: Path) -> None:
    content = bytearray(made.zipped({"a.txt": b"x", "b.txt": b"Good."}))
    end = content.rfind(b"PK\5\6")
    content[end + 16 : end + 20] = (len(content) - 1).to_bytes(4, "little")  # where the list begins
    found = read(tmp_path, "a.zip", bytes(content))
    assert set(codes(found)) == {"corrupt"}


def test_a_member_without_a_name_is_skipped(tmp_path: Path) -> None:
    content = bytearray(made.zipped({"a": b"x"}))
    at = content.find(b"PK\1\2")
    content[at + 28 : at + 30] = bytes(2)  # the length of its name
    del content[at + 46]
    end = content.rfind(b"PK\5\6")
    content[end + 12] -= 1
    assert "unforeseen" not in codes(read(tmp_path, "a.zip", bytes(content)))


def test_an_encrypted_member_says_so(tmp_path: Path) -> None:
    content = bytearray(made.zipped({"a.txt": b"x"}))
    at = content.find(b"PK\1\2")
    content[6] |= 1
    content[at + 8] |= 1
    assert codes(read(tmp_path, "a.zip", bytes(content))) == ["encrypted"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\5\6" + bytes(18), bytes(1024), b"x" * 600])
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_whatever_an_archive_holds_reading_it_ends(tmp_path: Path, name: str, content: bytes) -> None:
    assert "unforeseen" not in codes(read(tmp_path, name, content))


def test_a_source_covers_the_members_of_its_archives(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(made.zipped({"b.txt": b"x"}))
    member = (tmp_path / "a.zip").as_uri() + "!/b.txt"
    other = (tmp_path / "c.zip").as_uri() + "!/b.txt"
    for spec in (tmp_path, tmp_path / "a.zip", tmp_path / "a*.zip"):
        sources = resolve([str(spec)])
        assert sources[0].covers(member)
        assert sources[0].scans(member)
        assert Coverage(sources).of(member) == (0,)
        assert sources[0].covers(other) == (spec == tmp_path)


def test_an_archive_that_was_not_read_to_its_end_deletes_no_member(tmp_path: Path) -> None:
    archive = "file:///x/a.zip"
    assert shields(Reject(archive, "", "read", "corrupt", "m"), f"{archive}!/b.txt")
    assert shields(Reject(archive, "", "read", "empty-file", "m"), f"{archive}!/b.txt")
    assert not shields(Reject(archive, "", "read", "empty-file", "m", doc_id="x"), f"{archive}!/b.txt")
    assert not shields(Reject(archive, "", "read", "corrupt", "m"), "file:///x/a.zipped.txt")
