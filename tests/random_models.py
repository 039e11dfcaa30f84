"""Random checkpoints of every family, made and saved by transformers, with sizes that no real model has."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from polyseme.tasks.text.frames import Frame

BERT_FRAME = Frame((4,), (3,), (3,))
ROBERTA_FRAME = Frame((4,), (3, 3), (3,), second_type=0)
VOCABULARY = 123


@dataclass(frozen=True)
class Kind:
    """A family as transformers makes it: `<classes>Config`, `<classes>Model`, `<classes>ForMaskedLM`.

    `limit` is the most tokens of a window for the positions in `shape`.
    """

    classes: str
    shape: dict[str, Any]
    limit: int
    frame: Frame = BERT_FRAME
    other: dict[str, Any] = field(default_factory=dict)
    """Another shape: more of what a family has of its own."""

    @property
    def layers(self) -> int:
        return int(self.config().num_hidden_layers)

    def config(self, **changes: Any) -> Any:
        return getattr(transformers, self.classes + "Config")(**(self.shape | changes))


_SHAPE = {
    "vocab_size": VOCABULARY, "hidden_size": 36, "num_hidden_layers": 5, "num_attention_heads": 3,
    "intermediate_size": 70, "max_position_embeddings": 41, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5,
}  # fmt: skip
_DISTILBERT = {
    "vocab_size": VOCABULARY, "dim": 36, "n_layers": 5, "n_heads": 3, "hidden_dim": 70,
    "max_position_embeddings": 41, "activation": "relu",
}  # fmt: skip
_MODERN = {
    "vocab_size": VOCABULARY, "hidden_size": 36, "num_hidden_layers": 5, "num_attention_heads": 3,
    "intermediate_size": 35, "max_position_embeddings": 200, "local_attention": 20, "pad_token_id": 0,
    "bos_token_id": 4, "eos_token_id": 3, "cls_token_id": 4, "sep_token_id": 3,
}  # fmt: skip

KINDS = {
    "distilbert": Kind("DistilBert", _DISTILBERT, 41, other={"n_heads": 1, "sinusoidal_pos_embds": True}),
    "electra": Kind("Electra", _SHAPE | {"embedding_size": 20}, 41, other={"embedding_size": 36, "type_vocab_size": 3}),
    "roberta": Kind(
        "Roberta", _SHAPE | {"type_vocab_size": 1}, 39, ROBERTA_FRAME, other={"pad_token_id": 0, "hidden_act": "relu"}
    ),
    "xlm-roberta": Kind("XLMRoberta", _SHAPE | {"type_vocab_size": 1}, 39, ROBERTA_FRAME, {"num_attention_heads": 6}),
    "camembert": Kind("Camembert", _SHAPE | {"type_vocab_size": 1}, 39, ROBERTA_FRAME, {"hidden_act": "silu"}),
    "mpnet": Kind(
        "MPNet", _SHAPE | {"max_position_embeddings": 302}, 300, ROBERTA_FRAME,
        {"relative_attention_num_buckets": 40, "num_attention_heads": 1},
    ),
    "albert": Kind(
        "Albert", _SHAPE | {"embedding_size": 20}, 41,
        other={"num_hidden_groups": 2, "inner_group_num": 2, "embedding_size": 36, "hidden_act": "relu"},
    ),
    "modernbert": Kind(
        "ModernBert", _MODERN, 200, Frame((4,), (3,), (3,), second_type=0),
        {
            "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True,
            "decoder_bias": False, "local_attention": 7, "global_attn_every_n_layers": 2, "num_attention_heads": 1,
            "classifier_activation": "relu", "hidden_activation": "silu",
        },
    ),
}  # fmt: skip


def save_random(folder: Path, kind: Kind, head: str = "Model", *, shard: str | None = None, **changes: Any) -> Path:
    """Save a random model; every number is random, biases and norms too, so that none can be left out unnoticed."""
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, kind.classes + head)(kind.config(**changes))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            weight.normal_(centre, 0.3, generator=generator)
    model.save_pretrained(folder, **({} if shard is None else {"max_shard_size": shard}))
    return folder
