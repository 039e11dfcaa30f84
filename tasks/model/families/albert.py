"""ALBERT (Lan et al. 2019): layers that share their weights, in groups, and embeddings of their own size.

Its sentence-order head tells a pair in order from the same pair swapped. That is not next sentence: it is the order
margin alone.
"""

from __future__ import annotations

from polyseme.tasks.model.families.electra import PROJECTION
from polyseme.tasks.model.families.family import Config, Family, Head, HeadName, Shapes, linear
from polyseme.tasks.model.families.post_norm import MLM, body, mlm, spelled

_PARTS = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.dense",
    "attention.output.LayerNorm": "attention.LayerNorm",
    "intermediate.dense": "ffn",
    "output.dense": "ffn_output",
    "output.LayerNorm": "full_layer_layer_norm",
}


def _body(config: Config) -> Shapes:
    hidden, embedding = config["hidden_size"], config["embedding_size"]
    return body(
        vocabulary=config["vocab_size"], hidden=hidden,
        layers=config["num_hidden_groups"] * config["inner_group_num"],
        intermediate=config["intermediate_size"], positions=config["max_position_embeddings"],
        types=config["type_vocab_size"], embedding=embedding,
    ) | linear(PROJECTION, hidden, embedding)  # fmt: skip


def _heads(config: Config) -> dict[HeadName, Head]:
    hidden = config["hidden_size"]
    return {
        "MLM": mlm(vocabulary=config["vocab_size"], hidden=hidden, embedding=config["embedding_size"]),
        "order": Head(linear("bert.pooler.dense", hidden, hidden) | linear("cls.order_relationship", 2, hidden)),
    }


def _refuses(config: Config) -> str | None:
    if config["num_hidden_groups"] > config["num_hidden_layers"]:
        return "has more groups than layers (num_hidden_groups)"
    return None


def _layer_order(config: Config) -> tuple[int, ...]:
    """Return the number of the weights of every layer: `inner_group_num` of a group, one after another."""
    groups, inner, layers = config["num_hidden_groups"], config["inner_group_num"], config["num_hidden_layers"]
    return tuple(int(i / (layers / groups)) * inner + j for i in range(layers) for j in range(inner))


def _layer(number: int, config: Config) -> str:
    group, inner = divmod(number, config["inner_group_num"])
    return f"encoder.albert_layer_groups.{group}.albert_layers.{inner}"


ALBERT = Family(
    title="ALBERT",
    model_types=("albert",),
    defaults={
        "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096, "num_hidden_layers": 12,
        "num_hidden_groups": 1, "num_attention_heads": 64, "intermediate_size": 16384, "inner_group_num": 1,
        "hidden_act": "gelu_new", "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "tie_word_embeddings": True,
    },
    prefix="albert.",
    sizes={"embedding_size": 1 << 16, "num_hidden_groups": 1 << 10, "inner_group_num": 1 << 10},
    body=_body,
    heads=_heads,
    spelling=spelled(
        _layer,
        _PARTS,
        {
            PROJECTION: "albert.encoder.embedding_hidden_mapping_in",
            MLM + "transform.dense": "predictions.dense",
            MLM + "transform.LayerNorm": "predictions.LayerNorm",
            MLM + "decoder": "predictions.decoder",
            MLM + "bias": "predictions.bias",
            "bert.pooler.dense": "albert.pooler",
            "cls.order_relationship": "sop_classifier.classifier",
        },
        "albert.",
    ),
    layer_order=_layer_order,
    refuses=_refuses,
)  # fmt: skip
