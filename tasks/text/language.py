"""The language of a text, as far as splitting it needs: by its script, or by the words that begin sentences.

Counts the closed-class words of each language in a sample from the beginning of the text; of a text too short or too
mixed to say, and of languages without rules of their own, nothing is said. Time and memory are bounded.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from polyseme.tasks.text.splitting.abbreviations import languages, own_starters

SAMPLE = 4_000
"""Characters at the beginning of a text that are looked at."""
_LEAST = 3
"""Words of a language that a text must have."""
_MARGIN = 1.2
"""How many times the words of the next language."""
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("km", re.compile(r"[\u1780-\u17ff]")),
    ("my", re.compile(r"[\u1000-\u109f]")),
    ("bo", re.compile(r"[\u0f00-\u0fff]")),
    ("hy", re.compile(r"[\u0530-\u058f]")),
    ("ka", re.compile(r"[\u10a0-\u10ff]")),
    ("am", re.compile(r"[\u1200-\u137f]")),
    ("el", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("fa", re.compile(r"[پچژگکی]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
)
_OTHER_SCRIPT = re.compile("|".join(found.pattern for _, found in _SCRIPTS))


def language_of(text: str) -> str:
    """Return the code of ISO 639 of a text's language, empty if it is not clear. Equal texts have the same."""
    sample = text[:SAMPLE].lower()
    words = _WORD.findall(sample)
    return _by_script(sample, sum(map(len, words))) or _by_words(words)


def _by_script(sample: str, letters: int) -> str:
    if not _OTHER_SCRIPT.search(sample):
        return ""
    by_script = Counter({code: len(found.findall(sample)) for code, found in _SCRIPTS})
    if by_script["ja"] * 10 > by_script["zh"]:
        by_script["ja"] += by_script["zh"]
    if by_script["fa"] * 20 > by_script["ar"]:
        by_script["fa"] += by_script["ar"]
    code, count = by_script.most_common(1)[0]
    return code if letters and 2 * count > letters else ""


def _by_words(words: list[str]) -> str:
    counts = Counter[str]()
    for word, number in Counter(words).items():
        for code in _languages_of().get(word, ()):
            counts[code] += number
    if not counts:
        return ""
    (code, first), *others = counts.most_common(2)
    clear = first >= _LEAST and first >= _MARGIN * (others[0][1] if others else 0)
    return code if clear else ""


@cache
def _languages_of() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in languages():
        for word in own_starters(code):
            found.setdefault(word, []).append(code)
    return found
