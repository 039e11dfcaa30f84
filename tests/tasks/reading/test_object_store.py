"""Object stores: what lies below an address, in order, whatever its key, and what reading it gives."""

from __future__ import annotations

import io

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading import store_access
from polyseme.tasks.reading.object_store import SMALL_BYTES, ObjectStore, store_of
from tests import servers
from tests.buckets import SECRET, Bucket

pytestmark = pytest.mark.servers

ODD = ["%C3.txt", "*.txt", "a b%20.txt", "a\\b.txt", "ü#?.txt", "日本.txt", "~^`|.txt", "\u200b.txt"]


def test_a_listing_is_in_the_order_of_keys_with_sizes_and_times(bucket: Bucket) -> None:
    bucket.put({"c/b.txt": b"two", "c/a/z.txt": b"one", "c.txt": b"beside", "c/": b""})
    found = list(bucket.store.listed("c/"))
    assert [(stored.key, stored.size) for stored in found] == [("c/a/z.txt", 3), ("c/b.txt", 3)]
    changed = bucket.client.head_object(Bucket=bucket.name, Key="c/b.txt")["LastModified"]
    assert found[1].modified_ns == int(changed.timestamp()) * 10**9


def test_one_object_is_found_by_its_key_and_all_by_none(bucket: Bucket) -> None:
    bucket.put({"c/b.txt": b"two", "d.txt": b"three"})
    assert [stored.key for stored in bucket.store.object("d.txt")] == ["d.txt"]
    assert [stored.key for stored in bucket.store.object("c")] == []
    assert [bucket.store.kind_of(key) for key in ("d.txt", "c", "c/", "", "e")] == ["object", *["prefix"] * 3, None]
    assert [stored.key for stored in bucket.store.listed("")] == ["c/b.txt", "d.txt"]
    assert list(bucket.store.listed("nothing/")) == []


@pytest.mark.parametrize("name", ODD)
def test_an_odd_key_is_listed_read_and_found_again_by_its_address(bucket: Bucket, name: str) -> None:
    bucket.put({f"p/{name}": b"hello"})
    (found,) = bucket.store.listed("p/")
    assert bucket.store.open(found.key).read() == b"hello"
    uri = bucket.store.uri(found.key)
    assert uri.isascii()
    assert bucket.store.key_of(uri) == f"p/{name}"


def test_a_key_that_cannot_be_read_spoils_no_other(bucket: Bucket) -> None:
    bucket.put({"a//b.txt": b"hello", "a/c.txt": b"there"})
    assert [stored.key for stored in bucket.store.listed("a/")] == ["a//b.txt", "a/c.txt"]
    assert bucket.store.whole("a/c.txt") == b"there"
    for read in (bucket.store.whole, bucket.store.open):
        with pytest.raises(OSError, match=r"a//b\.txt' has an empty name") as refused:
            read("a//b.txt")
        assert "AWS" not in str(refused.value)  # no settings would help


def test_a_large_object_is_read_in_ranges_from_any_place(bucket: Bucket) -> None:
    body = bytes(range(256)) * (SMALL_BYTES // 256 + 1)
    bucket.put({"large": body})
    with bucket.store.open("large") as stream:
        stream.seek(-5, io.SEEK_END)
        assert stream.read() == body[-5:]
        stream.seek(1000)
        assert stream.read(300) == body[1000:1300]
        stream.seek(0)
        assert stream.read() == body


def test_a_bucket_that_does_not_exist_is_an_error_without_the_secret(bucket: Bucket) -> None:
    with pytest.raises(OSError, match=r"no such object|NO_SUCH_BUCKET"):
        list(ObjectStore("s3", "nobody-has-this").listed(""))


def test_a_store_that_does_not_answer_is_an_error_that_says_what_it_takes(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    store_access.filesystem.cache_clear()
    with pytest.raises(OSError, match="AWS_ENDPOINT_URL") as raised:
        list(bucket.store.listed("c/"))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "bucket_name", "key"),
    [
        ("s3://b", "b", ""),
        ("S3://b/c d/%20.txt", "b", "c d/%20.txt"),
        ("gs://b/c/", "b", "c/"),
        ("hf://datasets/owner/name/data/", "datasets/owner/name", "data/"),
    ],
)
def test_an_address_names_a_store_and_a_literal_key(address: str, bucket_name: str, key: str) -> None:
    found = store_of(address)
    assert found is not None
    assert (found[0].bucket, found[1]) == (bucket_name, key)


@pytest.mark.parametrize("address", ["s3://", "s3:///c", "hf://datasets/owner"])
def test_an_address_without_a_place_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="names no place"):
        store_of(address)


def test_an_address_of_something_else_is_none() -> None:
    assert store_of("file:///a") is None
    assert store_of("folder/s3") is None
