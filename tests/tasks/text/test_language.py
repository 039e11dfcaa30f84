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


NEIGHBOURS = {
    "bg": "Реката беше висока този ден. Тя отнесе моста и никой не беше виждал това преди, защото се случва рядко.",
    "mk": "Реката беше висока тој ден. Таа го однесе мостот и никој не го видел тоа, бидејќи ќе се случи само еднаш.",
    "sr": "Река је била висока тог дана. Она је однела мост и нико то није видео раније, јер се ретко дешава у"
    " овом крају.",
    "be": "Рака была высокая ў той дзень. Яна знесла мост, і ніхто не бачыў гэтага раней, бо гэта здараецца рэдка.",
    "uk": "Річка була високою того дня. Вона знесла міст, і ніхто не бачив цього раніше, бо це буває рідко.",
    "hr": "Rijeka je bila visoka tog dana. Ona je odnijela most i nitko to nije vidio prije, jer se to događa"
    " gdje i uvijek.",
    "sk": "Rieka bola v ten deň vysoká. Vzala so sebou most a nikto to predtým nevidel, pretože sa to už"
    " nestalo. Čo teraz bude?",
    "sl": "Reka je bila tisti dan visoka. Odnesla je most in nihče tega še ni videl, ker se to pri nas le redko"
    " zgodi.",
    "ca": "El riu era alt aquell dia. Es va endur el pont i ningú no ho havia vist abans, perquè això és molt"
    " rar amb aquesta pluja.",
    "gl": "O río estaba alto ese día. Levou a ponte e ninguén vira iso antes, pero non é unha cousa nova para"
    " os que viven na beira.",
    "id": "Sungai itu tinggi pada hari itu. Jembatan hanyut dan tidak ada yang pernah melihat hal ini dari dekat.",
    "la": "Flumen eo die altum erat. Pontem secum tulit et nemo hoc ante viderat, quia non saepe fit ut aqua"
    " sic crescat.",
    "ast": "El ríu yera altu esi día. Llevó la ponte y naide nun lo viera enantes, porque esto nun ye normal"
    " nel conceyu.",
    "eo": "La rivero estis alta en tiu tago. Ĝi prenis la ponton, kaj neniu vidis tion antaŭ ol ĝi okazis ĉe ili.",
    "ga": "Bhí an abhainn ard an lá sin. Thóg sí an droichead agus ní fhaca aon duine é sin roimhe ach mar scéal.",
    "lb": "De Floss war deen Dag ganz héich. Hien huet d'Bréck matgeholl, an dat hat nach keen gesinn, well et"
    " net oft ass.",
    "gsw": "De Fluss isch a dem Tag sehr höch gsi. Er hät d Brugg mitgno, und das händ mir no nöd gseh, wo mir"
    " chli gsi sind.",
    "af": "Die rivier was daardie dag hoog. Dit het die brug weggeneem en niemand het dit nog gesien nie, maar"
    " dit is so.",
    "mr": "त्या दिवशी नदी उंच होती आणि तिने पूल वाहून नेला. हे कोणी पाहिले नाही.",
    "yi": "דער טײַך איז געווען הויך יענעם טאָג און האָט גענומען די בריק.",
    "he": "הנהר היה גבוה באותו יום. הוא לקח את הגשר, ואיש לא ראה זאת לפני כן.",
    "ur": "اس دن دریا بہت اونچا تھا اور پل کو بہا لے گیا۔ یہ کسی نے نہیں دیکھا تھا۔",
    "da": "Floden var høj den dag. Jeg ved ikke hvad den tog med sig af broen, og det havde ingen set efter krigen.",
    "no": "Elva var høy den dagen. Jeg vet ikke hva den tok med seg av broen, og det hadde ingen sett etter krigen.",
    "nn": "Elva var høg den dagen. Eg veit ikkje kva ho tok med seg frå brua, og det hadde ingen sett etter krigen.",
}  # fmt: skip


@pytest.mark.parametrize("code", NEIGHBOURS)
def test_a_language_is_not_taken_for_its_neighbour(code: str) -> None:
    assert language_of(NEIGHBOURS[code]) == code


@pytest.mark.parametrize(
    "text",
    [
        "Өзен сол күні биік болды. Ол көпірді алып кетті, және мұны бұрын ешкім көрген жоқ.",
        "Тэр өдөр гол өндөр байсан. Тэр гүүрийг авч явсан бөгөөд үүнийг хэн ч хараагүй.",
        "Rijeka je bila visoka. Ona je odnela most i to nije dobro.",
    ],
)
def test_one_that_is_not_known_or_could_be_two_has_no_language(text: str) -> None:
    assert language_of(text) == ""


def test_danish_and_norwegian_are_told_apart_in_forty_words() -> None:
    text = (
        "Formanden sagde i går, at regeringen ikke vil ændre loven. Det er en af de største sager i år, og der kommer"
    )
    assert language_of(f"{text} flere møder. Partiet har også spurgt, hvad det koster.") == "da"
    text = "Lederen sa i går at regjeringen ikke vil endre loven. Det er en av de største sakene i år, og det kommer"
    assert language_of(f"{text} flere møter. Partiet har også spurt hva det koster.") == "no"


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
