"""Passages made in several processes: those of `passages`, in the same order, without splitting in this process.

For a device that encodes faster than one thread can split and tokenize. Texts are sent, arrays come back. Knows nothing
of the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TypeAlias

from polyseme.storage.records import Document, WordDefinition
from polyseme.tasks.groups import document_size, groups_of
from polyseme.tasks.text.passages import Passage, PassageGroup, passage_groups, passages, with_documents
from polyseme.tasks.text.sentences import Splitting, split_by
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.worker_processes import Worker, WorkerPool

_REQUEST_CHARS = 200_000
"""Characters of a request, which take 0.2 s of a core; sending it and the arrays back takes a hundredth of that."""
_LARGE_CHARS = 2_000_000
"""Characters of a document that is not answered in one piece, because its arrays take six bytes a character or more."""
_PROCESSES_MOST = 12
"""More are of no use: each has its memory, and the caller's thread takes what they return."""

Request: TypeAlias = tuple[Splitting, str, list[tuple[str, str]]]
"""How to split, the prompt of the sentences, and texts with their addresses."""


class PassageProcesses:
    """As many as `size` processes with the tokenizer in a folder, shared by all threads that call `passages`."""

    def __init__(self, wordpiece: TextTokenizer, folder: Path, size: int, splitting: Splitting) -> None:
        self._wordpiece, self._folder, self._splitting = wordpiece, folder, splitting
        self._setup = tokenizing if wordpiece.word_definition == "text" else tokenizing_by_tokenizer
        self._pool: WorkerPool[Request, PassageGroup] = WorkerPool(self._setup, folder, size)

    def passages(self, documents: Iterable[Document]) -> Iterator[Passage]:
        """Yield the passages of all documents in order.

        Reads ahead what keeps every process busy. Raises PolysemeError if a process ends before its work.
        """
        requests = _requests(documents)
        first = list(islice(requests, 2))
        if len(first) == 1 and not _is_large(first[0]):
            # Another process takes half a second of a core to start.
            yield from passages(first[0], self._wordpiece, split_by(self._splitting))
            return
        for large, alike in groupby(chain(first, requests), key=_is_large):
            passages_of = self._streamed if large else self._pooled
            yield from passages_of(alike)

    def _request(self, documents: list[Document]) -> Request:
        return self._splitting, self._wordpiece.prompt, [(document.text, document.uri) for document in documents]

    def _pooled(self, requests: Iterable[list[Document]]) -> Iterator[Passage]:
        ahead = 2 * self._pool.size * _REQUEST_CHARS
        for request, groups in self._pool.map(requests, self._request, size=_chars, most=ahead):
            yield from with_documents(groups, request)

    def _streamed(self, requests: Iterable[list[Document]]) -> Iterator[Passage]:
        """Yield the passages of large documents, each from a process of its own, which waits while its pipe is full.

        One of the pool's would wait too, and the caller of another iterator for it: for ever, in the same thread.
        """
        for request in requests:
            with Worker(self._setup, self._folder) as worker:
                yield from with_documents(worker.answers(self._request(request)), request)


def tokenizing(folder: Path) -> Callable[[Request], Iterator[PassageGroup]]:
    """Return the function of a worker, with the tokenizer in a folder: texts to groups of their passages."""
    return _tokenizing(folder, "text")


def tokenizing_by_tokenizer(folder: Path) -> Callable[[Request], Iterator[PassageGroup]]:
    """Return the same function with the words of the tokenizer, not of the text."""
    return _tokenizing(folder, "tokenizer")


def _tokenizing(folder: Path, words: WordDefinition) -> Callable[[Request], Iterator[PassageGroup]]:
    wordpiece = TextTokenizer.load(folder, words=words)

    def work(request: Request) -> Iterator[PassageGroup]:
        splitting, prompt, texts = request
        prompted = wordpiece.with_prompt(prompt) if prompt else wordpiece
        return passage_groups(texts, prompted, split_by(splitting))

    return work


def processes_beside_a_gpu(cores: int) -> int:
    """Return the number of processes that split and tokenize, 0 for one core or two.

    A quarter of the cores is left for reading, the encoder lane, tables and Parquet.
    """
    return 0 if cores <= 2 else min(cores - max(1, cores // 4), _PROCESSES_MOST)


def _requests(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield consecutive documents in lists of `_REQUEST_CHARS` or slightly more; a large document is one of its own."""
    for large, alike in groupby(documents, key=lambda document: len(document.text) >= _LARGE_CHARS):
        yield from groups_of(alike, document_size, 1 if large else _REQUEST_CHARS)


def _is_large(request: list[Document]) -> bool:
    return len(request[0].text) >= _LARGE_CHARS


def _chars(request: list[Document]) -> int:
    return sum(map(document_size, request))
