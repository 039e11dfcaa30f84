"""The files of a tokenizer in the folder of a checkpoint: JSON objects of bounded size, read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError

MOST_BYTES = 64 << 20
"""The largest tokenizers of encoders have 35 MB."""
VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model")
"""What checkpoints without `tokenizer.json` have instead."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ModelError if there is none, or more than `MOST_BYTES`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        content = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        raise unreadable(path, error) from error
    if not isinstance(content, dict):
        raise unreadable(path, f"expected a JSON object, got {type(content).__name__}")
    return content


def read_json_if_there(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, an empty one if there is no such file. Raises ModelError as `read_json`."""
    return read_json(path) if path.is_file() else {}


def unreadable(path: Path, why: object) -> ModelError:
    """Return the error for a file of a tokenizer that cannot be read."""
    reason = str(why).strip().partition("\n")[0]
    return ModelError(
        f"The tokenizer file {path} cannot be read ({reason}). Fetch the checkpoint again, with its config.json, "
        "or name another model."
    )


def raise_if_stopped(error: BaseException) -> None:
    """Raise errors again that are none of a tokenizer's file, such as KeyboardInterrupt.

    `tokenizers` panics at some damaged files, which is an error of its own outside Exception.
    """
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
