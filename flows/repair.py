"""Repair: broken parts are taken out of a lake, and the documents that had rows in them are encoded again as they were.

Texts come from the encoding itself, else from another that holds the same text, else from the source if it still
exists. Safe to run again: documents that are still marked as damaged are taken up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.flows.backfill import LEAST, BackfillRequest, backfill, config_of
from polyseme.flows.observation.maintenance import FlowRun
from polyseme.flows.runs.maintenance import take_out
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.lake import Lake
from polyseme.storage.records import Device
from polyseme.tasks.engine_config import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """The repair of one encoding: parts retired, documents encoded again, and uris by id of those that were `lost`."""

    encoding: str
    retired: int
    encoded: int
    lost: dict[str, str]


def repair_lake(
    lake: Lake, broken: frozenset[str], *, device: Device = "auto", model: str | None = None,
    flow_run: FlowRun | None = None,
) -> list[RepairReport]:  # fmt: skip
    """Retire the `broken` parts, given by path, and encode the documents again that are marked as damaged.

    `model` is the new place of a checkpoint that has moved. Raises ModelError if an encoding's model is not available;
    its documents stay marked then.
    """
    with Catalog.open(lake) as catalog:
        retired = {done.encoding: len(done.retired) for done in take_out(catalog, broken, flow_run)}
        encodings = catalog.encodings()
        marked = {e.name: len(catalog.damaged_documents(e.encoding_id)) for e in encodings}
    done = []
    for encoding in encodings:
        if not (retired.get(encoding.name) or marked[encoding.name]):
            continue
        lost: dict[str, str] = {}
        if marked[encoding.name]:
            lost = _encode_again(lake, encoding, encodings, config_of(encoding, device, model=model))
        encoded = marked[encoding.name] - len(lost)
        done.append(
            RepairReport(encoding=encoding.name, retired=retired.get(encoding.name, 0), encoded=encoded, lost=lost)
        )
    return done


def _encode_again(lake: Lake, encoding: Encoding, all_: tuple[Encoding, ...], engine: EngineConfig) -> dict[str, str]:
    """Encode the marked documents of an encoding; return those whose text is not available anywhere."""
    for texts in sorted(all_, key=lambda other: other is not encoding):
        if _marked(lake, encoding):
            backfill(
                BackfillRequest(
                    lake=str(lake.root),
                    catalog=lake.catalog,
                    engine=engine,
                    outputs=LEAST,
                    texts_of=texts.name,
                    damaged=True,
                )
            )
    if sources := list(files_of(_marked(lake, encoding))):
        backfill(
            BackfillRequest(
                lake=str(lake.root), catalog=lake.catalog, engine=engine, outputs=LEAST, sources=sources, damaged=True
            )
        )
    return _marked(lake, encoding)


def _marked(lake: Lake, encoding: Encoding) -> dict[str, str]:
    with Catalog.open(lake) as catalog:
        return catalog.damaged_documents(encoding.encoding_id)


def files_of(marked: dict[str, str]) -> Iterator[str]:
    """Yield the addresses of files that still exist."""
    for uri in dict.fromkeys(marked.values()):
        try:
            parts = urlsplit(uri)
        except ValueError:  # a host that is none
            continue
        if parts.scheme == "file" and Path(os.fsdecode(unquote_to_bytes(parts.path))).is_file():
            yield uri
