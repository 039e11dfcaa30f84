"""What a run or a lake is told about text that its model does not know, and what to use instead."""

from __future__ import annotations

MULTILINGUAL = "google-bert/bert-base-multilingual-cased"
PAGE = "docs/languages.md"
"""The page of models for other languages."""


def unknown_text(unknown: int, documents: int) -> str:
    """Return a sentence about `unknown` of `documents` that a run embedded; empty if there are none."""
    if not unknown:
        return ""
    they = f"{unknown:,} of {documents:,} documents are" if documents > 1 else "The document is"
    return (
        f"{they} in a language or script that the model does not know: the model says it was made for others, or a "
        "sixth of the tokens, or more, are single characters or unknown words. Their vectors say little. Use a model "
        f"of their language, or one of many languages such as --model {MULTILINGUAL} ({PAGE})."
    )
