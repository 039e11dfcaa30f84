"""Qdrant: a collection with a point for each row, on a server or in a folder of Qdrant's local mode.

    http://host:6333/collection
    a folder, in which the collection has the name of the table

Vectors are compared by cosine, and have length 1, as a server would keep them. A point's payload is its row, `metadata`
as an object; its id follows from the row's keys. Qdrant has no transactions: until all points are there the mark says
that the target is not complete. An API key is read from QDRANT_API_KEY.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import refuse_secrets
from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.tasks.exports.folders import ExportFolder, local_path
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE, VECTOR, DocumentState, States
from polyseme.tasks.exports.targets import Change, needs, numbers_of, row_ids, states_of

_PATIENCE_SECONDS = 60
_KEY = "polyseme_export"
_POINTS_A_REQUEST = 256
_POINTS_A_PAGE = 4096
_DOCUMENTS_A_REQUEST = 256


@contextmanager
def opened(out: str) -> Iterator[QdrantCollection]:
    """Open a collection as a target. Raises UsageError if the client is not installed, or for an address of none."""
    try:
        import qdrant_client
    except ImportError as error:
        raise needs("Qdrant", "qdrant", error) from error
    if "://" not in out:
        folder = ExportFolder(local_path(out))
        with folder.locked():
            folder.mark()  # before the client makes files in a folder that is not ours
            target = QdrantCollection(_InFolder(folder, qdrant_client))
            try:
                yield target
            finally:
                target.close()
        return
    server = _OnServer(out, qdrant_client)
    with _explained(out), closing(server.client()):
        yield QdrantCollection(server)


class _Place(Protocol):
    """Where a collection is: how it is opened, and where its mark is kept."""

    models: Any

    def client(self) -> Any: ...
    def begin(self, mark: Mark) -> None: ...
    def index(self, name: str) -> None: ...
    def name(self, mark: Mark) -> str: ...
    def mark(self) -> Mark | None: ...
    def remember(self, mark: Mark) -> None: ...
    def size(self) -> int | None: ...


class QdrantCollection:
    """A collection of points."""

    incremental = True

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._client: Any = None

    def __str__(self) -> str:
        return str(self._place)

    def close(self) -> None:
        """Close the client, if one was needed."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def mark(self) -> Mark | None:
        return self._place.mark()

    def states(self) -> States:
        mark, found = self.mark(), dict[str, DocumentState]()
        if mark is None or not self._opened().collection_exists(self._place.name(mark)):
            return found
        return states_of(self._pages(self._place.name(mark)))

    def write(self, change: Change, mark: Mark) -> None:
        begun = replace(mark, complete=False)
        self._place.begin(begun)
        client, models, name = self._opened(), self._place.models, self._place.name(mark)
        if not client.collection_exists(name):
            self._create(name, change.schema, begun)
        gone = sorted(change.gone)
        for at in range(0, len(gone), _DOCUMENTS_A_REQUEST):
            match = models.MatchAny(any=gone[at : at + _DOCUMENTS_A_REQUEST])
            condition = models.Filter(must=[models.FieldCondition(key="doc_id", match=match)])
            client.delete(name, models.FilterSelector(filter=condition), wait=True)
        for batch in change.rows:
            for at in range(0, batch.num_rows, _POINTS_A_REQUEST):
                rows = batch.slice(at, _POINTS_A_REQUEST)
                client.upsert(name, self._points(rows, KEYS[mark.table]), wait=True)
        self.remember(mark)

    def remember(self, mark: Mark) -> None:
        self._place.remember(mark)

    def size(self) -> int | None:
        return self._place.size()

    def _opened(self) -> Any:
        if self._client is None:
            self._client = self._place.client()
        return self._client

    def _create(self, name: str, schema: pa.Schema, mark: Mark) -> None:
        models, width = self._place.models, schema.field(VECTOR).type.list_size
        vectors = models.VectorParams(size=width, distance=models.Distance.COSINE)
        self._opened().create_collection(name, vectors_config=vectors, metadata={_KEY: mark.to_json()})
        self._place.index(name)

    def _points(self, rows: pa.RecordBatch, keys: tuple[str, ...]) -> Any:
        payloads = [_payload(row) for row in rows.drop_columns([VECTOR]).to_pylist()]
        vectors = unit_rows(numbers_of(rows)).tolist()
        return self._place.models.Batch(ids=row_ids(rows, keys), vectors=vectors, payloads=payloads)

    def _pages(self, name: str) -> Iterator[pa.Table]:
        page = None
        while True:
            points, page = self._opened().scroll(
                name, limit=_POINTS_A_PAGE, offset=page, with_payload=["doc_id", STATE], with_vectors=False
            )
            yield pa.table({key: pa.array([p.payload[key] for p in points], pa.string()) for key in ("doc_id", STATE)})
            if page is None:
                return


