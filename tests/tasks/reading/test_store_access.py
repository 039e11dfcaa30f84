"""What Azure's own tools take from the environment finds the same account for Arrow."""

from __future__ import annotations

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading import store_access

PLAIN = {"account_name": "a", "account_key": "k=="}
EMULATOR = "http://127.0.0.1:10000/a"


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({"ACCOUNT": "a"}, {"account_name": "a"}),
        ({"ACCOUNT": "a", "KEY": "k=="}, PLAIN),
        ({"ACCOUNT": "a", "SAS_TOKEN": "?sv=1&sig=2"}, {"account_name": "a", "sas_token": "sv=1&sig=2"}),
        ({"CONNECTION_STRING": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;"}, PLAIN),
        (
            {"CONNECTION_STRING": "AccountName=a;AccountKey=k==;EndpointSuffix=core.chinacloudapi.cn"},
            PLAIN
            | {
                "blob_storage_authority": ".blob.core.chinacloudapi.cn",
                "dfs_storage_authority": ".dfs.core.chinacloudapi.cn",
            },
        ),
        (
            {"CONNECTION_STRING": "AccountName=a;AccountKey=k==;BlobEndpoint=https://a.blob.example.org/"},
            PLAIN
            | {
                "blob_storage_authority": ".blob.example.org",
                "blob_storage_scheme": "https",
                "dfs_storage_authority": ".dfs.example.org",
                "dfs_storage_scheme": "https",
            },
        ),
        (
            {"CONNECTION_STRING": f"AccountName=a;AccountKey=k==;BlobEndpoint={EMULATOR}"},
            PLAIN
            | {
                "blob_storage_authority": "127.0.0.1:10000",
                "blob_storage_scheme": "http",
                "dfs_storage_authority": "127.0.0.1:10000",
                "dfs_storage_scheme": "http",
            },
        ),
    ],
)
def test_an_azure_account_is_found(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: dict[str, str]
) -> None:
    for name in ("ACCOUNT", "KEY", "SAS_TOKEN", "CONNECTION_STRING"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    assert store_access._azure() == settings


def test_without_an_account_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT", "CONNECTION_STRING"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    with pytest.raises(UsageError, match="set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING"):
        store_access._azure()
