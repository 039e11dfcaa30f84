"""What a family of encoders calls the fields of its `config.json` and its weights, in terms of BERT's.

The networks read BERT's names only: `bert.encoder.layer.0.output.dense.weight`. A family says how it spells them, which
sizes they have, and which it lacks. Knows names and shapes, no files and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

Config = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
"""Shapes of weights by BERT's name of them."""
HeadName = Literal["NSP", "MLM", "order", "discriminator"]
Spelling = Callable[[str, Config], str]
Kind = Literal["post-norm", "modernbert", "generic"]
"""The network that runs a family: `bert.py`, `modernbert.py` or `generic.py`."""

SIZES = {
    "vocab_size": 1 << 24,
    "hidden_size": 1 << 16,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 12,
    "intermediate_size": 1 << 20,
    "max_position_embeddings": 1 << 20,
    "type_vocab_size": 1 << 10,
}
"""The most of each size, by BERT's name of it; the largest BERT has a thousandth of the product."""


@dataclass(frozen=True, slots=True)
class Head:
    """The weights of a head: those it needs, those that are the embeddings' if the configuration ties them, and a bias
    that is stored under one of several names."""

    needed: Shapes
    tied: Shapes = field(default_factory=dict)
    one_of: Shapes = field(default_factory=dict)

    @property
    def shapes(self) -> Shapes:
        """All weights that may be stored."""
        return self.needed | self.tied | self.one_of

    def is_there(self, names: Set[str], *, tied: bool) -> bool:
        """Return whether the weights `names` make up the head. `tied` as the configuration says."""
        whole = self.needed.keys() <= names and (tied or self.tied.keys() <= names)
        return whole and (not self.one_of or bool(self.one_of.keys() & names))


@dataclass(frozen=True, slots=True)
class Family:
    """A family of encoders. `title` is its name in prose, `model_types` are its names in `config.json`.

    `defaults` are those of transformers' configuration, which saved files may leave out. `fields` has the family's own
    names of fields that BERT names otherwise, `sizes` further fields that are sizes, with the most of each. `prefix`
    stands before the weights of the body where the class that saved them has heads. `body` and `heads` give the shapes
    of weights by BERT's names, `spelling` the own name of one of them, with the prefix. Positions begin at
    `first_position`. `layer_order` is the number of the weights of each layer, if layers share them. `refuses` says why
    a configuration cannot be run, None if it can. An `eps` or `mlm_activation` holds whatever the configuration says.
    """

    title: str
    model_types: tuple[str, ...]
    defaults: Mapping[str, Any]
    prefix: str = "bert."
    kind: Kind = "post-norm"
    fields: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    body: Callable[[Config], Shapes] = lambda config: {}
    heads: Callable[[Config], Mapping[HeadName, Head]] = lambda config: {}
    spelling: Spelling = lambda name, config: name
    first_position: Callable[[Config], int] = lambda config: 0
    eps: float | None = None
    mlm_activation: str | None = None
    layer_order: Callable[[Config], tuple[int, ...] | None] = lambda config: None
    refuses: Callable[[Config], str | None] = lambda config: None

    def get(self, config: Config, name: str) -> Any:
        """Return the field that BERT calls `name`."""
        return config[self.fields.get(name, name)]

    def own_sizes(self) -> dict[str, int]:
        """Return the most of every size that the family has, by its name of the field."""
        named = {self.fields.get(name, name): most for name, most in SIZES.items()}
        if self.kind == "generic":
            return {self.fields[name]: most for name, most in SIZES.items() if name in self.fields}
        return {name: most for name, most in named.items() if name in self.defaults} | dict(self.sizes)


def linear(name: str, rows: int, columns: int) -> Shapes:
    """Return the shapes of a linear map with bias, from `columns` to `rows`."""
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def norm(name: str, width: int) -> Shapes:
    """Return the shapes of a layer normalisation with bias."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
