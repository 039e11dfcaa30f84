"""Lemmas: the forms of a word have one lemma, in every way that a text may write them."""

from __future__ import annotations

import sys

import pytest

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.lemmas import Lemmatizer
from tests.extras import require

FORMS = {
    ("en", "bank"): ["bank", "Banks", "BANKS", "ban\u00adks"],
    ("en", "go"): ["went", "Goes", "going"],
    ("de", "haus"): ["Häuser", "HÄUSER", "Ha\u0308user"],
    ("tr", "kitap"): ["kitaplar", "Kitaplar", "KİTAPLAR"],
    ("tr", "insan"): ["İnsanlar", "insanlar"],
    ("de", "strasse"): ["Straße", "STRASSE", "Strasse"],
    ("de", "fuss"): ["Fuß", "FUSS", "Füße", "FÜSSE"],
    ("de", "wasser"): ["Wasser", "WASSER"],
    ("de", "masse"): ["Masse", "MASSE"],
    ("el", "τράπεζα"): ["τράπεζες", "Τράπεζες", "ΤΡΑΠΕΖΕΣ"],
    ("el", "άνθρωποσ"): ["ανθρώπους", "ΑΝΘΡΩΠΟΥΣ", "Ανθρωπους"],
    ("el", "οδόσ"): ["οδός", "ΟΔΟΣ", "ΟΔΟΥ"],
    ("fa", "کتاب"): ["کتاب\u200cها"],
    ("hi", "किताब"): ["किताबें"],
    ("ru", "банк"): ["банков", "Банков"],
    ("no", "bok"): ["bøker"],
}


@pytest.fixture(scope="module")
def lemmatizer() -> Lemmatizer:
    require("simplemma", "lemma")
    return Lemmatizer()


@pytest.mark.extra
@pytest.mark.parametrize(("language", "lemma"), FORMS)
def test_all_forms_of_a_word_have_its_lemma(lemmatizer: Lemmatizer, language: str, lemma: str) -> None:
    assert {form: lemmatizer.lemma(form, language) for form in FORMS[language, lemma]} == dict.fromkeys(
        FORMS[language, lemma], lemma
    )


@pytest.mark.extra
def test_a_word_in_no_dictionary_is_its_own_lemma_and_one_of_no_known_language_has_none(lemmatizer: Lemmatizer) -> None:
    assert [lemmatizer.lemma(word, "en") for word in ("Zyxgard", ",", "12", "\u00ad")] == [
        "zyxgard",
        ",",
        "12",
        "\u00ad",
    ]
    assert [lemmatizer.lemma("銀行", language) for language in ("ja", "zh", "", "xx")] == [None] * 4
    assert (lemmatizer.covers("no"), lemmatizer.covers("ja"), lemmatizer.covers("")) == (True, False, False)


def test_without_the_package_it_is_said_what_to_install(mini: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplemma", None)
    without = Engine(mini.config)
    with pytest.raises(ModelError, match=r"pip install 'polyseme\[lemma\]'"):
        without.check(Outputs(lemma=True))
    without.check(Outputs())
