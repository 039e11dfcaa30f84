"""Options for the rows that a document has besides its sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import OUTPUTS
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Level, Outputs, PllVariant
from polyseme.storage.word_keys import phrases


@Parameter(name="*", group=OUTPUTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class PartialOutputOptions:
    """What to store. What is left open stays as the documents have it."""

    level: Level | None = None
    """Vectors to store besides those of sentences: of words, of words and tokens, or of none (sentences). By default
    what the documents have already."""

    words: str | None = None
    """Store the vectors of these words alone, separated by commas, and of the words of these phrases where they stand
    together: bank,supreme court."""

    nsp: bool | None = None
    """Score each step from a sentence to the next; by default as the documents have it."""

    pll: Annotated[bool, Parameter(negative="")] = False
    """Store each sentence's pseudo-log-likelihood, and with --level tokens each token's surprisal. Documents that have
    them keep them without this."""

    pll_variant: PllVariant = "within_word_l2r"
    """within_word_l2r masks a token and what follows of its word; original masks the token alone."""

    lemma: Annotated[bool, Parameter(negative="")] = False
    """Store the lemma of each word, by the language of its document, to group and look up words by it. Documents that
    have lemmas keep them without this. Needs the extra lemma."""

    def outputs(self, had: Outputs | None = None) -> Outputs:
        """Return the outputs of every document: those given, else those of `had`, by default words and NSP.

        Raises UsageError for options that contradict each other.
        """
        had = Outputs() if had is None else had
        level, words = (had.level, had.words) if (self.level, self.words) == (None, None) else self._rows()
        pll = self.pll_variant if self.pll else had.pll
        nsp = had.nsp if self.nsp is None else self.nsp
        return Outputs(level, words, nsp, pll, self.lemma or had.lemma)

    def _rows(self) -> tuple[Level, frozenset[str] | None]:
        if self.lemma and self.level == "sentences":
            raise UsageError("--lemma is of words and --level sentences keeps none. Leave one of them out.")
        if self.words is None:
            return self.level or "words", None
        wanted = phrases(self.words.split(","))
        if not wanted:
            raise UsageError("--words names no word. Give one or several with commas between: --words bank,court")
        if self.level == "sentences":
            raise UsageError("--words keeps word vectors and --level sentences keeps none. Leave one of them out.")
        return self.level or "words", wanted


@Parameter(name="*", group=OUTPUTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions(PartialOutputOptions):
    """What to store of documents that the lake does not hold yet."""

    level: Level | None = None
    """Vectors to store besides those of sentences: of words (default), of words and tokens, or of none (sentences)."""

    nsp: bool | None = None
    """Score each step from a sentence to the next; by default if the model has a head for it."""

    pll: Annotated[bool, Parameter(negative="")] = False
    """Store each sentence's pseudo-log-likelihood, and with --level tokens each token's surprisal. Costs a forward pass
    a token: about as many times the time as a sentence has tokens."""
