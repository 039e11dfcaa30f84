"""Nothing is skipped in silence: each file of a source is read, refused, or skipped for a reason."""

from __future__ import annotations

import io
import os
import socket
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import Skipped, extension_of
from polyseme.tasks.reading.sources import read_sources


def read(*specs: Path | str, patterns: Patterns = ALL) -> list[Document | Reject | Skipped]:
    sources = resolve([str(spec) for spec in specs], patterns=patterns)
    return list(read_sources(sources, ReadOptions(), stdin=io.BytesIO()))


def put(root: Path, name: str, content: bytes = b"A text. It has two sentences.") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def reasons(root: Path, *specs: Path | str, patterns: Patterns = ALL) -> dict[str, str]:
    """Return why what is skipped under `root` is, by path; a folder ends in a slash."""
    found = read(*(specs or [root]), patterns=patterns)
    return {s.uri.removeprefix(root.as_uri() + "/"): s.reason for s in found if isinstance(s, Skipped)}


def texts(root: Path, *specs: Path | str, patterns: Patterns = ALL) -> list[str]:
    found = read(*(specs or [root]), patterns=patterns)
    return [d.uri.removeprefix(root.as_uri() + "/") for d in found if isinstance(d, Document)]


def test_what_is_not_read_says_why(tmp_path: Path) -> None:
    for name in ("a.txt", "page.xyz", "image.png", ".hidden.txt", ".git/config", ".git/deep/x.txt", "sub/b.txt"):
        put(tmp_path, name)
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    assert texts(tmp_path) == ["a.txt", "sub/b.txt"]
    assert reasons(tmp_path) == {
        "page.xyz": "not-a-text-format",
        "image.png": "not-a-text-format",
        ".hidden.txt": "hidden",
        ".git/": "hidden-folder",
        "pipe.txt": "special-file",
        "socket": "special-file",
        "sub/again/": "linked-folder",
    }


def test_a_dangling_link_is_refused_and_not_skipped_too(tmp_path: Path) -> None:
    for name in ("page.xyz", "notes", "a.txt"):
        (tmp_path / name).symlink_to(tmp_path / "away")
    found = read(tmp_path)
    assert [type(item) for item in found] == [Reject] * 3
    assert {item.uri for item in found} == {(tmp_path / name).as_uri() for name in ("page.xyz", "notes", "a.txt")}


def test_a_glob_covers_what_it_matches_and_says_nothing_of_the_rest(tmp_path: Path) -> None:
    for name in ("a.txt", "b.png", ".c.txt", "sub/d.png", "sub/e.txt"):
        put(tmp_path, name)
    assert reasons(tmp_path, f"{tmp_path}/*.txt") == {}
    assert reasons(tmp_path, f"{tmp_path}/*") == {"b.png": "not-a-text-format"}
    assert reasons(tmp_path, f"{tmp_path}/**") == {"b.png": "not-a-text-format", "sub/d.png": "not-a-text-format"}


def test_a_file_without_a_suffix_is_read_as_what_it_is(tmp_path: Path) -> None:
    put(tmp_path, "README", b"# Title\n\nWhat this is.")
    put(tmp_path, "records", b'{"id": "one", "text": "First."}\n{"id": "two", "text": "Second."}\n')
    put(tmp_path, "program", b"\x7fELF\0\0\1\2\3")
    put(tmp_path, "_SUCCESS", b"")
    found = {(d.doc_id, d.text) for d in read(tmp_path) if isinstance(d, Document)}
    assert found == {
        ((tmp_path / "README").as_uri(), "# Title\n\nWhat this is."),
        ("one", "First."),
        ("two", "Second."),
    }
    assert reasons(tmp_path) == {"program": "binary", "_SUCCESS": "empty"}
    assert texts(tmp_path, tmp_path / "README") == ["README"]


def test_an_excluded_folder_is_one_entry_and_a_file_in_it_stays_out_whatever_includes_it(tmp_path: Path) -> None:
    for name in ("a.txt", "build/b.txt", "build/keep.txt", "deep/build/c.txt", "x.log.txt", "keep.log.txt"):
        put(tmp_path, name)
    patterns = Patterns(exclude=("build/", "*.log.txt", "!keep.log.txt", "!build/keep.txt"))
    assert texts(tmp_path, patterns=patterns) == ["a.txt", "keep.log.txt"]
    assert reasons(tmp_path, patterns=patterns) == {
        "build/": "excluded-folder",
        "deep/build/": "excluded-folder",
        "x.log.txt": "excluded",
    }


def test_only_what_is_included_is_read(tmp_path: Path) -> None:
    for name in ("a.txt", "a.md", "docs/b.txt", "docs/c.md", "docs/old/d.md"):
        put(tmp_path, name)
    assert texts(tmp_path, patterns=Patterns(include=("*.md",))) == ["a.md", "docs/c.md", "docs/old/d.md"]
    assert texts(tmp_path, patterns=Patterns(include=("docs/",), exclude=("/docs/old",))) == ["docs/b.txt", "docs/c.md"]
    assert reasons(tmp_path, patterns=Patterns(include=("/a.md",)))["docs/c.md"] == "excluded"


