"""Odd names of files, folders, lakes, records and sources: each document once, at an address that leads back to it.

Names are any bytes that a file system takes. What cannot be read is a reject, what cannot be named an error in words.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from hypothesis import strategies as st

from polyseme.flows.display.output import write_rows
from polyseme.flows.display.terminal import note, show
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading.formats import format_of
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import lakes
from tests.hostile.fuzzing import Property
from tests.hostile.lakeside import Lakeside, small_engine

_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, written here once more: what is tested is not what tests."""

_PIECES = (
    b"a", b"\xff", b"\xed\xa0\x80", b"\xc3", "é".encode(), "e\u0301".encode(), "東".encode(), "\U0001f600".encode(),
    b"\n", b"\r", b"\t", b"\x01", b"\x1b[31m", b"\x7f", "\x85".encode(), "\u202e".encode(), "\u2028".encode(),
    "\ufeff".encode(), b"%", b"%41", b"%2F", b"%00", b"%ff", b"?", b"#", b"\\", b"*", b"**", b"[a]", b"[!", b"]",
    b"{a,b}", b"-", b"--", b".", b"..", b"...", b" ", b"~", b"$HOME", b"'", b'"', b":", b";", b"|", b"&", b"=", b"+",
    b"@", b"file:", b"s3:", b"0", b"x" * 120, b"data", b"catalog.sqlite",
)  # fmt: skip
_SUFFIXES = (b".txt", b".txt", b".md", b".jsonl", b".csv", b".txt.gz", b".TXT", b"")
_BYTES = st.binary(min_size=1, max_size=3).filter(lambda b: not set(b) & set(b"/\0"))
_STEM = st.lists(st.sampled_from(_PIECES) | _BYTES, max_size=4).map(b"".join)


def _is_name(name: bytes) -> bool:
    return 0 < len(name) <= 255 and name not in (b".", b"..")


_FILE = st.builds(lambda stem, suffix: stem + suffix, _STEM, st.sampled_from(_SUFFIXES)).filter(_is_name)
_FOLDER = _STEM.filter(_is_name)
_PATH = st.builds(lambda folders, name: (*folders, name), st.lists(_FOLDER, max_size=2), _FILE)


class Tree(NamedTuple):
    """A folder with files by their paths; the first that is read is renamed to `renamed`, with its suffix."""

    folder: bytes
    paths: list[tuple[bytes, ...]]
    renamed: bytes


class LakeAt(NamedTuple):
    name: bytes


class Records(NamedTuple):
    """Records of one file, by what they have as `id`, `title` and one more field."""

    fields: list[tuple[Any, Any, Any]]


class Spec(NamedTuple):
    """What a user types as a source, after `before`; `{here}` is an empty folder."""

    before: str
    text: str


class Shown(NamedTuple):
    texts: list[str]


_ANY_TEXT = st.text(st.characters(), max_size=12) | _STEM.map(os.fsdecode)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ANY_TEXT | st.just("x" * 2000),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_ANY_TEXT, inner, max_size=2),
    max_leaves=3,
)
_ID = _ANY_TEXT | _ANY_TEXT | _JSON | st.sampled_from(["file:///x", "a", "a", 1, "1", 1.0, "", " "])
_BEFORE = ("{here}/", "file://{here}/", "file:", "file://", "file://localhost{here}/", "http://", "s3://", "x://", "")
CASES = st.one_of(
    st.builds(Tree, _FOLDER, st.lists(_PATH, min_size=1, max_size=5, unique=True), _STEM),
    st.builds(Tree, _FOLDER, st.lists(_PATH, min_size=1, max_size=5, unique=True), _STEM),
    st.builds(LakeAt, _STEM.filter(lambda name: name not in (b"", b".", b".."))),
    st.builds(Records, st.lists(st.tuples(_ID, _JSON, _JSON), min_size=1, max_size=5)),
    st.builds(Spec, st.sampled_from(_BEFORE), _ANY_TEXT.filter(lambda text: ".." not in text and text[:1] not in "/~")),
    st.builds(Shown, st.lists(_ANY_TEXT, min_size=1, max_size=4)),
)


