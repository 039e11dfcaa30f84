"""Buckets of an S3-compatible server, filled through the library that AWS has for it."""

from __future__ import annotations

from itertools import count

import pytest

from polyseme.tasks.reading import store_access
from polyseme.tasks.reading.object_store import ObjectStore

SECRET = "wJalrXUtnFEMI"
_NUMBERS = count()


class Bucket:
    """A bucket of its own for each test."""

    def __init__(self, name: str) -> None:
        import boto3

        self.name, self.client = name, boto3.client("s3")
        self.client.create_bucket(Bucket=name)
        self.store = ObjectStore("s3", name)

    def put(self, objects: dict[str, bytes]) -> None:
        """Write objects by key."""
        for key, body in objects.items():
            self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def delete(self, *keys: str) -> None:
        """Remove objects."""
        for key in keys:
            self.client.delete_object(Bucket=self.name, Key=key)


def new_bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return a new bucket, and set the environment so that every library finds it."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    store_access.filesystem.cache_clear()
    return Bucket(f"corpus-{next(_NUMBERS)}")
