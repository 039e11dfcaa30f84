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
