"""Unknown text: the tokens that say nothing are counted for each document, whatever chunks it is cut into."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Outputs
from polyseme.tasks.encode.unknown import LEAST_TOKENS, UNKNOWN_SHARE, UnknownTokens
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.chunks import chunks
from polyseme.tasks.text.passages import passages

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SPOKEN = {
    "plain": "The ferry left the harbour before noon. Nobody had seen its captain since, and the sea was rough.",
    "names": "Mrs. Okonkwo and Dr. Wojciechowski met in Reykjavik in 1987. They wrote about 12,345 letters.",
    "technical": "The tokenizer's offsets are half-open; UTF-8 isn't decoded twice. See RFC 3629, section 3.",
}
UNSPOKEN = {
    "ru": "Пароход вышел из порта до полудня. С завтрака никто не видел капитана, а море было неспокойным.",
    "el": "Το πλοίο έφυγε από το λιμάνι πριν από το μεσημέρι. Κανείς δεν είχε δει τον καπετάνιο από το πρωί.",
    "zh": "渡船在中午之前离开了港口。早餐以后谁也没有见过船长，海上风浪很大，乘客们都很担心。",
    "ja": "フェリーは正午前に港を出ました。朝食のあと船長を見た人はなく、海は荒れていました。",
    "ko": "여객선은 정오 전에 항구를 떠났다. 아침 식사 이후로 선장을 본 사람은 아무도 없었고 바다는 거칠었다.",
    "ar": "غادرت العبارة الميناء قبل الظهر. لم ير أحد القبطان منذ الفطور وكان البحر هائجا.",
    "th": "เรือ ข้าม ฟาก ออก จาก ท่า ก่อน เที่ยง ไม่ มี ใคร เห็น กัปตัน ตั้งแต่ มื้อ เช้า และ ทะเล มี คลื่น แรง ฝน ตก",
    "hy": "Լաստանավը նավահանգստից դուրս եկավ կեսօրից առաջ։ Նախաճաշից հետո ոչ ոք չէր տեսել նավապետին։",
    "tr": "Vapur öğleden önce limandan ayrıldı. Kahvaltıdan beri kaptanı kimse görmemişti ve deniz çok dalgalıydı.",
    "vi": "Chiếc phà rời cảng trước buổi trưa. Từ bữa sáng không ai nhìn thấy thuyền trưởng, và biển động dữ dội.",
}
"""The first sentences of SPOKEN in languages that the embedded model was not made for."""


LIKE_ENGLISH = {
    "fr": "Le train est parti de la gare avant le soir. Les voyageurs sont dans le restaurant et la direction est en "
    "France. Nous avons une petite question pour le capitaine, qui est dans le port.",
    "es": "El tren de la tarde no es para los hombres. La casa de la familia es grande y los hermanos no son de la "
    "capital. En el centro de la plaza hay una iglesia, y en las calles los animales.",
}
"""Languages that the vocabulary of the embedded model happens to have the words of."""


def counted(engine: Engine, text: str, limit: int = 10_000) -> int:
    unknown = UnknownTokens(engine.wordpiece.unk_id)
    cut = chunks(passages([Document("d", "u", text)], engine.wordpiece, engine.split), limit)
    found = [unknown.ended(chunk) for chunk in cut]
    (count,) = [count for counts in found for count in counts.tolist()]
    return int(count)


def test_a_token_is_unknown_if_it_stands_for_any_word_or_for_one_letter_within_one(mini: Engine) -> None:
    assert counted(mini, "I saw a 7 and x + y") == 0, "words of one letter are words"
    letters = mini.wordpiece.explain("хлеб")
    assert [token.char_end - token.char_start for token in letters] == [1] * 4
    assert counted(mini, "хлеб") == 4
    assert [token.token for token in mini.wordpiece.explain("港 a")] == ["[UNK]", "a"]
    assert counted(mini, "港 a") == 1


@pytest.mark.parametrize("name", SPOKEN)
def test_english_is_known(mini: Engine, name: str) -> None:
    (tables,) = mini.run([Document("d", "u", SPOKEN[name])], Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    assert tables.counts.tokens >= LEAST_TOKENS
    assert (tables.counts.unknown_documents, tables.counts.unknown_tokens < 4) == (0, True)


@pytest.mark.parametrize(
    ("text", "is_unknown"),
    [
        ("ฉันไปธนาคาร", True),
        ("Пароход вышел.", True),
        ("Rain fell.", False),
        ("Okonkwo in Reykjavik", False),
        ("港 is a harbour", False),
    ],
)
def test_a_short_document_is_unknown_if_half_of_it_is(mini: Engine, text: str, is_unknown: bool) -> None:
    (tables,) = mini.run([Document("d", "u", text)], Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    assert 0 < tables.counts.tokens < LEAST_TOKENS
    assert tables.counts.unknown_documents == is_unknown


@pytest.mark.parametrize("language", UNSPOKEN)
def test_other_scripts_and_far_languages_are_unknown(mini: Engine, language: str) -> None:
    texts = [Document("a", "u", SPOKEN["plain"]), Document("b", "u", UNSPOKEN[language])]
    (tables,) = mini.run(texts, Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    rows = tables.tables["documents"].to_pylist()
    assert rows[1]["n_tokens"] >= LEAST_TOKENS
    assert rows[1]["n_unknown"] >= UNKNOWN_SHARE * rows[1]["n_tokens"]
    assert tables.counts.unknown_documents == 1
    assert tables.counts.unknown_tokens == sum(row["n_unknown"] for row in rows)


@pytest.mark.parametrize("language", LIKE_ENGLISH)
def test_a_language_that_the_model_says_it_was_not_made_for_is_unknown(mini: Engine, language: str) -> None:
    texts = [Document("a", "u", SPOKEN["plain"]), Document("b", "u", LIKE_ENGLISH[language])]
    (tables,) = mini.run(texts, Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    rows = tables.tables["documents"].to_pylist()
    assert [row["language"] for row in rows] == ["en", language]
    assert rows[1]["n_unknown"] < UNKNOWN_SHARE * rows[1]["n_tokens"], "the tokens alone do not tell"
    assert tables.counts.unknown_documents == 1


def test_of_a_model_that_names_no_languages_only_tokens_count(mini: Engine, tmp_path: Path) -> None:
    folder = shutil.copytree(mini.checkpoint.folder, tmp_path / "model", ignore=shutil.ignore_patterns("README.md"))
    texts = [Document("a", "u", SPOKEN["plain"]), Document("b", "u", LIKE_ENGLISH["fr"])]
    silent = Engine(replace(mini.config, model=str(folder)))
    (tables,) = silent.run(texts, Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    assert (silent.spoken, tables.counts.unknown_documents) == (frozenset(), 0)


def test_a_foreign_word_in_a_text_makes_no_foreign_document(mini: Engine) -> None:
    texts = {"quoted": " ".join(SPOKEN.values()) + " The sign said хлеб.", "caption": "A sign that says хлеб in red"}
    found = [Document(doc_id, "u", text) for doc_id, text in texts.items()]
    (tables,) = mini.run(found, Outputs("sentences"), version=1, seed=0, ingested_at=NOW)
    assert tables.counts.unknown_tokens >= 8
    assert tables.counts.unknown_documents == 0


def test_a_document_has_the_same_count_however_it_is_cut(mini: Engine) -> None:
    text = " ".join([*SPOKEN.values(), *UNSPOKEN.values()])
    assert {counted(mini, text, limit) for limit in (20, 64, 500, 10_000)} == {counted(mini, text)}