def test_patterns_are_relative_to_the_folder_of_each_source(tmp_path: Path) -> None:
    for name in ("one/top.txt", "one/sub/top.txt", "two/top.txt", "two/other.txt"):
        put(tmp_path, name)
    patterns = Patterns(exclude=("/top.txt",))
    found = texts(tmp_path, tmp_path / "one", f"{tmp_path}/two/*.txt", patterns=patterns)
    assert found == ["one/sub/top.txt", "two/other.txt"]
    assert texts(tmp_path, tmp_path / "two" / "top.txt", patterns=patterns) == []


def test_what_one_source_leaves_out_and_another_reads_is_a_document(tmp_path: Path) -> None:
    for name in (".notes.txt", "sub/top.txt", "sub/b.txt"):
        put(tmp_path, name)
    patterns = Patterns(exclude=("/top.txt",))
    specs = (tmp_path / "sub", tmp_path, tmp_path / ".notes.txt")
    assert sorted(texts(tmp_path, *specs, patterns=patterns)) == [".notes.txt", "sub/b.txt", "sub/top.txt"]
    assert reasons(tmp_path, *specs, patterns=patterns) == {}


@pytest.mark.parametrize("other", [".kept", ".kept/**", "sub", "sub/**"])
def test_a_folder_that_one_source_does_not_enter_and_another_does_is_not_counted(tmp_path: Path, other: str) -> None:
    for name in ("a.txt", ".kept/b.txt", ".kept/deep/c.txt", "sub/d.txt", ".away/e.txt"):
        put(tmp_path, name)
    patterns = Patterns(exclude=("/sub/",))
    for specs in ((tmp_path, tmp_path / other), (tmp_path / other, tmp_path)):
        found = reasons(tmp_path, *specs, patterns=patterns)
        left = {".away/": "hidden-folder", ".kept/": "hidden-folder", "sub/": "excluded-folder"}
        del left[other.partition("/")[0] + "/"]
        assert found == left


@pytest.mark.parametrize("other", [".kept/b.txt", ".kept/*", ".kept/*.txt"])
def test_a_folder_of_which_another_source_reads_a_part_is_counted(tmp_path: Path, other: str) -> None:
    for name in ("a.txt", ".kept/b.txt", ".kept/deep/c.txt"):
        put(tmp_path, name)
    assert reasons(tmp_path, tmp_path, tmp_path / other) == {".kept/": "hidden-folder"}


def test_a_glob_says_something_of_a_folder_only_if_it_may_match_in_it(tmp_path: Path) -> None:
    for name in ("a.txt", "build/b.txt", "sub/build/c.txt", "sub/x/d.txt"):
        put(tmp_path, name)
    patterns = Patterns(exclude=("build/",))
    for pattern, folders in (("*.txt", []), ("*/*.txt", ["build/"]), ("sub/**/*.txt", ["sub/build/"])):
        assert reasons(tmp_path, f"{tmp_path}/{pattern}", patterns=patterns) == dict.fromkeys(
            folders, "excluded-folder"
        )


@pytest.mark.parametrize("name", ["sub", "sub.d"])
def test_a_link_that_may_have_led_to_a_folder_is_refused_only_by_a_glob_that_looked_into_it(
    tmp_path: Path, name: str
) -> None:
    put(tmp_path, "in/a.txt")
    put(tmp_path, "in/real/a.txt")
    link = tmp_path / "in" / name
    link.symlink_to(tmp_path / "away")
    for pattern in ("*/a.txt", "**/a.txt", "*/*"):
        (refused,) = [item for item in read(f"{tmp_path}/in/{pattern}") if isinstance(item, Reject)]
        assert (refused.uri, refused.code) == (link.as_uri(), "unreadable")
    assert [type(item) for item in read(f"{tmp_path}/in/*.txt")] == [Document]
    (source,) = resolve([f"{tmp_path}/in/*/a.txt"])
    assert source.scans(link.as_uri())
    (tmp_path / "away").mkdir()
    assert source.scans(link.as_uri()), "its reject must go once it leads to a folder"
    assert not resolve([f"{tmp_path}/in/*.txt"])[0].scans((tmp_path / "in" / "real").as_uri())


def test_a_source_has_what_its_scan_comes_to(tmp_path: Path) -> None:
    for name in ("a.txt", "b.png", "sub/c.png", ".h/d.txt", "build/e.png", "sub/.x/f.png", "sub/p.zip"):
        put(tmp_path, name)
    exclude = Patterns(exclude=("build/",))
    for spec in ("", "*.txt", "*", "**", "sub", "sub/*", ".h", ".h/*", "a.txt", "*/*"):
        (source,) = resolve([f"{tmp_path}/{spec}"], patterns=exclude)
        found = {item.uri for item in read(f"{tmp_path}/{spec}", patterns=exclude)}
        every = [p.as_uri() + "/" * p.is_dir() for p in tmp_path.rglob("*")]
        assert found <= {uri for uri in every if source.reaches(uri)}, spec
        files = {uri for uri in every if not uri.endswith("/")}
        assert {uri for uri in files if source.reaches(uri)} == found & files, spec
        assert source.reaches(f"{tmp_path.as_uri()}/sub/p.zip!/a/b.png") == ((tmp_path / "sub/p.zip").as_uri() in found)


