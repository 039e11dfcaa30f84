"""The values of one Arrow column as Python has them. Knows types, not what the values mean.

Whatever Python cannot hold (years beyond 9999, nanoseconds, strings that are not UTF-8, time zones without a database)
is returned in the closest form that it can, at any depth.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_UNREADABLE = (ValueError, OverflowError, KeyError, pa.ArrowException)
"""Raised for a value that Python cannot hold; KeyError for a time zone that is in no database."""
_PYTHON_BYTES = 8
"""Of each value in a list of Python's, at least."""


def values_of(column: Any) -> list[object]:
    """Return a column as Python values; strings that are not valid UTF-8 are returned as bytes."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        used = column.indices.unique().drop_null()
        known = dict(zip(used.to_pylist(), values_of(column.dictionary.take(used)), strict=True))
        return [None if index is None else known[index] for index in column.indices.to_pylist()]
    if pa.types.is_nested(kind):
        return _nested(column)
    if pa.types.is_timestamp(kind):
        # Python has microseconds; nanoseconds would need pandas. Years beyond 9999 are converted to strings.
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False)
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        values = [_text_or_bytes(value) for value in column.cast(pa.large_binary()).to_pylist()]
    except _UNREADABLE:
        values = _closest(column)
    return [_text_or_bytes(value) for value in values] if _is_binary(kind) else values


def decoded_bytes(column: Any) -> int:
    """Return about how many bytes the values take: of a dictionary, each value as often as it occurs."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(column.dictionary) if _is_text(kind.value_type) else None
        each = 8 * len(column) if lengths is None else pc.sum(lengths.take(column.indices)).as_py() or 0
        return int(each) + 4 * len(column)
    if pa.types.is_struct(kind):
        return sum(decoded_bytes(child) for child in column.flatten())
    if pa.types.is_nested(kind):
        return decoded_bytes(_children(column)) + 4 * len(column)
    return max(int(column.nbytes), _PYTHON_BYTES * len(column))


def fixed_bytes(kind: Any) -> int:
    """Return the bytes that the lists of a fixed length in a row take, also if the row has a null instead."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * max(fixed_bytes(kind.value_type), 1 if pa.types.is_nested(kind.value_type) else 8)
    if pa.types.is_nested(kind):
        return sum(fixed_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return 0


def _nested(column: Any) -> list[object]:
    kind = column.type
    if not _is_converted(kind):
        try:
            values: list[object] = column.to_pylist()
        except (UnicodeDecodeError, *_UNREADABLE):
            pass
        else:
            return values
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        rows = zip(*(values_of(child) for child in column.flatten()), strict=True) if names else [()] * len(column)
        return [
            dict(zip(names, row, strict=True)) if valid else None
            for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
        ]
    inner = values_of(_children(column))
    if pa.types.is_map(kind):
        inner = [tuple(pair.values()) for pair in inner]  # type: ignore[attr-defined]
    ends = [0, *pc.cumulative_sum(_lengths(column)).to_pylist()]
    return [
        inner[start:stop] if valid else None
        for (start, stop), valid in zip(pairwise(ends), column.is_valid().to_pylist(), strict=True)
    ]


def _children(column: Any) -> Any:
    """Return the elements of all lists that are not null; of a map, its entries as structs."""
    return _as_list(column).flatten()


def _lengths(column: Any) -> Any:
    return pc.fill_null(pc.list_value_length(_as_list(column)), 0)


def _as_list(column: Any) -> Any:
    if not pa.types.is_map(column.type):
        return column
    entry = pa.struct([column.type.key_field, column.type.item_field])
    return column.view(pa.list_(pa.field("entries", entry, nullable=False)))


def _closest(column: Any) -> list[object]:
    """Return values that Python has no type for as strings; instants, without a known time zone, in UTC."""
    if pa.types.is_timestamp(column.type) and column.type.tz not in (None, "UTC"):
        return values_of(column.view(pa.timestamp("us", "UTC")))  # stored are instants; a zone is how they are shown
    try:
        return list(pc.cast(column, pa.large_string()).to_pylist())
    except _UNREADABLE:
        return [_closest_value(value) for value in column]


def _closest_value(value: Any) -> object:
    try:
        return value.as_py()
    except _UNREADABLE:
        return None if not value.is_valid else str(getattr(value, "value", type(value).__name__))


def _is_converted(kind: Any) -> bool:
    """Return whether a type has, at any depth, one that `to_pylist` must not convert itself."""
    if pa.types.is_nested(kind):
        return any(_is_converted(kind.field(i).type) for i in range(kind.num_fields))
    # Nanoseconds would become types of pandas, where that is installed.
    return bool(pa.types.is_dictionary(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind))


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_binary(kind))


def _text_or_bytes(value: object) -> object:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
