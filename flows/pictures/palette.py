"""Colours and marks of groups: those of Okabe and Ito (2008), which readers with any colour vision tell apart."""

from __future__ import annotations

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "..", "xx", "\\\\", "--", "++", "oo")


def colour(group: int) -> str:
    """Return the colour of a group, from 1."""
    return COLOURS[(group - 1) % len(COLOURS)]


def mark(group: int) -> str:
    """Return matplotlib's name of the mark of a group, from 1."""
    return MARKS[(group - 1) % len(MARKS)]


def hatch(group: int) -> str:
    """Return matplotlib's name of the pattern of a group, from 1."""
    return HATCHES[(group - 1) % len(HATCHES)]
