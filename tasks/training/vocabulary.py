"""A WordPiece vocabulary trained on a corpus, saved as the tokenizer of a checkpoint folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from polyseme.storage.errors import UsageError
from polyseme.tasks.text.special_tokens import SPECIALS

LEAST_SIZE = 200


def learn(texts: Iterable[str], folder: Path, *, size: int) -> None:
    """Train a lower-case vocabulary of up to `size` WordPieces on `texts` and write the tokenizer into `folder`.

    Raises UsageError for a size below `LEAST_SIZE`.
    """
    if size < LEAST_SIZE:
        raise UsageError(f"--vocabulary must be at least {LEAST_SIZE}, got {size}.")
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIALS["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[SPECIALS[k] for k in ("pad", "unk", "cls", "sep", "mask")], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = tokenizer.get_vocab()
    sep, cls = ((SPECIALS[key], ids[SPECIALS[key]]) for key in ("sep", "cls"))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"{key}_token": name for key, name in SPECIALS.items()}
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
