"""Tiers: how vectors of a table are stored, as 16-bit floats, as 8-bit integers with a scale, or as one bit a number.

Pure functions on arrays `(rows, width)` of float16; knows nothing of files. What a tier stores is read as float16,
exactly, by NumPy here and by SQL in the views, and storing that again gives the same: a copied row never drifts.

| tier | stored | read |
|---|---|---|
| `float16` | the numbers | the numbers |
| `int8` | `q`, -127 to 127, and a scale for each vector | `q * scale` |
| `binary` | whether each number is above the middle of its dimension | that middle, and the spread above or below it |
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.records import Store

Halves = npt.NDArray[np.float16]
Codes = npt.NDArray[Any]
"""What the column `embedding` holds, `(rows, values)`: float16, int8 or, of eight numbers each, uint8."""

STORES: tuple[Store, ...] = ("float16", "int8", "binary")
SPELLING = re.compile(r"(?:float16|int8|binary)|sentences=(?:float16|int8|binary),words=(?:float16|int8|binary)")
"""What `EncodingSpec.store` may be: one tier for all, or one for sentences and another for words and tokens."""
SCALE = "embedding_scale"
"""The column beside `embedding` in parts with int8."""

_MOST = 127
_STEPS = 16
"""Steps of the scale up to each power of two, in halves of it 8. With 4 bits for it and 7 for a code their product is a
float16, exactly. Finer ones would cost that, and gain nothing: mean cosine .999970 against .999973."""
_LEAST_SCALE, _GREATEST_SCALE = 2.0**-24, 512.0
"""The least float16, and the last power of two of which 127 times is one."""
_CENTRE = b"polyseme:centre"


def parse_store(text: str) -> str:
    """Return the one spelling of a value of `--store`. Raises UsageError for what is none.

    `int8`, or tables with their tiers, `words=int8`; a table that is not named has float16. Tokens go with words.
    """
    if text in STORES:
        return text
    named: dict[str, str] = {}
    for item in text.split(","):
        table, _, tier = item.strip().partition("=")
        if wrong := _wrong(table, tier, named):
            raise UsageError(
                f"--store is {', '.join(STORES)}, or one for each table such as sentences=float16,words=int8; got "
                f"{text!r}, in which {wrong}."
            )
        named[table] = tier
    found = dict.fromkeys(("sentences", "words"), "float16") | named
    return found["words"] if len(set(found.values())) == 1 else ",".join(f"{k}={v}" for k, v in found.items())


def _wrong(table: str, tier: str, named: Mapping[str, str]) -> str:
    """Return what is wrong with one item of a value of `--store`, after those that are `named`; empty if nothing is."""
    if not tier and table in STORES:
        return f"{table!r} is for no table: give it alone, for both, or as sentences={table} or words={table}"
    if not tier:
        return f"{table!r} is no tier"
    if table not in ("sentences", "words"):
        return f"{table!r} has no tier of its own: sentences and words have, and tokens go with words"
    if tier not in STORES:
        return f"{tier!r} is no tier"
    return f"{table} are named twice" if table in named else ""


def tier_of(store: str, table: str) -> Store:
    """Return the tier that `store`, as `parse_store` spells it, gives a table."""
    named = dict(item.split("=") for item in store.split(",")) if "=" in store else {}
    kind = "sentences" if table == "sentences" else "words"
    return next(tier for tier in STORES if tier == named.get(kind, store))


@dataclass(frozen=True, slots=True)
class Centre:
    """Around what binary vectors are read: `middle` is `(width,)` float16, `spread` how far from it, above 0."""

    middle: Halves
    spread: float

    @staticmethod
    def of(vectors: npt.NDArray[Any]) -> Centre:
        """Return the centre of some vectors `(rows, width)`: the mean, and the mean distance from it in a dimension."""
        middle = vectors.astype(np.float32).mean(0).astype(np.float16)
        spread = np.float16(np.abs(vectors - middle.astype(np.float32)).mean())
        return Centre(middle, max(float(spread), _LEAST_SCALE))

    def ends(self) -> tuple[Halves, Halves]:
        """Return `(width,)` twice: what a number reads as if it is not above the middle, and if it is."""
        middle = self.middle.astype(np.float32)
        low, high = ((middle + sign * self.spread).astype(np.float16) for sign in (-1, 1))
        return low, np.maximum(high, np.nextafter(self.middle, np.float16(np.inf)))

    def to_text(self) -> str:
        """Return the centre as text, exactly."""
        return base64.b64encode(np.append(self.middle, np.float16(self.spread)).astype("<f2").tobytes()).decode()

    @staticmethod
    def from_text(text: str) -> Centre:
        """Return what `to_text` wrote. Raises ValueError for anything else."""
        numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float16)
        if len(numbers) < 2 or not np.isfinite(numbers).all() or numbers[-1] <= 0:
            raise ValueError("a centre is finite numbers and a spread above 0")
        return Centre(numbers[:-1], float(numbers[-1]))


def zero_centres(store: str, width: int) -> dict[str, Centre]:
    """Return centres at zero by table, for those who need any: a dry run, which stores nothing."""
    names = (table for table in ("sentences", "words") if tier_of(store, table) == "binary")
    return {name: Centre(np.zeros(width, np.float16), 1.0) for name in names}


@dataclass(frozen=True)
class Layout:
    """How the vectors of one table are stored. `centre` is that of a binary one, None for the others."""

    tier: Store
    width: int
    centre: Centre | None = None

    @staticmethod
    def of_file(schema: pa.Schema, width: int) -> Layout:
        """Return the layout of a part from its Arrow schema. Raises ValueError if it is none."""
        if "embedding" not in schema.names:
            return Layout("float16", width)
        kind = schema.field("embedding").type.value_type
        tier = {pa.float16(): "float16", pa.int8(): "int8", pa.uint8(): "binary"}.get(kind)
        found = next((each for each in STORES if each == tier), None)
        if found is None:
            raise ValueError(f"vectors are stored as {kind}, which is no tier")
        text = (schema.metadata or {}).get(_CENTRE)
        centre = Centre.from_text(text.decode()) if found == "binary" and text is not None else None
        if found == "binary" and (centre is None or len(centre.middle) != width):
            raise ValueError("a binary part has no centre of its width")
        return Layout(found, width, centre)

    @property
    def values(self) -> int:
        """How many values the column `embedding` has a row."""
        return -(-self.width // 8) if self.tier == "binary" else self.width

    @property
    def dtype(self) -> npt.DTypeLike:
        """The type of these values."""
        return {"float16": np.float16, "int8": np.int8, "binary": np.uint8}[self.tier]

    @property
    def metadata(self) -> dict[bytes, bytes] | None:
        """What a part says of itself besides its columns, so that it can be read alone."""
        return None if self.centre is None else {_CENTRE: self.centre.to_text().encode()}

    def pack(self, vectors: Halves) -> tuple[Codes, Halves | None]:
        """Return what to store of vectors `(rows, width)`: the codes `(rows, values)`, and the scales of int8.

        Raises PolysemeError for vectors with NaN, which only float16 can store.
        """
        if self.tier != "float16" and np.isnan(vectors).any():
            raise PolysemeError(
                f"The model made a vector with NaN in it, which {self.tier} cannot store. Look for the text with "
                "--store float16, or choose another model."
            )
        if self.tier == "int8":
            return _with_scales(vectors)
        if self.tier == "binary":
            return np.packbits(vectors > self._centre.middle, axis=1), None
        return vectors, None

    def unpack(self, codes: Codes, scales: Halves | None) -> Halves:
        """Return the vectors `(rows, width)` that stored ones read as."""
        if self.tier == "int8":
            assert scales is not None
            return (codes * scales.astype(np.float32)[:, None]).astype(np.float16)
        if self.tier == "binary":
            low, high = self._ends
            above = np.unpackbits(codes, axis=1, count=self.width).astype(bool)
            return np.where(above, high, low)
        return codes

    def rounded(self, vectors: Halves) -> Halves:
        """Return vectors as they read once they are stored."""
        return vectors if self.tier == "float16" else self.unpack(*self.pack(vectors))

    def looked_up(self) -> npt.NDArray[np.float32]:
        """Return `(values * 256, 8)`: the eight numbers of every byte at every place of a binary vector, for SQL."""
        low, high = (np.resize(end, self.values * 8).reshape(-1, 1, 8) for end in self._ends)
        bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(bool)[None]
        return np.where(bits, high, low).astype(np.float32).reshape(-1, 8)

    @property
    def _centre(self) -> Centre:
        if self.centre is None:
            raise ValueError("binary vectors need a centre")
        return self.centre

    @cached_property
    def _ends(self) -> tuple[Halves, Halves]:
        return self._centre.ends()


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts of an encoding's tables. `centres` are those of `sentences` and `words`, if they are binary."""

    store: str
    width: int
    centres: Mapping[str, Centre]

    def of(self, table: str) -> Layout:
        """Return the layout of a table. Raises ValueError for a binary one without a centre."""
        tier = tier_of(self.store, table)
        centre = self.centres.get("sentences" if table == "sentences" else "words") if tier == "binary" else None
        if tier == "binary" and centre is None:
            raise ValueError(f"there is no centre for the binary vectors of {table}")
        return Layout(tier, self.width, centre)


