"""ModernBERT (Warner et al. 2024): rotary positions, gated feed-forward layers, local attention, up to 8,192 tokens.

Weights have their own names: nothing of its layers is BERT's.
"""

from __future__ import annotations

from typing import Any

from polyseme.tasks.model.families.family import Config, Family, Head, HeadName, Shapes

_ROPE_TYPES = (None, "default")
LAYER_TYPES = ("full_attention", "sliding_attention")
THETAS = {"full_attention": ("global_rope_theta", 160_000.0), "sliding_attention": ("local_rope_theta", 10_000.0)}
"""By the type of a layer: the older name of the base of its rotary positions, and its default."""


def layer_types(config: Config) -> list[str]:
    """Return the type of every layer: that of `config.json`, or one in `global_attn_every_n_layers` is full."""
    types = config.get("layer_types")
    if types is not None:
        return list(types)
    every = config["global_attn_every_n_layers"]
    return [LAYER_TYPES[bool(i % every)] for i in range(config["num_hidden_layers"])]


def theta(config: Config, kind: str) -> float:
    """Return the base of the rotary positions of layers of that type (Su et al. 2021)."""
    old_name, default = THETAS[kind]
    parameters = (config.get("rope_parameters") or {}).get(kind) or {}
    stored: Any = parameters.get("rope_theta", config.get(old_name, default))
    return float(stored)


def _body(config: Config) -> Shapes:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    found: Shapes = {
        "model.embeddings.tok_embeddings.weight": (config["vocab_size"], hidden),
        **_norm("model.embeddings.norm", config),
        **_norm("model.final_norm", config),
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        if i:
            found |= _norm(layer + "attn_norm", config)
        found |= _norm(layer + "mlp_norm", config)
        found |= _linear(layer + "attn.Wqkv", 3 * hidden, hidden, bias=config["attention_bias"])
        found |= _linear(layer + "attn.Wo", hidden, hidden, bias=config["attention_bias"])
        found |= _linear(layer + "mlp.Wi", 2 * inner, hidden, bias=config["mlp_bias"])
        found |= _linear(layer + "mlp.Wo", hidden, inner, bias=config["mlp_bias"])
    return found


def _heads(config: Config) -> dict[HeadName, Head]:
    vocabulary, hidden = config["vocab_size"], config["hidden_size"]
    needed = _linear("head.dense", hidden, hidden, bias=config["classifier_bias"]) | _norm("head.norm", config)
    if config["decoder_bias"]:
        needed["decoder.bias"] = (vocabulary,)
    return {"MLM": Head(needed, tied={"decoder.weight": (vocabulary, hidden)})}


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> Shapes:
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if bias else {})


def _norm(name: str, config: Config) -> Shapes:
    width: tuple[int, ...] = (config["hidden_size"],)
    return {f"{name}.weight": width} | ({f"{name}.bias": width} if config["norm_bias"] else {})


def _refuses(config: Config) -> str | None:
    every = config["global_attn_every_n_layers"]
    if type(every) is not int or every < 1:
        return f"has global_attn_every_n_layers {str(every)[:40]!r}, which is no number of layers"
    types = config.get("layer_types")
    known = isinstance(types, list) and all(kind in LAYER_TYPES for kind in types)
    if types is not None and not (known and len(types) == config["num_hidden_layers"]):
        return "has layer_types that are not one of full_attention and sliding_attention for each layer"
    given = config.get("rope_parameters")
    parameters = given if isinstance(given, dict) else {}
    kinds = [kind.get("rope_type") for kind in parameters.values() if isinstance(kind, dict)]
    if config.get("rope_scaling") or any(kind not in _ROPE_TYPES for kind in kinds):
        return "scales its rotary positions (rope_scaling)"
    if (config["hidden_size"] // config["num_attention_heads"]) % 2:
        return "has heads of an odd size, which rotary positions cannot turn"
    return None


MODERNBERT = Family(
    title="ModernBERT",
    model_types=("modernbert",),
    defaults={
        "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
        "num_attention_heads": 12, "hidden_activation": "gelu", "max_position_embeddings": 8192, "norm_eps": 1e-5,
        "norm_bias": False, "attention_bias": False, "mlp_bias": False, "decoder_bias": True,
        "classifier_bias": False, "classifier_activation": "gelu", "local_attention": 128,
        "global_attn_every_n_layers": 3, "tie_word_embeddings": True,
    },
    prefix="model.",
    kind="modernbert",
    fields={"hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"},
    sizes={"local_attention": 1 << 20},
    body=_body,
    heads=_heads,
    refuses=_refuses,
)  # fmt: skip
