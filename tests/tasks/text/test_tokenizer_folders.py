"""Folders as people have them, old, edited and damaged: transformers' tokens, or a refusal that names what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from polyseme.storage.errors import ModelError
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.text.tokenizer_definition import model_kind
from tests.tokenizers import CLASSES, ROBERTA, SENTENCES, save_tokenizer, trained

TEXTS = (*SENTENCES, "NEWTOK newtok Brücke<extra> x", "a\x00b\x01c\x7f", "x" * 300, "\u3000全角\u3000", "ΟΔΟΣ İstanbul")
NATURAL = [name for name in CLASSES if name not in ("modernbert", "xlm-roberta-xl")]
NAMES = {f"{role}_token": name for role, name in zip(("cls", "pad", "sep", "unk", "mask"), ROBERTA, strict=True)}
FLAGS = ["single_word", "lstrip", "rstrip", "normalized"]
ADDED = st.lists(
    st.tuples(
        st.sampled_from(["NEWTOK", "newtok", "Brücke", "<extra>", "fox", "é", "東"]),
        st.fixed_dictionaries(dict.fromkeys(FLAGS, st.booleans())),
        st.integers(1, 9),
    ),
    max_size=3,
    unique_by=lambda token: token[0].lower(),
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "do_lower_case": st.booleans(),
        "strip_accents": st.sampled_from([True, False, None]),
        "tokenize_chinese_chars": st.booleans(),
        "add_prefix_space": st.booleans(),
        "keep_accents": st.booleans(),
        "split_by_punct": st.booleans(),
        "trim_offsets": st.booleans(),
        "add_bos_token": st.booleans(),
        "model_max_length": st.sampled_from([8, 10**30, 1e30]),
        "padding_side": st.sampled_from(["left", "right"]),
        "additional_special_tokens": st.just(["<s>NOTUSED", "<extra>"]),
    },
)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    definition = json.loads((folder / "tokenizer.json").read_text())
    change(definition)
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    return folder


def ids(tokenizer: TextTokenizer, text: str) -> list[int]:
    return [token.token_id for token in tokenizer.explain(text)]


def assert_as_transformers(folder: Path) -> None:
    ours = TextTokenizer.load(folder)
    theirs = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    theirs.backend_tokenizer.no_truncation()
    theirs.backend_tokenizer.no_padding()
    for text in TEXTS:
        found = ids(ours, text)
        assert found == theirs.backend_tokenizer.encode(text, add_special_tokens=False).ids, text
        assert set(found) < set(range(ours.vocab_size))
    expected = theirs.backend_tokenizer.encode("Zug").ids
    assert [*ours.frame.before, *ids(ours, "Zug"), *ours.frame.after] == expected


@given(model_type=st.sampled_from(NATURAL), options=SETTINGS, added=ADDED, older=st.booleans(), untyped=st.booleans())
@settings(max_examples=60)
def test_settings_and_added_tokens_are_those_of_transformers(
    model_type: str,
    options: dict[str, Any],
    added: list[tuple[str, dict[str, bool], int]],
    *,
    older: bool,
    untyped: bool,
) -> None:
    with TemporaryDirectory() as name:
        folder = save_tokenizer(Path(name), model_type)
        definition = json.loads((folder / "tokenizer.json").read_text())
        place = len(definition["model"]["vocab"])
        if older:
            listed = {content: place + number for number, (content, *_) in enumerate(added)}
            (folder / "added_tokens.json").write_text(json.dumps(listed))
        elif added:
            stated = {str(token.pop("id")): token for token in definition["added_tokens"]}
            for content, flags, gap in added:
                place += gap
                stated[str(place)] = {"content": content, "special": False, **flags}
            options = options | {"added_tokens_decoder": stated}
        if untyped and model_kind(definition["model"]) == "WordPiece":
            edit(folder, lambda whole: whole["model"].pop("type"))
        settings_path = folder / "tokenizer_config.json"
        settings_path.write_text(json.dumps(json.loads(settings_path.read_text()) | options))
        assert_as_transformers(folder)


@pytest.mark.parametrize("model_type", ["deberta-v2", "camembert", "bert", "roberta"])
def test_names_in_the_special_tokens_map_of_older_folders_are_applied(tmp_path: Path, model_type: str) -> None:
    folder = save_tokenizer(tmp_path, model_type)
    names = {"unk_token": {"content": "[UNK]", "lstrip": True}, "sep_token": "[SEP]", "do_lower_case": False}
    (folder / "special_tokens_map.json").write_text(json.dumps(names))
    assert_as_transformers(folder)


def test_an_empty_list_of_added_tokens_takes_those_of_the_definition_away(tmp_path: Path) -> None:
    token = {"id": 400, "content": "<extra>", "special": False, **dict.fromkeys(FLAGS, False)}
    folder = edit(save_tokenizer(tmp_path, "bert"), lambda whole: whole["added_tokens"].append(token))
    with_token = ids(TextTokenizer.load(folder), "<extra>")
    assert len(with_token) == 1
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {}}')
    assert len(ids(TextTokenizer.load(folder), "<extra>")) > 1
    assert_as_transformers(folder)


def test_ids_of_a_template_win_over_those_of_its_names(tmp_path: Path) -> None:
    def renumber(whole: dict[str, Any]) -> None:
        whole["post_processor"]["special_tokens"]["<s>"]["ids"] = [7]

    folder = edit(save_tokenizer(tmp_path, "modernbert", **NAMES), renumber)
    assert TextTokenizer.load(folder).frame.before == (7,)
    assert_as_transformers(folder)


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [("bert", "Unigram"), ("bert", "byte-level BPE"), ("roberta", "WordPiece"), ("xlm-roberta", "WordPiece"),
     ("albert", "byte-level BPE"), ("mpnet", "Unigram")],
)  # fmt: skip
def test_a_class_of_another_kind_than_the_definition_is_refused(tmp_path: Path, model_type: str, kind: str) -> None:
    folder = save_tokenizer(tmp_path, model_type)
    (folder / "tokenizer.json").write_text(trained(kind))
    found = kind.removeprefix("byte-level ")
    with pytest.raises(ModelError, match=rf"of the kind {found}.*{CLASSES[model_type][1]}.*PreTrained"):
        TextTokenizer.load(folder)


def test_a_definition_that_puts_nothing_around_a_text_is_refused(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path, "modernbert", **NAMES)
    edit(folder, lambda whole: whole.update(post_processor=None))
    with pytest.raises(ModelError, match=r"no special token around a text.*post_processor"):
        TextTokenizer.load(folder)


def test_types_of_special_tokens_that_no_window_has_are_refused(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path, "bert", declared="FunnelTokenizer", cls_token="[CLS]", sep_token="[SEP]")
    with pytest.raises(ModelError, match=r"post_processor gives .* a type other than 0"):
        TextTokenizer.load(folder)


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta-xl"])
def test_a_tokenizer_without_its_unknown_token_is_refused(tmp_path: Path, model_type: str) -> None:
    def rename(whole: dict[str, Any]) -> None:
        whole["model"]["unk_token"] = "[NONE]"
        whole["model"]["byte_fallback"] = False

    folder = edit(save_tokenizer(tmp_path, model_type, unk_token="[NONE]"), rename)
    with pytest.raises(ModelError, match=r"fails at text that it does not know.*unk_token"):
        TextTokenizer.load(folder)


def test_a_definition_at_which_tokenizers_panics_is_refused(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path, "modernbert", **NAMES)
    edit(folder, lambda whole: whole["model"].update(continuing_subword_prefix="@@@@"))
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        TextTokenizer.load(folder)
