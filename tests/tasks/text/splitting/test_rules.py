"""The splitter by rules: what ends a sentence, in many languages, and that nothing is lost."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyseme.tasks.text.splitting import abbreviations, boundaries, layout, markers, rules, stops, thai
from polyseme.tasks.text.splitting.rules import MAX_CHARS, sentences

AWKWARD = st.text(
    alphabet=" \n\r\t\f\v\x1c\x85\xa0\u2028\u2029\u200b\ufeff.!?…,;:'\"”)]}(-*•1aA。！？」।؟é\u0301👩\u200d"
    "#|=`_~@/[กว։ա요니다IVX",
    max_size=200,
)


def parts(text: str, language: str = "en") -> list[str]:
    return [text[sentence.start : sentence.stop] for sentence in sentences(text, language)]


@given(st.one_of(st.text(max_size=300), AWKWARD), st.sampled_from(["en", "de", "ko", "th", "xx"]))
@example("", "en")
@example(" \r\n\t ", "en")
@example("\u2029a\r\n\r\nb\u2028\u2028c", "en")
@example("a\n-----\n```\nb. C\n```\n| x. Y |\n", "en")
def test_every_visible_character_is_in_exactly_one_sentence(text: str, language: str) -> None:
    spans = list(sentences(text, language))
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    assert all(0 <= span.start < span.stop <= len(text) for span in spans)
    assert all(part == part.strip() for part in parts(text, language))
    outside = list(text)
    for span in spans:
        outside[span.start : span.stop] = " " * (span.stop - span.start)
    assert not "".join(outside).strip()


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith went to Washington.", "He paid $3.50.", "Really?!", "Yes... he did."],
        ["He lives in the U.S. with a cat.", "He likes it there."],
        ["J. R. R. Tolkien wrote it.", "It was 5 p.m. when he left.", "See Fig. 3 and p. 12."],
        ['"Stop!" he said.', '"I will go."', "She left."],
        ["Yes! yes! yes! he cried.", "No! no! it is too late.", "She left."],
        ["“Go.”", "‘Yes.’", "(He went.)", "She stayed."],
        ["He asked “Is it true?” and left.", "Prices rose 3.14 percent, i.e. a lot."],
        ["Wait… what happened?", "Nothing."],
        ["“Really?” Alice said.", "“Yes!”", "She (the one!) came."],
        ["He said no.", "Peter chose No. 5 of the list.", "Rain fell on Jan. 3 at noon.", "The ground took the sun."],
        ["Acme Inc. Chairman Bell left Acme Inc.", "He was tired, hungry, etc.", "Nobody asked."],
        ["It is 5410 km.", "Other rivers have less.", "It was 1999.", "Then came 2000."],
        ["i was there.", "it was cold!", "why did you go?", "i do not know"],
    ],
)
def test_abbreviations_numbers_quotes_and_ellipses_do_not_mislead(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


_ORDINARY = (
    "bank car book story horse wall cold century black hand park art hard human hall rest sent met bed sun month"
)
_ORDINARY += " code fish bus tax leg series found just will how can south west works win fig gen rep mar ill miss"


@pytest.mark.parametrize("word", _ORDINARY.split())
def test_an_ordinary_word_ends_a_sentence_before_a_name(word: str) -> None:
    assert len(parts(f"They talked about the {word}. Peter left early.")) == 2


def test_eight_short_sentences_with_words_that_look_like_abbreviations_are_eight() -> None:
    text = (
        "Tom swam to the wall. Anna slept in the car. Snow lay on the book. Paul told us a story. Somebody fed"
        " the horse. Ivy grew along the bank. Mornings were cold. Winter lasts a month."
    )
    assert len(parts(text)) == 8


@pytest.mark.parametrize(
    "expected",
    [
        ["The mill closed in spring.[4]", "The town was poor by then.[5][6]", "Nobody stayed."],
        ["The mill closed in spring. [17]", "The town was poor. [note 3]", "Nobody stayed."],
        ["It rained.12", "She left.†", "He stayed.[2, 3]", "They met."],
    ],
)
def test_a_reference_mark_stays_with_its_sentence(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["Yahoo! is not a bank.", "She works for Yahoo! in Rome."],
        ["They sent for Lt. Col. Hart.", "He came with Maj. Gen. Bell at noon."],
        ["She has a Ph.D.", "Her brother farms."],
    ],
)
def test_names_and_ranks(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("de", ["Er kam am 5. Juli, d. h. spät.", "Das 19. Jahrhundert war z. B. lang.", "Am Ende ging er."]),
        ("de", ["Prof. Dr. Meier kam.", "Das war 1999.", "Wir warteten."]),
        ("fr", ["M. Dupont est venu.", "« Entrez ! »", "Il entra, cf. p. 3."]),
        ("es", ["El Sr. Pérez llegó.", "¿Quién es?", "¡Nadie!"]),
        ("it", ["Il dott. Rossi arrivò.", "Era l'anno.", "lo disse lui"]),
        ("ru", ["Это было в 1998 г. в Москве.", "Он уехал."]),
        ("pl", ["Prof. Nowak mieszka przy ul. Długiej.", "Było zimno."]),
        ("fi", ["Hän tuli 5. heinäkuuta.", "Satoi, tuuli jne.", "Kukaan ei lähtenyt."]),
        ("tr", ["Prof. Dr. Kaya geldi.", "Hava soğuktu."]),
        ("el", ["Ποιος είναι;", "Ο κ. Παπάς.", "Ναι."]),
        ("vi", ["Ông sống ở TP. Huế.", "Trời lạnh ."]),
        ("hy", ["Սա առաջինն է։", "Սա երկրորդն է:", "Վերջ։"]),
        ("ko", ["비가 옵니다", "그는 갔다.", "2009. 5. 3."]),
        ("fa", ["او آمد.", "باران بارید؟", "بله."]),
        ("am", ["ሰላም ነው።", "እንዴት ነህ።"]),
        ("my", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
        ("km", ["សួស្តី។", "អ្នកសុខសប្បាយទេ។"]),
        ("bo", ["བོད་ཡིག།", "འདི་ནི།"]),
        ("hi", ["यह पहला वाक्य है।", "यह दूसरा है।"]),
        ("th", ["วันนี้อากาศดีมากเลยทีเดียว", "ผมเดินไปตลาดกับเพื่อนสองคน"]),
    ],
)
def test_sentences_of_many_languages(language: str, expected: list[str]) -> None:
    assert parts(" ".join(expected), language) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["你好。", "我叫小明。", "真的吗？！", "是的。"],
        ["「行こう！」", "彼は出かけた。", "「行こう！」と言った。"],
        ["यह पहला वाक्य है।", "यह दूसरा है।"],
        ["هل هذا صحيح؟", "نعم."],
    ],
)
@pytest.mark.parametrize("between", ["", " "])
def test_stops_of_other_scripts_end_a_sentence_with_their_closing_quotes(expected: list[str], between: str) -> None:
    assert parts(between.join(expected)) == expected


def test_a_thai_sentence_does_not_end_within_a_date_or_before_a_conjunction() -> None:
    assert len(parts("เขาเกิดในปี พ.ศ. 2500 ที่จังหวัดเชียงใหม่ และเติบโตที่นั่น", "th")) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028"])
def test_a_line_break_ends_no_sentence_but_a_blank_line_does(newline: str) -> None:
    wrapped = f"The first sentence{newline}goes on here. The next"
    assert parts(f"{wrapped}{newline} \t{newline}A heading{newline}{newline}{newline}Its text") == [
        f"The first sentence{newline}goes on here.",
        "The next",
        "A heading",
        "Its text",
    ]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    text = "lorem ipsum " * MAX_CHARS
    found = parts(text)
    assert " ".join(found).split() == text.split()
    assert max(map(len, found)) <= MAX_CHARS


def test_a_very_long_word_is_one_sentence_with_its_neighbours_intact() -> None:
    assert [len(p) for p in parts(f"Hello there. {'w' * 500_000}. Bye now.")] == [12, 500_001, 8]


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "\n",
        "\r\n",
        ".",
        "a. ",
        "A. ",
        ".)",
        ".'",
        '".',
        "。",
        "?!",
        "- ",
        "\n– a",
        "12. a\n",
        "ANN: a\n",
        "\n ",
        " ",
        "\x1c",
        "~",
        "-=",
        "```\n",
        "|",
        "[1] ",
        "\n=\n",
        "ก ",
        "ก",
        "http://",
        "@",
        "“",
        "HAM. ",
        "니다 가",
        "1/1/11 1:11 AM ",
        ": ",
        "e.g. ",
        '. " ',
        "_ ",
    ],
)
def test_time_is_linear_in_half_a_megabyte_of(unit: str) -> None:
    list(sentences("Warm up."))
    began = time.process_time()
    list(sentences(unit * (500_000 // len(unit))))
    # The worst case takes 2 s on a slow core; anything quadratic takes minutes.
    assert time.process_time() - began < 15


def test_no_pattern_has_a_possessive_group_which_early_releases_of_python_3_11_never_stop_matching() -> None:
    modules = (abbreviations, boundaries, layout, markers, rules, stops, thai)
    patterns = [value for module in modules for value in vars(module).values() if isinstance(value, re.Pattern)]
    patterns += [pattern for _, pattern in stops._COMPILED]
    assert len(patterns) > 10
    assert not [pattern.pattern for pattern in patterns if re.search(r"(?<!\\)\)[*+?]\+", pattern.pattern)]
