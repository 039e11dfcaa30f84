"""Repositories of the Hugging Face Hub as sources, read by its own library from a server of one repository."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document
from polyseme.tasks.reading import store_access
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.reading.sources import list_sources, read_sources

FILES = {"README.md": b"# Corpus", "data/a.txt": b"The heron stood.", "data/sub/b c.txt": b"The bank closed."}
_TREE, _FILE = "/api/datasets/owner/name/tree/main", "/datasets/owner/name/resolve/main/"


class Hub(BaseHTTPRequestHandler):
    """What the Hub's library asks for: the repository, its trees and its files."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        if path.startswith(_TREE):
            recursive = parse_qs(address.query).get("recursive") == ["true"]
            found = list(_tree(path.removeprefix(_TREE).strip("/"), recursive=recursive))
            self.answer(json.dumps(found or {}).encode(), 200 if found else 404, **{"X-Error-Code": "EntryNotFound"})
        elif path.startswith(_FILE):
            start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            self.answer(FILES[path.removeprefix(_FILE)][int(start) : int(end) + 1], 206)
        elif path == "/api/datasets/owner/name":
            self.answer(json.dumps({"id": "owner/name", "sha": "1" * 40, "tags": [], "siblings": []}).encode(), 200)
        else:
            self.answer(b"{}", 404, **{"X-Error-Code": "RepoNotFound"})

    def answer(self, content: bytes, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers if code == 404 else {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


def _tree(at: str, *, recursive: bool) -> Iterator[dict[str, object]]:
    folders = {""}
    for path, content in FILES.items():
        inside = path.removeprefix(f"{at}/") if at else path
        if at and inside == path:
            continue
        if recursive or "/" not in inside:
            blob = hashlib.sha1(content).hexdigest()
            yield {"type": "file", "oid": blob, "size": len(content), "path": path}
        if (folder := path[: len(path) - len(inside)] + inside.partition("/")[0]) not in folders and "/" in inside:
            folders.add(folder)
            yield {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def hub(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import HfFileSystem, constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    HfFileSystem.clear_instance_cache()
    store_access.filesystem.cache_clear()
    yield
    HfFileSystem.clear_instance_cache()
    store_access.filesystem.cache_clear()


def uris(spec: str) -> list[str]:
    found = read_sources(resolve([spec]), ReadOptions(), stdin=io.BytesIO())
    return [item.uri for item in found if isinstance(item, Document)]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("", ["README.md", "data/a.txt", "data/sub/b%20c.txt"]),
        ("/data", ["data/a.txt", "data/sub/b%20c.txt"]),
        ("/data/a.txt", ["data/a.txt"]),
        ("/**/*.txt", ["data/a.txt", "data/sub/b%20c.txt"]),
    ],
)
def test_what_is_below_an_address_is_read(place: str, expected: list[str]) -> None:
    assert uris(f"hf://datasets/owner/name{place}") == [f"hf://datasets/owner/name/{path}" for path in expected]


def test_the_hash_of_a_file_is_its_state_and_it_has_no_time() -> None:
    sources = resolve(["hf://datasets/owner/name/data/a.txt"])
    (file,) = list_sources(sources, ReadOptions(), stdin=io.BytesIO())
    assert isinstance(file, SourceFile)
    (found,) = file.read()
    assert isinstance(found, Document)
    assert (found.bytes, found.modified_at) == (16, None)
    assert file.as_read is not None
    assert file.as_read.stamp == hashlib.sha1(FILES["data/a.txt"]).hexdigest()


@pytest.mark.parametrize("place", ["name/nothing/", "name/data/no.txt", "other"])
def test_what_is_not_there_is_told(place: str) -> None:
    with pytest.raises(UsageError, match=r"does not exist|cannot be reached"):
        resolve([f"hf://datasets/owner/{place}"])
