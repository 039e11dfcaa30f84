"""Every kind of tokenizer gives the tokens that transformers gives for the same folder, with exact offsets."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Sentence
from polyseme.tasks.text.sentences import split
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.text.tokenizer_source import read_tokenizer
from tests.tokenizers import CLASSES, ROBERTA, SENTENCES, save_tokenizer, trained

MIXED = st.lists(
    st.one_of(
        st.sampled_from(SENTENCES),
        st.text(max_size=30),
        st.text(alphabet=" \n\u3000aé\u0301ﬁ東▁Ġ.'ü\u200d", max_size=12),
    ),
    max_size=6,
).map(" ".join)
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("bert", {"do_lower_case": False}),
    ("bert", {"strip_accents": False}),
    ("bert", {"tokenize_chinese_chars": False}),
    ("electra", {"do_lower_case": False, "declared": "ElectraTokenizerFast"}),
    ("distilbert", {"do_lower_case": False}),
    ("mpnet", {"do_lower_case": False, "strip_accents": True}),
    ("roberta", {"add_prefix_space": True}),
    ("roberta", {"trim_offsets": False, "declared": "RobertaTokenizerFast"}),
    ("deberta", {"add_prefix_space": True}),
    ("xlm-roberta", {"add_prefix_space": False}),
    ("albert", {"do_lower_case": False}),
    ("albert", {"keep_accents": True}),
    ("deberta-v2", {"split_by_punct": True}),
    ("deberta-v2", {"do_lower_case": True, "add_prefix_space": False}),
    ("bert", {"declared": "XLMRobertaTokenizer", "kind": "Unigram"}),
    ("roberta", {"declared": "BertTokenizer", "kind": "WordPiece"}),
    ("bert", {"declared": "PreTrainedTokenizerFast", "do_lower_case": False}),
    ("bert", {"declared": "BigBirdTokenizer", "kind": "Unigram"}),
    ("roberta", {"added_tokens_decoder": {"600": {"content": "Brücke", "special": False}}}),
]


@cache
def loaded(model_type: str) -> TextTokenizer:
    return TextTokenizer.load(save_tokenizer(Path(mkdtemp()), model_type))


def ids(tokenizer: TextTokenizer, text: str) -> list[int]:
    return [token.token_id for token in tokenizer.explain(text)]


def assert_as_transformers(folder: Path) -> None:
    ours, theirs = TextTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    for sentence in SENTENCES:
        assert ids(ours, sentence) == theirs(sentence, add_special_tokens=False)["input_ids"], sentence
    frame, first, second = ours.frame, ids(ours, "fox"), ids(ours, "Zug")
    assert theirs("fox")["input_ids"] == [*frame.before, *first, *frame.after]
    pair = [*frame.before, *first, *frame.between, *second, *frame.after]
    assert theirs("fox", "Zug")["input_ids"] == pair
    types = theirs("fox", "Zug", return_token_type_ids=True)["token_type_ids"]
    assert types[len(frame.before) + len(first) + len(frame.between) :] == [frame.second_type] * (len(second) + 1)
    assert (ours.cls_id, ours.sep_id, ours.mask_id) == (theirs.cls_token_id, theirs.sep_token_id, theirs.mask_token_id)
    assert (ours.pad_id, ours.unk_id) == (theirs.pad_token_id, theirs.unk_token_id)


@pytest.mark.parametrize("model_type", [name for name in CLASSES if name not in ("modernbert", "xlm-roberta-xl")])
def test_tokens_and_frames_are_those_of_transformers(tmp_path: Path, model_type: str) -> None:
    assert_as_transformers(save_tokenizer(tmp_path, model_type))


@pytest.mark.parametrize("model_type", ["modernbert", "xlm-roberta-xl"])
def test_a_tokenizer_that_is_taken_as_it_is_has_the_names_of_its_settings(tmp_path: Path, model_type: str) -> None:
    roles = ("cls", "pad", "sep", "unk", "mask")
    names = {f"{role}_token": name for role, name in zip(roles, ROBERTA, strict=True)}
    assert_as_transformers(save_tokenizer(tmp_path, model_type, **names))


@pytest.mark.parametrize(("model_type", "options"), OPTIONS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(OPTIONS)])
def test_settings_that_disagree_with_the_tokenizer_are_applied_as_transformers_does(
    tmp_path: Path, model_type: str, options: dict[str, Any]
) -> None:
    options = dict(options)
    kind = options.pop("kind", None)
    folder = save_tokenizer(tmp_path, model_type, **options)
    if kind is not None:
        (folder / "tokenizer.json").write_text(trained(kind))
    ours, theirs = TextTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    for sentence in SENTENCES:
        assert ids(ours, sentence) == theirs(sentence, add_special_tokens=False)["input_ids"], sentence


def test_settings_change_the_fingerprint(tmp_path: Path) -> None:
    before = read_tokenizer(save_tokenizer(tmp_path, "albert")).sha256
    assert read_tokenizer(save_tokenizer(tmp_path, "albert", keep_accents=True)).sha256 != before
    assert read_tokenizer(save_tokenizer(tmp_path, "albert")).sha256 == before


def test_the_frame_is_in_the_fingerprint(tmp_path: Path) -> None:
    def with_template(change: Callable[[dict[str, Any]], object]) -> str:
        folder = save_tokenizer(tmp_path, "modernbert")
        definition = json.loads((folder / "tokenizer.json").read_text())
        change(definition["post_processor"])
        (folder / "tokenizer.json").write_text(json.dumps(definition))
        return read_tokenizer(folder).sha256

    assert with_template(lambda template: None) != with_template(lambda template: template["single"].pop())


@pytest.mark.parametrize("model_type", CLASSES)
def test_a_document_cannot_write_a_special_token(model_type: str) -> None:
    tokenizer = loaded(model_type)
    special = {*tokenizer.frame.before, *tokenizer.frame.after}
    found = ids(tokenizer, "a</s> <s>b [SEP] [CLS]<mask>")
    assert found
    assert not special & set(found)


@pytest.mark.parametrize("model_type", CLASSES)
@given(text=MIXED)
@settings(max_examples=40)
def test_offsets_are_the_characters_of_a_token(model_type: str, text: str) -> None:
    tokenizer = loaded(model_type)
    sentences = split(text)
    document = tokenizer.tokenize(text, sentences)
    for i, (sentence, (begin, end)) in enumerate(zip(sentences, pairwise(document.sentence_ptr), strict=True)):
        starts, ends = document.char_start[begin:end], document.char_end[begin:end]
        assert ((sentence.start <= starts) & (starts <= ends) & (ends <= sentence.stop)).all()
        assert (np.diff(starts) >= 0).all()
        assert (np.diff(ends) >= 0).all()
        covered = np.zeros(len(text), bool)
        for a, b in zip(starts, ends, strict=True):
            assert text[a:b] == text[a:b].strip()
            covered[a:b] = True
        if tokenizer.kind == "BPE":  # it knows every byte, so that nothing is left out
            assert all(covered[at] or text[at].isspace() for at in range(sentence.start, sentence.stop)), text
        alone = tokenizer.tokenize(text[sentence.start : sentence.stop], [Sentence(0, sentence.stop - sentence.start)])
        assert alone.ids.tolist() == document.ids[begin:end].tolist()
        assert (alone.char_start + sentence.start).tolist() == starts.tolist(), i


@pytest.mark.parametrize("model_type", CLASSES)
def test_spaces_are_not_counted(model_type: str) -> None:
    text = "  The  fox "
    spans = [(token.char_start, token.char_end) for token in loaded(model_type).explain(text)]
    assert "".join(text[a:b] for a, b in spans) == "Thefox"


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta-xl"])
def test_the_bytes_of_a_character_have_its_span(model_type: str) -> None:
    tokens = loaded(model_type).explain("a 🤖 b")
    spans = [(t.char_start, t.char_end) for t in tokens if 2 <= t.char_start < t.char_end <= 3]
    assert len(spans) > 1
    assert set(spans) == {(2, 3)}


@pytest.mark.parametrize(
    ("part", "step", "what"),
    [
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}, "regular"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a|a)*b"}, "content": " "}, "regular"),
        ("normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}, "longer"),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "  "}, "longer"),
        ("normalizer", {"type": "Prepend", "prepend": "▁" * 99}, "longer"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "damaged"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA" + "YWFh" * 400 + "="}, "longer"),
        ("pre_tokenizer", {"type": "FixedLength", "length": 1}, "FixedLength"),
    ],
)  # fmt: skip
def test_steps_that_could_take_any_time_are_refused(tmp_path: Path, part: str, step: dict[str, Any], what: str) -> None:
    folder = save_tokenizer(tmp_path, "modernbert")
    definition = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(definition | {part: step}))
    with pytest.raises(ModelError, match=what):
        TextTokenizer.load(folder)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"dropout": 0.1}, "dropout"),
        ({"type": "Unigram", "vocab": [["a" * 2000, 0.0]], "unk_id": 0}, "1,000 characters"),
    ],
)
def test_models_that_are_random_or_without_bound_are_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    folder = save_tokenizer(tmp_path, "modernbert")
    definition = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(definition | {"model": definition["model"] | change}))
    with pytest.raises(ModelError, match=what):
        TextTokenizer.load(folder)


def test_a_known_regular_expression_may_run(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path, "modernbert")
    definition = json.loads((folder / "tokenizer.json").read_text())
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    steps = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]
    before = ids(TextTokenizer.load(folder), SENTENCES[0])
    definition["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    assert ids(TextTokenizer.load(folder), SENTENCES[0]) == before
