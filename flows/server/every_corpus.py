"""Every corpus has its turn: one that fails does not keep the others, and what failed is said once they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prefect.logging import get_run_logger

from polyseme.flows.server.corpora import Corpus
from polyseme.storage.errors import PolysemeError, in_words
from polyseme.tasks.engine import Cancelled


def do_for_each(corpora: Iterable[Corpus], work: Callable[[Corpus], None]) -> list[str]:
    """Do `work` for each corpus and return why it could not be done, a line for each that failed."""
    failures = []
    for corpus in corpora:
        try:
            work(corpus)
        except Cancelled:
            raise
        except Exception as error:
            # Whatever it is, a full disk or a fault of ours: the others' turn comes all the same.
            foreseen = isinstance(error, PolysemeError)
            get_run_logger().error("corpus %s: %s", corpus.name, in_words(error), exc_info=not foreseen)
            failures.append(f"{corpus.name}: {in_words(error)}")
    return failures


def raise_failures(failures: list[str]) -> None:
    """Raise PolysemeError where something failed."""
    if failures:
        raise PolysemeError("; ".join(failures))
