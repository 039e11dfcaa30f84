"""Word keys: one for every spelling that Unicode holds to be the same word, and as few others as can be."""

from __future__ import annotations

import unicodedata

import pytest

from polyseme.storage.word_keys import word_key

CHARACTERS = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
ZWNJ, ZWJ, SHY = "\u200c", "\u200d", "\u00ad"


def test_every_case_of_every_character_has_one_key() -> None:
    for c in CHARACTERS:
        key = word_key(f"a{c}")
        assert {word_key(f"a{form}") for form in (c.lower(), c.casefold(), unicodedata.normalize("NFC", c))} == {key}
        # A few capitals are of several characters that fold to one: ŉ is ʼN, and ʼN is no ŉ.
        assert word_key(f"a{c.upper().casefold()}") == word_key(f"a{c.upper()}")


def test_every_character_has_the_key_of_its_decomposition() -> None:
    for c in CHARACTERS:
        assert word_key(f"x{unicodedata.normalize('NFD', c)}") == word_key(f"x{c}")


def test_a_key_is_its_own_key_and_in_nfc() -> None:
    for c in CHARACTERS:
        key = word_key(f"a{c}b")
        assert word_key(key) == key
        assert unicodedata.is_normalized("NFC", key)


@pytest.mark.parametrize(
    ("spellings", "key"),
    [
        (("Bank", "BANK", "bank"), "bank"),
        (("İzmir", "I\u0307zmir", "i\u0307ZMİR".replace("İ", "I")), "i\u0307zmir"),
        (("ΛΟΓΟΣ", "λόγος".replace("ό", "ο"), "λογοσ"), "λογοσ"),
        (("Fuß", "FUSS", "FUẞ", "fuſs"), "fuss"),
        (("naïve", "nai\u0308ve", "NAI\u0308VE"), "naïve"),
        (("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"), "한글"),
        (("ﬂoß", "FLOSS"), "floss"),
        (("ᾳ", "ΑΙ", "αι", "\u03b1\u0345"), "αι"),
        (("Ꭰ", "ꭰ"), "Ꭰ"),
        ((f"wood{SHY}pecker", "woodpecker", "wood\u2060pecker", "\ufeffwoodpecker", "wood\u200bpecker"), "woodpecker"),
        (("❤\ufe0f", "❤"), "❤"),
    ],
)
def test_spellings_of_one_word_have_one_key(spellings: tuple[str, ...], key: str) -> None:
    assert {word_key(spelling) for spelling in spellings} == {key}


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "résumé"),
        ("ọkọ", "ọkọ\u0300"),
        ("كتاب", "كِتَابٌ"),
        ("x", "x\u0304"),
        ("क\u094dष", f"क\u094d{ZWJ}ष", f"क\u094d{ZWNJ}ष"),
        (f"می{ZWNJ}رود", "میرود"),
        ("👩🚀", f"👩{ZWJ}🚀"),
    ],
)
def test_marks_and_joiners_that_carry_meaning_tell_words_apart(words: tuple[str, ...]) -> None:
    assert len({word_key(word) for word in words}) == len(words)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (f"کار{ZWNJ}ها", "کارها"),  # that letter joins none after it
        (f"می{ZWNJ}", "می"),
        (f"house{ZWNJ}hold", "household"),
        (f"house{ZWJ}hold", "household"),
        (f"क{ZWJ}म", "कम"),
    ],
)
def test_joiners_without_meaning_are_left_out(written: str, plain: str) -> None:
    assert word_key(written) == word_key(plain)


def test_a_word_of_nothing_but_ignored_characters_has_a_key() -> None:
    assert word_key("\ufe0f") == "\ufe0f"
    assert word_key(SHY) == SHY
