"""Quantities as people read them: counts, bytes, durations and times in a few characters."""

from __future__ import annotations

from datetime import UTC, datetime

_EXACT_BELOW = 100_000
_POWERS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def count(number: float | None) -> str:
    """Return a count: every digit of a small one, three of one from 100,000; nothing for None."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number < _EXACT_BELOW else _scaled(number, _POWERS)


def size(number: int) -> str:
    """Return a number of bytes, such as `1.3 GB`."""
    return f"{number} B" if number < 1000 else _scaled(number, _BYTES)


def duration(seconds: float | None) -> str:
    """Return a duration in its largest two units, such as `3m05s`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{min(59, round(seconds))}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if not hours:
        return f"{minutes}m{rest:02}s"
    return f"{hours}h{left:02}m" if hours < 48 else f"{hours // 24}d{hours % 24:02}h"


def moment(at: datetime, now: datetime) -> str:
    """Return a time in UTC to the minute, without the year if it is this one."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%m-%d %H:%M}" if at.year == now.year else f"{at:%Y-%m-%d}"


def _scaled(number: float, units: tuple[tuple[float, str], ...]) -> str:
    for scale, unit in units:
        if number >= 0.9995 * scale:
            value = number / scale
            digits = 0 if value >= 99.95 else 1
            return f"{value:,.{digits}f} {unit}"
    return f"{number:,.0f}"
