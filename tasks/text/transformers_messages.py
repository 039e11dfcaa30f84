"""Messages of transformers, which are not for those who run Polyseme: its own errors say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_SILENT = 50
"""Logging level above all of transformers' messages."""


@contextmanager
def silenced() -> Iterator[None]:
    """Keep transformers from logging and from showing progress in the block."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(_SILENT)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
