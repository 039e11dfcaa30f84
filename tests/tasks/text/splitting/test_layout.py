"""Layout: headings, lists, tables, rules, fences and speakers end what stands before them."""

from __future__ import annotations

import pytest

from polyseme.tasks.text.splitting.rules import sentences


def parts(text: str) -> list[str]:
    return [text[sentence.start : sentence.stop] for sentence in sentences(text)]


def test_headings_of_markdown_need_no_blank_line() -> None:
    text = "# Mills\nThe river turns the wheel. It turns all day.\n## Maps\nWe draw them.\n"
    text += "High water\n----------\nBoats rest."
    assert parts(text) == [
        "# Mills",
        "The river turns the wheel.",
        "It turns all day.",
        "## Maps",
        "We draw them.",
        "High water\n----------",
        "Boats rest.",
    ]


def test_a_heading_in_capitals_needs_no_blank_line() -> None:
    text = "SUMMARY\nThe mill failed. We lost.\nNEXT STEPS\nWe build\nNATO\nstandards again.\nEVA\nIt rains."
    assert parts(text) == [
        "SUMMARY",
        "The mill failed.",
        "We lost.",
        "NEXT STEPS",
        "We build\nNATO\nstandards again.",
        "EVA\nIt rains.",
    ]
    assert parts("ALL OF IT IS\nIN CAPITALS. EVERY\nLINE.") == ["ALL OF IT IS\nIN CAPITALS.", "EVERY\nLINE."]
    assert parts("```\nSELECT\nFrom x\n```") == ["```", "SELECT", "From x", "```"]


def test_a_rule_below_the_end_of_a_paragraph_is_no_underline() -> None:
    assert parts("The first part ends\nhere.\n---\nThe next begins.") == [
        "The first part ends\nhere.",
        "---",
        "The next begins.",
    ]


def test_a_table_row_is_a_sentence() -> None:
    assert parts("Things:\n| a | b |\n|---|---|\n| Chair. | Table |\nThe end. Really.") == [
        "Things:",
        "| a | b |",
        "|---|---|",
        "| Chair. | Table |",
        "The end.",
        "Really.",
    ]


def test_a_closed_code_fence_keeps_its_lines_apart_and_an_open_one_does_not() -> None:
    assert parts("Run\n```sh\nls a. B\ncd\n```\nand go\non.") == ["Run", "```sh", "ls a. B", "cd", "```", "and go\non."]
    assert parts("```\none line\nand another") == ["```\none line\nand another"]


@pytest.mark.parametrize(
    "markers",
    [
        "- - -",
        "* * *",
        "• • •",
        "1. 2. 3.",
        "(a) (b) (c)",
        "+ + +",
        "● ● ■",
        "○ – ➢",
        "✓ ✓ ✗",
        "a. b. c.",
        "i) ii) iii)",
        "i. ii. iii.",
        "II. III. IV.",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n  "])
def test_each_list_item_is_a_sentence_with_its_marker(markers: str, newline: str) -> None:
    items = [f"{marker} item of Rome" for marker in markers.split()]
    assert parts(f"We need these things:{newline}{newline.join(items)}") == ["We need these things:", *items]


def test_a_wrapped_line_that_begins_with_a_dash_or_number_is_not_a_list_item() -> None:
    assert len(parts("He saw in the year\n1984. the film\n-5 degrees cold\n3.5 km away\np. 12 of it")) == 2


def test_the_name_of_a_speaker_stays_with_the_speech() -> None:
    assert parts("ANNA. Who goes there? Speak.\nTOM. A friend\nof yours.\nANNA: Pass.") == [
        "ANNA. Who goes there?",
        "Speak.",
        "TOM. A friend\nof yours.",
        "ANNA: Pass.",
    ]


def test_a_paragraph_separator_ends_a_sentence_alone() -> None:
    assert parts("one\u2029two") == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "He works for\nNASA. She works for\nESA. They live in the\nUSA: it is large.",
            ["He works for\nNASA.", "She works for\nESA.", "They live in the\nUSA: it is large."],
        ),
        ("He was dark\n– tall and thin. She\nwas\n— small.", ["He was dark\n– tall and thin.", "She\nwas\n— small."]),
        ("The clock struck\n12. It fell in\n(b) the mill.", ["The clock struck\n12.", "It fell in\n(b) the mill."]),
        ("They crowned Henry\nIV. He reigned.", ["They crowned Henry\nIV.", "He reigned."]),
    ],
)
def test_a_line_that_goes_on_with_a_dash_a_number_or_an_acronym_is_running_text(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_dash_or_number_without_a_stop_before_it_is_a_list_item_beside_others_of_its_kind() -> None:
    assert parts("To bring\n– bread\n– salt that is\n  dry\n– milk") == [
        "To bring",
        "– bread",
        "– salt that is\n  dry",
        "– milk",
    ]
    assert parts("To do\n1. Sing\n2. Dance a\n   while\n3. Go") == ["To do", "1. Sing", "2. Dance a\n   while", "3. Go"]
    assert parts("Then\n7) Sing\n8) Dance") == ["Then", "7) Sing", "8) Dance"]
    assert parts("# Day\n– sun\n\n| a | b |\n12. It\nfell") == ["# Day", "– sun", "| a | b |", "12. It\nfell"]


def test_speakers_without_stops_are_apart() -> None:
    assert parts("ANNA: hello there\nTOM: hi\nANNA: bye") == ["ANNA: hello there", "TOM: hi", "ANNA: bye"]
    assert parts("ANNA. Come, or I shall—\nTOM. Stop!") == ["ANNA. Come, or I shall—", "TOM. Stop!"]


@pytest.mark.parametrize("heading", ["CHAPTER ONE.", "INTRODUCTION."])
def test_a_line_in_capitals_with_a_stop_is_a_heading_and_no_speaker(heading: str) -> None:
    assert parts(f"{heading}\nIt was night. All slept.") == [heading, "It was night.", "All slept."]
