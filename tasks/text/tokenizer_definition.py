"""The definition of a tokenizer (`tokenizer.json`): what of it may run, and how `tokenizer_config.json` changes it.

Whoever made it can write programs in it: regular expressions that take exponential time, replacements that double a
text thirty times. BERT's tokenizers need neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError

MOST_BYTES = 64 << 20
"""The largest WordPiece tokenizers have 10 MB."""
_MOST_STEPS = 32
_MOST_WORD_CHARS = 10_000
"""Characters of a word that is looked up, which takes time quadratic in it; usual are 100."""
_NORMALIZERS = frozenset(
    {"BertNormalizer", "Lowercase", "StripAccents", "Strip", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Replace", "Sequence"}
)
_PRE_TOKENIZERS = frozenset(
    {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "CharDelimiterSplit",
     "UnicodeScripts", "Split", "Sequence"}
)  # fmt: skip
_OPTIONS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def check_definition(path: Path, definition: dict[str, Any]) -> None:
    """Raise ModelError for steps that could take unbounded time or memory, naming them."""
    for part, known in (("normalizer", _NORMALIZERS), ("pre_tokenizer", _PRE_TOKENIZERS)):
        for count, step in enumerate(_steps(definition.get(part)), start=1):
            kind = step.get("type")
            if kind not in known or count > _MOST_STEPS:
                raise _refused(path, part, f"{str(kind)[:40]!r}" if count <= _MOST_STEPS else "many steps")
            pattern = step.get("pattern")
            text = pattern.get("String") if isinstance(pattern, dict) else None
            if kind in ("Replace", "Split") and not isinstance(text, str):
                raise _refused(path, part, "a regular expression")
            if kind == "Replace" and len(str(step.get("content"))) > max(len(text or ""), 1):
                raise _refused(path, part, "a replacement that makes texts longer")
    model = definition.get("model")
    longest = model.get("max_input_chars_per_word", 100) if isinstance(model, dict) else 100
    if type(longest) is not int or not 0 < longest <= _MOST_WORD_CHARS:
        raise _refused(path, "model", f"max_input_chars_per_word {str(longest)[:40]}")


def as_configured(path: Path, definition: dict[str, Any]) -> dict[str, Any]:
    """Return `definition` with the options that `tokenizer_config.json` sets, as transformers applies them.

    Raises ModelError for an option that is neither true, false nor null.
    """
    normalizer = definition.get("normalizer")
    if not isinstance(normalizer, dict) or normalizer.get("type") != "BertNormalizer" or not path.is_file():
        return definition
    try:
        options = json.loads(path.read_bytes()) if path.stat().st_size <= MOST_BYTES else None
    except (ValueError, OSError, RecursionError):
        return definition  # reported by whoever reads the names of special tokens
    if not isinstance(options, dict) or not str(options.get("tokenizer_class", "BertTokenizer")).startswith("Bert"):
        return definition
    wanted = {ours: options[theirs] for theirs, ours in _OPTIONS.items() if theirs in options}
    for name, value in wanted.items():
        if value is not None and not isinstance(value, bool):
            raise ModelError(f"{path} sets {name} to {str(value)[:40]!r}; expected true, false or null. Correct it.")
        if value is None and name != "strip_accents":
            wanted[name] = normalizer.get(name)
    return definition | {"normalizer": normalizer | wanted}


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
        f"{path} has {what} in its {part}, which no tokenizer of the BERT family needs and which can take any time or "
        "memory. Choose another --model, or save its tokenizer with BERT's own steps."
    )
