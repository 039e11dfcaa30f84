"""Values as a database sends them: text that may be no UTF-8, and JSON. Knows no driver."""

from __future__ import annotations

from polyseme.tasks.reading.json_lines import loads


class Undecoded(bytes):
    """Text of a database that is not UTF-8."""


def text_or_bytes(data: bytes) -> str | Undecoded:
    """Return text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Undecoded(data)


def json_value(data: str | bytes) -> object:
    """Return the value of JSON, its numbers exact; as text, if it is deeper than it can be read."""
    written = data.encode() if isinstance(data, str) else bytes(data)
    try:
        return loads(written)
    except ValueError:
        return written.decode(errors="replace")
