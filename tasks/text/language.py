"""The language of a text: by its script, by letters that only some languages of a script have, or by function words.

Looks at a sample from the beginning of the text. Of a text that is too short or too mixed to say, and of languages
that it does not know, nothing is said. Time and memory are bounded.
"""

from __future__ import annotations

import re
from collections import Counter

from polyseme.tasks.text.function_words import languages_of_letters, languages_of_words

SAMPLE = 4_000
"""Characters at the beginning of a text that are looked at."""
_LEAST = 3
"""Words of a language that a text must have."""
_MARGIN = 1.5
"""How many times the words that only the other language has."""
_NEXT = 8
"""Languages with the most words that are compared."""
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


def _whole(words: str) -> str:
    """Return a pattern for whole words."""
    return rf"(?<!\S)(?:{words.replace(' ', '|')})(?!\S)"


_MARATHI = "आणि आहे आहेत होते होता होती नाही मी या हे व तो ती असे म्हणून त्या त्याने केले केली झाले नव्हते"
_YIDDISH = "און איז פון פֿון דער מיט נישט ניט האט"
_OF_SCRIPT = {
    "fa": (
        ("ur", re.compile(r"[\u0679\u0688\u0691\u06ba\u06be\u06c1\u06d2]")),
        ("ps", re.compile(r"[\u067c\u0681\u0685\u0689\u0693\u0696\u069a\u06bc\u06cd\u06d0]")),
        ("ckb", re.compile(r"[\u0695\u06b5\u06c6\u06ce\u06d5]")),
        ("sd", re.compile(r"[\u067a\u067b\u067d\u067f\u0680\u0684\u0687\u068a\u068d\u068f\u06b3\u06bb]")),
    ),
    "he": (("yi", re.compile(r"\u05d0[\u05b7\u05b8]|[\u05f0-\u05f2]|" + _whole(_YIDDISH))),),
    "hi": (
        ("mr", re.compile(r"\u0933|च्या|ण्या|" + _whole(_MARATHI))),
        ("ne", re.compile(_whole("छ र पनि हो छन् गरेको भएको थियो लागि यो उनले"))),
    ),
}  # fmt: skip
"""What other languages of a script have and the first does not: letters and short words."""
_OF_LANGUAGE = 0.02
"""The share of it in the letters, from which a text is of the other language."""
_OTHER_CYRILLIC = re.compile(r"[\u0492-\u0527]")
"""Letters of languages in Cyrillic whose words are not known: Kazakh, Tajik, Tatar, Mongolian and others."""
_OTHER_SCRIPT = re.compile("|".join(found.pattern for _, found in _SCRIPTS))


def language_of(text: str) -> str:
    """Return the code of ISO 639 of a text's language, empty if it is not clear. Equal texts have the same."""
    sample = text[:SAMPLE].lower()
    words = _WORD.findall(sample)
    letters = sum(map(len, words))
    if len(_OTHER_CYRILLIC.findall(sample)) > letters * _OF_LANGUAGE:
        return ""
    return _by_script(sample, letters) or _by_words(words)


def _by_script(sample: str, letters: int) -> str:
    if not _OTHER_SCRIPT.search(sample):
        return ""
    by_script = Counter({code: len(found.findall(sample)) for code, found in _SCRIPTS})
    if by_script["ja"] * 10 > by_script["zh"]:
        by_script["ja"] += by_script["zh"]
    if by_script["fa"] * 20 > by_script["ar"]:
        by_script["fa"] += by_script["ar"]
    code, count = by_script.most_common(1)[0]
    return _within_script(code, sample, count) if letters and 2 * count > letters else ""


def _within_script(code: str, sample: str, letters: int) -> str:
    """Return the language of a text in the script of `code`, which has so many letters of it."""
    signs = Counter({other: len(found.findall(sample)) for other, found in _OF_SCRIPT.get(code, ())})
    other, count = signs.most_common(1)[0] if signs else (code, 0)
    return other if count > letters * _OF_LANGUAGE else code


def _by_words(words: list[str]) -> str:
    known, marked = languages_of_words(), languages_of_letters()
    texts = [(known[word], number) for word, number in Counter(words).items() if word in known]
    texts += [(marked[letter], number) for letter, number in Counter("".join(words)).items() if letter in marked]
    counts = Counter[str]()
    for codes, number in texts:
        for code in codes:
            counts[code] += number
    (code, first), *others = counts.most_common(_NEXT) or [("", 0)]
    clear = first >= _LEAST and all(_is_rather(code, other, texts) for other, _ in others)
    return code if clear else ""


def _is_rather(code: str, other: str, texts: list[tuple[tuple[str, ...], int]]) -> bool:
    """Return whether the words that one of two languages has and the other has not say that a text is of the first."""
    own = sum(number for codes, number in texts if code in codes and other not in codes)
    others = sum(number for codes, number in texts if other in codes and code not in codes)
    return own > 0 and own >= _MARGIN * others
