"""Objects as sources: what a run reads, skips, deletes and recognises is decided by one listing."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import BinaryIO

import pytest

from polyseme.flows.server.corpora import chosen
from polyseme.flows.server.watch import watched
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.tasks.reading import object_file, store_access
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.object_store import SMALL_BYTES, ObjectStore
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import names, resolve
from polyseme.tasks.reading.sources import read_sources
from tests import servers
from tests.buckets import SECRET, Bucket
from tests.hostile.lakeside import Lakeside, lakeside

pytestmark = pytest.mark.servers

__all__ = ["lakeside"]

ODD = ["a b.txt", "100%.txt", "a#b.txt", "why?.txt", "日本 ü.txt", "star*.txt", "in/[1].txt", "Ä!/b.txt"]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_file, "SETTLED_NS", -60_000_000_000)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that were read."""
    keys: list[str] = []
    for name in ("whole", "open"):
        real = getattr(ObjectStore, name)

        def counted(store: ObjectStore, key: str, real: object = real) -> object:
            keys.append(key)
            return real(store, key)  # type: ignore[operator]

        monkeypatch.setattr(ObjectStore, name, counted)
    return keys


def text(name: str) -> bytes:
    return f"The heron stood in the reeds of {name}.".encode()


def fill(bucket: Bucket, *keys: str) -> str:
    bucket.put({key: text(key) for key in keys})
    return f"s3://{bucket.name}/"


def places(lakeside: Lakeside) -> list[str]:
    return sorted(uri.split("/", 3)[3] for uri in lakeside.documents().values())


def test_a_run_over_unchanged_objects_opens_none(lakeside: Lakeside, bucket: Bucket, opened: list[str]) -> None:
    source = fill(bucket, *(f"c/{i:02}.txt" for i in range(30)))
    first = lakeside.embed(source)
    assert (first.tally.new, len(opened)) == (30, 30)
    opened.clear()
    second = lakeside.embed(source)
    assert (second.tally.unchanged, second.tally.unopened, opened) == (30, 30, [])
    assert set(lakeside.documents()) == {f"{source}c/{i:02}.txt" for i in range(30)}


def test_an_object_that_may_change_within_a_second_is_read_again(
    lakeside: Lakeside, bucket: Bucket, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_file, "SETTLED_NS", 60_000_000_000)
    source = fill(bucket, "a.txt")
    lakeside.embed(source)
    assert (lakeside.embed(source).tally.unopened, opened) == (0, ["a.txt", "a.txt"])


def test_what_changed_is_read_what_is_gone_is_deleted_and_the_rest_stays_closed(
    lakeside: Lakeside, bucket: Bucket, opened: list[str]
) -> None:
    source = fill(bucket, *(f"{i:02}.txt" for i in range(20)))
    lakeside.embed(source)
    opened.clear()
    bucket.put({"03.txt": b"It flew to the lake.", "new.txt": text("new")})
    bucket.delete("07.txt")
    scan = lakeside.embed(source)
    assert (scan.tally.changed, scan.tally.new, scan.tally.deleted, scan.tally.unopened) == (1, 1, 1, 18)
    assert sorted(opened) == ["03.txt", "new.txt"]
    assert f"{source}07.txt" not in lakeside.documents()


def test_an_object_that_is_moved_keeps_its_id_and_encodes_nothing(lakeside: Lakeside, bucket: Bucket) -> None:
    source = fill(bucket, "in/a.txt", "in/b.txt")
    lakeside.embed(source)
    bucket.put({"done/a.txt": text("in/a.txt"), "done/b.txt": text("in/b.txt")})
    bucket.delete("in/a.txt")
    scan = lakeside.embed(source)
    assert (scan.tally.moved, scan.tally.new, scan.tally.deleted) == (1, 1, 0)  # of b.txt it is a copy
    assert lakeside.documents()[f"{source}in/a.txt"] == f"{source}done/a.txt"
    fill(bucket, "in/a.txt")  # a new object where the old one was
    bucket.put({"in/a.txt": b"Another text."})
    assert lakeside.embed(source).tally.new == 1
    assert lakeside.documents()[f"{source}in/a.txt?2"] == f"{source}in/a.txt"


