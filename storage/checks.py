"""Checks: what values from a catalog, a pointer, an event or a staged file may be, tested before they are used.

A lake may come from a stranger, and SQLite stores any value in any column. Names and paths have a pattern, numbers a
range, and texts a length; document ids, addresses and titles may be any text, because nothing is built from them.
Knows values, not where they are stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, get_args

import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.layers import SPELLINGS, is_canonical
from polyseme.storage.records import (
    LEVELS,
    Context,
    EncodingSpec,
    Markdown,
    Outputs,
    PllVariant,
    Pooling,
    Precision,
    PrecisionLoss,
    StoreLoss,
    WordDefinition,
)
from polyseme.storage.schemas import TABLES
from polyseme.storage.tiers import SPELLING, Centre, tier_of

ENCODING_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")
ENCODING_ID = re.compile(r"[0-9a-f]{16}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LAKE_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
TOKEN = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(
    r"[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,6})?(\+00:00|Z)"
)
"""In years that Python and Arrow have. Whether the month has that day is seen when it is read as a date."""
DEVICE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
NUMBER = re.compile(r"[0-9]{1,18}")
LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{0,4096}")
"""A name that is shown or logged, such as a model's label. JSON can have surrogates in it, and Arrow cannot."""

MOST = 2**62
WIDEST = 65_536
LONGEST_JSON = 1 << 20
_SHOWN = 80
_LONGEST_PROMPT = 4_096
PROMPT = re.compile(rf"[^\x00\ud800-\udfff]{{0,{_LONGEST_PROMPT}}}")
_CHOICES = {
    "pooling": Pooling,
    "context": Context,
    "precision": Precision,
    "word_definition": WordDefinition,
    "markdown": Markdown,
}
_A_TIME = "a time in ISO 8601"
PART = re.compile(rf"data/(?:{'|'.join(TABLES)})/encoding=[0-9a-f]{{16}}/[0-9a-f]{{32}}\.parquet")

RESTORE = "Restore it from a copy. A lake that somebody else made may have been altered on purpose: do not open it."


@dataclass(frozen=True, slots=True)
class Origin:
    """Where values come from, such as `the catalog /lake/catalog.sqlite`, and what to do about a wrong one.

    Every method returns the value, or raises the error with what was expected and what came.
    """

    place: str
    remedy: str = RESTORE
    error: type[PolysemeError] = LakeError

    def refuse(self, what: str, value: object, expected: str) -> NoReturn:
        """Raise the error for a value."""
        raise self.error(f"{self.place} has {shown(value)} as {what}, expected {expected}. {self.remedy}")

    def text(self, value: object, what: str, pattern: re.Pattern[str], expected: str) -> str:
        """Return a text that matches the pattern as a whole."""
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.refuse(what, value, expected)
        return value

    def string(self, value: object, what: str) -> str:
        """Return any text, such as a document's id: nothing is built from it."""
        if not isinstance(value, str):
            self.refuse(what, value, "text")
        return value

    def integer(self, value: object, what: str, *, least: int = 0, most: int = MOST) -> int:
        """Return an integer of a range."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(what, value, f"an integer from {least} to {most}")
        return value

    def number(self, value: object, what: str, *, least: float, most: float) -> float:
        """Return a finite number of a range."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(what, value, f"a number from {least:g} to {most:g}")
        return value

    def time(self, value: object, what: str) -> str:
        """Return a time in ISO 8601 and UTC."""
        text = self.text(value, what, TIME, _A_TIME)
        try:
            datetime.fromisoformat(text)
        except ValueError:
            self.refuse(what, text, _A_TIME)
        return text

    def counter(self, value: object, what: str) -> int:
        """Return the integer that a text of digits stands for."""
        return int(self.text(value, what, NUMBER, "a number of up to 18 digits"))

    def one_of(self, value: object, what: str, choices: Collection[str]) -> str:
        """Return one of a few texts."""
        if not isinstance(value, str) or value not in choices:
            self.refuse(what, value, f"one of {', '.join(choices)}")
        return value

    def strings(self, text: object, what: str) -> list[str]:
        """Return the texts of a JSON list, at least one, that a text of bounded length holds."""
        found = _parsed(text)
        if not isinstance(found, list) or not found or not all(map(_is_text, found)):
            self.refuse(what, text, f"a JSON list of texts of at most {LONGEST_JSON:,} characters")
        return found

    def object(self, text: object, what: str, *, longest: int = LONGEST_JSON) -> dict[str, Any]:
        """Return a JSON object that a text of bounded length holds."""
        found = _parsed(text, longest)
        if not isinstance(found, dict):
            self.refuse(what, text, f"a JSON object of at most {longest:,} characters")
        return found

    def fields(self, found: dict[str, Any], what: str, names: Collection[str]) -> None:
        """Require that an object has exactly these fields."""
        if found.keys() != set(names):
            self.refuse(what, ", ".join(sorted(map(str, found))), f"an object with {', '.join(names)}")


