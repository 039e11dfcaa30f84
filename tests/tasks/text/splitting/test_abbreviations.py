"""Abbreviations: which of them end a sentence, and before what."""

from __future__ import annotations

import pytest

from polyseme.tasks.text.splitting.abbreviations import languages, words_of
from polyseme.tasks.text.splitting.rules import sentences


def parts(text: str, language: str) -> list[str]:
    return [text[sentence.start : sentence.stop] for sentence in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("ru", ["Пушкин родился в г. Москве в 1799 г.", "Он был поэтом.", "Пришли Анна и др.", "Они ушли рано."]),
        ("ru", ["Это было в 1801-1825 гг.", "После этого всё стало иначе.", "Глубина 5 м.", "В реке была рыба."]),
        ("uk", ["Він народився 1799 р.", "Він був поетом.", "Прийшли р. Дніпро та ін.", "Вони пішли."]),
        ("uk", ["Це був XIX ст.", "Це було давно."]),
        ("pl", ["Kosztuje 5 zł 20 gr.", "Nie wiem.", "Trwało to 8 godz.", "Tak było.", "Byli m.in. Jan i Anna."]),
        ("de", ["Das kostet 5 Mio.", "Das ist viel.", "Er zahlte 5 Mrd. Euro.", "Da kam Fr. Meier."]),
        ("fi", ["Hän kuoli vuonna 300 eaa.", "Se oli kylmä talvi."]),
        ("el", ["Έζησε το 384 π.Χ.", "Ο πατέρας του ήταν γιατρός.", "Ήρθαν πολλοί, π.χ. Ο Γιάννης."]),
        ("en", ["She left Acme Corp.", "He stayed.", "Acme Corp. Chairman Bell spoke."]),
    ],
)  # fmt: skip
def test_one_that_may_close_a_sentence_does_so_before_a_word_that_begins_sentences(
    language: str, expected: list[str]
) -> None:
    assert parts(" ".join(expected), language) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("it", ["Ai sensi dell'art. 5 del codice.", "L’avv. Rossi parla.", "Nell'on. Rossi.", "È all'est.", "Va."]),
        ("fr", ["Selon l'art. 5 du code, il a raison.", "Il aime l'art.", "Il vient de l’est.", "Celui-ci dort."]),
        ("fr", ["Il vit aujourd'hui.", "L'éd. Gallimard est là.", "Elle dit qu'il part."]),
        ("en", ["They met O'Neill.", "It wasn't.", "Built est. 1890, it fell."]),
    ],
)  # fmt: skip
def test_an_abbreviation_is_known_behind_a_word_that_lost_its_vowel(language: str, expected: list[str]) -> None:
    assert parts(" ".join(expected), language) == expected


@pytest.mark.parametrize("language", languages())
def test_none_is_listed_as_one_that_closes_a_sentence_and_as_one_that_never_does(language: str) -> None:
    words = words_of(language)
    assert not words.closing & words.inner
