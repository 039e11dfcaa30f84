"""Passages: documents split into sentences and tokenized, a bounded number of sentences at a time.

Small documents are tokenized together, because a call costs the tokenizer as much as many words do; a large one yields
several passages, so that only its text is in memory as a whole. Knows no model beyond its tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, tee

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Document, Sentence
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.kept_text import KeptText
from polyseme.tasks.text.sentences import Split
from polyseme.tasks.text.tokenizer import GROUP_CHARS, TextTokenizer
from polyseme.tasks.text.tokens import Tokens

_OVERHEAD = 20
"""Characters that every sentence and every document counts in addition to its text, which bounds their number."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """Consecutive sentences of a document from sentence `first` on, as flat arrays over their tokens.

    `spans` is `(sentences, 2)`, the character span of each sentence in the document's text; `char_start` and `char_end`
    are those of each token. `lengths` is `(sentences,)`, tokens per sentence, 0 included. `word` and `last_word` are
    the first and the last word of each token, counted from 0 within a sentence. `last` marks the document's last
    passage, `language` is what it is split by, empty if it is not known. A document without sentences has one empty
    passage.
    """

    document: Document
    first: int
    last: bool
    language: str
    spans: Ints
    lengths: Ints
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]
    last_word: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """The number of tokens."""
        return len(self.ids)

    def cut(self, start: int, stop: int) -> Passage:
        """Return sentences `start:stop` of this passage, as views."""
        first_token, end_token = (int(self.lengths[:at].sum()) for at in (start, stop))
        sentences, tokens = slice(start, stop), slice(first_token, end_token)
        return Passage(
            self.document, self.first + start, self.last and stop == len(self), self.language,
            self.spans[sentences], self.lengths[sentences], self.ids[tokens], self.char_start[tokens],
            self.char_end[tokens], self.word[tokens], self.last_word[tokens],
        )  # fmt: skip

    def joined(self, following: Passage) -> Passage:
        """Return this passage and the one that follows it as one."""
        arrays = (
            np.concatenate([getattr(self, name), getattr(following, name)])
            for name in ("spans", "lengths", "ids", "char_start", "char_end", "word", "last_word")
        )
        return Passage(self.document, self.first, following.last, self.language, *arrays)


@dataclass(frozen=True, slots=True, eq=False)
class PassageGroup:
    """Passages that were tokenized in one call, without their documents: flat arrays over the sentences of all.

    `first`, `last` and `languages` are those of each passage, `counts` its number of sentences.
    """

    first: list[int]
    last: list[bool]
    languages: list[str]
    counts: list[int]
    spans: Ints
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class _Untokenized:
    """The sentences of a passage before they are tokenized; with `kept` they are in that part of a text."""

    text: str
    kept: KeptText | None
    first: int
    last: bool
    language: str
    sentences: list[Sentence]


def passages(documents: Iterable[Document], wordpiece: TextTokenizer, split: Split) -> Iterator[Passage]:
    """Yield the passages of all documents in order. Those of a document do not depend on the other documents."""
    documents, read = tee(documents)
    texts = ((document.text, document.uri) for document in read)
    return with_documents(passage_groups(texts, wordpiece, split), documents)


def passage_groups(texts: Iterable[tuple[str, str]], wordpiece: TextTokenizer, split: Split) -> Iterator[PassageGroup]:
    """Yield the passages of all texts, each with its address, in order: as many together as are tokenized in a call."""
    waiting: list[_Untokenized] = []
    size = 0
    for text, uri in texts:
        for part in _parts(text, uri, split):
            waiting.append(part)
            size += _OVERHEAD + sum(map(_size, part.sentences))
            if size >= GROUP_CHARS:
                yield _tokenized(waiting, wordpiece)
                waiting, size = [], 0
    yield _tokenized(waiting, wordpiece)


def with_documents(groups: Iterable[PassageGroup], documents: Iterable[Document]) -> Iterator[Passage]:
    """Yield the passages in `groups`, which are those of all `documents` in order."""
    following = iter(documents)
    for group in groups:
        tokens = group.tokens
        sentence_ptr = np.cumsum([0, *group.counts])
        token_ptr = np.append(0, np.cumsum(tokens.lengths))[sentence_ptr]
        bounds = zip(pairwise(sentence_ptr.tolist()), pairwise(token_ptr.tolist()), strict=True)
        about = zip(group.first, group.last, group.languages, bounds, strict=True)
        for first, last, language, ((a, b), (x, y)) in about:
            if first == 0:
                document = next(following)
            yield Passage(
                document, first, last, language, group.spans[a:b], tokens.lengths[a:b],
                tokens.ids[x:y], tokens.char_start[x:y], tokens.char_end[x:y], tokens.word[x:y],
                tokens.last_word[x:y],
            )  # fmt: skip


def _parts(text: str, uri: str, split: Split) -> Iterator[_Untokenized]:
    """Split one text into passages; the last may be empty if the others are full."""
    kept = split.kept(text, uri)
    text = text if kept is None else kept.text
    first, size = 0, 0
    taken: list[Sentence] = []
    language = split.language_of(text)
    for sentence in split.sentences(text, language):
        if size >= GROUP_CHARS:
            yield _Untokenized(text, kept, first, False, language, taken)
            first, size, taken = first + len(taken), 0, []
        taken.append(sentence)
        size += _size(sentence)
    yield _Untokenized(text, kept, first, True, language, taken)


def _size(sentence: Sentence) -> int:
    return sentence.stop - sentence.start + _OVERHEAD


def _tokenized(waiting: list[_Untokenized], wordpiece: TextTokenizer) -> PassageGroup:
    spans = np.array([(s.start, s.stop) for part in waiting for s in part.sentences], np.int64).reshape(-1, 2)
    tokens = wordpiece.tokens_of((part.text, part.sentences) for part in waiting)
    _in_whole_texts(waiting, spans, tokens)
    return PassageGroup(
        first=[part.first for part in waiting],
        last=[part.last for part in waiting],
        languages=[part.language for part in waiting],
        counts=[len(part.sentences) for part in waiting],
        spans=spans,
        tokens=tokens,
    )


def _in_whole_texts(waiting: list[_Untokenized], spans: Ints, tokens: Tokens) -> None:
    """Turn the offsets of sentences and tokens in what was kept of a text into those in the text."""
    if all(part.kept is None for part in waiting):
        return
    sentence_ptr = np.cumsum([0, *(len(part.sentences) for part in waiting)])
    token_ptr = np.append(0, np.cumsum(tokens.lengths))[sentence_ptr]
    bounds = zip(pairwise(sentence_ptr.tolist()), pairwise(token_ptr.tolist()), strict=True)
    for part, ((a, b), (x, y)) in zip(waiting, bounds, strict=True):
        if part.kept is not None:
            spans[a:b, 0], spans[a:b, 1] = part.kept.spans(spans[a:b, 0], spans[a:b, 1])
            start, stop = part.kept.spans(tokens.char_start[x:y], tokens.char_end[x:y])
            tokens.char_start[x:y], tokens.char_end[x:y] = start, stop
