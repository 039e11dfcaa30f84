"""Boundaries: whether a stop ends a sentence, by the word before it and the word after it.

The order of the rules: a word in lower case goes on; a number, an initial or an abbreviation before the stop goes on
unless the next word is one that begins sentences; everything else ends. A rule sees a bounded number of characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from polyseme.tasks.text.splitting.abbreviations import Words, words_of
from polyseme.tasks.text.splitting.no_abbreviations import ends_a_list, is_measure, is_name, is_time, says_i

_LONGEST = 40
_NEXT = re.compile(r"""\s*+(?P<openers>["'“‘«‹„‚(\[{¿¡*_»–—-]{0,6}\s?)(?P<word>[^\W_]{1,40}(?:['’][^\W_]{1,20})?)?""")
_OPENERS = "\"'“”‘’«»‹›„‚([{¿¡*_–—-…/"
# The end of a file's name is no abbreviation: `the file is a.txt`.
_DOTTED = re.compile(r"(?:[^\W\d_]{1,3}\.){1,5}(?!txt|pdf|csv|doc|xml|exe|zip|png|jpg|htm)[^\W\d_]{1,3}")
_NUMBER = re.compile(r"\d{1,3}|[IVXLC]{1,6}")
_ROMAN = re.compile(r"[IVXLC]+")
_NO_VOWEL = re.compile(r"[bcdfghjklmnpqrstvwxzбвгджзклмнпрстфхцчшщ]{2,5}")
_ELIDED = re.compile(r"[^\W\d_]{1,8}['’](?=[^\W\d_]{2})")
"""A short word that has lost its vowel before an abbreviation: `l'art. 5`, `dell'avv. Rossi`."""
_EXCLAIMING = frozenset(("yahoo", "jeopardy", "oklahoma"))
"""Names that end in an exclamation mark."""
_SPEECH = re.compile(
    r"\s*+(?:[A-Z][\w'’.-]{0,30}\s){1,3}(?:said|asked|cried|replied|answered|whispered|shouted|exclaimed|called|muttered)\b"
)
_INTERJECTION = re.compile(
    r"ah|alas|aye|behold|bah|bravo|dear|eh|fie|god|goodness|ha|heavens|hey|ho|hurrah|hush|la|lo|lord|nay|no|oh?|pooh|pshaw|tut|well|yes"
)
"""Words whose exclamation mark goes on before a word in lower case: `Oh! what a day`."""
_IN_CAPITALS = frozenset(("DR", "MR", "MS", "ST", "MT", "FT", "LT", "JR", "SR", "CO", "NO", "NR", "PS", "VS"))
"""Abbreviations of two letters that headings have in capitals; others are acronyms: `CA`, `CT`, `IE`."""
_CAPITAL_NOUNS = frozenset(("de", "lb"))
"""Languages in which a capital after a number says nothing: nouns have one."""
_LOWER = {"en": frozenset(("i", "i'm", "i've", "i'll", "i'd", "im", "ive"))}
"""Words that many write in lower case at the beginning of a sentence, by language."""
_CONTINUING = (",", ";", ":")
_PARTICLES = tuple("とっはがのでをに、")
"""What goes on after quoted speech in Japanese."""
_NAME = 5
"""The fewest letters of a word with a capital that is no abbreviation if it is not listed."""
_AND_SO_ON = frozenset(("etc", "ecc", "itd", "itp", "jne", "usw", "osv", "atd", "enz", "stb", "vb", "vs"))
_UNITS = frozenset(
    (
        *(
            "km",
            "mm",
            "cm",
            "kg",
            "mg",
            "ml",
            "kb",
            "mb",
            "gb",
            "hz",
            "khz",
            "mhz",
            "ghz",
            "kw",
            "mw",
            "kwh",
            "bc",
            "bp",
        ),
        *("км", "мм", "см", "кг", "мг", "мл"),
    )
)
_DASHES = frozenset("-–—")
_ENCLOSING = (")", "]", '"', "”", "’")
_TELEPHONE = re.compile(r"\d+(?:-\d+)+")
_ADDRESS = re.compile(r"https?:|www\.")
_GOES_ON = ",.;:)]}»”…?!%"
_QUOTES = "\"'”’»›“«」』"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is particular to a language."""

    words: Words
    capital_nouns: bool = False
    dates: bool = False
    greek: bool = False
    english: bool = False
    lower: frozenset[str] = frozenset()


@cache
def rules_of(language: str) -> Rules:
    """Return the rules of a language, by its code of ISO 639-1; those of English for one that has none."""
    return Rules(
        words_of(language),
        capital_nouns=language in _CAPITAL_NOUNS,
        dates=language == "ko",
        greek=language == "el",
        english=language == "en",
        lower=_LOWER.get(language, frozenset()),
    )


def ends(text: str, begin: int, found: re.Match[str], limit: int, rules: Rules) -> bool:
    """Return whether a sentence that began at `begin` ends with the stop that was `found`.

    `limit` is the end of the block, the text beyond it is not looked at.
    """
    closers = found["closers"]
    if closers is None:
        following = text[found.end() : found.end() + 1]
        return following not in _CONTINUING and not (text[found.end() - 1] in "」』" and following in _PARTICLES)
    after = _NEXT.match(text, found.end(), limit)
    assert after is not None
    if after.end() >= limit and not after["word"]:
        return True
    word = after["word"] or ""
    if not word and text[after.end()] in _GOES_ON:
        return False
    stop = text[found.start() : found.start("closers")]
    if stop == ";" and not rules.greek:
        return False
    before = _before(text, begin, found.start())
    if found["glued"]:
        return _ends_glued(before, stop, closers, word, dashed=bool(_DASHES & set(after["openers"])))
    if found["marks"][:1].isdecimal() and not _has_footnote(before, rules):
        return False
    if word and _ADDRESS.match(text, after.start("word"), limit):
        return True
    if word[:1].islower() and not (word in rules.lower and text[after.end() : after.end() + 1] != "."):
        goes_on = set(after["openers"]) & _DASHES or (stop == "." and is_measure(text, begin, found.start()))
        return not goes_on and _ends_before_lower(before, stop, closers, rules)
    starts = word.lower().replace("’", "'") in rules.words.starters and text[after.end() : after.end() + 1] != "."
    if stop != ".":
        in_brackets = not before and text.endswith(("(", "["), begin, found.start())
        if in_brackets or before.lower() in _EXCLAIMING:
            return starts
        quoted = closers[:1] and closers[0] in _QUOTES
        return not (quoted and stop[-1] in "!?…" and _SPEECH.match(text, found.end(), min(limit, found.end() + 120)))
    if found.start() > begin and text[found.start() - 1].isspace():
        return True
    if word and _no_abbreviation(text, begin, found.start(), after.start("word"), rules):
        return True
    opening = text[begin : found.start()].strip(_OPENERS + " ") if found.start() - begin < _LONGEST else ""
    return _ends_after(before, word, starts, alone=opening == before, rules=rules)


def _before(text: str, begin: int, stop: int) -> str:
    """Return the word that ends at `stop`, without what opens it."""
    part = text[max(begin, stop - _LONGEST) : stop]
    words = part.split()
    return _ELIDED.sub("", words[-1].lstrip(_OPENERS)) if words else ""


def _ends_before_lower(before: str, stop: str, closers: str, rules: Rules) -> bool:
    """Decide before a word in lower case: nothing ended unless an ordinary word is before the stop."""
    if stop == "." and not closers and (before[-1:] in _ENCLOSING or _TELEPHONE.fullmatch(before)):
        return True
    before = before.replace("’", "'").rpartition("'")[2]
    if closers or not before.isalnum() or _is_caseless(before[0]) or _is_armenian(before[-1]):
        return False
    lower, words = before.lower(), rules.words
    if before != lower and not (stop == "." and before.istitle() and len(before) >= _NAME):
        return False
    if any(_known(before, lower, kind) for kind in (words.titles, words.labels, words.closing, words.inner)):
        return False
    if stop[0] in "?!":
        return stop[0] == "?" or not _INTERJECTION.fullmatch(lower)
    if before.isdigit():
        return stop == "." and len(before) > 2 and not rules.capital_nouns
    return (
        stop == "."
        and (len(before) > 2 or (before in words.starters and (len(before) > 1 or rules.english)))
        and not _NO_VOWEL.fullmatch(before)
    )


def _no_abbreviation(text: str, begin: int, stop: int, after: int, rules: Rules) -> bool:
    """Return whether no abbreviation stands before a stop, though it may look like one. The next word is at `after`."""
    if text[after].isdigit():
        return False
    if is_measure(text, begin, stop) or ends_a_list(text, begin, stop):
        return True
    if not rules.english:
        return False
    before = _before(text, begin, stop)
    if len(before) == 2 and before.isupper() and before.isalpha() and not _ROMAN.fullmatch(before):
        return before not in _IN_CAPITALS
    if is_name(text, begin, stop) or is_time(text, begin, stop, after):
        return True
    return before.lower() in rules.words.labels and says_i(text, after, len(text))


def _has_footnote(before: str, rules: Rules) -> bool:
    """Return whether a number behind a word's stop is a footnote, and not what is counted (`no.5`, `SA.316`)."""
    lower, words = before.lower(), rules.words
    long = len(before) > 2 or (len(before) == 2 and before.islower())
    return long and not any(_known(before, lower, k) for k in (words.titles, words.labels, words.closing))


def _ends_glued(before: str, stop: str, closers: str, word: str, *, dashed: bool) -> bool:
    """Decide where no space follows the stop: between letters without case, or where a space was forgotten."""
    if closers or not word or len(before) < 2:
        return False
    if _is_caseless(word[0]) and _is_caseless(before[-1]):
        return not "\u0e00" <= word[0] <= "\u0eff"
    if not before.isalpha() or before != before.lower():
        return False
    if stop == ".":
        return len(word) > 1 and word[0].isupper() and word[1:].replace("’", "'").replace("'", "").islower()
    return word[0].isupper() or (word[0].isalpha() and not stop.strip("!?") and len(before) > 2 and not dashed)


def _is_armenian(letter: str) -> bool:
    return "\u0531" <= letter <= "\u0587"


def _ends_after(before: str, word: str, starts: bool, *, alone: bool, rules: Rules) -> bool:
    """Decide for a full stop between two words, the second not in lower case."""
    if not before:
        return True
    if _is_armenian(before[-1]):
        return False
    if alone and len(before) <= 3 and word and (before.isdigit() or len(before) == 1 or _ROMAN.fullmatch(before)):
        return False
    if _NUMBER.fullmatch(before):
        return _ends_after_number(before, word, starts, rules)
    if before[-1].isdigit():
        return not (rules.dates and word[:1].isdigit())
    return _ends_after_word(before, word, starts, rules)


def _ends_after_word(before: str, word: str, starts: bool, rules: Rules) -> bool:
    """Decide behind what is no number: an abbreviation, an initial or a word."""
    lower, words = before.lower(), rules.words
    if before != lower and before in words.closing:
        return starts
    if _known(before, lower, words.inner):
        return False
    street = rules.capital_nouns and lower.endswith("str")
    if (street or _known(before, lower, words.labels)) and (word[:1].isdigit() or _ROMAN.fullmatch(word)):
        return False
    closing = _known(before, lower, words.closing)
    if closing and lower in _AND_SO_ON:
        return True
    if not closing and _known(before, lower, words.titles):
        return False
    if lower in _UNITS:
        return True
    initial = len(before) == 1 and before.isalpha() and not _is_caseless(before)
    abbreviated = closing or initial or _DOTTED.fullmatch(before) or _NO_VOWEL.fullmatch(before)
    return starts or not abbreviated


def _ends_after_number(before: str, word: str, starts: bool, rules: Rules) -> bool:
    if rules.dates and word[:1].isdigit():
        return False
    if word.lower() in rules.words.after_ordinals:
        return False
    if rules.capital_nouns:
        return starts
    if len(before) == 1 and before.isupper():
        return starts
    return True


def _known(word: str, lower: str, among: frozenset[str]) -> bool:
    """Return whether an abbreviation is listed as it is written: an entry with a capital needs one in the text."""
    if word.isupper() and len(word) > 2 and word.isalpha():
        return False
    return lower in among or (word[:1].isupper() and lower[:1].upper() + lower[1:] in among)


def _is_caseless(letter: str) -> bool:
    return letter.isalpha() and letter.lower() == letter.upper()
