"""RoBERTa (Liu et al. 2019) and what is trained like it: XLM-RoBERTa, CamemBERT. BERT without next sentences.

Positions begin behind the id of the padding token, so that a model with 514 rows takes 512 tokens.
"""

from __future__ import annotations

from dataclasses import replace

from polyseme.tasks.model.families.family import Config, Family, Shapes
from polyseme.tasks.model.families.post_norm import MLM, body, mlm, spelled


def _body(config: Config) -> Shapes:
    return body(
        vocabulary=config["vocab_size"], hidden=config["hidden_size"], layers=config["num_hidden_layers"],
        intermediate=config["intermediate_size"], positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
    )  # fmt: skip


def _first_position(config: Config) -> int:
    return 1 + int(config["pad_token_id"])


def _refuses(config: Config) -> str | None:
    if config.get("is_decoder") or config.get("position_embedding_type", "absolute") != "absolute":
        return "is a decoder or uses relative positions"
    padding = config["pad_token_id"]
    if not (type(padding) is int and 0 <= padding < config["max_position_embeddings"] - 1):
        return f"has the padding token {str(padding)[:40]!r} (pad_token_id), behind which there are no positions"
    return None


LM_HEAD = {
    MLM + "transform.dense": "lm_head.dense",
    MLM + "transform.LayerNorm": "lm_head.layer_norm",
    MLM + "decoder": "lm_head.decoder",
    MLM + "bias": "lm_head.bias",
}
"""The MLM head of RoBERTa, and of MPNet."""

ROBERTA = Family(
    title="RoBERTa",
    model_types=("roberta",),
    defaults={
        "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "pad_token_id": 1, "tie_word_embeddings": True,
    },
    prefix="roberta.",
    body=_body,
    heads=lambda config: {"MLM": mlm(vocabulary=config["vocab_size"], hidden=config["hidden_size"])},
    spelling=spelled("encoder.layer.", {}, LM_HEAD, "roberta."),
    first_position=_first_position,
    mlm_activation="gelu",
    refuses=_refuses,
)  # fmt: skip

_SMALLER = {**ROBERTA.defaults, "vocab_size": 30522}
XLM_ROBERTA = replace(ROBERTA, title="XLM-RoBERTa", model_types=("xlm-roberta",), defaults=_SMALLER)
CAMEMBERT = replace(ROBERTA, title="CamemBERT", model_types=("camembert",), defaults=_SMALLER)
