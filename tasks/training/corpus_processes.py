"""Training text prepared in several processes: the same text, to the bit, as in one.

Documents are passed on in chunks of about equal length, and their text comes back in order. Knows nothing of sources or
of what is in a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from polyseme.storage.records import Document
from polyseme.tasks.groups import document_size, groups_of
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.training.corpus import TrainingText, join, prepare
from polyseme.tasks.worker_processes import WorkerPool

_CHUNK_CHARS = 500_000
"""Characters of a chunk, which take 0.6 s of a core."""
_LEAST_CHUNKS = 4
"""Text of fewer chunks is prepared in this process: another one takes half a second of a core to start."""


def prepare_in_processes(documents: Iterable[Document], tokenizer: Path, processes: int) -> TrainingText:
    """Return what `prepare` returns, from the tokenizer in a folder, computed in as many as `processes` processes.

    Whatever ends this function or this process ends them too. Raises ModelError if the tokenizer cannot be loaded,
    PolysemeError if a process ends before its work.
    """
    wordpiece = TextTokenizer.load(tokenizer)
    chunks = groups_of(documents, document_size, _CHUNK_CHARS)
    first = list(islice(chunks, max(_LEAST_CHUNKS, processes)))
    chunks = chain(first, chunks)
    if processes == 1 or len(first) < _LEAST_CHUNKS:
        return join(prepare(chunk, wordpiece) for chunk in chunks)
    with WorkerPool(preparing, tokenizer, min(processes, len(first))) as pool:
        prepared = pool.map(chunks, list, size=lambda chunk: 1, most=pool.size)
        return join(text for _, texts in prepared for text in texts)


def preparing(tokenizer: Path) -> Callable[[list[Document]], Iterator[TrainingText]]:
    """Return the function of a worker, with the tokenizer in a folder: a chunk of documents to its text."""
    wordpiece = TextTokenizer.load(tokenizer)

    def work(chunk: list[Document]) -> Iterator[TrainingText]:
        yield prepare(chunk, wordpiece)

    return work
