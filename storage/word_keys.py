"""Word keys: what words are looked up by, one key for all spellings that Unicode holds to be the same word.

A key is in NFC and case-folded in full (`Straße` and `STRASSE` are `strasse`), without the characters that Unicode
ignores by default, such as soft hyphens, and with all marks. `storage.sql.word_lookup` says the same in SQL.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

IGNORED = (
    "AD 34F 61C 115F-1160 17B4-17B5 180B-180F 200B 200E-200F 202A-202E 2060-206F 3164 FDD0-FDD1 FE00-FE0F FEFF FFA0 "
    "FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Default_Ignorable_Code_Point of Unicode 14 in hexadecimal, without the joiners U+200C and U+200D.

With the two noncharacters that stand for joiners which are kept, while others are left out."""
_VIRAMA = (
    "94D 9CD A4D ACD B4D BCD C4D CCD D3B-D3C D4D DCA E3A EBA F84 1039-103A 1714-1715 1734 17D2 1A60 1B44 1BAA-1BAB "
    "1BF2-1BF3 2D7F A806 A82C A8C4 A953 A9C0 AAF6 ABED 10A3F 11046 11070 1107F 110B9 11133-11134 111C0 11235 112EA "
    "1134D 11442 114C2 115BF 1163F 116B6 1172B 11839 1193D-1193E 119E0 11A34 11A47 11A99 11C3F 11D44-11D45 11D97"
)
"""Canonical_Combining_Class 9 of Unicode 14."""
_DUAL_JOINING = (
    "620 626 628 62A-62E 633-63F 641-647 649-64A 66E-66F 678-687 69A-6BF 6C1-6C2 6CC 6CE 6D0-6D1 6FA-6FC 6FF 712-714 "
    "71A-71D 71F-727 729 72B 72D-72E 74E-758 75C-76A 76D-770 772 775-777 77A-77F 7CA-7EA 841-845 848 84A-853 855 860 "
    "862-865 868 886 889-88D 8A0-8A9 8AF-8B0 8B3-8B8 8BA-8C8 1807 1820-1878 1887-18A8 18AA A840-A872 10AC0-10AC4 10ACD "
    "10AD3-10ADC 10ADE-10AE0 10AEB-10AEE 10B80 10B82 10B86-10B88 10B8A-10B8B 10B8D 10B90 10BAD-10BAE 10D00-10D21 10D23 "
    "10F30-10F32 10F34-10F44 10F51-10F53 10F70-10F73 10F76-10F81 10FB0 10FB2-10FB3 10FB8 10FBB-10FBC 10FBE-10FBF 10FC1 "
    "10FC4 10FCA-10FCB 1E900-1E943"
)
"""Joining_Type dual and left of Unicode 14: letters that would join the next one."""
_VOWEL_SIGNS = "64B-65F 670"
"""Marks of Arabic, through which its letters join."""
_SYMBOLS = "2190-2BFF 1F000-1FAFF"
"""Where pictographs are, which a zero-width joiner makes one."""

JOINERS = (
    ("200C[200C-200D]*$", ""),
    (f"([{_VIRAMA}]|[{_DUAL_JOINING}][{_VOWEL_SIGNS}]*)200C", "FDD0"),
    (f"([{_VIRAMA} {_SYMBOLS}])200D", "FDD1"),
    ("[200C-200D]", ""),
    ("FDD0", "200C"),
    ("FDD1", "200D"),
)
"""Replacements that leave joiners where they change a word: after a virama, a letter that would join, a pictograph.

By UAX 31, section 2.3, as far as it looks back. Patterns with code points in hexadecimal; if there is a group, it is
kept in front of what is put in. Text is in NFC before them.
"""
ALONE = "21-2F 3A-40 5B-60 7B-7E 3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2CEAF 2F800-2FA1F"
"""Characters that are words: signs of ASCII and Chinese characters, as BERT has it, besides all punctuation."""
_POINTS = re.compile(r"(?<![0-9A-Z])[0-9A-F]{2,5}(?![0-9A-Z])")


def pattern_of(points: str, *, escape: Callable[[str], str] = r"\x{{{}}}".format) -> str:
    """Return a pattern in which code points are escapes: by default those of RE2, which DuckDB uses."""
    return _POINTS.sub(lambda found: escape(found[0]), points).replace(" ", "")


def word_key(word: str) -> str:
    """Return the key of a word. A word of nothing but characters to ignore is its own key."""
    if word.isascii():
        return word.lower()
    return _composed(without_ignored(word).casefold()) or word


def word_keys(text: str) -> list[str]:
    """Return the keys of the words of a text, in order: one for a word, several for a phrase such as `supreme court`.

    Words are BERT's: between spaces, with every punctuation mark and every Chinese character for itself.
    """
    return [word_key(word) for word in _words_of(text)]


def phrases(texts: Iterable[str]) -> frozenset[str]:
    """Return the words and phrases to store: the keys of each text's words with spaces between; blank ones are none."""
    return frozenset(" ".join(keys) for text in texts if (keys := word_keys(text)))


def _words_of(text: str) -> Iterator[str]:
    start, signs = 0, _compiled()[2]
    for at, character in enumerate(text):
        alone = signs.match(character) or unicodedata.category(character).startswith("P")
        if alone or character.isspace():
            if at > start:
                yield text[start:at]
            if alone:
                yield character
            start = at + 1
    if start < len(text):
        yield text[start:]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def without_ignored(text: str) -> str:
    """Return a text in NFC without the characters that no key has."""
    ignored, joiners, _ = _compiled()
    text = _composed(ignored.sub("", text))
    if "\u200c" in text or "\u200d" in text:
        for pattern, put_in in joiners:
            text = pattern.sub(put_in, text)
        text = _composed(text)
    return text


@lru_cache(maxsize=1)
def _compiled() -> tuple[re.Pattern[str], list[tuple[re.Pattern[str], str]], re.Pattern[str]]:
    def compiled(points: str) -> re.Pattern[str]:
        return re.compile(pattern_of(points, escape=lambda point: f"\\U{int(point, 16):08x}"))

    joiners = [
        (compiled(pattern), (r"\1" if "(" in pattern else "") + (chr(int(put_in, 16)) if put_in else ""))
        for pattern, put_in in JOINERS
    ]
    return compiled(f"[{IGNORED}]"), joiners, compiled(f"[{ALONE}]")
