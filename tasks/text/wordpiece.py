"""Sentences to WordPiece tokens, each with its character span and the whole word it belongs to.

Runs the model's own tokenizer; knows nothing of windows, special tokens around a sequence, or tensors. Documents are
data: `[SEP]` in a text is five characters, never the token. Offsets are characters of the document.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, models

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Sentence
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.tokenizer_definition import MOST_BYTES, as_configured, check_definition

GROUP_CHARS = 200_000
"""Characters tokenized at once, which bounds the memory of tokens before they are in arrays."""

SPECIALS = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
"""The special tokens that BERT needs, with their default names."""

# BERT deletes these characters, which joins the words around them; no tokenizer accepts lone surrogates.
_UNREADABLE = re.compile(r"[\v\f\x1c-\x1f\x85\ud800-\udfff]")
_FINGERPRINTED = ("normalizer", "pre_tokenizer", "model", "added_tokens")
"""The parts of a tokenizer's definition that decide which ids a text has."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedDocument:
    """The tokens of one document in reading order, special tokens excluded, as flat arrays over all its sentences.

    Sentence `i` has tokens `sentence_ptr[i]:sentence_ptr[i + 1]`, possibly none: a lone U+FFFD has no token. `word`
    counts whole words from 0 within each sentence. Raises ValueError if the arrays do not fit together.
    """

    ids: NDArray[np.int32]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    word: NDArray[np.int32]
    sentence_ptr: NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("ids", "char_start", "char_end", "word")}
        if set(shapes.values()) != {(self.n_tokens,)}:
            raise ValueError(f"token arrays must be flat and of one length, got {shapes}")
        ptr = self.sentence_ptr
        if ptr.ndim != 1 or not len(ptr) or ptr[0] != 0 or ptr[-1] != self.n_tokens or (np.diff(ptr) < 0).any():
            raise ValueError(f"sentence_ptr must rise from 0 to {self.n_tokens}, got {ptr}")
        if (self.char_start > self.char_end).any() or (np.diff(self.char_start) < 0).any():
            raise ValueError("token spans must be half-open and in reading order")

    @property
    def n_tokens(self) -> int:
        """The number of tokens."""
        return len(self.ids)

    @property
    def n_sentences(self) -> int:
        """The number of sentences."""
        return len(self.sentence_ptr) - 1


class Tokens(NamedTuple):
    """The tokens of sentences in order: their number per sentence, and flat arrays as in `TokenizedDocument`."""

    lengths: NDArray[np.int64]
    ids: NDArray[np.int32]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    word: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Token:
    """One token for display, with the column names of the `tokens` table."""

    token: str
    token_id: int
    char_start: int
    char_end: int
    word_index: int


