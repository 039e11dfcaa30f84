"""The values of a row as fields of a record. Knows Python's types, not the database they came from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from polyseme.tasks.reading.databases.loading import Undecoded
from polyseme.tasks.reading.documents import LongNumber, ReadOptions

_AS_THEY_ARE = (str, float, bool, type(None), Decimal, UUID, timedelta, LongNumber)


def fields_of(names: Sequence[str], row: Sequence[object], options: ReadOptions) -> dict[str, object]:
    """Return the fields of a row, without binary data but for text, title and id. Text that is not UTF-8 is bytes.

    Instants are in UTC, whatever the time zone of the session.
    """
    special = {options.text_field, options.title_field, options.id_field, "doc_id", "id"}
    fields: dict[str, object] = {}
    for name, value in zip(names, row, strict=True):
        if type(value) is str:  # most are
            fields[name] = value
        elif isinstance(value, bytes | bytearray | memoryview):
            if (text := _text(name, value, options, special)) is not None:
                fields[name] = text
        else:
            fields[name] = _plain(value)
    for name in (options.id_field,) if options.id_field else ("doc_id", "id"):
        if isinstance(number := fields.get(name), Decimal) and number.is_finite() and number == int(number):
            fields[name] = int(number)
    return fields


def _text(
    name: str, value: bytes | bytearray | memoryview, options: ReadOptions, special: Collection[str | None]
) -> str | bytes | None:
    if name not in special:
        return value.decode(errors="replace") if isinstance(value, Undecoded) else None
    data = bytes(value)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data if name in (options.text_field, options.id_field) else data.decode(errors="replace")


def _plain(value: object) -> object:
    """Return a value that JSON has a form for."""
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else LongNumber(str(value))
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, date) else str(value)


def _instant(value: datetime) -> datetime:
    try:
        return value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # the first and the last day of the calendar
        return value
