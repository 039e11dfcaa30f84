"""Tokens agree with the reference tokenizer, have the spans of their characters, and cannot be forged by a document."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Sentence
from polyseme.tasks.text import tokenizer as module
from polyseme.tasks.text.sentences import split
from polyseme.tasks.text.special_tokens import SPECIALS
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.text.tokens import TokenizedDocument
from tests.repository import ROOT

MINI = ROOT / "models" / "polyseme-mini"
TEXT = (
    "The Bank of İstanbul, née «Ottoman», isn't unaffordable. Ｗｉｄｅ 東京タワー! 👩‍🚀 שלום עולם — cafe\u0301\r\nend."
)
UNICODE = st.one_of(
    st.text(max_size=200),
    st.text(
        alphabet=" \n\r\t\v\f\x00\x1c\x85\xa0\xad\u200b\u200d\u2028\ufeff\ufffdaAzÉéİßﬁǅ\u0301\u0338≠;'-[]#。東한👩🚀ש",
        max_size=80,
    ),
)


@cache
def mini() -> TextTokenizer:
    return TextTokenizer.load(MINI)


@cache
def reference() -> Tokenizer:
    return Tokenizer.from_file(str(MINI / "tokenizer.json"))


def whole(text: str) -> list[Sentence]:
    return [Sentence(0, len(text))]


def words(document: TokenizedDocument, i: int) -> list[tuple[int, int]]:
    """Return the character span of each word of sentence `i`."""
    tokens = slice(*document.sentence_ptr[i : i + 2])
    word, start, end = document.word[tokens], document.char_start[tokens], document.char_end[tokens]
    return [(int(start[word == w].min()), int(end[word == w].max())) for w in range(max(word, default=-1) + 1)]


@given(UNICODE)
@example(TEXT)
def test_tokens_are_in_their_sentence_and_words_are_contiguous_and_disjoint(text: str) -> None:
    sentences = split(text)
    document = mini().tokenize(text, sentences)
    assert document.n_sentences == len(sentences)
    for i, (sentence, (begin, end)) in enumerate(zip(sentences, pairwise(document.sentence_ptr), strict=True)):
        starts, ends = document.char_start[begin:end], document.char_end[begin:end]
        assert (np.diff(starts) >= 0).all()
        assert ((sentence.start <= starts) & (starts < ends) & (ends <= sentence.stop)).all()
        steps = np.diff(document.word[begin:end], prepend=-1)
        assert set(steps.tolist()) <= {0, 1}
        assert steps[:1].tolist() in ([], [1])
        spans = words(document, i)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert not any(character.isspace() for a, b in spans for character in text[a:b])


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), max_size=200).filter(lambda t: "[" not in t))
@example(TEXT)
def test_ids_offsets_and_words_are_those_of_the_reference(text: str) -> None:
    document = mini().tokenize(text, whole(text))
    expected = reference().encode(text, add_special_tokens=False)
    assert document.ids.tolist() == expected.ids
    assert list(zip(document.char_start.tolist(), document.char_end.tolist(), strict=True)) == expected.offsets
    assert document.word.tolist() == [list(dict.fromkeys(expected.word_ids)).index(w) for w in expected.word_ids]


def test_ids_equal_those_of_transformers() -> None:
    from transformers import BertTokenizerFast

    theirs = BertTokenizerFast.from_pretrained(MINI, local_files_only=True)
    assert mini().tokenize(TEXT, whole(TEXT)).ids.tolist() == theirs(TEXT, add_special_tokens=False)["input_ids"]
    assert [mini().cls_id, mini().sep_id, mini().pad_id, mini().mask_id, mini().unk_id] == [
        theirs.cls_token_id,
        theirs.sep_token_id,
        theirs.pad_token_id,
        theirs.mask_token_id,
        theirs.unk_token_id,
    ]


def test_offsets_count_characters_of_the_document() -> None:
    text = "👩‍🚀 café. The naïve İzmir\r\nunaffable 東京."
    document = mini().tokenize(text, split(text))
    shown = [text[a:b] for a, b in zip(document.char_start, document.char_end, strict=True)]
    assert shown == ["👩‍🚀", "café", ".", "The", "naïve", "İ", "z", "mir", "una", "ffa", "ble", "東", "京", "."]
    assert document.word.tolist() == [0, 1, 2, 0, 1, 2, 2, 2, 3, 3, 3, 4, 5, 6]
    assert document.sentence_ptr.tolist() == [0, 3, 14]


@pytest.mark.parametrize("space", ["\v", "\f", "\x1c", "\x1f", "\x85", "\u2028", "\xa0"])
def test_whitespace_that_bert_would_delete_still_separates_words(space: str) -> None:
    assert [token.word_index for token in mini().explain(f"one{space}two")] == [0, 1]


def test_a_sentence_without_a_token_keeps_its_position() -> None:
    text = "one \ufffd two"
    document = mini().tokenize(text, [Sentence(0, 3), Sentence(4, 5), Sentence(6, 9)])
    assert document.sentence_ptr.tolist() == [0, 1, 1, 2]
    assert document.word.tolist() == [0, 0]


@pytest.mark.parametrize("sentences", [[], [Sentence(0, 0)]])
def test_nothing_to_tokenize_is_an_empty_document(sentences: list[Sentence]) -> None:
    document = mini().tokenize("", sentences)
    assert (document.n_tokens, document.n_sentences) == (0, len(sentences))


def test_a_lone_surrogate_is_not_an_error() -> None:
    assert [token.token for token in mini().explain("a\ud800b")] == ["a", "b"]


def test_a_word_too_long_for_the_model_is_one_unknown_token() -> None:
    text = f"a {'w' * 500_000} b"
    began = time.process_time()
    document = mini().tokenize(text, whole(text))
    assert time.process_time() - began < 10
    assert document.ids[1] == mini().unk_id
    assert words(document, 0) == [(0, 1), (2, 500_002), (500_003, 500_004)]


def test_tokens_do_not_depend_on_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{TEXT} " * 20
    together = mini().tokenize(text, split(text))
    monkeypatch.setattr(module, "GROUP_CHARS", 100)
    apart = mini().tokenize(text, split(text))
    for field in ("ids", "char_start", "char_end", "word", "sentence_ptr"):
        assert np.array_equal(getattr(together, field), getattr(apart, field)), field
        assert getattr(together, field).dtype == getattr(apart, field).dtype


@pytest.mark.parametrize("name", SPECIALS.values())
def test_a_document_cannot_write_a_special_token(name: str) -> None:
    tokens = mini().explain(f"a{name} b")
    assert "".join(token.token.removeprefix("##") for token in tokens) == f"a{name.lower()}b"
    specials = {mini().cls_id, mini().sep_id, mini().pad_id, mini().mask_id, mini().unk_id}
    assert not specials & {token.token_id for token in tokens}


def test_no_document_has_special_tokens_whatever_the_pre_tokenizer(tmp_path: Path) -> None:
    vocab = {name: i for i, name in enumerate([*SPECIALS.values(), "a"])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    wordpiece = TextTokenizer.load(tmp_path)
    assert [t.token for t in wordpiece.explain("a [SEP] [MASK] [CLS] [PAD] a")] == ["a", *["[UNK]"] * 4, "a"]


def test_only_the_mask_is_special_in_a_prompt() -> None:
    ids = mini().tokenize_prompt("[MASK] The [MASK] is[MASK] [SEP].")
    assert mini().pieces(ids) == ["[MASK]", "the", "[MASK]", "is", "[MASK]", "[", "sep", "]", "."]
    assert mini().tokenize_prompt("") == []


def test_ids_without_a_vocabulary_entry_are_unknown() -> None:
    assert mini().vocab_size == 30_522
    assert mini().pieces([mini().cls_id, mini().vocab_size]) == ["[CLS]", "[UNK]"]


def test_explain_returns_a_record_per_token() -> None:
    shown = [(t.token, t.char_start, t.char_end, t.word_index) for t in mini().explain("Unaffable é!")]
    assert shown == [("una", 0, 3, 0), ("##ffa", 3, 6, 0), ("##ble", 6, 9, 0), ("e", 10, 11, 1), ("!", 11, 12, 2)]
    assert [t.token_id for t in mini().explain("é!")] == reference().encode("é!", add_special_tokens=False).ids


def copy_of_mini(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    definition = json.loads((MINI / "tokenizer.json").read_text())
    change(definition)
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    return folder


def test_truncation_and_padding_stored_with_the_tokenizer_are_ignored(tmp_path: Path) -> None:
    stored = Tokenizer.from_file(str(MINI / "tokenizer.json"))
    stored.enable_truncation(max_length=8)
    stored.enable_padding(length=32)
    stored.save(str(tmp_path / "tokenizer.json"))
    loaded = TextTokenizer.load(tmp_path)
    text = "one two three. " * 50
    assert np.array_equal(loaded.tokenize(text, split(text)).ids, mini().tokenize(text, split(text)).ids)
    assert loaded.tokenize(text, whole(text)).n_tokens == 200
    assert loaded.sha256 == mini().sha256


def test_a_folder_with_only_a_vocabulary_gives_the_same_tokenizer(tmp_path: Path) -> None:
    vocab = reference().get_vocab()
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in sorted(vocab, key=vocab.__getitem__)))
    shutil.copy(MINI / "config.json", tmp_path)
    loaded = TextTokenizer.load(tmp_path)
    assert loaded.explain(TEXT) == mini().explain(TEXT)
    assert loaded.sha256 == mini().sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["normalizer"].update(lowercase=False),
        lambda d: d["model"].update(max_input_chars_per_word=50),
        lambda d: d["model"]["vocab"].update({"[unused1]": d["model"]["vocab"]["the"], "the": 2}),
    ],
)
def test_the_fingerprint_changes_with_everything_that_changes_ids(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    assert TextTokenizer.load(copy_of_mini(tmp_path, change)).sha256 != mini().sha256


def test_special_tokens_have_the_names_of_the_checkpoint(tmp_path: Path) -> None:
    copy_of_mini(tmp_path, lambda d: None)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "BertTokenizer",
                "cls_token": "[unused1]",
                "sep_token": {"content": "[unused2]"},
                "mask_token": None,
            }
        )
    )
    loaded = TextTokenizer.load(tmp_path)
    assert loaded.pieces([loaded.cls_id, loaded.sep_id, loaded.mask_id]) == ["[unused1]", "[unused2]", "[MASK]"]
    assert loaded.sha256 != mini().sha256


def test_a_checkpoint_without_a_tokenizer_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"No tokenizer in .*tokenizer\.json or vocab\.txt"):
        TextTokenizer.load(tmp_path)


def test_a_tokenizer_that_puts_nothing_around_a_text_is_rejected(tmp_path: Path) -> None:
    Tokenizer(models.BPE({"a": 0}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"puts no special token around a text.*post_processor"):
        TextTokenizer.load(tmp_path)


def test_the_error_for_a_missing_special_token_names_it(tmp_path: Path) -> None:
    copy_of_mini(tmp_path, lambda d: None)
    (tmp_path / "tokenizer_config.json").write_text('{"cls_token": "<s>", "tokenizer_class": "BertTokenizer"}')
    with pytest.raises(ModelError, match=r"lacks the special tokens <s>\..*tokenizer_config\.json"):
        TextTokenizer.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": {"type": "WordPiece"}}'])
def test_a_broken_tokenizer_file_is_rejected_with_its_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        TextTokenizer.load(tmp_path)


def test_a_vocabulary_without_its_config_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    with pytest.raises(ModelError, match=r"vocab\.txt cannot be read .*config\.json"):
        TextTokenizer.load(tmp_path)


GOOD = {
    "ids": np.array([5, 6], np.int32),
    "char_start": np.array([0, 2]),
    "char_end": np.array([1, 3]),
    "word": np.array([0, 1], np.int32),
    "last_word": np.array([0, 1], np.int32),
    "sentence_ptr": np.array([0, 2]),
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("word", [0], "one length"),
        ("char_start", [[0], [2]], "flat"),
        ("sentence_ptr", [], "sentence_ptr"),
        ("sentence_ptr", [0, 1], "sentence_ptr"),
        ("sentence_ptr", [0, 2, 1, 2], "sentence_ptr"),
        ("char_start", [2, 0], "reading order"),
        ("char_end", [1, 1], "half-open"),
    ],
)
def test_tokens_in_a_wrong_shape_cannot_exist(field: str, value: list[int], message: str) -> None:
    assert TokenizedDocument(**GOOD).n_tokens == 2
    with pytest.raises(ValueError, match=message):
        TokenizedDocument(**GOOD | {field: np.array(value, np.int64)})
