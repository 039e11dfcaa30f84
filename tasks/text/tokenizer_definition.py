"""The definition of a tokenizer (`tokenizer.json`): what of it may run.

Whoever made it can write programs in it: regular expressions that take exponential time, replacements that double a
text thirty times, tables that turn one character into a million. Known steps may run, and the regular expressions of
well-known tokenizers, which take linear time.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError

_MOST_STEPS = 32
_MOST_WORD_CHARS = 10_000
"""Characters of a word that is looked up, which takes time quadratic in it; usual are 100."""
_MOST_PIECE_CHARS = 1_000
"""Characters of a piece of a Unigram vocabulary, which are compared at every place of a text; usual are 16."""
_MOST_MAPPED_BYTES = 128
"""Bytes that a character map may make of one character; Unicode's longest compatibility mapping has 33."""
_NORMALIZERS = frozenset(
    {"BertNormalizer", "Lowercase", "StripAccents", "Strip", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Replace", "Prepend",
     "Precompiled", "Sequence"}
)  # fmt: skip
_PRE_TOKENIZERS = frozenset(
    {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "CharDelimiterSplit",
     "UnicodeScripts", "Split", "ByteLevel", "Metaspace", "Sequence"}
)  # fmt: skip
_MODELS = frozenset({"WordPiece", "BPE", "Unigram", "WordLevel"})
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LAST_SPACES = r"\s+(?!\S)|\s+"
_REGULAR_EXPRESSIONS = frozenset(
    {
        # Runs of spaces: ALBERT, XLM-R, DeBERTa.
        r" {2,}", r"\s{2,}|[\n\r\t]", r"\s+", r"\n", r" ", r"\d", r"\d{1,3}", r"\p{N}", r"\p{N}{1,3}",
        # GPT-2, and as ModernBERT's kin write it.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + _LAST_SPACES,
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + _LAST_SPACES,
        # GPT-4 and Llama 3 (EuroBERT), Qwen 2.
        *(
            _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits
            + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + _LAST_SPACES
            for digits in (r"\p{N}", r"\p{N}{1,3}")
        ),
    }
)  # fmt: skip


def model_kind(model: Mapping[str, Any]) -> str:
    """Return the kind of a model: its `type`, which older files leave out, or what its fields are those of."""
    if model.get("type") is not None:
        return str(model["type"])
    if isinstance(model.get("vocab"), list):
        return "Unigram"
    if "merges" in model:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"


def check_definition(path: Path, definition: dict[str, Any]) -> None:
    """Raise ModelError for steps that could take unbounded time or memory, or give a text other tokens each time."""
    for part, known in (("normalizer", _NORMALIZERS), ("pre_tokenizer", _PRE_TOKENIZERS)):
        for count, step in enumerate(_steps(definition.get(part)), start=1):
            kind = step.get("type")
            if kind not in known or count > _MOST_STEPS:
                raise _refused(path, part, f"{str(kind)[:40]!r}" if count <= _MOST_STEPS else "many steps")
            if kind in ("Replace", "Split"):
                _check_pattern(path, part, step)
            if kind == "Prepend" and len(str(step.get("prepend"))) > 1:
                raise _refused(path, part, "a replacement that makes texts longer")
            if kind == "Precompiled":
                _check_charsmap(path, step.get("precompiled_charsmap"))
    _check_model(path, definition.get("model"))


def _check_pattern(path: Path, part: str, step: dict[str, Any]) -> None:
    pattern = step.get("pattern")
    text = pattern.get("String") if isinstance(pattern, dict) else None
    expression = pattern.get("Regex") if isinstance(pattern, dict) else None
    if not isinstance(text, str) and expression not in _REGULAR_EXPRESSIONS:
        raise _refused(path, part, "a regular expression that no well-known tokenizer has")
    longest = max(len(text or ""), 1)
    if step["type"] == "Replace" and len(str(step.get("content"))) > longest:
        raise _refused(path, part, "a replacement that makes texts longer")


def _check_charsmap(path: Path, encoded: object) -> None:
    """Raise ModelError unless a SentencePiece character map is whole and its replacements are short."""
    try:
        found = base64.b64decode(str(encoded), validate=True)
        (trie,) = struct.unpack_from("<I", found)
    except (binascii.Error, ValueError, struct.error):
        raise _refused(path, "normalizer", "a damaged character map") from None
    if trie % 4 or not 0 < trie <= len(found) - 4:
        raise _refused(path, "normalizer", "a damaged character map")
    if max(map(len, found[4 + trie :].split(b"\0"))) > _MOST_MAPPED_BYTES:
        raise _refused(path, "normalizer", "a replacement that makes texts longer")


def _check_model(path: Path, model: object) -> None:
    if not isinstance(model, dict):
        return  # `tokenizers` reports it
    kind = model_kind(model)
    if kind not in _MODELS:
        raise _refused(path, "model", f"{kind[:40]!r}")
    longest = model.get("max_input_chars_per_word", 100)
    if type(longest) is not int or not 0 < longest <= _MOST_WORD_CHARS:
        raise _refused(path, "model", f"max_input_chars_per_word {str(longest)[:40]}")
    if model.get("dropout"):
        raise _refused(path, "model", "dropout, which gives a text other tokens each time,")
    pieces = model.get("vocab")
    if isinstance(pieces, list):  # Unigram
        if any(not isinstance(piece, list) or len(piece) != 2 for piece in pieces):
            raise _refused(path, "model", "a damaged vocabulary")
        if any(len(str(piece[0])) > _MOST_PIECE_CHARS for piece in pieces):
            raise _refused(path, "model", f"pieces of more than {_MOST_PIECE_CHARS:,} characters")


def _steps(part: object) -> Iterator[dict[str, Any]]:
    """Yield a step and all steps inside it."""
    waiting = [part]
    while waiting:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        yield step
        for inside in ("normalizers", "pretokenizers"):
            if isinstance(found := step.get(inside), list):
                waiting.extend(found)


def _refused(path: Path, part: str, what: str) -> ModelError:
    return ModelError(
        f"{path} has {what} in its {part}, which no tokenizer of a well-known encoder needs and which can take any "
        "time or memory. Choose another --model, or save its tokenizer with the steps of a well-known one."
    )