def _parsed(text: object, longest: int = LONGEST_JSON) -> object:
    """Return the value that a text of bounded length holds as JSON; None if it is not such a text."""
    if not isinstance(text, str) or len(text) > longest:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def is_utf8(text: str) -> bool:
    """Return whether a text has no surrogates, which stand for bytes of a file name that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_utf8(value)


def shown(value: object) -> str:
    """Return a value for a message: escaped, and cut if it is long."""
    try:
        text = ascii(value[: _SHOWN + 1] if isinstance(value, (str, bytes)) else value)
    except (RecursionError, ValueError):  # lists in lists without end, an integer of more digits than Python writes
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def spec(origin: Origin, text: object) -> EncodingSpec:
    """Return the encoding that the catalog describes in JSON."""
    what = "encodings.spec"
    found = origin.object(text, what)
    found = EncodingSpec.defaults() | found
    origin.fields(found, what, list(EncodingSpec.__dataclass_fields__))
    for name in ("model", "model_sha256", "tokenizer_sha256", "splitter"):
        origin.text(found[name], f"{what} {name}", LINE, "one line of text")
    origin.integer(found["width"], f"{what} width", least=1, most=WIDEST)
    origin.integer(found["max_tokens"], f"{what} max_tokens", least=1)
    origin.integer(found["scheme"], f"{what} scheme", least=0)
    if found["language"] != "":
        origin.text(found["language"], f"{what} language", LINE, "a code of ISO 639")
    if not is_canonical(found["layers"]):
        origin.refuse(f"{what} layers", found["layers"], SPELLINGS)
    for name, kind in _CHOICES.items():
        origin.one_of(found[name], f"{what} {name}", get_args(kind))
    for name in ("normalize", "join_hyphens"):
        if not isinstance(found[name], bool):
            origin.refuse(f"{what} {name}", found[name], "true or false")
    origin.text(found["store"], f"{what} store", SPELLING, "float16, int8 or binary")
    origin.text(found["dense"], f"{what} dense", re.compile(f"({SHA256.pattern})?"), "64 hex digits, or nothing")
    for name in ("prompt", "query_prompt"):
        origin.text(found[name], f"{what} {name}", PROMPT, f"up to {_LONGEST_PROMPT:,} characters of text")
    return EncodingSpec(**found)


def precision_loss(origin: Origin, text: object) -> PrecisionLoss:
    """Return what was measured of an encoding."""
    what = "the measured loss of an encoding in meta"
    found = origin.object(text, what)
    origin.fields(found, what, list(PrecisionLoss.__dataclass_fields__))
    origin.integer(found["sentences"], f"{what}, sentences")
    for name in ("token_cosine", "least_token_cosine", "recall_at_10"):
        origin.number(found[name], f"{what}, {name}", least=-2, most=2)
    return PrecisionLoss(**found)


def centres(origin: Origin, text: object) -> dict[str, Centre]:
    """Return the centres of an encoding's binary vectors, by table."""
    what = "the centres of an encoding in meta"
    found: dict[str, Centre] = {}
    for table, value in origin.object(text, what).items():
        origin.one_of(table, f"{what}, table", ("sentences", "words"))
        try:
            found[table] = Centre.from_text(str(value))
        except ValueError:
            origin.refuse(what, value, "what Polyseme wrote")
    return found