def test_a_prefix_in_which_nothing_is_listed_deletes_nothing_until_that_is_confirmed(
    lakeside: Lakeside, bucket: Bucket
) -> None:
    source = fill(bucket, "c/a.txt", "c/b.txt") + "c/"
    lakeside.embed(source)
    bucket.delete("c/a.txt", "c/b.txt")
    scan = lakeside.embed(source)
    assert (scan.tally.deleted, len(lakeside.documents())) == (0, 2)
    (held,) = scan.held_back
    assert (held.source, held.reason) == (source, "nothing-found")
    assert lakeside.embed(source, limit="100%").tally.deleted == 2


@pytest.mark.parametrize("place", ["", "c/", "c/*.txt", "c/a.txt"])
def test_objects_of_a_bucket_that_is_not_there_are_absent_and_not_gone(
    lakeside: Lakeside, bucket: Bucket, place: str
) -> None:
    source = fill(bucket, "c/a.txt") + place
    lakeside.embed(source)
    bucket.delete("c/a.txt")
    (emptied,) = resolve([source], known=lambda source: True)
    assert not emptied.absent
    bucket.client.delete_bucket(Bucket=bucket.name)
    (away,) = resolve([source], known=lambda source: True)
    assert away.absent
    assert away.away == f"the bucket {bucket.name} ({source})"
    assert list(away.listed(ReadOptions(), reading="")) == []
    with pytest.raises(UsageError, match=f"the bucket {bucket.name} is not there"):
        resolve([source])
    scan = lakeside.embed(source)
    assert (scan.tally.deleted, lakeside.rejects(), len(lakeside.documents())) == (0, [], 1)
    assert [held.reason for held in scan.held_back] == ["nothing-found"]
    assert lakeside.embed(source, limit="100%").tally.deleted == 1


