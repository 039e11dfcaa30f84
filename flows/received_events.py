"""Received events: what a flow takes from one, checked, because anybody who can post an event may forge it."""

from __future__ import annotations

import re
from typing import NoReturn

from polyseme.storage.checks import RUN_ID, shown
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import refuse_secrets

_ADDRESS = re.compile(r"(/|[A-Za-z][A-Za-z0-9+.-]*://)[^\x00-\x1f\x7f]*")
_CORPUS = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_LONGEST = 4096
_MOST_CORPORA = 1000


def check_address(value: object) -> str:
    """Return a lake's address from an event: a full path or a URL. Raises UsageError for anything else."""
    if isinstance(value, str):
        refuse_secrets(value)  # first, because the other refusal repeats the address
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value) or len(value) > _LONGEST:
        _refuse("lake", value, "a full path or a URL on one line")
    return value


def check_run_id(value: object) -> str:
    """Return a run's id from an event. Raises UsageError for what no run has as its id."""
    if not isinstance(value, str) or not RUN_ID.fullmatch(value):
        _refuse("run_id", value, "up to 128 letters, digits and _ . -")
    return value


def check_corpora(values: object) -> list[str] | None:
    """Return the corpora that an event names, each once, or None for all. Raises UsageError for what is not a name."""
    if values is None:
        return None
    if not isinstance(values, list) or len(values) > _MOST_CORPORA:
        _refuse("corpora", values, f"a list of at most {_MOST_CORPORA:,} names")
    for value in values:
        if not isinstance(value, str) or not _CORPUS.fullmatch(value):
            _refuse("corpus", value, "up to 128 small letters, digits, - and _")
    return list(dict.fromkeys(values))


def _refuse(field: str, value: object, expected: str) -> NoReturn:
    raise UsageError(
        f"An event has {shown(value)} as its {field}, expected {expected}. Nothing was opened. Correct what sends such "
        "events, or find out who does."
    )
