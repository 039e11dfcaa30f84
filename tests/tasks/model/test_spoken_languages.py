"""The languages of a model: what its card says for certain, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.tasks.engine import Engine
from polyseme.tasks.model.spoken_languages import spoken_languages

CARDS = {
    "---\nlanguage: en\n---\n# A model": {"en"},
    "---\r\nlicense: mit\r\nlanguage:\r\n- no\r\n- de\r\n---\r\n": {"no", "nb", "nn", "de"},
    "---\nlanguage: hr\n---\n": {"hr", "sr", "bs", "sh", "hbs"},
    "\ufeff---\nlanguage: [pt-BR, zh]\n---\n": {"pt", "zh"},
    "---\nlanguage: multilingual\n---\n": set(),
    "---\nlanguage: [en, multilingual]\n---\n": set(),
    "---\nlanguage: [en, {a: b}]\n---\n": set(),
    "---\nlicense: mit\n---\n": set(),
    "---\nlanguage: [en\n---\n": set(),
    "---\n- language\n---\n": set(),
    "---\nlanguage: en\n": set(),
    "# A model\n---\nlanguage: en\n---\n": set(),
}


@pytest.mark.parametrize("card", CARDS)
def test_a_card_names_languages_by_their_codes_or_says_nothing(tmp_path: Path, card: str) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    assert spoken_languages(tmp_path) == CARDS[card]


def test_the_embedded_model_is_english_and_a_folder_without_a_card_says_nothing(mini: Engine, tmp_path: Path) -> None:
    assert mini.spoken == {"en"}
    assert spoken_languages(tmp_path) == frozenset()
