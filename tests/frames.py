"""The special tokens of the tokenizers that test checkpoints have (`tests.conftest`)."""

from __future__ import annotations

from polyseme.tasks.text.frames import Frame

MINI = Frame((101,), (102,), (102,))
"""Of the embedded model's tokenizer."""
CASED = Frame((4,), (2,), (2,))
"""Of the small cased tokenizer."""
