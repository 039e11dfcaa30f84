"""Sources: files, folders, patterns and standard input, and what is read of them."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.local_source import LocalSource
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.sources import INCOMPLETE_CODES, read_sources, shields


def read(*specs: object, stdin: bytes = b"", options: ReadOptions | None = None) -> list[Document | Reject]:
    sources = resolve([str(spec) for spec in specs])
    found = read_sources(sources, options or ReadOptions(), stdin=io.BytesIO(stdin))
    return [item for item in found if not isinstance(item, Skipped)]


def write(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    return root


def names(root: Path, source: Source) -> list[str]:
    assert isinstance(source, LocalSource)
    return [os.path.relpath(path, root) for path in source.files() if isinstance(path, str)]


def test_a_folder_yields_every_known_file_sorted_and_no_hidden_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        "b.txt",
        "a/z.md",
        "a/b/c.TXT",
        "c.jsonl.GZ",
        ".hidden.txt",
        ".git/x.txt",
        "image.png",
        "a.exe",
        "README",
    )
    (source,) = resolve([str(tmp_path)])
    assert names(tmp_path, source) == ["README", "a/b/c.TXT", "a/z.md", "b.txt", "c.jsonl.GZ"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[!a].txt", ["b.txt"]),
        ("[a-c].*", ["a.txt", "b.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("**", ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub/e.md"]),
        ("*/*", ["sub/c.txt", "sub/e.md"]),
        ("sub/**/d.txt", ["sub/deep/d.txt"]),
        (".dot/*.txt", [".dot/f.txt"]),
        ("**/.dot/*", [".dot/f.txt"]),
        ("s**/**/[d]*", ["sub/deep/d.txt"]),
    ],
)
def test_a_pattern_matches_what_it_matches_in_a_shell(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    write(tmp_path, "a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub/e.md", ".dot/f.txt", "x.bin")
    (source,) = resolve([f"{tmp_path}/{pattern}"])
    assert source.kind == "glob"
    found = names(tmp_path, source)
    assert sorted(found) == expected
    assert all(source.covers((tmp_path / name).as_uri()) for name in found)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, "a[1].txt", "a1.txt")
    (source,) = resolve([str(tmp_path / "a[1].txt")])
    assert source.kind == "file"
    assert names(tmp_path, source) == ["a[1].txt"]


def test_a_file_uri_names_the_same_documents_as_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, "a b#ü.txt") / "a b#ü.txt"
    assert read(path.as_uri()) == read(path)
    assert [d.uri for d in read(path)] == [path.as_uri()]


def test_a_relative_path_and_its_absolute_form_have_one_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "sub/a.txt")
    monkeypatch.chdir(tmp_path / "sub")
    assert read("a.txt") == read("../sub/a.txt") == read(tmp_path / "sub" / "a.txt")


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("missing.txt", "does not exist"),
        ("nothing/*.txt", "no file that can be read matches"),
        ("photo.png", "formats are"),
        ("archive.rar", "formats are"),
        ("table.parquet.gz", "formats are"),
        ("", "names nothing"),
        ("ftp://host/key.jsonl", "not on this machine"),
        ("file://elsewhere/a.txt", "not on this machine"),
        ("http://[", "not an address"),
        ("file://\u2100/a.txt", "not an address"),
        ("file:///a%00b.txt", "names nothing"),
        ("file:///\ud800.txt", "write %3F"),
        ("\ud800.txt", "names nothing"),
        ("*\ud800", "names nothing"),
        ("file:///a?b.txt", "write %3F"),
        ("file:///a#b.txt", "write %3F"),
        ("file:///a\nb.txt", "write %3F"),
    ],
)
def test_the_error_for_a_source_that_cannot_be_read_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, hint: str
) -> None:
    write(tmp_path, "photo.png", "archive.rar", "table.parquet.gz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=hint):
        resolve([spec])


def test_a_pattern_that_matches_only_unknown_formats_is_a_usage_error(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    with pytest.raises(UsageError, match="matches"):
        resolve([f"{tmp_path}/*"])


def test_overlapping_sources_read_each_file_once(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.txt")
    found = read(tmp_path / "b.txt", tmp_path, f"{tmp_path}/*.txt", (tmp_path / "a.txt").as_uri())
    assert [d.uri for d in found] == [(tmp_path / n).as_uri() for n in ("b.txt", "a.txt")]


def test_symlinked_folders_are_entered_once_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "in/real/a.txt", "out/b.txt")
    inside = tmp_path / "in"
    for name, target in {
        "again": inside / "real",
        "loop": inside,
        "up": tmp_path,
        "far": tmp_path / "out",
        "far2": tmp_path / "out",
    }.items():
        (inside / name).symlink_to(target)
    (inside / "real" / "self").symlink_to(inside / "real")
    (inside / "link.txt").symlink_to(tmp_path / "out" / "b.txt")
    (source,) = resolve([str(inside)])
    assert names(inside, source) == ["link.txt", "real/a.txt", "far/b.txt"]


def test_a_pipe_in_a_folder_is_skipped_and_does_not_block(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "c.txt").symlink_to(tmp_path / "b.txt")
    assert [d.uri for d in read(tmp_path)] == [(tmp_path / "a.txt").as_uri()]


def test_a_file_name_that_is_not_utf8_is_read_under_an_escaped_uri(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("text")
    (source,) = resolve([str(tmp_path)])
    (document,) = read(tmp_path)
    assert isinstance(document, Document)
    assert document.uri.endswith("/caf%E9.txt")
    assert document.title == "caf\ufffd"
    assert source.covers(document.uri)
    assert read(document.uri) == [document]


def test_a_broken_link_is_reported_and_never_taken_for_a_deleted_file(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (tmp_path / "circle.txt").symlink_to(tmp_path / "circle.txt")
    found = read(tmp_path)
    assert [(r.code, r.uri) for r in found if isinstance(r, Reject)] == [
        ("unreadable", (tmp_path / n).as_uri()) for n in ("circle.txt", "gone.txt")
    ]
    assert all(shields(r, r.uri) for r in found if isinstance(r, Reject))


def test_a_file_that_vanishes_between_listing_and_reading_is_a_protecting_reject(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.jsonl")
    stream = read_sources(resolve([str(tmp_path)]), ReadOptions(), stdin=io.BytesIO())
    assert isinstance(next(stream), Document)
    (tmp_path / "b.jsonl").unlink()
    (reject,) = stream
    assert isinstance(reject, Reject)
    assert (reject.code, reject.locator) == ("unreadable", "")
    assert shields(reject, reject.uri)


def test_a_folder_that_cannot_be_listed_protects_everything_under_it(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "sub/b.txt")
    stream = read_sources(resolve([str(tmp_path)]), ReadOptions(), stdin=io.BytesIO())
    assert isinstance(next(stream), Document)
    (tmp_path / "sub" / "b.txt").unlink()
    (tmp_path / "sub").rmdir()
    (reject,) = stream
    assert isinstance(reject, Reject)
    assert reject.code in INCOMPLETE_CODES
    assert shields(reject, (tmp_path / "sub" / "b.txt").as_uri())
    assert not shields(reject, (tmp_path / "subway.txt").as_uri())


def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt") / "a.txt"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read anything")
    (reject,) = read(path)
    assert isinstance(reject, Reject)
    assert reject.code == "unreadable"
    assert os.strerror(errno.EACCES) in reject.message


def test_standard_input_is_json_lines_if_it_begins_with_a_brace() -> None:
    found = read("-", stdin=b'\xef\xbb\xbf \n\n {"text": "one"}\n{"text": "two", "id": 7}\n')
    assert [(d.doc_id, d.uri, d.locator) for d in found] == [
        ("stdin:sha256-353e5f757da307d6#3", "stdin:sha256-353e5f757da307d6", "line 3"),
        ("7", "stdin:sha256-353e5f757da307d6", "line 4"),
    ]


def test_standard_input_is_one_text_otherwise_and_nothing_of_it_is_lost() -> None:
    text = "\n \n plain {text}\nof two lines\n"
    assert read("-", stdin=text.encode()) == [Document(uri := "stdin:sha256-90307d811ddded31", uri, text)]


def test_standard_input_in_utf_16_is_recognised_by_its_byte_order_mark() -> None:
    (document,) = read("-", stdin='{"text": "ünï"}'.encode("utf-16"))
    assert isinstance(document, Document)
    assert document.text == "ünï"


@pytest.mark.parametrize(("content", "code"), [(b"", "empty-file"), (b"  \n\t ", "empty-text")])
def test_empty_standard_input_is_a_reject(content: bytes, code: str) -> None:
    assert [r.code for r in read("-", stdin=content) if isinstance(r, Reject)] == [code]


def test_standard_input_named_twice_is_read_once() -> None:
    assert len(read("-", "-", stdin=b"text")) == 1


@pytest.mark.parametrize(
    "settings",
    [{"text_field": ""}, {"id_field": ""}, {"id_field": "text"}, {"max_line_bytes": 0}, {"max_document_bytes": -1}],
)
def test_contradicting_options_are_usage_errors(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ReadOptions(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["https://ann:s3cret@host.example/a.txt", "file://s3cret@localhost/a.txt"])
def test_an_address_with_a_password_is_rejected_and_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve([address])
    assert "s3cret" not in str(caught.value)
    assert "password" in str(caught.value)


@pytest.mark.parametrize("spec", ["{here}", "{here}/lake", "{here}/**/*.parquet", "{here}/link"])
def test_a_source_that_contains_the_lakes_own_parts_is_rejected(tmp_path: Path, spec: str) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create()
    (tmp_path / "lake" / "data" / "a.parquet").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="lies inside the source"):
        resolve([spec.format(here=tmp_path)], lake=lake)


def test_a_lake_beside_its_source_or_not_matched_by_its_pattern_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "a.txt").touch()
    for spec in (tmp_path / "corpus", tmp_path / "*.txt", tmp_path / "a.txt", "-"):
        assert resolve([str(spec)], lake=Lake(tmp_path / "lake"))
    assert resolve([str(tmp_path)], lake=Lake("s3://bucket/lake"))
