"""Sentences to tokens, each with its character span and the words it belongs to.

Runs the model's own tokenizer, of any kind: WordPiece, BPE, Unigram or a list of words. Knows nothing of windows,
special tokens around a sequence, or tensors. Documents are data: `[SEP]` in a text is five characters, never the token.
Offsets are characters of the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Sentence, WordDefinition
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.text_words import UNREADABLE, is_space, joined, kinds_of, words_of_tokens
from polyseme.tasks.text.tokenizer_loading import loaded
from polyseme.tasks.text.tokenizer_source import TokenizerSource, read_tokenizer
from polyseme.tasks.text.tokens import Token, TokenizedDocument, Tokens

GROUP_CHARS = 200_000
"""Characters tokenized at once, which bounds the memory of tokens before they are in arrays."""

_SPACE_MARK = "▁"
"""What SentencePiece vocabularies have for a space, also for the one that is put before a text."""


class TextTokenizer:
    """A loaded tokenizer and the ids of its special tokens. Thread-safe.

    `words` says what a word is: of the `text`, the same for every model, or what the `tokenizer` itself splits first,
    which is what encodings of earlier releases have.
    """

    def __init__(self, source: TokenizerSource, *, words: WordDefinition = "text") -> None:
        """Load a tokenizer, without its truncation and padding. Raises ModelError if its definition is malformed."""
        self._tokenizer = loaded(source)
        self._source = source
        self.prompt, self._prefix = "", tuple[int, ...]()
        self.word_definition: WordDefinition = words
        self._pieces = {number: piece for piece, number in source.ids.items()}
        self._looks_up = self.kind in ("WordPiece", "WordLevel")
        names = source.names
        self.frame = source.frame
        self._ids = {role: source.ids[name] for role, name in names.items()}
        specials = [number for role, number in self._ids.items() if role != "unk"]
        self._specials = np.array(sorted({*specials, *self.frame.before, *self.frame.after}), np.int32)
        marks = [number for piece, number in source.ids.items() if not piece.strip(_SPACE_MARK)]
        self._marks = np.array(marks, np.int32)
        self.vocab_size = max(source.ids.values()) + 1

    @classmethod
    def load(cls, folder: Path, *, words: WordDefinition = "text") -> TextTokenizer:
        """Load the tokenizer of a checkpoint as transformers' `AutoTokenizer` does. Never uses the network.

        Raises ModelError if there is none, or none that may run.
        """
        return cls(read_tokenizer(folder), words=words)

    def with_prompt(self, prompt: str) -> TextTokenizer:
        """Return this tokenizer for sentences behind a prompt, which is tokenized with them and then left out.

        What follows a prompt may have other tokens than what begins a text: `query: a` has ` a`.
        """
        prompted = copy(self)
        prompted.prompt = prompt
        prompted._prefix = tuple(self._encoded([prompt.rstrip()])[0].ids)
        return prompted

    @property
    def prompted_frame(self) -> Frame:
        """The special tokens around a text, and the prompt before it."""
        return replace(self.frame, before=(*self.frame.before, *self._prefix))

    @property
    def sha256(self) -> str:
        """SHA-256 of all that decides which ids a text has and what stands around it."""
        return self._source.sha256

    @property
    def kind(self) -> str:
        """`WordPiece`, `BPE`, `Unigram` or `WordLevel`."""
        return type(self._tokenizer.model).__name__

    @property
    def cls_id(self) -> int:
        """The id of the token before a text."""
        return self._ids.get("cls", self.frame.before[0] if self.frame.before else self.frame.after[0])

    @property
    def sep_id(self) -> int:
        """The id of the token after a text."""
        return self._ids.get("sep", self.frame.after[-1] if self.frame.after else self.frame.before[-1])

    @property
    def pad_id(self) -> int:
        """The id of the padding token. Raises ModelError if there is none."""
        return self._id_of("pad")

    @property
    def mask_id(self) -> int:
        """The id of the mask token. Raises ModelError if there is none."""
        return self._id_of("mask")

    @property
    def unk_id(self) -> int | None:
        """The id of the token for unknown words; None for a tokenizer that knows every byte."""
        return self._ids.get("unk")

    def tokenize(self, text: str, sentences: Sequence[Sentence]) -> TokenizedDocument:
        """Tokenize the `sentences` of `text`, which must be in order and disjoint. No token is left out."""
        groups = [self.tokens_of([(text, group)]) for group in _groups(sentences)]
        columns = {name: np.concatenate([getattr(group, name) for group in groups]) for name in Tokens._fields}
        ptr = np.concatenate(([0], np.cumsum(columns.pop("lengths"))))
        return TokenizedDocument(**columns, sentence_ptr=ptr)

    def tokens_of(self, texts: Iterable[tuple[str, Sequence[Sentence]]]) -> Tokens:
        """Tokenize the sentences of several texts in one call: for many short texts at a fifth of the cost.

        Each sentence is tokenized as if it stood alone. All of them are in memory at once. Offsets are those of each
        text.
        """
        spans = [(text, sentence) for text, sentences in texts for sentence in sentences]
        readable = [UNREADABLE.sub(" ", text[sentence.start : sentence.stop]) for text, sentence in spans]
        encodings: Sequence[Encoding | _Cut] = self._encoded(readable) if not self.prompt else self._behind(readable)
        lengths = np.fromiter((len(e.ids) for e in encodings), np.int64, len(encodings))
        n = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32, n)
        if self._looks_up and self.unk_id is not None:
            # Words are looked up in a vocabulary that includes the special tokens, and some models' pre-tokenizers
            # do not split `[SEP]`.
            ids[np.isin(ids, self._specials)] = self.unk_id
        ends = chain.from_iterable(chain.from_iterable(e.offsets for e in encodings))
        offsets = np.fromiter(ends, np.int64, 2 * n).reshape(n, 2)
        base = np.repeat(np.array([sentence.start for _, sentence in spans], np.int64), lengths)[:, None]
        if self.word_definition == "tokenizer":
            words = np.fromiter(chain.from_iterable(e.word_ids for e in encodings), np.int32, n)
            word = last_word = _renumber(words, lengths)
        else:
            together, places = joined(readable)
            kinds = kinds_of(together)
            offsets += np.repeat(places[:, 0], lengths)[:, None]
            if not self._looks_up:
                offsets = _trimmed(offsets, is_space(kinds))
                added = np.flatnonzero(np.isin(ids, self._marks))
                if _SPACE_MARK in together:
                    added = added[[together[at : at + 1] != _SPACE_MARK for at in offsets[added, 0]]]
                offsets[added, 1] = offsets[added, 0]
            word, last_word, *_ = words_of_tokens(kinds, places, lengths, *offsets.T)
            base = base - np.repeat(places[:, 0], lengths)[:, None]
        char_start, char_end = np.ascontiguousarray((offsets + base).T)
        return Tokens(lengths, ids, char_start, char_end, word, last_word)

    def _encoded(self, texts: Sequence[str]) -> list[Encoding]:
        found: list[Encoding] = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return found

    def _behind(self, texts: Sequence[str]) -> list[_Cut]:
        """Return the tokens of texts behind the prompt; as if there were none where prompt and text share a token."""
        skip, size, least = len(self._prefix), len(self.prompt), len(self.prompt.rstrip())
        found = []
        for text, encoding in zip(texts, self._encoded([self.prompt + text for text in texts]), strict=True):
            ids, offsets, words = encoding.ids, encoding.offsets, encoding.word_ids
            if tuple(ids[:skip]) != self._prefix or any(start < least for start, _ in offsets[skip:]):
                (alone,) = self._encoded([text])
                found.append(_Cut(alone.ids, alone.offsets, alone.word_ids))
                continue
            spans = [(max(start - size, 0), max(stop - size, 0)) for start, stop in offsets[skip:]]
            found.append(_Cut(ids[skip:], spans, words[skip:]))
        return found

    def tokenize_prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt, in which the mask token is recognised. Not for documents."""
        mask = self._source.names.get("mask")
        first, *rest = (self._ids_of(part) for part in (text.split(mask) if mask else [text]))
        return [*first, *chain.from_iterable([self.mask_id, *ids] for ids in rest)]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the vocabulary entries of `ids`; for ids without one, which models may have, the unknown token."""
        unknown = self._source.names.get("unk", "")
        return [self._pieces.get(int(number), unknown) for number in ids]

    def explain(self, text: str) -> list[Token]:
        """Tokenize `text` as one sentence and return a record per token, for display."""
        document = self.tokenize(text, [Sentence(0, len(text))])
        columns = (document.ids, document.char_start, document.char_end, document.word)
        return list(map(Token, self.pieces(document.ids), *(column.tolist() for column in columns)))

    def _ids_of(self, text: str) -> list[int]:
        ids: list[int] = self.tokenize(text, [Sentence(0, len(text))]).ids.tolist()
        return ids

    def _id_of(self, role: str) -> int:
        if role not in self._ids:
            raise ModelError(
                f"The vocabulary in {self._source.folder} has no {role} token. If the checkpoint names it otherwise, "
                f"set {role}_token in its tokenizer_config.json; else choose another checkpoint."
            )
        return self._ids[role]


class _Cut(NamedTuple):
    """The part of a tokenizer's answer that is behind a prompt, with its names."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]


