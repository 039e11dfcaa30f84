"""MPNet (Song et al. 2020): RoBERTa's frame and positions, and in every layer a bias by relative position."""

from __future__ import annotations

from polyseme.tasks.model.families.family import Config, Family, Shapes
from polyseme.tasks.model.families.post_norm import body, mlm, spelled
from polyseme.tasks.model.families.roberta import LM_HEAD

BUCKETS = 32
"""Of relative positions: transformers' forward takes this number, whatever the configuration says."""
RELATIVE_BIAS = "bert.encoder.relative_attention_bias.weight"
_PADDING = 1
"""Fixed in transformers' model, whatever the configuration says."""


def _body(config: Config) -> Shapes:
    found = body(
        vocabulary=config["vocab_size"], hidden=config["hidden_size"], layers=config["num_hidden_layers"],
        intermediate=config["intermediate_size"], positions=config["max_position_embeddings"],
    )  # fmt: skip
    found[RELATIVE_BIAS] = (config["relative_attention_num_buckets"], config["num_attention_heads"])
    return found


def _refuses(config: Config) -> str | None:
    if config["relative_attention_num_buckets"] < BUCKETS:
        return f"has fewer than {BUCKETS} buckets of relative positions (relative_attention_num_buckets)"
    if config["max_position_embeddings"] <= _PADDING + 1:
        return "has no positions behind those of the padding token (max_position_embeddings)"
    return None


MPNET = Family(
    title="MPNet",
    model_types=("mpnet",),
    defaults={
        "vocab_size": 30527, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
        "layer_norm_eps": 1e-12, "relative_attention_num_buckets": BUCKETS, "tie_word_embeddings": True,
    },
    prefix="mpnet.",
    sizes={"relative_attention_num_buckets": 1 << 12},
    body=_body,
    heads=lambda config: {"MLM": mlm(vocabulary=config["vocab_size"], hidden=config["hidden_size"])},
    spelling=spelled(
        "encoder.layer.",
        {
            "attention.self.query": "attention.attn.q",
            "attention.self.key": "attention.attn.k",
            "attention.self.value": "attention.attn.v",
            "attention.output.dense": "attention.attn.o",
            "attention.output.LayerNorm": "attention.LayerNorm",
        },
        LM_HEAD,
        "mpnet.",
    ),
    first_position=lambda config: _PADDING + 1,
    mlm_activation="gelu",
    refuses=_refuses,
)  # fmt: skip
