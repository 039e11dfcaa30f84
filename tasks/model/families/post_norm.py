"""The weights that all families of BERT's arithmetic have, and those that some have or lack.

Devlin et al. (2018): embeddings of words, positions and perhaps token types, normalised; layers of attention and
feed-forward, each added to its input and then normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polyseme.tasks.model.families.family import Config, Head, Shapes, Spelling, linear, norm

MLM = "cls.predictions."
REPLACED = "cls.replaced."
LAYER = "bert.encoder.layer."


def body(
    *, vocabulary: int, hidden: int, layers: int, intermediate: int, positions: int, types: int = 0, embedding: int = 0
) -> Shapes:
    """Return the shapes of a body. `types` may be 0 for none; another `embedding` size than `hidden` is projected."""
    width = embedding or hidden
    found: Shapes = {
        "bert.embeddings.word_embeddings.weight": (vocabulary, width),
        "bert.embeddings.position_embeddings.weight": (positions, width),
        **norm("bert.embeddings.LayerNorm", width),
    }
    if types:
        found["bert.embeddings.token_type_embeddings.weight"] = (types, width)
    for i in range(layers):
        layer = f"{LAYER}{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            found |= linear(f"{layer}.attention.{part}", hidden, hidden)
        found |= norm(f"{layer}.attention.output.LayerNorm", hidden)
        found |= linear(f"{layer}.intermediate.dense", intermediate, hidden)
        found |= linear(f"{layer}.output.dense", hidden, intermediate)
        found |= norm(f"{layer}.output.LayerNorm", hidden)
    return found


def mlm(*, vocabulary: int, hidden: int, embedding: int = 0) -> Head:
    """Return the MLM head, whose matrix may be that of the embeddings."""
    width = embedding or hidden
    return Head(
        needed=linear(MLM + "transform.dense", width, hidden) | norm(MLM + "transform.LayerNorm", width),
        tied={MLM + "decoder.weight": (vocabulary, width)},
        one_of={MLM + "decoder.bias": (vocabulary,), MLM + "bias": (vocabulary,)},
    )


def spelled(
    layer: str | Callable[[int, Config], str], parts: Mapping[str, str], others: Mapping[str, str], prefix: str
) -> Spelling:
    """Return the function from BERT's name of a weight to a family's.

    `layer` stands before the number of a layer, or is a function of that number. `parts` are the names within a layer,
    `others` all others that differ, both with or without `.weight` and `.bias`. `prefix` replaces `bert.`.
    """

    def spelling(name: str, config: Config) -> str:
        stem, _, kind = name.rpartition(".")
        if stem.startswith(LAYER):
            number, _, part = stem[len(LAYER) :].partition(".")
            place = f"{layer}{number}" if isinstance(layer, str) else layer(int(number), config)
            return f"{prefix}{place}.{parts.get(part, part)}.{kind}"
        if name in others:
            return others[name]
        if stem in others:
            return f"{others[stem]}.{kind}"
        return prefix + name.removeprefix("bert.") if name.startswith("bert.") else name

    return spelling