def require_centres(origin: Origin, spec: EncodingSpec, found: Mapping[str, Centre]) -> None:
    """Raise LakeError if vectors of an encoding are stored as bits and their centre is missing, or of another width."""
    for table in ("sentences", "words"):
        if tier_of(spec.store, table) == "binary" and (table not in found or len(found[table].middle) != spec.width):
            origin.refuse("the centres of an encoding in meta", sorted(found), f"one of width {spec.width} for {table}")


def store_loss(origin: Origin, text: object) -> StoreLoss:
    """Return what was measured of a table's stored vectors."""
    what = "the measured loss of stored vectors in meta"
    found = origin.object(text, what)
    origin.fields(found, what, list(StoreLoss.__dataclass_fields__))
    origin.integer(found["vectors"], f"{what}, vectors")
    origin.number(found["bytes_a_vector"], f"{what}, bytes_a_vector", least=0, most=1e9)
    for name in ("cosine", "least_cosine", "recall_at_10"):
        origin.number(found[name], f"{what}, {name}", least=-2, most=2)
    return StoreLoss(**found)


def outputs(origin: Origin, text: object) -> Outputs:
    """Return which rows a document has."""
    what = "document_versions.outputs"
    found = origin.object(text, what)
    origin.fields({"pll": None, "lemma": False} | found, what, ("level", "words", "nsp", "pll", "lemma"))
    origin.one_of(found["level"], f"{what} level", LEVELS)
    words = found["words"]
    if words is not None and not (isinstance(words, list) and all(_is_text(word) for word in words)):
        origin.refuse(f"{what} words", words, "a list of words, or null")
    for name in ("nsp", "lemma"):
        if not isinstance(found.get(name, False), bool):
            origin.refuse(f"{what} {name}", found[name], "true or false")
    if found.get("pll") is not None:
        origin.one_of(found["pll"], f"{what} pll", get_args(PllVariant))
    return Outputs.from_json(str(text))


def seconds(origin: Origin, text: object) -> dict[str, float]:
    """Return the wall seconds of a run, by stage."""
    what = "runs.seconds"
    found = origin.object(text, what)
    for stage, value in found.items():
        origin.text(stage, what, LINE, "names of stages")
        origin.number(value, what, least=0, most=1e12)
    return found


def texts(origin: Origin, found: Sequence[str], what: str, pattern: re.Pattern[str], expected: str) -> None:
    """Require that every text matches the pattern as a whole: with Arrow, as there may be very many."""
    try:
        column = pa.array(found, pa.string())
    except (pa.ArrowException, TypeError, UnicodeEncodeError):
        origin.refuse(what, next((x for x in found if not isinstance(x, str)), "text that is not UTF-8"), expected)
    fits = pc.fill_null(pc.match_substring_regex(column, f"^(?:{pattern.pattern})$"), False)
    if not pc.all(fits, min_count=0).as_py():
        origin.refuse(what, column.filter(pc.invert(fits))[0].as_py(), expected)


def times(origin: Origin, found: Sequence[str], what: str) -> None:
    """Require that every text is a time in ISO 8601 and UTC, with Arrow as `texts` does."""
    texts(origin, found, what, TIME, _A_TIME)
    try:
        pa.array(found, pa.string()).cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:
        for text in found:
            origin.time(text, what)
        raise


def part_paths(origin: Origin, table: object, encoding_id: object, paths: Sequence[str]) -> None:
    """Require paths of parts of one table and encoding, relative to their lake."""
    origin.one_of(table, "parts.table_name", TABLES)
    origin.text(encoding_id, "parts.encoding_id", ENCODING_ID, "16 hex digits")
    folder = f"data/{table}/encoding={encoding_id}"
    pattern = re.compile(rf"{folder}/[0-9a-f]{{32}}\.parquet")
    texts(origin, paths, "the path of a part", pattern, f"{folder}/, 32 hex digits and .parquet")


def part_path(origin: Origin, path: object) -> str:
    """Return the path of a part of any table, relative to its lake."""
    return origin.text(path, "the path of a part", PART, "data/TABLE/encoding=ID/, 32 hex digits and .parquet")
