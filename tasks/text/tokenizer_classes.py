"""Which tokenizer transformers makes of a checkpoint's files, without importing it.

For most classes `AutoTokenizer` takes only the vocabulary from `tokenizer.json` and builds the rest anew from the
options in `tokenizer_config.json`: its `do_lower_case` wins over the normalizer of the other file. That is done here
for the classes of well-known encoders, as of transformers 5.24. Knows definitions as JSON objects, no tokenizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError
from polyseme.tasks.text.tokenizer_definition import model_kind

Definition = dict[str, Any]

AS_IT_IS = "TokenizersBackend"
"""The class that takes `tokenizer.json` as it is."""
_BERT = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]", "unk": "[UNK]"}
_ROBERTA = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>", "unk": "<unk>"}
NAMES: Mapping[str, Mapping[str, str]] = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "MPNetTokenizer": _ROBERTA | {"unk": "[UNK]"},
    "RobertaTokenizer": _ROBERTA,
    "XLMRobertaTokenizer": _ROBERTA,
    "CamembertTokenizer": _ROBERTA,
    "AlbertTokenizer": _BERT | {"bos": "[CLS]", "eos": "[SEP]", "pad": "<pad>", "unk": "<unk>"},
    "DebertaTokenizer": _BERT | {"bos": "[CLS]", "eos": "[SEP]"},
    "DebertaV2Tokenizer": _BERT | {"bos": "[CLS]", "eos": "[SEP]"},
    AS_IT_IS: {},
}
"""The names of special tokens by class and role, unless a checkpoint sets others."""
_OF_MODELS = {
    "bert": "BertTokenizer", "distilbert": "BertTokenizer", "electra": "BertTokenizer", "convbert": "BertTokenizer",
    "ernie": "BertTokenizer", "megatron-bert": "BertTokenizer", "nezha": "BertTokenizer", "nomic_bert": "BertTokenizer",
    "squeezebert": "BertTokenizer", "layoutlm": "BertTokenizer", "roberta": "RobertaTokenizer",
    "roberta-prelayernorm": "RobertaTokenizer", "longformer": "RobertaTokenizer", "ibert": "RobertaTokenizer",
    "data2vec-text": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizer", "xlm-roberta-xl": AS_IT_IS,
    "xmod": "XLMRobertaTokenizer", "camembert": "CamembertTokenizer", "mpnet": "MPNetTokenizer",
    "albert": "AlbertTokenizer", "deberta": "DebertaTokenizer", "deberta-v2": "DebertaV2Tokenizer",
    "modernbert": AS_IT_IS,
}  # fmt: skip
"""The class that transformers has for a `model_type`."""
_SAME_AS = dict.fromkeys(
    ("ElectraTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer", "LayoutLMTokenizer", "LxmertTokenizer"),
    "BertTokenizer",
) | dict.fromkeys(("LongformerTokenizer", "BartTokenizer"), "RobertaTokenizer")
"""Other names of a class."""
_WITHOUT_CLASS = frozenset({"PreTrainedTokenizer", "PreTrainedTokenizerFast", AS_IT_IS})
"""Names in `tokenizer_class` that stand for no class of its own: `tokenizer.json` is taken as it is."""


def tokenizer_class(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """Return the class that `AutoTokenizer` chooses, a key of `NAMES`; None if only transformers itself can tell.

    `config` is what `config.json` holds, `settings` what `tokenizer_config.json` does.
    """
    of_model = _OF_MODELS.get(str(config.get("model_type")))
    declared = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if of_model is None or "auto_map" in settings or "model_name" in config or not isinstance(declared, str | None):
        return None  # transformers has exceptions for some names of models
    if of_model == AS_IT_IS:
        return AS_IT_IS  # whatever their files declare
    if declared is None:
        return of_model
    name = declared if declared in _WITHOUT_CLASS else declared.removesuffix("Fast")
    if name in _WITHOUT_CLASS:
        return AS_IT_IS
    name = _SAME_AS.get(name, name)
    return name if name in NAMES else None


def as_class(name: str, path: Path, definition: Definition, settings: Mapping[str, Any]) -> Definition:
    """Return the definition of the tokenizer that class `name` builds of one; parts that say the same are kept.

    `path` is that of the settings. Raises ModelError for an option that cannot be what it is set to, and for a class
    that is of another kind than the definition.
    """
    model = definition.get("model")
    if name == AS_IT_IS or not isinstance(model, dict):
        return definition
    kind, found = _KINDS[name], model_kind(model)
    if found != kind:
        raise ModelError(
            f"{path.parent / 'tokenizer.json'} holds a tokenizer of the kind {found[:40]}, but its class is {name} "
            f"({path.name}, else by model_type in config.json), which is {kind}: its texts would have other tokens "
            'than the model was trained with. Set "tokenizer_class": "PreTrainedTokenizerFast" in '
            "tokenizer_config.json to take tokenizer.json as it is, or fetch the checkpoint again."
        )
    return definition | _BUILDERS[name](definition, _Options(path, settings))


class _Options:
    """The options of `tokenizer_config.json`, checked where they are used."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, settings

    def flag(self, name: str, default: bool) -> bool:
        value = self._settings.get(name, default)
        return default if value is None else self._checked(name, value)

    def flag_or_none(self, name: str) -> bool | None:
        value = self._settings.get(name)
        return None if value is None else self._checked(name, value)

    def token(self, role: str, default: str) -> str:
        return content(self._settings.get(f"{role}_token")) or default

    def _checked(self, name: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise ModelError(
                f"{self._path} sets {name} to {str(value)[:40]!r}; expected true, false or null. Correct it."
            )
        return value


def content(token: object) -> str | None:
    """Return the text of a special token, which files give as a text or as an object; None for another value."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) and token else None


def _wordpiece(unk: str) -> Callable[[Definition, _Options], Definition]:
    def build(definition: Definition, options: _Options) -> Definition:
        normalizer = {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": options.flag("tokenize_chinese_chars", True),
            "strip_accents": options.flag_or_none("strip_accents"),
            "lowercase": options.flag("do_lower_case", True),
        }
        usual: Definition = {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        }  # fmt: skip
        given = definition["model"]
        wanted = usual | {"unk_token": options.token("unk", unk)}
        # What is not said has its usual value; saying it would change the fingerprint of the tokenizer.
        model = given | {key: value for key, value in wanted.items() if given.get(key, usual[key]) != value}
        return {"normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model}

    return build


def _byte_level(definition: Definition, options: _Options) -> Definition:
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
        "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": definition["model"].get("vocab"), "merges": definition["model"].get("merges", []),
    }  # fmt: skip
    space = options.flag("add_prefix_space", False)
    split = {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": True}
    return {"normalizer": None, "pre_tokenizer": split, "model": model}


def _xlm_roberta(definition: Definition, options: _Options) -> Definition:
    return {
        "normalizer": _charsmap(definition),
        "pre_tokenizer": _sequence("pretokenizers", [{"type": "WhitespaceSplit"}, _metaspace(options)]),
        "model": _unigram(definition, 3),
    }


def _camembert(definition: Definition, options: _Options) -> Definition:
    unk = options.token("unk", "<unk>")
    vocabulary = definition["model"].get("vocab") or []
    number = next((i for i, piece in enumerate(vocabulary) if piece[0] == unk), 0)
    return _xlm_roberta(definition, options) | {"model": _unigram(definition, number)}


def _albert(definition: Definition, options: _Options) -> Definition:
    steps: list[Definition] = [
        {"type": "Replace", "pattern": {"String": quotes}, "content": '"'} for quotes in ("``", "''")
    ]
    if not options.flag("keep_accents", False):
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if options.flag("do_lower_case", True):
        steps.append({"type": "Lowercase"})
    if (charsmap := _charsmap(definition)) is not None:
        steps.append(charsmap)
    return _xlm_roberta(definition, options) | {
        "normalizer": _sequence("normalizers", steps),
        "model": _unigram(definition, 1),
    }


def _deberta_v2(definition: Definition, options: _Options) -> Definition:
    steps: list[Definition] = [{"type": "Lowercase"}] if options.flag("do_lower_case", False) else []
    steps += [
        {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "},
        {"type": "NFC"},
        {"type": "Strip", "strip_left": False, "strip_right": True},
    ]
    punctuation: list[Definition] = [{"type": "Punctuation", "behavior": "Isolated"}]
    before = punctuation if options.flag("split_by_punct", False) else []
    unk = options.token("unk", "[UNK]")
    vocabulary = definition["model"].get("vocab") or []
    number = next((i for i, piece in enumerate(vocabulary) if list(piece) == [unk, 0.0]), 1)
    return {
        "normalizer": _sequence("normalizers", steps),
        "pre_tokenizer": _sequence("pretokenizers", [*before, _metaspace(options, otherwise="first")]),
        "model": _unigram(definition, number),
    }


def _sequence(key: str, steps: list[Definition]) -> Definition:
    return {"type": "Sequence", key: steps}


def _metaspace(options: _Options, otherwise: str = "never") -> Definition:
    scheme = "always" if options.flag("add_prefix_space", True) else otherwise
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}


def _unigram(definition: Definition, unk_id: int) -> Definition:
    vocabulary = definition["model"].get("vocab")
    return {"type": "Unigram", "unk_id": unk_id, "vocab": vocabulary, "byte_fallback": False}


def _charsmap(definition: Definition) -> Definition | None:
    """Return the first SentencePiece character map of a normalizer, which transformers keeps."""
    normalizer = definition.get("normalizer")
    steps = (
        normalizer.get("normalizers") if isinstance(normalizer, dict) and "normalizers" in normalizer else normalizer
    )
    for step in steps if isinstance(steps, list) else [steps]:
        if isinstance(step, dict) and step.get("type") == "Precompiled" and "precompiled_charsmap" in step:
            return {"type": "Precompiled", "precompiled_charsmap": step["precompiled_charsmap"]}
    return None


_KINDS: Mapping[str, str] = {
    "BertTokenizer": "WordPiece", "DistilBertTokenizer": "WordPiece", "MPNetTokenizer": "WordPiece",
    "RobertaTokenizer": "BPE", "DebertaTokenizer": "BPE", "XLMRobertaTokenizer": "Unigram",
    "CamembertTokenizer": "Unigram", "AlbertTokenizer": "Unigram", "DebertaV2Tokenizer": "Unigram",
}  # fmt: skip
"""The kind of tokenizer that each class builds."""
_BUILDERS: Mapping[str, Callable[[Definition, _Options], Definition]] = {
    "BertTokenizer": _wordpiece("[UNK]"),
    "DistilBertTokenizer": _wordpiece("[UNK]"),
    "MPNetTokenizer": _wordpiece("[UNK]"),
    "RobertaTokenizer": _byte_level,
    "XLMRobertaTokenizer": _xlm_roberta,
    "CamembertTokenizer": _camembert,
    "AlbertTokenizer": _albert,
    "DebertaTokenizer": _byte_level,
    "DebertaV2Tokenizer": _deberta_v2,
}