class WordPiece:
    """A loaded tokenizer and the ids of its special tokens. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, *, specials: Mapping[str, str], sha256: str, source: str) -> None:
        """Take over `tokenizer`, without its truncation and padding. Raises ModelError if BERT cannot use it."""
        kind = type(tokenizer.model).__name__
        if not isinstance(tokenizer.model, models.WordPiece):
            raise ModelError(
                f"Expected a WordPiece tokenizer in {source}, got {kind}: its checkpoint is not of the BERT family. "
                "Choose one that is, such as google-bert/bert-base-uncased or the embedded models/polyseme-mini."
            )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        vocab = tokenizer.get_vocab()
        missing = [name for name in specials.values() if name not in vocab]
        if missing:
            raise ModelError(
                f"The vocabulary in {source} lacks the special tokens {', '.join(missing)}. If the checkpoint names "
                "them otherwise, set their names in its tokenizer_config.json (cls_token, sep_token, pad_token, "
                "mask_token, unk_token); else choose another checkpoint of the BERT family."
            )
        self._tokenizer = tokenizer
        self._mask, self._unk = specials["mask"], specials["unk"]
        self._pieces = {number: piece for piece, number in vocab.items()}
        self.cls_id, self.sep_id, self.pad_id, self.mask_id, self.unk_id = (vocab[specials[key]] for key in SPECIALS)
        self.vocab_size = max(vocab.values()) + 1
        self.sha256 = sha256

    @property
    def frame(self) -> Frame:
        """The special tokens around the text of a window: `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`."""
        return Frame((self.cls_id,), (self.sep_id,), (self.sep_id,))

    @classmethod
    def load(cls, folder: Path) -> WordPiece:
        """Load the tokenizer of a checkpoint: `tokenizer.json`, else `vocab.txt`. Never uses the network.

        Raises ModelError if there is none, or none that BERT can use.
        """
        specials = _special_names(folder)
        definition = _definition(folder)
        check_definition(folder / "tokenizer.json", definition)
        fixed = {key: definition.get(key) for key in _FINGERPRINTED} | {"specials": specials}
        fingerprint = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
        try:
            tokenizer = Tokenizer.from_str(json.dumps(definition))
        except Exception as error:
            raise _unreadable(folder / "tokenizer.json", error) from error
        return cls(tokenizer, specials=specials, sha256=fingerprint, source=str(folder))

    def tokenize(self, text: str, sentences: Sequence[Sentence]) -> TokenizedDocument:
        """Tokenize the `sentences` of `text`, which must be in order and disjoint. No token is left out."""
        groups = [self.tokens_of([(text, group)]) for group in _groups(sentences)]
        lengths, ids, char_start, char_end, word = (np.concatenate(column) for column in zip(*groups, strict=True))
        ptr = np.concatenate(([0], np.cumsum(lengths)))
        return TokenizedDocument(ids=ids, char_start=char_start, char_end=char_end, word=word, sentence_ptr=ptr)

    def tokens_of(self, texts: Iterable[tuple[str, Sequence[Sentence]]]) -> Tokens:
        """Tokenize the sentences of several texts in one call: for many short texts at a fifth of the cost.

        All of them are in memory at once. Offsets are those of each text.
        """
        spans = [(text, sentence) for text, sentences in texts for sentence in sentences]
        readable = [_UNREADABLE.sub(" ", text[sentence.start : sentence.stop]) for text, sentence in spans]
        encodings: list[Encoding] = self._tokenizer.encode_batch(readable, add_special_tokens=False)
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        n = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32, n)
        # WordPiece looks words up in a vocabulary that includes the special tokens, and some models' pre-tokenizers
        # do not split `[SEP]`.
        ids[np.isin(ids, (self.cls_id, self.sep_id, self.pad_id, self.mask_id))] = self.unk_id
        ends = chain.from_iterable(chain.from_iterable(e.offsets for e in encodings))
        offsets = np.fromiter(ends, np.int64, 2 * n).reshape(n, 2)
        offsets += np.repeat(np.array([sentence.start for _, sentence in spans], np.int64), lengths)[:, None]
        words = np.fromiter(chain.from_iterable(e.word_ids for e in encodings), np.int32, n)
        char_start, char_end = np.ascontiguousarray(offsets.T)
        return Tokens(lengths, ids, char_start, char_end, _renumber(words, lengths))

    def tokenize_prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt, in which the mask token is recognised. Not for documents."""
        first, *rest = (self._ids(part) for part in text.split(self._mask))
        return [*first, *chain.from_iterable([self.mask_id, *ids] for ids in rest)]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the vocabulary entries of `ids`, `[UNK]` for ids without one, which models may have."""
        return [self._pieces.get(int(number), self._unk) for number in ids]

    def explain(self, text: str) -> list[Token]:
        """Tokenize `text` as one sentence and return a record per token, for display."""
        document = self.tokenize(text, [Sentence(0, len(text))])
        columns = (document.ids, document.char_start, document.char_end, document.word)
        return list(map(Token, self.pieces(document.ids), *(column.tolist() for column in columns)))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenize(text, [Sentence(0, len(text))]).ids.tolist()
        return ids


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


def _definition(folder: Path) -> dict[str, Any]:
    """Return the tokenizer's definition in the format of `tokenizer.json`."""
    path = folder / "tokenizer.json"
    if path.is_file():
        return as_configured(folder / "tokenizer_config.json", _read_json(path))
    if (folder / "vocab.txt").is_file():
        return _definition_from_vocabulary(folder)
    raise ModelError(
        f"No tokenizer in {folder}: expected tokenizer.json or vocab.txt there. Name a folder that holds a whole "
        "checkpoint (config.json, model.safetensors, tokenizer.json), a hub id, or the embedded models/polyseme-mini."
    )


def _definition_from_vocabulary(folder: Path) -> dict[str, Any]:
    # Two seconds of import, needed only for checkpoints from before 2020.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True).backend_tokenizer
    except (ValueError, OSError) as error:
        raise _unreadable(folder / "vocab.txt", error) from error
    definition: dict[str, Any] = json.loads(tokenizer.to_str())
    return definition


def _special_names(folder: Path) -> dict[str, str]:
    """Return the names of this checkpoint's special tokens; `tokenizer_config.json` overrides the rest."""
    names = dict(SPECIALS)
    for path in (folder / "special_tokens_map.json", folder / "tokenizer_config.json"):
        stored = _read_json(path) if path.is_file() else {}
        for key in SPECIALS:
            token = stored.get(f"{key}_token")
            if token:
                names[key] = token["content"] if isinstance(token, dict) else token
    return names


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        content = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        raise _unreadable(path, f"expected a JSON object, got {type(content).__name__}")
    return content


def _unreadable(path: Path, why: object) -> ModelError:
    reason = str(why).partition("\n")[0]
    return ModelError(
        f"The tokenizer file {path} cannot be read ({reason}). Fetch the checkpoint again, with its config.json, "
        "or name another model."
    )