@contextmanager
def promise(engine: Engine | None = None) -> Iterator[Property]:
    """Give what is promised of names; without an engine a small random one encodes."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "here"
        here.mkdir()
        engine = engine or small_engine(Path(folder) / "model")
        os.chdir(here)
        try:
            yield Property(CASES, lambda case: _check(case, engine))
        finally:
            os.chdir(before)


def _check(case: NamedTuple, engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        match case:
            case Tree():
                _check_tree(case, here, engine)
            case Records():
                _check_records(case, here, engine)
            case LakeAt():
                _check_lake(case, here)
            case Spec():
                _check_spec(case, here)
            case Shown():
                _check_shown(case.texts)


def _check_tree(tree: Tree, here: Path, engine: Engine) -> None:
    corpus = here / "corpora" / os.fsdecode(tree.folder)
    expected = _made(corpus, tree)
    if not expected:
        return
    with Catalog.create_or_open(Lake(here / "lake")) as catalog:
        lakeside = Lakeside(catalog, engine)
        first = lakeside.embed(corpus)
        assert _paths(lakeside) == sorted(expected), "each file once"
        _require_unchanged(lakeside, corpus, len(expected))
        texts = _texts(here / "lake")
        assert {_path(uri): text for uri, text in texts.items()} == expected
        _check_shown(list(texts))
        assert first.tally.rejected == 0
        old = next(iter(expected))
        new = old.with_name(os.fsdecode(tree.renamed) + "".join(os.path.splitext(old.name)[1:]))
        if not _is_name(os.fsencode(new.name)) or new.name.startswith(".") or os.path.lexists(new):
            return
        if format_of(new.name) != format_of(old.name):
            return
        old.rename(new)
        lakeside.embed(corpus, limit="100%")
        expected[new] = expected.pop(old)
        assert _paths(lakeside) == sorted(expected), "each once after a rename"
        assert {_path(uri): text for uri, text in _texts(here / "lake").items()} == expected
        _require_unchanged(lakeside, new, 1)


def _made(corpus: Path, tree: Tree) -> dict[Path, str]:
    """Make the files; return the texts of those that a scan reads, by path."""
    expected = {}
    corpus.mkdir(parents=True)
    for number, names in enumerate(tree.paths):
        path = corpus.joinpath(*map(os.fsdecode, names))
        text = f"Text number {number} froze."
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):
                continue
            path.write_bytes(_content(path.name, text))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # a file in the way of a folder
        if format_of(path.name) and not any(name.startswith(b".") for name in names):
            expected[path] = text
    return expected


def _content(name: str, text: str) -> bytes:
    name = name.lower()
    if name.endswith(".gz"):
        return gzip.compress(_content(name[:-3], text), mtime=0)
    if name.endswith((".jsonl", ".ndjson")):
        return json.dumps({"text": text}).encode()
    return (f"text\n{text}\n" if name.endswith((".csv", ".tsv")) else text).encode()


def _path(uri: str) -> Path:
    """Return the file of an address (RFC 8089), without the code that makes it."""
    assert uri.isascii(), uri
    assert uri.isprintable(), ascii(uri)
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", ""), uri
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))


def _paths(lakeside: Lakeside) -> list[Path]:
    return sorted(map(_path, lakeside.documents().values()))


def _texts(lake: Path) -> dict[str, str]:
    with Queries(Lake(lake), ModelFunctions()) as queries:
        texts = {row["uri"]: row["text"] for row in queries.ask("SELECT uri, text FROM documents")}
        written = _require_harmless_output(queries, "FROM documents", "json")
    assert {row["uri"]: row["text"] for row in json.loads(written)} == texts
    return texts


def _require_harmless_output(queries: Queries, sql: str, form: str) -> str:
    """Write the answers as a table, as CSV and in `form`, of which return what was written."""
    for one in ("table", "csv", form):
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)) as out:
            queries.run(sql, lambda rows, one=one: write_rows(rows, one))  # type: ignore[misc]
        written: str = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
        assert one != "table" or not _OBEYED.search(written), ascii(written)
    return written


def _require_unchanged(lakeside: Lakeside, source: object, count: int) -> None:
    tally = lakeside.embed(source).tally
    found = (tally.unchanged, tally.new, tally.changed, tally.deleted, tally.rejected)
    assert found == (count, 0, 0, 0, 0), f"not unchanged: {found}"


def _check_records(records: Records, here: Path, engine: Engine) -> None:
    source = here / "records.jsonl"
    lines = [
        {"id": id_, "title": title, "more": more, "text": f"Text number {number} froze."}
        for number, (id_, title, more) in enumerate(records.fields)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Catalog.create_or_open(Lake(here / "lake")) as catalog:
        lakeside = Lakeside(catalog, engine)
        tally = lakeside.embed(source).tally
        documents = lakeside.documents()
        assert len(documents) + tally.rejected == len(lines), (documents, tally, lakeside.rejects())
        with Queries(catalog.lake, ModelFunctions()) as queries:
            texts = queries.ask("SELECT doc_id, text FROM documents")
            _require_harmless_output(queries, "FROM documents; FROM rejects", "jsonl")
        assert sorted(row["doc_id"] for row in texts) == sorted(documents)
        assert len({row["text"] for row in texts}) == len(texts)
        again = lakeside.embed(source).tally
        assert (again.unchanged, again.new, again.changed, again.deleted) == (len(documents), 0, 0, 0), again


def _check_lake(case: LakeAt, here: Path) -> None:
    place = here / os.fsdecode(case.name)
    try:
        lake = Lake(place)
        with Catalog.create_or_open(lake) as catalog:
            lakes.commit(catalog, lakes.make_spec(), {"d": ["A text."]})
            publish(catalog)
    except PolysemeError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert isinstance(refused, UsageError) or len(case.name) > 200, refused
        assert list(here.iterdir()) == [], "refused after something was made"
        return
    with connect(lake, functions=lambda *nothing: None) as con:
        assert con.execute("SELECT doc_id FROM documents").fetchall() == [("d",)]
    assert [p.name for p in here.iterdir()] == [place.name]


def _check_spec(spec: Spec, here: Path) -> None:
    text = (spec.before + spec.text).replace("{here}", str(here))
    found, message = [], ""
    try:
        found = resolve([text], lake=Lake(here / "lake"))
    except UsageError as error:
        message = str(error)
    assert len(message) < 5000, "a message without end"
    uri = "file:///" + spec.text
    for source in found:
        with suppress(UsageError):
            source.covers(uri)
            source.scans(uri)
            source.contains(spec.text)


def _check_shown(texts: list[str]) -> None:
    for write in (show, note):
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        with redirect_stdout(out), redirect_stderr(out):
            for text in texts:
                write(text)
        written = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
        assert not _OBEYED.search(written), ascii(written)