class _InFolder:
    """A folder of local mode, with the mark beside Qdrant's files."""

    def __init__(self, folder: ExportFolder, library: Any) -> None:
        self._folder, self._library, self.models = folder, library, library.models

    def __str__(self) -> str:
        return str(self._folder)

    def client(self) -> Any:
        return self._library.QdrantClient(path=str(self._folder.path))

    def name(self, mark: Mark) -> str:
        return mark.table

    def begin(self, mark: Mark) -> None:
        self._folder.path.mkdir(exist_ok=True)
        self.remember(mark)

    def index(self, name: str) -> None:
        """Do nothing: local mode has no indexes."""

    def mark(self) -> Mark | None:
        return self._folder.mark()

    def remember(self, mark: Mark) -> None:
        self._folder.remember(mark)

    def size(self) -> int | None:
        return self._folder.size()


class _OnServer:
    """A server's collection, with the mark in its metadata."""

    def __init__(self, address: str, library: Any) -> None:
        refuse_secrets(address)
        parts = urlsplit(address)
        self._name = parts.path.strip("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not self._name or "/" in self._name:
            raise UsageError(
                "An export to Qdrant takes a folder, or the address of a collection such as "
                "http://localhost:6333/sentences."
            )
        self._library, self.models, self._address = library, library.models, address
        self._client = library.QdrantClient(
            url=f"{parts.scheme}://{parts.netloc}",
            api_key=os.environ.get("QDRANT_API_KEY"),
            timeout=_PATIENCE_SECONDS,
            check_compatibility=False,
        )

    def __str__(self) -> str:
        return self._address

    def client(self) -> Any:
        return self._client

    def name(self, mark: Mark) -> str:
        return self._name

    def begin(self, mark: Mark) -> None:
        if self._client.collection_exists(self._name):
            self.remember(mark)

    def index(self, name: str) -> None:
        """Let rows of documents be found that are replaced."""
        self._client.create_payload_index(name, "doc_id", self.models.PayloadSchemaType.KEYWORD, wait=True)

    def mark(self) -> Mark | None:
        if not self._client.collection_exists(self._name):
            return None
        metadata = self._client.get_collection(self._name).config.metadata or {}
        if _KEY not in metadata:
            raise UsageError(
                f"{self} is a collection that no export made: its metadata have no {_KEY}. It is left as it is; name "
                "another collection."
            )
        return Mark.parse(str(metadata[_KEY]), str(self))

    def remember(self, mark: Mark) -> None:
        self._client.update_collection(self._name, metadata={_KEY: mark.to_json()})

    def size(self) -> int | None:
        return None


@contextmanager
def _explained(address: str) -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        what = (str(error).splitlines() or [""])[0].rstrip(".:")
        raise PolysemeError(
            f"{address}: {what}. Check that the server runs and accepts you (a key belongs in QDRANT_API_KEY); the "
            "next export completes what this one began."
        ) from None


def _payload(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON has it."""
    times = {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}
    return {**row, **times, "metadata": json.loads(row["metadata"])}
