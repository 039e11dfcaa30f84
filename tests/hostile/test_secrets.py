"""Secrets in what users name: sources, clusters, catalogs, however a slip of the pen hides them from a URL's parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.flows.runs.runners import Runner
from polyseme.storage.catalog_url import refuse_password, without_password
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake, scheme_with_secret
from polyseme.tasks.reading.resolving import resolve
from tests.hostile.test_pointers import SECRETS


@pytest.mark.parametrize("address", SECRETS)
def test_a_secret_in_a_source_is_refused_without_being_quoted(address: str) -> None:
    with pytest.raises(UsageError, match="would be stored") as caught:
        resolve([address])
    assert "hush" not in str(caught.value)


def test_a_secret_in_the_address_of_a_cluster_needs_no_scheme() -> None:
    with pytest.raises(UsageError, match="would be stored and logged") as caught:
        Runner(kind="dask", address="me:hush@scheduler:8786")
    assert "hush" not in str(caught.value)
    assert Runner(kind="dask", address="scheduler:8786").address == "scheduler:8786"


@pytest.mark.parametrize(
    "address",
    ["s3://bucket/me@example.org/lake", "https://host:8080/a@b", "file:///folder/a@b", "file:///a@b", "file:///a%40b",
     "s3://arn:aws:s3:eu-west-1:1:accesspoint/x/lake", "tcp://[::1]:8786", "s3://bucket", "/folder/a:b@c", "a:b@c",
     "./s3:KEY:b@c", "/folder/s3:KEY:b@c", "notes:monday@home.txt", "Re: Fwd: me@example.org.txt", "s3:bucket", "a::b",
     "scheduler:8786", "file:/folder//a@b", "file://[/folder/a@b"],
)  # fmt: skip
def test_an_address_without_a_secret_is_taken(address: str) -> None:
    assert scheme_with_secret(address) is None


@pytest.mark.parametrize(
    "address",
    ["s3:bucket/lake", "s3:/bucket/lake", "S3:bucket", "gs:/b/l", "https:/h/l", "file:/folder/lake", "file:lake"],
)
def test_an_address_that_lacks_slashes_is_not_taken_for_a_folder(address: str) -> None:
    with pytest.raises(UsageError, match=r"Write \w+://…, or \./ before"):
        Lake(address)
    assert Lake(f"./{address}").root == Path(address).absolute()


@pytest.mark.parametrize(
    "option", ["password", "sslpassword", "PASSWORD", "passwd", "pwd", "oauth_client_secret", "scram_client_key"]
)
def test_no_option_with_a_secret_is_shown_or_goes_to_a_flow(option: str) -> None:
    url = f"postgresql://me@h/db?{option}=hush&sslmode=require"
    assert without_password(url) == "postgresql+psycopg://me@h/db?sslmode=require"
    with pytest.raises(UsageError, match="cannot be among them") as caught:
        refuse_password(url)
    assert "hush" not in str(caught.value)


def test_a_path_of_keys_stays_in_a_catalogs_address() -> None:
    assert without_password("postgresql://me@h/db?sslkey=/k") == "postgresql+psycopg://me@h/db?sslkey=%2Fk"
    refuse_password("postgresql://me@h/db?passfile=/my/pgpass&sslkey=/k")
