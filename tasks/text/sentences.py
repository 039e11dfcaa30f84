"""Sentences: text to character spans, by the splitter and the language that an encoding names.

A splitter only ever *cuts* a text: its spans are in order, disjoint, never blank, and every character that is not
whitespace is in exactly one. Knows nothing of tokens or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import Markdown, Sentence
from polyseme.tasks.text.hyphens import with_divisions
from polyseme.tasks.text.kept_text import KeptText
from polyseme.tasks.text.language import language_of
from polyseme.tasks.text.prose import all_but_prose, is_markdown
from polyseme.tasks.text.splitting import lines, own, punkt, rules

SPLITTER = rules.NAME
"""The splitter of new encodings."""

AUTO = "auto"
"""The language of each text, found in the text."""

_NAMES = {"rules": rules.NAME, "nupunkt": punkt.NAME, "lines": lines.NAME}
_CODE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How the texts of an encoding are split, as plain values: the splitter's name, and a language's code of ISO 639.

    `auto` is the language of each text, as far as it is clear; an empty one is English, for which the splitter of
    earlier releases took any text. With `markdown` `prose` the code, tables and link targets of Markdown files are
    left out; with `join_hyphens` a word that a line end divides is one. Raises UsageError for a language that is not a
    code.
    """

    splitter: str = SPLITTER
    language: str = ""
    markdown: Markdown = "all"
    join_hyphens: bool = False

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
        # One of a name of ours is typed with its version.
        theirs = (name if entry.name in _NAMES else entry.name for name, entry in own.installed().items())
        there_are = ", ".join([*_NAMES, *theirs])
        raise UsageError(f"No splitter is named {name!r}; there are {there_are}. Name one of them.")
    return whole


def whole_name(name: str) -> str:
    """Return the name of a splitter with its version, which that of an encoding has already."""
    if name in _NAMES or name in _NAMES.values():
        return _NAMES.get(name, name)
    return next((whole for whole, entry in own.installed().items() if entry.name == name), name)


def unsaid_language(name: str) -> str:
    """Return the language of a splitter's texts if nobody names one: empty for the splitter of earlier releases.

    Lines and the splitters of packages do not heed it, but it is stored with each document.
    """
    return "" if name.startswith(punkt.KIND) else AUTO


def has_better(name: str) -> bool:
    """Return whether a splitter was the one of earlier releases, which finds fewer of the sentences."""
    return name.startswith(punkt.KIND) or (name.startswith(rules.KIND) and name != rules.NAME)


@dataclass(frozen=True, slots=True)
class Split:
    """A function that splits a text in a language, with the language that it is told: a code, empty, or `auto`.

    `markdown` is what is read of Markdown files; with `join_hyphens` words are read without the line ends in them.
    """

    sentences: Callable[[str, str], Iterator[Sentence]]
    language: str = ""
    markdown: Markdown = "all"
    join_hyphens: bool = False

    def __call__(self, text: str) -> Iterator[Sentence]:
        """Yield the sentences of a text."""
        return self.sentences(text, self.language_of(text))

    def language_of(self, text: str) -> str:
        """Return the language that a text is split by, empty if that is neither told nor clear."""
        return language_of(text) if self.language == AUTO else self.language

    def kept(self, text: str, uri: str) -> KeptText | None:
        """Return what is read of the text of a document at `uri`; None for all of it."""
        edits = all_but_prose(text) if self.markdown == "prose" and is_markdown(uri) else []
        edits = list(with_divisions(text, edits)) if self.join_hyphens else edits
        return KeptText.of(text, edits) if edits else None


def split_by(splitting: Splitting) -> Split:
    """Return the function that splits a text, and chooses what is read of one.

    Raises ModelError if the splitter is not here as it was: its name has the version of what it rests on.
    """
    return replace(_split_by(splitting), markdown=splitting.markdown, join_hyphens=splitting.join_hyphens)


def _split_by(splitting: Splitting) -> Split:
    told = splitting.language
    if splitting.splitter == rules.NAME:
        return Split(lambda text, language: rules.sentences(text, language or "en"), told or "en")
    if splitting.splitter == punkt.NAME:
        return Split(lambda text, _: punkt.sentences(text), told)
    if splitting.splitter == lines.NAME:
        return Split(lambda text, _: lines.sentences(text), told or "en")
    if (entry := own.installed().get(splitting.splitter)) is not None:
        sentences = own.loaded(splitting.splitter, entry)
        return Split(lambda text, _: sentences(text), told or "en")
    there_are = ", ".join([*_NAMES.values(), *own.installed()])
    raise ModelError(
        f"Sentences were split by {splitting.splitter}, and this installation has {there_are}. "
        "Install what the name says (nupunkt-0.8.0/1 is nupunkt 0.8.0), or begin another encoding: polyseme backfill "
        "--splitter rules --name NAME."
    )


def split(text: str, splitting: Splitting = Splitting()) -> list[Sentence]:
    """Return all sentences of a text as a list."""
    return list(split_by(splitting)(text))