def _with_scales(vectors: Halves) -> tuple[npt.NDArray[np.int8], Halves]:
    """Return codes and scales: of each vector the least scale that its greatest number allows."""
    numbers = vectors.astype(np.float32)
    scales = _least_scales(numbers)
    codes = _codes(numbers, scales)
    while True:
        # What is read may allow a smaller scale than the numbers did: storing it again must change nothing. The codes
        # are made of the numbers again, and not of what is read, which would round them twice.
        smaller = _least_scales(codes * scales[:, None])
        changed = np.flatnonzero(smaller != scales)
        if not len(changed):
            return codes.astype(np.int8), scales.astype(np.float16)
        scales[changed] = smaller[changed]
        codes[changed] = _codes(numbers[changed], scales[changed])


def _least_scales(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    most = np.abs(numbers).max(1, initial=0)
    mantissa, exponent = np.frexp(most / np.float32(_MOST))
    scales = np.ldexp(np.ceil(mantissa * _STEPS) / np.float32(_STEPS), exponent)
    scales = np.ceil(scales / _LEAST_SCALE) * _LEAST_SCALE
    least: npt.NDArray[np.float32] = np.clip(scales, _LEAST_SCALE, _GREATEST_SCALE).astype(np.float32)
    return least


def _codes(numbers: npt.NDArray[np.float32], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    codes: npt.NDArray[np.float32] = np.clip(np.rint(numbers / scales[:, None]), -_MOST, _MOST)
    return codes
