"""Tokenizers of every kind, trained on a few sentences in twelve scripts and stored as checkpoints store them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = (
    "The quick brown fox's café isn't naïve, (really)...  two  spaces.",
    "Der Zug fährt über die Brücke. Straße!",
    "東京は日本の首都です。",
    "北京是中国的首都，有很多人。",
    "서울은 대한민국의 수도이다.",
    "Москва — столица России.",
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "القاهرة عاصمة مصر كِتَابٌ.",
    "ירושלים היא עיר בירה.",
    "दिल्ली भारत की राजधानी है। वस्तु",
    "กรุงเทพเป็นเมืองหลวง",
    "Երևանը Հայաստանի մայրաքաղաքն է։",
    "👩‍🚀 emoji ❤️ and ﬁ ligature ½ Ｗｉｄｅ x̄ a\u00adb",
    " leading\tand\nline  trailing ",
    "e\u0301 decomposed ≠ ① “quoted” ``so'' it''s",
    "\ufffd",
    "\u200b",
    "",
)
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLASSES = {
    "bert": ("WordPiece", "BertTokenizer"),
    "electra": ("WordPiece", "ElectraTokenizer"),
    "distilbert": ("WordPiece", "DistilBertTokenizer"),
    "mpnet": ("WordPiece", "MPNetTokenizer"),
    "roberta": ("byte-level BPE", "RobertaTokenizer"),
    "deberta": ("byte-level BPE", "DebertaTokenizer"),
    "modernbert": ("byte-level BPE", "PreTrainedTokenizerFast"),
    "xlm-roberta": ("Unigram", "XLMRobertaTokenizer"),
    "camembert": ("Unigram", "CamembertTokenizer"),
    "albert": ("Unigram", "AlbertTokenizer"),
    "deberta-v2": ("Unigram", "DebertaV2Tokenizer"),
    "xlm-roberta-xl": ("BPE", "PreTrainedTokenizerFast"),
}
"""The kind of tokenizer of each `model_type`, and the class that its checkpoints declare."""


def save_tokenizer(folder: Path, model_type: str, *, declared: str | None = None, **settings: Any) -> Path:
    """Store the tokenizer of a `model_type` in a folder, with a `config.json` that names the type only."""
    kind, usual = CLASSES[model_type]
    (folder / "tokenizer.json").write_text(trained(kind))
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    settings = {"tokenizer_class": declared or usual} | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@cache
def trained(kind: str) -> str:
    """Return the definition of a tokenizer of that kind, with the special tokens of BERT and of RoBERTa."""
    made = {"WordPiece": _wordpiece, "byte-level BPE": _byte_level, "BPE": _bpe, "Unigram": _unigram}[kind]()
    definition: str = made.to_str()
    return definition


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [*BERT, "<s>", "<pad>", "</s>", "<mask>"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 9, trainer)
    return tokenizer


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[*ROBERTA, *BERT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 9, trainer)
    tokenizer.post_processor = _template()
    return tokenizer


def _bpe() -> Tokenizer:
    """Return one as Gemma's: spaces become visible characters, and unknown characters bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    letters = [*ROBERTA, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=letters, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES[:6] * 9, trainer)
    tokenizer.post_processor = _template()
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<s>", "<unk>", "</s>", "<pad>", "<mask>", *BERT], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(SENTENCES * 9, trainer)
    return tokenizer


def _template() -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
