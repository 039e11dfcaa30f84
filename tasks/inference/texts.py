"""Texts prepared for the model: normalised and tokenized, each as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Sentence
from polyseme.tasks.arrays import Ints
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.text.tokens import TokenizedDocument


@dataclass(frozen=True, slots=True)
class Texts:
    """Normalised texts and their tokens: text `i` has tokens `ptr[i]:ptr[i + 1]`."""

    texts: list[str]
    documents: list[TokenizedDocument]
    ptr: Ints

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """`(tokens,)`: the ids of all texts, concatenated."""
        return np.concatenate([np.empty(0, np.int32), *(d.ids for d in self.documents)]).astype(np.int32)


def tokenize_texts(wordpiece: TextTokenizer, texts: Sequence[str]) -> Texts:
    """Normalise (NFC) and tokenize `texts` like documents, in order; special tokens in a text are plain characters."""
    clean = [normalise(text) for text in texts]
    documents = [wordpiece.tokenize(text, [Sentence(0, len(text))]) for text in clean]
    ptr = np.concatenate([[0], np.cumsum([d.n_tokens for d in documents])]).astype(np.int64)
    return Texts(clean, documents, ptr)
