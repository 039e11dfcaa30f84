"""Training text: a corpus as flat arrays of tokens on disk, so that a run reads and tokenizes it once.

Knows tokens, sentences, paragraphs and documents; nothing of pairs, masks or models. Arrays are `.npy` files, mapped
into memory. The manifest is written last: a folder without one was not finished, and is prepared again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.records import Document, Sentence
from polyseme.storage.wording import many
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.sentences import AUTO, SPLITTER, Splitting, split
from polyseme.tasks.text.tokenizer import TextTokenizer

Scalar = TypeVar("Scalar", bound=np.generic)

_MANIFEST = "manifest.json"
_HELD_OUT_MOST = 200
_COLUMNS = ("ids", "begins", "sentence_ptr", "paragraph", "document")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingText:
    """Sentences in reading order as flat arrays.

    Over tokens: `ids` int32 and `begins`, True where a whole word begins. Sentence `i` has the tokens
    `sentence_ptr[i]:sentence_ptr[i + 1]`, at least one, and belongs to `paragraph[i]` and `document[i]`, which rise.
    """

    ids: npt.NDArray[np.int32]
    begins: npt.NDArray[np.bool_]
    sentence_ptr: Ints
    paragraph: Ints
    document: Ints

    @property
    def n_tokens(self) -> int:
        """The number of tokens."""
        return len(self.ids)

    @property
    def n_documents(self) -> int:
        """The number of documents."""
        return int(self.document[-1]) + 1 if len(self.document) else 0

    def joints(self) -> Ints:
        """Return every sentence that is followed by another one of its paragraph, as sentence numbers."""
        return np.flatnonzero(self.paragraph[1:] == self.paragraph[:-1])

    def only(self, documents: npt.NDArray[np.bool_]) -> TrainingText:
        """Return the text of the `documents` that are True, `(documents,)`, in order and renumbered."""
        kept = documents[self.document]
        lengths = np.diff(self.sentence_ptr)
        tokens = np.repeat(kept, lengths)
        return TrainingText(
            ids=self.ids[tokens],
            begins=self.begins[tokens],
            sentence_ptr=np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64),
            paragraph=_numbered(self.paragraph[kept]),
            document=_numbered(self.document[kept]),
        )


def prepare(documents: Iterable[Document], wordpiece: TextTokenizer) -> TrainingText:
    """Split and tokenize `documents`; those without a token are skipped."""
    return join(_tokenized(document.text, wordpiece) for document in documents)


def join(texts: Iterable[TrainingText]) -> TrainingText:
    """Return the documents of all `texts` as one text, in order."""
    parts = list(texts)
    lengths = _joined([np.diff(part.sentence_ptr) for part in parts], np.int64)
    return TrainingText(
        ids=_joined([part.ids for part in parts], np.int32),
        begins=_joined([part.begins for part in parts], np.bool_),
        sentence_ptr=np.concatenate([[0], np.cumsum(lengths)]),
        paragraph=_continued([part.paragraph for part in parts]),
        document=_continued([part.document for part in parts]),
    )


def held_out(text: TrainingText, share: float, *, seed: int) -> npt.NDArray[np.bool_]:
    """Return `(documents,)`: True for those held out of training, drawn by `seed`, 2 to 200.

    Raises UsageError for fewer than four documents.
    """
    n = text.n_documents
    if n < 4:
        raise UsageError(
            f"The sources hold {many(n, 'documents')}; at least 4 are needed, two of them for evaluation. Put each "
            "document in a file or record of its own."
        )
    count = int(np.clip(round(n * share), 2, min(_HELD_OUT_MOST, n - 2)))
    held = np.zeros(n, bool)
    held[np.random.default_rng(seed).permutation(n)[:count]] = True
    return held


def write(text: TrainingText, folder: Path) -> None:
    """Write `text` into `folder`. Raises PolysemeError if it cannot be written, as on a full disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _COLUMNS:
            with (folder / f"{name}.npy").open("wb") as file:
                np.save(file, getattr(text, name), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        # Last, so that a folder with a manifest is complete.
        counts = {"tokens": text.n_tokens, "sentences": len(text.document), "documents": text.n_documents}
        temporary = folder / f"{_MANIFEST}.tmp"
        temporary.write_text(json.dumps(counts | {"splitter": SPLITTER}, indent=2) + "\n", "utf-8")
        temporary.replace(folder / _MANIFEST)
    except OSError as error:
        raise PolysemeError(
            f"Cannot write the prepared text to {folder}: {error}. Free disk space or name another --out, then run "
            "again."
        ) from error


def read(folder: Path) -> TrainingText | None:
    """Return the text prepared in `folder`, mapped from disk; None if no preparation was finished there."""
    if not (folder / _MANIFEST).is_file():
        return None
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _COLUMNS}
    return TrainingText(**columns)


def require_pairs(text: TrainingText, what: str) -> None:
    """Raise UsageError unless `text` has pairs of sentences in two documents. `what` names the text in the message."""
    joints = text.joints()
    if (usable := len(np.unique(text.document[joints]))) < 2:
        raise UsageError(
            f"The {what} has {many(text.n_documents, 'documents')} and {many(len(joints), 'pairs')} of neighbouring "
            "sentences, which "
            f"are in {usable} of the documents. Next Sentence Prediction needs two documents or more with paragraphs "
            "of several sentences: name more text, put each document in a file or record of its own, or raise "
            "--held-out."
        )


def _tokenized(text: str, wordpiece: TextTokenizer) -> TrainingText:
    """Return the text of one document."""
    sentences = split(text, Splitting(language=AUTO))
    tokens = wordpiece.tokenize(text, sentences)
    lengths = np.diff(tokens.sentence_ptr)
    kept = lengths > 0
    begins = np.diff(tokens.word, prepend=-1) != 0
    begins[tokens.sentence_ptr[:-1][kept]] = True
    return TrainingText(
        ids=tokens.ids,
        begins=begins,
        sentence_ptr=np.concatenate([[0], tokens.sentence_ptr[1:][kept]]),
        paragraph=np.array(list(_paragraphs(text, sentences)), np.int64)[kept],
        document=np.zeros(np.count_nonzero(kept), np.int64),
    )


def _paragraphs(text: str, sentences: list[Sentence]) -> Iterator[int]:
    """Yield the paragraph number of each sentence, from 0. A newline between two sentences ends a paragraph.

    In hard-wrapped text a line may end with a sentence by chance: that loses a pair, but makes no wrong one.
    """
    number, last = 0, 0
    for sentence in sentences:
        gap = text[last : sentence.start]
        number += last > 0 and any(c in gap for c in "\n\r\v\f\x85\u2028\u2029")
        yield number
        last = sentence.stop


def _numbered(rising: Ints) -> Ints:
    """Replace the distinct values of non-decreasing integers with 0, 1, 2..."""
    return np.cumsum(np.diff(rising, prepend=rising[:1]) != 0)


def _continued(columns: list[Ints]) -> Ints:
    """Concatenate columns of non-decreasing integers, each raised so that it begins after the end of the one before."""
    firsts = np.cumsum([0, *(int(column[-1]) + 1 if len(column) else 0 for column in columns)])
    return _joined([column + first for column, first in zip(columns, firsts, strict=False)], np.int64)


def _joined(arrays: list[npt.NDArray[Scalar]], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
    return np.concatenate([np.empty(0, dtype), *arrays], dtype=dtype)
