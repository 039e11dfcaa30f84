"""Load the tokenizer of a definition, for documents: without truncation and padding, and without special tokens.

Knows `tokenizers`, no text but that of a trial.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from polyseme.storage.errors import ModelError
from polyseme.tasks.text.tokenizer_definition import model_kind
from polyseme.tasks.text.tokenizer_files import raise_if_stopped, unreadable
from polyseme.tasks.text.tokenizer_source import TokenizerSource

_HIDDEN = "\x1c"
"""Before the name of a special token, which then no text can have: `UNREADABLE` characters are replaced."""

_UNKNOWN = "ᚠ𒀀☃" * 40
"""Runes, cuneiform and a snowman as one word: too long for the limit of WordPiece, which is 100 characters."""


def loaded(source: TokenizerSource) -> Tokenizer:
    """Return the tokenizer of a definition, with special tokens that no text can have.

    Raises ModelError if its definition is malformed, or if it fails at text that it does not know.
    """
    definition: dict[str, Any] = source.definition | {
        "truncation": None, "padding": None, "post_processor": None, "decoder": None,
    }  # fmt: skip
    kind = model_kind(definition["model"])
    definition |= {"model": {"type": kind} | definition["model"]}  # older files leave the type out
    if kind in ("Unigram", "BPE"):
        definition = _with_hidden(definition, {name for role, name in source.names.items() if role != "unk"})
    try:
        tokenizer = Tokenizer.from_str(json.dumps(definition))
    except BaseException as error:
        raise_if_stopped(error)
        raise unreadable(source.folder / "tokenizer.json", error) from error
    tokenizer.encode_special_tokens = True
    try:
        tokenizer.encode(_UNKNOWN, add_special_tokens=False)
    except Exception as error:
        raise ModelError(
            f"The tokenizer in {source.folder} fails at text that it does not know ({error}): its vocabulary lacks the "
            "unknown token that it names. Set unk_token in tokenizer_config.json to one that is in the vocabulary, or "
            "fetch the checkpoint again."
        ) from error
    return tokenizer


def _with_hidden(definition: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return a definition in which the special tokens `names` cannot be found in a text.

    The vocabularies of Unigram and of BPE models have them as pieces like any other.
    """
    model = definition["model"]
    if model["type"] == "Unigram":
        changed: dict[str, Any] = {"vocab": [[_hidden(piece, names), score] for piece, score in model["vocab"]]}
    else:
        merged = {"".join(pair) if isinstance(pair, list) else pair.replace(" ", "") for pair in model["merges"]}
        names = names - merged
        changed = {"vocab": {_hidden(piece, names): number for piece, number in model["vocab"].items()}}
    added = [token | {"content": _hidden(token["content"], names)} for token in definition.get("added_tokens") or []]
    return {**definition, "model": model | changed, "added_tokens": added}


def _hidden(piece: str, names: set[str]) -> str:
    return _HIDDEN + piece if piece in names else piece
