"""Lemmas: the dictionary form of a word, looked up by its language. The extra `lemma` has the dictionaries.

Knows words, no sentences: a form of two words, such as *saw*, has the same lemma wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from polyseme.storage.errors import ModelError
from polyseme.storage.word_keys import without_ignored, word_key

_DICTIONARIES = {"no": "nb", "bs": "hbs", "hr": "hbs", "sr": "hbs", "sh": "hbs", "fil": "tl"}
"""Languages whose dictionary has the code of a larger one or of another."""
_TURKISH = str.maketrans({"İ": "i", "I": "ı"})
_ACCENTED = dict(zip("αεηιουω", "άέήίόύώ", strict=True))
_HAS_ACCENT = re.compile("[άέήίόύώΐΰΆΈΉΊΌΎΏ]")
_LAST = 8
"""Letters at the end of a Greek word in which its accent is looked for: three syllables."""
_KEPT = 1 << 17
"""Words whose lemmas are kept in memory."""


class Lemmatizer:
    """Finds lemmas. A dictionary is loaded with the first word of its language: a second, and up to 20 MB each.

    Raises ModelError if the package with the dictionaries is not installed.
    """

    def __init__(self) -> None:
        try:
            import simplemma
            from simplemma.strategies import DefaultStrategy
            from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES
        except ImportError as error:
            raise ModelError(
                f"--lemma needs the package simplemma, which is not installed here ({error}). Install it: pip install "
                "'polyseme[lemma]', on every machine that encodes. Documents of this lake that have lemmas need it too."
            ) from error
        self._strategy = DefaultStrategy(low_memory=True)
        self._found = simplemma.Lemmatizer(cache_max_size=0, lemmatization_strategy=self._strategy)
        self._languages = SUPPORTED_LANGUAGES
        self._kept = lru_cache(maxsize=_KEPT)(self._lemma)

    def covers(self, language: str) -> bool:
        """Return whether there is a dictionary for a language, a code of ISO 639."""
        return _DICTIONARIES.get(language, language) in self._languages

    def lemma(self, word: str, language: str) -> str | None:
        """Return the key of a word's lemma, by which all its forms are one; None if there is no dictionary.

        A word that is in no dictionary is its own lemma.
        """
        return self._kept(word, _DICTIONARIES.get(language, language))

    def _lemma(self, word: str, language: str) -> str | None:
        if language not in self._languages:
            return None
        shown = without_ignored(word) or word
        return word_key(self._found.lemmatize(self._spelt(self._in_lower_case(shown, language), language), language))

    def _spelt(self, word: str, language: str) -> str:
        """Return a word with the letters that capitals do not show: ß of German, accents of Greek.

        A German word with ss is one with ß where no word has ss, as in Switzerland, or only the form of another.
        """
        if language == "de" and "ss" in word:
            return self._with_sharp_s(word)
        if language == "el" and not self._strategy.is_dictionary_member(word, language):
            return next((form for form in _accented(word) if self._strategy.is_dictionary_member(form, language)), word)
        return word

    def _with_sharp_s(self, word: str) -> str:
        sharp = word.replace("ss", "ß", 1)
        if not self._strategy.is_dictionary_member(sharp, "de"):
            return word
        is_known = self._strategy.is_dictionary_member(word, "de")
        own, others = (word_key(self._found.lemmatize(form, "de")) == word_key(word) for form in (word, sharp))
        return sharp if not is_known or (others and not own) else word

    def _in_lower_case(self, word: str, language: str) -> str:
        """Return a word in capitals as it is at the beginning of a sentence, where dictionaries know most words.

        Also Turkish words with the capitals of dotted and dotless i, whose lower case is another language's.
        """

        def is_known(form: str) -> bool:
            return bool(self._strategy.is_dictionary_member(form, language))

        is_turkish = language == "tr" and ("İ" in word or "I" in word)
        if not (is_turkish or (len(word) > 1 and word.isupper())) or is_known(word):
            return word
        lower = word.translate(_TURKISH).lower() if is_turkish else word.lower()
        first = word[0] + lower[1:]
        return first if is_known(first) or not is_turkish else lower


def _accented(word: str) -> Iterator[str]:
    """Yield the forms of a Greek word without an accent that have one, or begin with a small letter."""
    for form in (word.lower(), word):
        yield form
        for at in range(len(form) - 1, max(len(form) - 1 - _LAST, -1), -1):
            if form[at] in _ACCENTED and form.isalpha() and not _HAS_ACCENT.search(form):
                yield form[:at] + _ACCENTED[form[at]] + form[at + 1 :]
