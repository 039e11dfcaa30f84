"""Sentences: text to character spans, by the splitter and the language that an encoding names.

A splitter only ever *cuts* a text: its spans are in order, disjoint, never blank, and every character that is not
whitespace is in exactly one. Knows nothing of tokens or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import Sentence
from polyseme.tasks.text.language import language_of
from polyseme.tasks.text.splitting import lines, own, punkt, rules

SPLITTER = rules.NAME
"""The splitter of new encodings."""

AUTO = "auto"
"""The language of each text, found in the text."""

Split: TypeAlias = Callable[[str], Iterator[Sentence]]

_NAMES = {"rules": rules.NAME, "nupunkt": punkt.NAME, "lines": lines.NAME}
_CODE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How the texts of an encoding are split, as plain values: the splitter's name, and a language's code of ISO 639.

    `auto` is the language of each text, as far as it is clear; without a language texts are taken for English. Raises
    UsageError for what is not a code.
    """

    splitter: str = SPLITTER
    language: str = ""

    def __post_init__(self) -> None:
        if self.language not in ("", AUTO) and not _CODE.fullmatch(self.language):
            raise UsageError(
                f"A language is a code of ISO 639 such as en, de or zh, or auto, but {self.language!r} was given."
            )


def splitter_named(name: str) -> str:
    """Return the whole name of a splitter from one that a user typed: `rules` is `rules/1`, of this release.

    Raises UsageError for a name that there is not.
    """
    whole = whole_name(name)
    if whole not in _NAMES.values() and whole not in own.installed():
        there_are = ", ".join([*_NAMES, *(entry.name for entry in own.installed().values())])
        raise UsageError(f"No splitter is named {name!r}; there are {there_are}. Name one of them.")
    return whole


def whole_name(name: str) -> str:
    """Return the name of a splitter with its version, which that of an encoding has already."""
    if name in _NAMES or name in _NAMES.values():
        return _NAMES.get(name, name)
    return next((whole for whole, entry in own.installed().items() if entry.name == name), name)


def takes_language(name: str) -> bool:
    """Return whether a splitter heeds the language of a text."""
    return name.startswith(rules.KIND)


def language_in(text: str, splitting: Splitting) -> str:
    """Return the code of a text's language: the one that its encoding was told, else the one found in the text.

    Empty if it is not clear.
    """
    told = splitting.language
    if told == AUTO or not (told or takes_language(splitting.splitter)):
        return language_of(text)
    return told or "en"


def has_better(name: str) -> bool:
    """Return whether a splitter was the one of earlier releases, which finds fewer of the sentences."""
    return name.startswith(punkt.KIND) or (name.startswith(rules.KIND) and name != rules.NAME)


def split_by(splitting: Splitting) -> Split:
    """Return the function that splits a text.

    Raises ModelError if the splitter is not here as it was: its name has the version of what it rests on.
    """
    if splitting.splitter == rules.NAME:
        told = splitting.language or "en"
        return _by_its_language if told == AUTO else partial(rules.sentences, language=told)
    if splitting.splitter == punkt.NAME:
        return punkt.sentences
    if splitting.splitter == lines.NAME:
        return lines.sentences
    if (entry := own.installed().get(splitting.splitter)) is not None:
        return own.checked(splitting.splitter, entry.load())
    there_are = ", ".join([*_NAMES.values(), *own.installed()])
    raise ModelError(
        f"Sentences were split by {splitting.splitter}, and this installation has {there_are}. "
        "Install what the name says (nupunkt-0.8.0/1 is nupunkt 0.8.0), or begin another encoding: polyseme backfill "
        "--splitter rules --name NAME."
    )


def _by_its_language(text: str) -> Iterator[Sentence]:
    return rules.sentences(text, language_of(text) or "en")


def split(text: str, splitting: Splitting = Splitting()) -> list[Sentence]:
    """Return all sentences of a text as a list."""
    return list(split_by(splitting)(text))
