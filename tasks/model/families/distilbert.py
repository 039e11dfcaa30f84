"""DistilBERT (Sanh et al. 2019): half of BERT's layers, no token types and no pooler."""

from __future__ import annotations

from polyseme.tasks.model.families.family import Config, Family, Shapes
from polyseme.tasks.model.families.post_norm import MLM, body, mlm, spelled


def _body(config: Config) -> Shapes:
    return body(
        vocabulary=config["vocab_size"], hidden=config["dim"], layers=config["n_layers"],
        intermediate=config["hidden_dim"], positions=config["max_position_embeddings"],
    )  # fmt: skip


DISTILBERT = Family(
    title="DistilBERT",
    model_types=("distilbert",),
    defaults={
        "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768,
        "hidden_dim": 3072, "activation": "gelu", "tie_word_embeddings": True,
    },
    prefix="distilbert.",
    fields={
        "hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim", "hidden_act": "activation",
    },
    body=_body,
    heads=lambda config: {"MLM": mlm(vocabulary=config["vocab_size"], hidden=config["dim"])},
    spelling=spelled(
        "transformer.layer.",
        {
            "attention.self.query": "attention.q_lin",
            "attention.self.key": "attention.k_lin",
            "attention.self.value": "attention.v_lin",
            "attention.output.dense": "attention.out_lin",
            "attention.output.LayerNorm": "sa_layer_norm",
            "intermediate.dense": "ffn.lin1",
            "output.dense": "ffn.lin2",
            "output.LayerNorm": "output_layer_norm",
        },
        {
            MLM + "transform.dense": "vocab_transform",
            MLM + "transform.LayerNorm": "vocab_layer_norm",
            MLM + "decoder": "vocab_projector",
        },
        "distilbert.",
    ),
    eps=1e-12,
)  # fmt: skip