def test_what_is_skipped_is_of_a_source_that_comes_to_it(tmp_path: Path) -> None:
    for name in ("in/a.txt", "in/sub/.h/b.txt", "in/sub/c.png", "in/.k/d.png"):
        put(tmp_path, name)
    root = tmp_path / "in"
    for specs, uri, number in (
        ((f"{root}/*.txt", root), "sub/.h/", 1),
        ((f"{root}/**", root), "sub/.h/", 1),
        ((root, root / "sub"), "sub/c.png", 0),
        ((root, root / ".k"), ".k/d.png", 1),
        ((root / "sub", root / "a.txt"), "a.txt!/x.png", 1),
        ((root, root / "sub"), "../away.png", 0),
    ):
        assert Coverage(resolve([str(spec) for spec in specs])).skipping(f"{root.as_uri()}/{uri}") == number, uri


def test_what_is_excluded_is_not_covered(tmp_path: Path) -> None:
    (source,) = resolve([str(tmp_path)], patterns=Patterns(exclude=("build/", "*.log.txt")))
    for name, covered in (("a.txt", True), ("README", True), ("build/a.txt", False), ("b.log.txt", False)):
        assert source.covers((tmp_path / name).as_uri()) == covered, name
        assert source.scans((tmp_path / name).as_uri()) == covered, name
    assert source.scans((tmp_path / "sub").as_uri())
    assert not source.scans((tmp_path / "build").as_uri())
    assert source == resolve([str(tmp_path)])[0], "patterns are no part of what a source is"


@pytest.mark.parametrize(
    "line", ["", " ", "# c", "!", "/", "[z-a]", "a\nb", "a\0", "x" * 2000, "*a*b*c*d", "**/a/**/b/**/c/**"]
)
def test_a_pattern_without_a_meaning_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="--exclude"):
        Patterns(exclude=(line,))


def test_an_extension_is_what_people_call_one() -> None:
    names = {
        "file:///a/b.PDF": ".pdf",
        "file:///a/b.tar.gz": ".tar.gz",
        "file:///a/b.gz": ".gz",
        "file:///a/.bashrc": "",
        "file:///a/..b.txt": ".txt",
        "file:///a.d/b": "",
        "file:///a/.git/": "",
        "file:///a/b.%C3%A9t%C3%A9": ".été",
        "file:///a/b.two%20words": "",
        "file:///a/b.": "",
        "file:///a/b." + "x" * 17: "",
    }
    assert {uri: extension_of(uri) for uri in names} == names


NAMES = st.sampled_from([
    "a.txt", "b.md", "c.jsonl", "d.png", "e.tar.gz", "README", "data", ".h", ".h.txt", "bad.txt", "f.csv", "g ü.txt",
    "v1.metadata.json",
])  # fmt: skip
FOLDERS = st.sampled_from([
    "", "sub/", "sub/deep/", ".git/", "build/", "build/sub/", "x.d/", "sub/_delta_log/", "build/_delta_log/",
    "sub/metadata/", "sub/deep/metadata/", "sub/deep/_delta_log/",
])  # fmt: skip
CONTENTS = st.sampled_from(
    [
        b"A text.",
        b"",
        b"\0\1\2\xff\xfe",
        b"\xff\xfe\xfa",
        b'{"text": "A."}\n{"no": 1}\n',
        b"text\nOne.\n",
        b"%PDF-1.7\n\0\1",
    ]
)
PATTERNS = st.lists(st.sampled_from(["build/", "*.txt", "!a.txt", "/sub", "deep/*", "README"]), max_size=3)


@given(tree=st.dictionaries(st.tuples(FOLDERS, NAMES), CONTENTS, max_size=12), include=PATTERNS, exclude=PATTERNS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_is_read_refused_or_counted(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[tuple[str, str], bytes],
    include: list[str],
    exclude: list[str],
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for (folder, name), content in tree.items():
        put(root, folder + name, content)
    found = read(root, patterns=Patterns(tuple(include), tuple(exclude)))
    of_file = Counter(item.uri for item in found)
    skipped = {item.uri for item in found if isinstance(item, Skipped)}
    assert all(of_file[uri] == 1 for uri in skipped)
    folders = [uri for uri in of_file if uri.endswith("/")]  # skipped, or refused as those of tables
    for path in (path for path in root.rglob("*") if path.is_file()):
        uri = path.as_uri()
        inside = [folder for folder in folders if uri.startswith(folder)]
        assert len(inside) + (uri in of_file) == 1, f"{uri} is accounted for once"
