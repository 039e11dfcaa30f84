"""Mutated small files of every format: whatever bytes come, reading ends, in no error that was not foreseen."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import resource
import tarfile
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from polyseme.storage.records import Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.skipped import Skipped
from tests import document_files

MOST_SECONDS = 10.0
MOST_GROWTH_MB = 500
_OPTIONS = ReadOptions(max_document_bytes=1 << 20, max_line_bytes=1 << 20, parse_seconds=10)
_ROWS = {
    "id": ["a", "b", "c"],
    "text": ["The harbour froze.", "naïve café", "東京"],
    "n": [1, None, 3],
    "tags": [["x", "y"], None, []],
    "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
}
_LINES = b'{"id": 1, "text": "The harbour froze.", "a": [1.5, {"b": null}]}\n{"text": "caf\xc3\xa9"}\n' * 3
_TABLE = b'id,text\n1,"The ""harbour"" froze, they said."\n2,caf\xc3\xa9\n' * 3
_EDGES = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\x7f",
    b"\x80" * 9 + b"\x01",
    b'"',
    b"\n",
    b"{",
    b"[" * 999,
    b"\\ud800",
    b"PAR1",
)


def seeds() -> dict[str, bytes]:
    """Return valid files by the suffixes of their names, numbered if there are several."""
    plain = {".jsonl": _LINES, ".csv": _TABLE, ".tsv": _TABLE.replace(b",", b"\t"), ".txt": "é wide".encode("utf-16")}
    plain[".json"] = b'[{"id": 1, "text": "The harbour froze."}, {"text": "caf\xc3\xa9", "a": [1e3, null]}]\n'
    plain[".md"] = b"---\ntitle: x\n---\n# Title #\n```\n# no\n```\n"
    found = {f"0{suffix}": content for suffix, content in plain.items()}
    for suffix in (".jsonl", ".csv"):
        found[f"0{suffix}.gz"] = gzip.compress(plain[suffix], mtime=0)
        found[f"0{suffix}.bz2"] = bz2.compress(plain[suffix])
        found[f"0{suffix}.zst"] = zstandard.compress(plain[suffix])
    for number, compression in enumerate(("none", "snappy", "zstd", "gzip")):
        for dictionary in (True, False):
            out = io.BytesIO()
            version = "2.0" if dictionary else "1.0"
            pq.write_table(
                pa.table(_ROWS), out, compression=compression, use_dictionary=dictionary, data_page_version=version
            )
            found[f"{number}{dictionary}.parquet"] = out.getvalue()
    feed = b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "content_text": "One."}]}'
    return found | {"1.json": feed, "2.json": b'{"text": "One."}'} | _of_programs() | _of_the_web()


def _of_the_web() -> dict[str, bytes]:
    """Return valid web archives: answers of servers in several codings, and texts made of them."""
    page, packed = document_files.page("The harbour froze.").encode(), "Content-Encoding: gzip\r\n"
    records = [
        _record("warcinfo", b"software: a crawler\r\n", "application/warc-fields"),
        _record("response", _answer(page, "text/html; charset=utf-8")),
        _record("response", _answer(gzip.compress(page, mtime=0), "text/html", packed)),
        _record("response", _answer(b"6\r\nA text\r\n0\r\n\r\n", "text/plain", "Transfer-Encoding: chunked\r\n")),
        _record("resource", document_files.pdf(), "application/pdf"),
    ]
    text = _record("conversion", "Das Café.".encode(), "text/plain")
    return {
        "0.warc": b"".join(records),
        "0.warc.gz": b"".join(gzip.compress(record, mtime=0) for record in records),
        "0.wet": text * 3, "0.wet.gz": gzip.compress(text, mtime=0) * 3,
    }  # fmt: skip


def _record(kind: str, content: bytes, type_: str = "application/http") -> bytes:
    lines = [
        "WARC/1.0", f"WARC-Type: {kind}", "WARC-Target-URI: https://example.org/a", "WARC-Date: 2026-01-02T03:04:05Z",
        f"Content-Type: {type_}", f"Content-Length: {len(content)}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + content + b"\r\n\r\n"


def _answer(content: bytes, type_: str, more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {type_}\r\n{more}\r\n".encode() + content


def _of_programs() -> dict[str, bytes]:
    """Return valid files of the formats that programs write, and archives of them."""
    found = {
        "0.docx": document_files.docx(), "0.pptx": document_files.pptx(), "0.xlsx": document_files.xlsx(),
        "0.odt": document_files.odt(), "0.epub": document_files.epub(), "0.pdf": document_files.pdf(),
        "0.html": document_files.page("The harbour froze.").encode(), "0.eml": document_files.mail(),
        "0.mbox": document_files.mbox(document_files.mail(html=True), document_files.mail()),
        "0.rtf": document_files.rtf(),
        "0.ipynb": document_files.notebook(("markdown", "# Ice"), ("code", "melt()")), "0.xml": document_files.tei(),
    }  # fmt: skip
    found["0.html.gz"] = gzip.compress(found["0.html"], mtime=0)
    found["0.rst"] = found["0.org"] = b"Title\n=====\n\nThe *harbour* froze, `see <https://x.org>`_.\n\n* one\n"
    found["0.tex"], found["0.adoc"] = document_files.latex(), document_files.asciidoc()
    found["0.tex.gz"] = gzip.compress(found["0.tex"], mtime=0)
    # Stored, so that an edit reaches the XML and not the compression alone.
    for name in ("0.docx", "0.pptx", "0.xlsx", "0.odt", "0.epub"):
        with zipfile.ZipFile(io.BytesIO(found[name])) as file:
            parts = {part: file.read(part) for part in file.namelist()}
        found[name.replace("0", "1")] = document_files.zipped(parts, stored=list(parts))
    members = {"a.txt": b"One.", "b/c.jsonl": _LINES, "d.docx": found["0.docx"], "e.zip": found["0.odt"]}
    found["0.zip"] = document_files.zipped(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found["0.tar"] = out.getvalue()
    found["0.tar.gz"] = gzip.compress(out.getvalue(), mtime=0)
    found["0.tar.xz"] = lzma.compress(out.getvalue())
    return found


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return `content` after one to six edits: flipped bits, cuts, copies of other places, edge values, and lengths."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(made) + 1)
        end = min(len(made), at + chance.randint(1, 32))
        match chance.randrange(7):
            case 0 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                del made[at:end]
            case 2:
                source = chance.randrange(len(made) + 1)
                made[at:at] = made[source : source + chance.randint(1, 64)]
            case 3:
                made[at:end] = chance.choice(_EDGES)
            case 4 if at + 4 <= len(made):
                made[at : at + 4] = chance.choice((0, 1, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)).to_bytes(4, "little")
            case 5 if at < len(made):
                made[at] = chance.randrange(256)
            case 6 if chance.random() < 0.2:
                del made[at:]
    return bytes(made)


def fuzz(seconds: float, seed: int, folder: Path) -> dict[str, object]:
    """Read mutated files for so long; return how many, and those that broke a promise, by how. The same for a seed."""
    chance = random.Random(seed)
    corpus = seeds()
    names = sorted(corpus)
    before = _peak_mb()
    files, broken, codes = 0, list[str](), dict[str, int]()
    until = time.monotonic() + seconds
    parsers = Parsers(1)
    while time.monotonic() < until and len(broken) < 10:
        name = chance.choice(names)
        path = folder / name
        path.write_bytes(mutated(corpus[name], chance))
        began = time.process_time()
        files += 1
        items = 0
        for item in read_file(path, path.as_uri(), _OPTIONS, parsers=parsers):
            items += 1
            code = item.code if isinstance(item, Reject) else "skipped" if isinstance(item, Skipped) else "read"
            codes[code] = codes.get(code, 0) + 1
            if code == "unforeseen":
                broken.append(f"{name} {item.message}: {path.read_bytes().hex()}")  # type: ignore[union-attr]
        if not items:
            broken.append(f"{name} was lost in silence: {path.read_bytes().hex()}")
        if (grown := _peak_mb() - before) > MOST_GROWTH_MB:
            broken.append(f"{name}: memory grew by {grown} MB: {path.read_bytes().hex()}")
            before += grown
        if (took := time.process_time() - began) > MOST_SECONDS:
            broken.append(f"{name} took {took:.0f} s: {path.read_bytes().hex()}")
    parsers.close()
    return {"files": files, "seed": seed, "broken": broken, "codes": codes, "peak_mb": _peak_mb()}


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
