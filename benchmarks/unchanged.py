"""A run over files that did not change: how long it takes, how much memory, and how many of them it opens.

    python -m benchmarks.unchanged [--files 1000000] [--folder DIR] [--store [--filled]] [--trace] [--dry-run]

Tiny local files, a thousand a folder. Encoding a million takes hours, so the catalog's rows are written as a run would
leave them; the first `polyseme embed` then reads every file, and the second, which is measured, should open none.
`--trace` counts the second run's calls of `openat` below the folder with strace, which makes it slower.

With `--store` the files are objects of a server on this machine that speaks as much of S3 as a reader needs, in a
process of its own: it makes up keys and contents, and counts what it is asked for. Reading a million takes hours too:
with `--filled` no run reads them, and the catalog is given what one would have kept of each.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from benchmarks.store import SOURCE, serving, text
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import read_files
from polyseme.storage.database.schema import document_versions
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs
from polyseme.storage.source_files import DocumentsDigest, ReadFile
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_opened
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.reading.sources import list_sources, read_sources

OUTPUTS = Outputs("sentences", None, nsp=False)
_A_FOLDER, _ROWS = 1000, 10_000


def make(folder: Path, count: int) -> None:
    """Write `count` files of one sentence, and set their times an hour back."""
    before = time.time() - 3600
    for start in range(0, count, _A_FOLDER):
        inside = folder / f"{start // _A_FOLDER:05d}"
        inside.mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + _A_FOLDER, count)):
            path = inside / f"{number:07d}.txt"
            path.write_text(f"The heron stood in reed {number}.")
            os.utime(path, (before, before))


def fill(root: Path, folder: Path | str) -> None:
    """Give a new lake the rows of a run over the folder."""
    spec = Engine(EngineConfig()).spec
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(spec)
        version = catalog.begin_run("first", spec.encoding_id, [str(folder)])
        for rows in _pages(folder, spec.encoding_id, version):
            with catalog.writing() as connection:
                connection.execute(insert(document_versions), rows)


def fill_from_store(root: Path) -> None:
    """Give a new lake the rows of a run over the objects, and what it would keep of each, without reading any."""
    spec = Engine(EngineConfig()).spec
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(spec)
        version = catalog.begin_run("first", spec.encoding_id, [SOURCE])
        found = list_sources(resolve([SOURCE]), ReadOptions(), stdin=io.BytesIO())
        while some := list(islice(found, _ROWS)):
            rows, kept = [], []
            for file in some:
                assert isinstance(file, SourceFile)
                document, read = _as_read(file)
                rows.append(_row(document, spec.encoding_id, version))
                kept.append(read)
            with catalog.writing() as connection:
                connection.execute(insert(document_versions), rows)
                read_files.put(connection, spec.encoding_id, kept)


def _as_read(file: SourceFile) -> tuple[Document, ReadFile]:
    name, state = file.uri.rpartition("/")[2], file.state()
    (document,) = read_opened(lambda: io.BytesIO(text(int(name[:7]))), name, file.uri, file.options)
    assert isinstance(document, Document)
    assert state is not None
    document, digest = file.dated(document, state), DocumentsDigest()
    digest.add(document.doc_id, document.record_sha256)
    return document, ReadFile(uri=file.uri, state=state, reading=file.reading, documents=1, digest=digest.value)


def _pages(folder: Path | str, encoding_id: str, version: int) -> Iterator[list[dict[str, Any]]]:
    rows = []
    for document in read_sources(resolve([str(folder)]), ReadOptions(), stdin=io.BytesIO()):
        assert isinstance(document, Document)
        rows.append(_row(document, encoding_id, version))
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _row(document: Document, encoding_id: str, version: int) -> dict[str, Any]:
    return {
        "encoding_id": encoding_id, "doc_id": document.doc_id, "version": version, "text_version": version,
        "rows_version": version, "uri": document.uri, "record_sha256": document.record_sha256,
        "content_sha256": document.content_sha256, "outputs": OUTPUTS.to_json(), "n_tokens": 9, "deleted": False,
    }  # fmt: skip


def embed(root: Path, folder: Path | str, *flags: str, trace: Path | None = None) -> dict[str, Any]:
    """Run `polyseme embed` in a process of its own and return what it took and found."""
    command = [sys.executable, "-m", "polyseme", "embed", str(folder), "--lake", str(root), "--level", "sentences",
               "--no-nsp", "--json", *flags]  # fmt: skip
    if trace is not None:
        command = ["strace", "-f", "-e", "trace=open,openat", "-o", str(trace), *command]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"polyseme embed ended with {os.waitstatus_to_exitcode(status)}: {said}")
    found = json.loads(said)
    tally = found.get("tally", found)
    return {
        "wall_s": round(wall, 1), "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024), "documents": tally["documents"], "unopened": tally["unopened"],
    }  # fmt: skip


def opened(trace: Path, folder: Path) -> int:
    """Return how many times a file below the folder was opened, by strace's protocol."""
    path = re.compile(rf'"{re.escape(str(folder))}/[^"]*\.txt"')
    with trace.open(errors="replace") as lines:
        return sum(1 for line in lines if path.search(line))


def main() -> None:
    """Measure and print one line of JSON a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--filled", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    flags = ["--dry-run"] if options.dry_run else []
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder, root = Path(temporary) / "files", Path(temporary) / "lake"
        if options.store:
            with serving(options.files) as asked:
                fill_from_store(root) if options.filled else fill(root, SOURCE)
                for what in ("every object is read", "nothing changed")[options.filled :]:
                    asked()
                    ran = embed(root, SOURCE, *(flags if what == "nothing changed" else []))
                    print(json.dumps({"what": what, **ran, "requests": asked()}), flush=True)
            return
        make(folder, options.files)
        fill(root, folder)
        print(json.dumps({"what": "every file is read", **embed(root, folder)}), flush=True)
        print(json.dumps({"what": "nothing changed", **embed(root, folder, *flags)}), flush=True)
        if options.trace:
            trace = Path(temporary) / "trace"
            embed(root, folder, trace=trace)
            print(json.dumps({"what": "traced", "opened": opened(trace, folder)}), flush=True)


if __name__ == "__main__":
    main()
