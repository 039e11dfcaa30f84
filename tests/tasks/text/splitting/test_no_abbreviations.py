"""What only looks like an abbreviation, a boundary or a footnote, as prose, letters and manuals have it."""

from __future__ import annotations

import pytest

from tests.tasks.text.splitting.test_rules import parts


@pytest.mark.parametrize(
    "expected",
    [
        ["The pool is 250 m.", "Swimmers train in it.", "It takes 80 ms.", "Voices differ.", "It is 5 ft.", "Look."],
        ["The rock is 3.7 Ga.", "Life came later.", "The film has 300 nm.", "Measurements agree."],
        ["It took 5 min. longer.", "The box is 3 ft. deep.", "The max. is 5.", "The min. is 2."],
        ["It's 5 ft. 6 in. tall.", "The other is 4 ft. 11 in.", "Nobody is taller."],
        ["He lives on 5 St. James Street.", "It cost 3 s. 6 d. then."],
    ],
)
def test_a_unit_behind_a_number_may_end_a_sentence(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["The gap is between B and C.", "Broken keys came back.", "Eat vitamin C.", "Oranges have it."],
        ["Draw the line from x to a.", "Parametrize it.", "It does not depend on φ.", "Symmetry is left."],
        ["H. and J. Miller came.", "George R. R. Martin did not.", "Martin v. Berg wrote it, vol. i. 1711."],
    ],
)
def test_a_letter_that_something_is_called_by_is_no_initial(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["Oh no.", "I am sure of it.", "Help me say no.", "I know how.", "Poor chap.", "I fear the worst."],
        ["See Chap. I of the book.", "Vol. I is lost.", "It is No. I in the list."],
    ],
)
def test_i_is_a_person_where_it_does_something_and_else_a_number(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        [
            "He moved to Burbank, CA.",
            "Other people stayed.",
            "We use cone-beam CT.",
            "Secondly, we use IE.",
            "Users do.",
        ],
        ["DR. SMITH SPOKE.", "MT. HOOD IS HIGH.", "PS. Send my love."],
        ["The letter is for Holmes, Esq.", "To be left till called for.", "It is red (resp. blue)."],
    ],
)
def test_two_capitals_are_an_acronym_unless_headings_write_the_abbreviation_so(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["“Oh! how unlucky!”", "“Tut, tut! nothing of the kind.”", "But, alas! it was too late."],
        ["What will she say?—how will she behave?", "I was happy!—so happy that I wept."],
        ["Who are you?", "—Do you know him?", "Was it so naïve or na?ve?"],
        ["is it here?", "i think so.", "it is late!", "come now."],
    ],
)
def test_an_exclamation_may_go_on_in_lower_case(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        [
            "The rules are in a docstring. [1]_",
            "The publisher uses them [2]_.",
            "It is so.[3]_ [4]_",
            "Code relies on it.",
        ],
        ["We saw it.2,3", "Nobody else did.¹", "Then he saw it.12", "The file is a.txt.", "Open it."],
        ["The floor sloped.1", "The end was above ground.", "They flew two SA.316 B, as no.5 says."],
    ],
)
def test_reference_marks_of_manuals_and_footnotes_stay_with_their_sentence(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["The class starts at 9 a.m.", "Bring a pen.", "The talk is at 5 p.m. Monday.", "It ends at 6 p.m. EST or so."],
        ["It is on 3 p.m. Jan. 5.", "Doors open at 8 p.m.", "Tickets cost five."],
    ],
)
def test_a_time_of_the_day_ends_a_sentence_unless_a_day_or_zone_follows(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("de", ["Dr. Müller, Frau Meier u. a. kamen.", "Er wohnt in der Hauptstr. 5 in Köln."]),
        ("es", ["Nació en EE. UU. y vive allí.", "Las FF. AA. entraron.", "Nadie habló."]),
        ("ru", ["Там были столы, стулья и т. д.", "Потом все ушли."]),
    ],
)
def test_abbreviations_of_two_words(language: str, expected: list[str]) -> None:
    assert parts(" ".join(expected), language) == expected


def test_stops_of_other_scripts_that_a_list_goes_on_behind_end_nothing() -> None:
    text = "The aegis (Greek: Αἰγίς; English: shield) and Asanga (Tibetan: ཐོགས་མེད།; also Thogs med) are names."
    assert parts(text) == [text]
    assert parts("Τι κάνεις; Είμαι καλά.", "el") == ["Τι κάνεις;", "Είμαι καλά."]


def test_two_capitals_are_an_abbreviation_in_languages_that_list_it() -> None:
    assert parts("Anh sống ở TP. Huế. Chị ở xa.", "vi") == ["Anh sống ở TP. Huế.", "Chị ở xa."]
