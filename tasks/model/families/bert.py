"""BERT (Devlin et al. 2018): the only family with a head for next sentences."""

from __future__ import annotations

from polyseme.tasks.model.families.family import Config, Family


def _refuses(config: Config) -> str | None:
    decoder = config.get("is_decoder") or config.get("position_embedding_type", "absolute") != "absolute"
    return "is a decoder or uses relative positions" if decoder else None


BERT = Family(
    title="BERT",
    model_types=("bert",),
    defaults={
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
    refuses=_refuses,
)
"""The oldest checkpoints leave half of the fields out. Weights are read by `checkpoint` and `safetensors_fast_path`."""
