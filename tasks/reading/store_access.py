"""Access to object stores: Arrow's file system of each, set up as its own tools are by the environment."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem
    from pyarrow.fs import FileSystem

SETTINGS = {
    "s3": "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL beside AWS",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or what `gcloud auth application-default login` leaves",
    "az": "AZURE_STORAGE_ACCOUNT and what `az login` leaves, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; or "
    "AZURE_STORAGE_CONNECTION_STRING",
    "hf": "HF_TOKEN, if the repository is not public",
}
"""Each scheme of an address, with the settings of the environment that its store heeds."""
_PATIENCE = timedelta(seconds=60)
"""How long Google's client tries; by itself a quarter of an hour."""


@lru_cache(maxsize=8)
def filesystem(scheme: str, bucket: str, process: int) -> FileSystem:
    """Return Arrow's file system of a bucket: one for all threads of a process, since connections are not inherited.

    Raises UsageError if a setting is missing without which the store cannot be found.
    """
    from pyarrow import fs

    if scheme == "s3":
        endpoint = _set("AWS_ENDPOINT_URL_S3") or _set("AWS_ENDPOINT_URL")
        region = _set("AWS_REGION") or _set("AWS_DEFAULT_REGION") or None
        anonymous = _set("AWS_NO_SIGN_REQUEST").lower() in ("1", "true", "yes")
        if endpoint:
            protocol, _, host = endpoint.rpartition("://")
            return fs.S3FileSystem(
                endpoint_override=host.rstrip("/"), scheme=protocol or "https", region=region, anonymous=anonymous
            )
        return fs.S3FileSystem(region=region or fs.resolve_s3_region(bucket), anonymous=anonymous)
    if scheme == "gs":
        protocol, _, host = _set("STORAGE_EMULATOR_HOST").rpartition("://")
        return fs.GcsFileSystem(
            anonymous=bool(host), endpoint_override=host or None, scheme=(protocol or "http") if host else "https",
            retry_time_limit=_PATIENCE,
        )  # fmt: skip
    if scheme == "az":
        return fs.AzureFileSystem(**_azure())
    return fs.PyFileSystem(fs.FSSpecHandler(hub()))


def hub() -> HfFileSystem:
    """Return the file system of the Hugging Face Hub, the same each time."""
    from huggingface_hub import HfFileSystem

    return HfFileSystem()


def _azure() -> dict[str, Any]:
    """Return the account, its key or token, and its address if that is not the usual one."""
    pairs = (pair.partition("=") for pair in _set("AZURE_STORAGE_CONNECTION_STRING").split(";"))
    given = {name.strip().lower(): value.strip() for name, _, value in pairs if value.strip()}
    account = given.get("accountname") or _set("AZURE_STORAGE_ACCOUNT")
    if not account:
        raise UsageError(
            "az:// needs the name of the storage account: set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING"
        )
    key = given.get("accountkey") or _set("AZURE_STORAGE_KEY")
    token = given.get("sharedaccesssignature") or _set("AZURE_STORAGE_SAS_TOKEN")
    settings: dict[str, Any] = {"account_name": account}
    if key:
        settings["account_key"] = key
    elif token:
        settings["sas_token"] = token.lstrip("?")
    if endpoint := given.get("blobendpoint"):
        parts = urlsplit(endpoint)
        own = parts.netloc.startswith(f"{account}.")
        settings["blob_storage_scheme"] = settings["dfs_storage_scheme"] = parts.scheme
        settings["blob_storage_authority"] = parts.netloc[len(account) :] if own else parts.netloc
        settings["dfs_storage_authority"] = settings["blob_storage_authority"].replace(".blob.", ".dfs.")
    elif suffix := given.get("endpointsuffix"):
        settings |= {f"{service}_storage_authority": f".{service}.{suffix}" for service in ("blob", "dfs")}
    return settings


def _set(name: str) -> str:
    return os.environ.get(name, "").strip()
