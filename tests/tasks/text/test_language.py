"""The language of a text is that of its script or its small words, or nothing where that is not clear."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.text.language import SAMPLE, language_of

TEXTS = {
    "en": "The river was high that day. It took the bridge with it, and nobody had seen this before.",
    "de": "Der Fluss war an dem Tag sehr hoch. Er nahm die Brücke mit, und das hatte noch niemand gesehen.",
    "fr": "Le fleuve était haut ce jour. Il emporta le pont avec lui, et on ne l'avait pas vu avant.",
    "es": "El río estaba alto ese día. Se llevó el puente y nadie lo había visto antes en la región.",
    "it": "Il fiume era alto quel giorno. Portò via il ponte con sé e non si era visto prima nella valle.",
    "pl": "Rzeka była wysoka w tym dniu. To ona zabrała most i nie było go już na drugi dzień.",
    "fi": "Joki oli korkealla. Se vei sillan, ja hän ei ole nähnyt sitä. Kun tämä oli ohi, me tulimme.",
    "tr": "O gün nehir çok yüksekti. Bu bir köprüyü götürdü ve daha önce hiç böyle bir şey olmadı.",
    "ru": "В тот день река была высокой. Она унесла мост, и этого не было никогда до того дня.",
    "el": "Το ποτάμι ήταν ψηλά.", "hy": "Գետը բարձր էր։",
    "fa": "رودخانه پر آب بود و پل را برد.", "ar": "كان النهر عاليا",
    "ko": "강물이 높았다.", "ja": "川の水が高かった。", "zh": "那天河水很高。",
    "th": "แม่น้ำสูงมาก", "hi": "नदी ऊँची थी।",
}  # fmt: skip


@pytest.mark.parametrize("code", TEXTS)
def test_the_language_of_a_text(code: str) -> None:
    assert language_of(TEXTS[code]) == code


@pytest.mark.parametrize("text", ["", " \n", "12 % 3.5", "Zürich", "Lorem ipsum dolor sit amet", "👩"])
def test_what_is_not_clear_has_no_language(text: str) -> None:
    assert language_of(text) == ""


@given(st.text(max_size=200))
def test_any_text_has_one_answer_however_it_goes_on(text: str) -> None:
    assert language_of(text) == language_of(text)
    filled = text.ljust(SAMPLE)
    assert language_of(filled) == language_of(filled + TEXTS["de"])


def test_time_does_not_grow_with_the_text() -> None:
    began = time.process_time()
    for unit in ("a", "der ", "ж ", "\u3042", "."):
        language_of(unit * 5_000_000)
    assert time.process_time() - began < 2
