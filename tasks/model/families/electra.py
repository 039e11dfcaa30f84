"""ELECTRA (Clark et al. 2020): BERT with embeddings of their own size. Its generator has an MLM head.

Its discriminator has a head that tells of each token whether it was replaced by another: neither MLM nor next sentence,
but a column of its own.
"""

from __future__ import annotations

from polyseme.tasks.model.families.family import Config, Family, Head, HeadName, Shapes, linear
from polyseme.tasks.model.families.post_norm import MLM, REPLACED, body, mlm, spelled

PROJECTION = "bert.embeddings_project"
"""The linear map from the size of the embeddings to that of the layers."""


def _body(config: Config) -> Shapes:
    hidden, embedding = config["hidden_size"], config["embedding_size"]
    found = body(
        vocabulary=config["vocab_size"], hidden=hidden, layers=config["num_hidden_layers"],
        intermediate=config["intermediate_size"], positions=config["max_position_embeddings"],
        types=config["type_vocab_size"], embedding=embedding,
    )  # fmt: skip
    return found if embedding == hidden else found | linear(PROJECTION, hidden, embedding)


def _heads(config: Config) -> dict[HeadName, Head]:
    hidden = config["hidden_size"]
    return {
        "MLM": mlm(vocabulary=config["vocab_size"], hidden=hidden, embedding=config["embedding_size"]),
        "discriminator": Head(linear(REPLACED + "dense", hidden, hidden) | linear(REPLACED + "prediction", 1, hidden)),
    }


def _refuses(config: Config) -> str | None:
    decoder = config.get("is_decoder") or config.get("position_embedding_type", "absolute") != "absolute"
    return "is a decoder or uses relative positions" if decoder else None


ELECTRA = Family(
    title="ELECTRA",
    model_types=("electra",),
    defaults={
        "vocab_size": 30522, "embedding_size": 128, "hidden_size": 256, "num_hidden_layers": 12,
        "num_attention_heads": 4, "intermediate_size": 1024, "hidden_act": "gelu", "max_position_embeddings": 512,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "tie_word_embeddings": True,
    },
    prefix="electra.",
    sizes={"embedding_size": 1 << 16},
    body=_body,
    heads=_heads,
    spelling=spelled(
        "encoder.layer.",
        {},
        {
            MLM + "transform.dense": "generator_predictions.dense",
            MLM + "transform.LayerNorm": "generator_predictions.LayerNorm",
            MLM + "decoder": "generator_lm_head",
            REPLACED + "dense": "discriminator_predictions.dense",
            REPLACED + "prediction": "discriminator_predictions.dense_prediction",
        },
        "electra.",
    ),
    mlm_activation="gelu",
    refuses=_refuses,
)  # fmt: skip
