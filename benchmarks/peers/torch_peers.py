"""Peers on PyTorch: transformers' `BertModel`, called in four ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.peers.padded import Inputs, Padded
from benchmarks.peers.peer import Peer, Vectors
from benchmarks.sentence_race import DEFAULT_BATCH, encode, sentence_transformer
from polyseme.tasks.engine import Engine


def load(engine: Engine, **options: Any) -> Any:
    """Return transformers' own model with the weights of `engine`, float32, in evaluation mode."""
    from transformers import BertModel

    folder = engine.checkpoint.folder
    return BertModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False, **options).eval()


def peers(engine: Engine) -> list[Peer]:
    """Return the peers that run `engine`'s checkpoint in PyTorch."""
    from transformers import AutoTokenizer, pipeline

    theirs = sentence_transformer(engine)
    model, tokenizer = load(engine), AutoTokenizer.from_pretrained(engine.checkpoint.folder)
    features = pipeline("feature-extraction", model=model, tokenizer=tokenizer, device="cpu")

    @torch.inference_mode()
    def naive(sentences: Sequence[str], _: int) -> Vectors:
        inputs = (
            tokenizer(s, return_tensors="pt", truncation=True, max_length=engine.spec.max_tokens) for s in sentences
        )
        return np.stack([model(**i).last_hidden_state[0].mean(0).numpy() for i in inputs])

    def by_pipeline(sentences: Sequence[str], _: int) -> Vectors:
        return np.stack([np.asarray(rows[0], np.float32).mean(0) for rows in features(list(sentences))])

    @torch.inference_mode()
    def forward(inputs: Inputs) -> Any:
        return model(**{k: torch.from_numpy(v) for k, v in inputs.items()}).last_hidden_state.numpy()

    by_length = Padded.of(engine.checkpoint.folder, engine.spec.max_tokens, forward)
    return [
        Peer("naive `BertModel` loop", naive),
        Peer("transformers pipeline, feature-extraction", by_pipeline),
        Peer("`BertModel`, sorted by length", by_length, tuned=True),
        Peer("sentence-transformers", lambda s, n: encode(theirs, s, n), (DEFAULT_BATCH,), tuned=True),
    ]
