"""The option of commands that look a word up and need vectors of it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Encode = Annotated[
    bool,
    Parameter(
        negative="",
        help="First encode the word where the lake keeps no vectors of it, as a backfill of this word alone: the model "
        "runs the sentences with the word and no others. Does nothing if they are all there.",
    ),
]
