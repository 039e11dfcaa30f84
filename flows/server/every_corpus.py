"""The loop over corpora: one that fails does not stop the others, and failures are raised once all are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prefect.logging import get_run_logger

from polyseme.flows.server.corpora import Corpus, Make
from polyseme.storage.errors import PolysemeError, in_words
from polyseme.tasks.engine import Cancelled


def do_for_each(corpora: Mapping[str, Make], work: Callable[[Corpus], None]) -> list[str]:
    """Do `work` for each corpus; return a line for each that failed, or whose table makes no sense."""
    failures = []
    for name, make in corpora.items():
        try:
            work(make())
        except Cancelled:
            raise
        except Exception as error:
            # Whatever it is, a full disk or a bug of ours: the other corpora are done all the same.
            foreseen = isinstance(error, PolysemeError)
            get_run_logger().error("corpus %s: %s", name, in_words(error), exc_info=not foreseen)
            failures.append(f"{name}: {in_words(error)}")
    return failures


def raise_failures(failures: list[str]) -> None:
    """Raise PolysemeError if there are failures."""
    if failures:
        raise PolysemeError("; ".join(failures))
