"""The option of commands that look a word up."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

ByLemma = Annotated[
    bool,
    Parameter(
        negative="",
        help="Take all forms of the word, by lemma: go is go, goes, went. For documents that were embedded with "
        "--lemma.",
    ),
]