def _trimmed(offsets: Ints, space: NDArray[np.bool_]) -> Ints:
    """Return spans `(tokens, 2)` without the white space at their ends, which BPE and Unigram have in their pieces.

    `space` is `(characters,)`. A span of white space alone becomes an empty one at its end.
    """
    places = np.arange(len(space))
    behind = np.append(np.where(space, len(space), places), len(space))
    following = np.minimum.accumulate(behind[::-1])[::-1]
    before = np.maximum.accumulate(np.append(-1, np.where(space, -1, places)))
    stop = offsets[:, 1]
    start = np.minimum(following[offsets[:, 0]], stop)
    return np.stack([start, np.maximum(before[stop] + 1, start)], axis=1)


def _groups(sentences: Sequence[Sentence]) -> Iterator[Sequence[Sentence]]:
    """Yield consecutive `sentences` in groups of about GROUP_CHARS characters; at least one group, possibly empty."""
    begin = size = 0
    for i, sentence in enumerate(sentences):
        if size >= GROUP_CHARS:
            yield sentences[begin:i]
            begin, size = i, 0
        size += sentence.stop - sentence.start
    yield sentences[begin:]


def _renumber(words: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Number words 0, 1, 2... within each sentence: the tokenizer skips the number of a word without a token."""
    filled = lengths[lengths > 0]
    first = np.cumsum(filled) - filled
    begins = np.ones(len(words), bool)
    begins[1:] = words[1:] != words[:-1]
    begins[first] = True
    running = np.cumsum(begins, dtype=np.int32)
    numbers: NDArray[np.int32] = running - np.repeat(running[first], filled)
    return numbers