def test_a_store_that_cannot_be_listed_costs_one_reject_and_no_document(
    lakeside: Lakeside, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(bucket, "c/a.txt", "c/b.txt")
    lakeside.embed(f"{source}c/", f"{source}c/*.txt")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    store_access.filesystem.cache_clear()
    scan = lakeside.embed(f"{source}c/", limit="100%")
    assert (scan.tally.deleted, lakeside.rejects(), len(lakeside.documents())) == (0, ["unreadable"], 2)
    shown = str(lakeside.catalog.snapshot().rejects.to_pylist())
    assert "AWS_ENDPOINT_URL" in shown
    assert SECRET not in shown


def test_an_object_that_cannot_be_read_costs_its_own_reject(lakeside: Lakeside, bucket: Bucket) -> None:
    source = fill(bucket, "a//b.txt", "a/c.txt")
    for _ in range(2):
        scan = lakeside.embed(source)
        assert (scan.tally.documents, lakeside.rejects()) == (1, ["unreadable"])
    assert places(lakeside) == ["a/c.txt"]


def test_odd_keys_are_read_once_and_found_again(lakeside: Lakeside, bucket: Bucket, opened: list[str]) -> None:
    source = fill(bucket, *ODD)
    assert lakeside.embed(source).tally.new == len(ODD)
    assert all(uri.isascii() for uri in lakeside.documents())
    opened.clear()
    assert (lakeside.embed(source).tally.unopened, opened) == (len(ODD), [])
    for key in ODD:
        if not set("?#") & set(key):  # which an address that is typed may not have
            (one,) = resolve([source + key])
            assert (names([one]), one.covers(f"{bucket.store.uri(key)}")) == ([source + key], True)


def test_what_is_not_read_is_counted_by_reason(lakeside: Lakeside, bucket: Bucket) -> None:
    source = fill(
        bucket, "c/a.txt", "c/.hidden.txt", "c/.git/x.txt", "c/.git/y.txt", "c/movie.mp4", "c/out/d.txt", "c/e.md",
        "c/folder/", "d.txt", "c/plain",
    )  # fmt: skip
    scan = lakeside.embed(f"{source}c/", patterns=Patterns(exclude=("out/", "*.md")))
    assert {(s.reason, s.extension, s.files) for s in scan.skipped_files} == {
        ("hidden", ".txt", 1), ("hidden-folder", "", 1), ("not-a-text-format", ".mp4", 1), ("excluded-folder", "", 1),
        ("excluded", ".md", 1),
    }  # fmt: skip
    assert places(lakeside) == ["c/a.txt", "c/plain"]


def test_a_pattern_in_keys_reads_what_matches(lakeside: Lakeside, bucket: Bucket) -> None:
    source = fill(bucket, "2024/a.txt", "2024/b.md", "2024/sub/c.txt", "2025/d.txt", "2024/.e.txt")
    lakeside.embed(f"{source}2024/*.txt")
    assert places(lakeside) == ["2024/a.txt"]
    lakeside.embed(f"{source}**/*.txt")
    assert places(lakeside) == ["2024/a.txt", "2024/sub/c.txt", "2025/d.txt"]


def test_one_object_and_the_prefix_that_it_is_in_are_read_once(lakeside: Lakeside, bucket: Bucket) -> None:
    source = fill(bucket, "c/a.txt", "c/b.txt")
    assert lakeside.embed(f"{source}c/a.txt").tally.documents == 1
    scan = lakeside.embed(f"{source}c/a.txt", f"{source}c")
    assert (scan.tally.documents, scan.tally.new, scan.tally.unopened) == (2, 1, 1)


def test_a_large_object_that_is_written_again_while_it_is_read_is_refused_and_read_the_next_time(
    lakeside: Lakeside, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b'{"id": "%d", "text": "The heron stood."}\n' % number for number in range(3)]
    source, real = f"s3://{bucket.name}/", ObjectStore.open
    bucket.put({"a.jsonl": b"".join(lines) + b" " * SMALL_BYTES})
    assert lakeside.embed(source).tally.new == 3

    def overwritten(store: ObjectStore, key: str) -> BinaryIO:
        opened = real(store, key)
        bucket.put({"a.jsonl": lines[0] + b" " * SMALL_BYTES + b"  "})
        return opened

    bucket.put({"a.jsonl": b"".join(lines) + b" " * SMALL_BYTES + b" "})
    monkeypatch.setattr(ObjectStore, "open", overwritten)
    assert lakeside.embed(source).tally.deleted == 0
    assert "unreadable" in lakeside.rejects()
    monkeypatch.setattr(ObjectStore, "open", real)
    tally = lakeside.embed(source).tally
    assert (tally.documents, tally.unopened, tally.deleted) == (1, 0, 2)
    assert not lakeside.rejects()


def test_members_of_archives_large_and_compressed_objects_are_read(lakeside: Lakeside, bucket: Bucket) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("in/a.txt", text("a"))
        file.writestr("movie.mp4", b"\0")
    lines = b"".join(b'{"text": "The heron."}\n' for _ in range(3)) + b" " * SMALL_BYTES
    bucket.put({"x.zip": packed.getvalue(), "y.jsonl": lines, "z.txt.gz": gzip.compress(text("z"))})
    source = f"s3://{bucket.name}/"
    scan = lakeside.embed(source)
    assert (scan.tally.new, scan.tally.skipped_files) == (5, 1)
    assert set(lakeside.documents()) == {
        f"{source}x.zip!/in/a.txt", f"{source}y.jsonl#1", f"{source}y.jsonl#2", f"{source}y.jsonl#3",
        f"{source}z.txt.gz",
    }  # fmt: skip
    assert lakeside.embed(source).tally.unopened == 5


def test_objects_that_have_to_be_parsed_are_and_what_is_no_such_file_is_refused(
    lakeside: Lakeside, bucket: Bucket
) -> None:
    page = b"<?xml version='1.0'?><a><b>The heron stood %d.</b></a>"
    bucket.put({f"{i:02}.xml": page % i for i in range(40)} | {"x.docx": b"plain text", "y.xml": b"\x89PNG\r\n\x1a\n"})
    scan = lakeside.embed(f"s3://{bucket.name}/")
    assert (scan.tally.new, sorted(lakeside.rejects())) == (40, ["corrupt", "wrong-format"])
    assert places(lakeside) == [f"{i:02}.xml" for i in range(40)]
    assert lakeside.embed(f"s3://{bucket.name}/").tally.unopened == 40


def test_objects_are_sources_in_polyseme_toml(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fill(bucket, "c/a.txt", "c/b.md", "d.txt")
    file = tmp_path / "polyseme.toml"
    file.write_text(f'[corpus.news]\nsources = ["{source}c/", "{source}*.txt"]\nexclude = ["*.md"]\nlake = "lake"\n')
    monkeypatch.chdir(tmp_path)
    (corpus,) = chosen()
    found = read_sources(corpus.resolved(), ReadOptions(), stdin=io.BytesIO())
    assert [item.uri for item in found] == [f"{source}c/a.txt", f"{source}c/b.md", f"{source}d.txt"]
    assert [(one.roots, one.listed) for one in watched([corpus])] == [((), (f"{source}c/", f"{source}*.txt"))]


@pytest.mark.parametrize("place", ["", "nothing/", "nothing.txt", "no*thing/x.txt"])
def test_a_source_that_is_not_there_is_told(bucket: Bucket, place: str) -> None:
    fill(bucket, "a.txt")
    if place.startswith("no*"):
        assert resolve([f"s3://{bucket.name}/{place}"])  # a pattern may have no match yet
        return
    address = f"s3://{bucket.name}/{place}" if place else f"s3://{bucket.name}-not/"
    with pytest.raises(UsageError, match=r"does not exist|cannot be reached"):
        resolve([address])


def test_an_address_with_an_empty_name_is_refused_and_not_taken_for_another_prefix(bucket: Bucket) -> None:
    source = fill(bucket, "in/a.txt", "in//b.txt", "/c.txt")
    for address in (f"{source}in//", f"{source}/", f"{source}/c.txt", f"{source}in//*.txt"):
        with pytest.raises(UsageError, match="has // in its key"):
            resolve([address])


def test_one_object_of_a_format_that_is_not_read_is_refused_as_such_a_file_is(bucket: Bucket) -> None:
    source = fill(bucket, "picture.png", "README")
    with pytest.raises(UsageError, match="format that is not read"):
        resolve([f"{source}picture.png"])
    assert resolve([f"{source}README"])


@pytest.mark.parametrize("key", ["_delta_log/00000000000000000000.json", "metadata/00001-a.metadata.json"])
def test_the_files_of_a_table_are_not_read_by_themselves(lakeside: Lakeside, bucket: Bucket, key: str) -> None:
    source = fill(bucket, "table/a.txt")
    lakeside.embed(f"{source}table/")
    bucket.put({f"table/{key}": b"{}"})
    scan = lakeside.embed(f"{source}table/")
    assert (scan.tally.documents, scan.tally.rejected, scan.tally.deleted) == (0, 1, 0)


def test_a_lake_inside_its_source_is_refused(bucket: Bucket) -> None:
    source = fill(bucket, "c/a.txt")
    with pytest.raises(UsageError, match="lies inside the source"):
        resolve([source], lake=Lake(f"{source}lake"))
    assert resolve([f"{source}c/"], lake=Lake(f"{source}lake"))
    assert resolve([source], lake=Lake(f"{source}lake"), patterns=Patterns(exclude=("lake/",)))


def test_an_address_with_a_secret_is_refused_and_says_where_it_goes() -> None:
    with pytest.raises(UsageError, match="AWS_PROFILE") as raised:
        resolve(["s3://key:hunter2@bucket/c/"])
    assert "hunter2" not in str(raised.value)
