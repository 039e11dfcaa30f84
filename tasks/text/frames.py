"""Frames: the special tokens around the text of a window, which each model expects where it was trained with them.

Knows ids and their places, no text and no tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """The ids `before` A and `after` the last segment, those `between` A and B, and the token type of B.

    BERT has `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, RoBERTa `<s> A </s>` and `<s> A </s></s> B </s>`. A prompt
    such as `query: ` is a part of `before`. `second_type` is the token type of B and of what follows it; all else has
    0. Models without token types ignore it.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    second_type: int = 1

    @property
    def single(self) -> int:
        """The number of special tokens of a window with one segment."""
        return len(self.before) + len(self.after)

    @property
    def pair(self) -> int:
        """The number of special tokens of a window with two segments."""
        return self.single + len(self.between)
