"""Layers: which of a network's layers a vector is the mean of, as they are written: `last`, `last4`, `5`, `mean:3-6`.

Layers count from 1; 0 is what the embeddings give the first one. `last` is the layer that a checkpoint takes its
vectors from, its top one unless it says otherwise; numbers count the network's own. Knows numbers, no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Layers

SPELLINGS = "last, last4 (the mean of the last four), 5 (layer 5) or mean:3-6 (the mean of layers 3 to 6)"
_LAST = re.compile(r"last([0-9]{0,4})")
_NUMBERS = re.compile(r"(?:([0-9]{1,4})|mean:([0-9]{1,4})-([0-9]{1,4}))")


@dataclass(frozen=True, slots=True)
class LayerSpan:
    """The layers from `first` to `last`, both included, by their number in the network. A vector is their mean."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def canonical(layers: Layers) -> Layers:
    """Return the one spelling of what is written: `6` for `mean:6-6`, `last` for `last1`, `5` for `05`.

    Raises UsageError for what is none.
    """
    text = str(layers)  # a program may give a number
    if count := _count(text):
        return _last(count)
    return _in_numbers(_span(text))


def is_canonical(layers: object) -> bool:
    """Return whether this is a spelling of layers, and the one that is stored."""
    try:
        return isinstance(layers, str) and canonical(layers) == layers
    except UsageError:
        return False


def layer_span(layers: Layers, *, model: str, top: int, vector_layer: int) -> LayerSpan:
    """Return the layers of a `model` with layers 1 to `top` that takes its vectors from `vector_layer`.

    Raises UsageError for layers that it does not have.
    """
    if count := _count(layers):
        if count > vector_layer:
            below = "" if vector_layer == top else " up to the one that `last` is (vector_layer in its config.json)"
            raise UsageError(
                f"--layers {layers} needs at least {count} layers; {model} has {vector_layer}{below}. {_choices(top)}"
            )
        return LayerSpan(vector_layer - count + 1, vector_layer)
    span = _span(layers)
    if span.last > top:
        raise UsageError(
            f"--layers {layers} asks for layer {span.last}; {model} has layers 1 to {top}. {_choices(top)}"
        )
    return span


def spelling_of(span: LayerSpan, *, vector_layer: int) -> Layers:
    """Return what an encoding stores: `last` or `last4` for what ends at `vector_layer`, as ever, else numbers.

    So the same vectors of a checkpoint have one spelling.
    """
    if span.last == vector_layer and span.first:
        return _last(len(span))
    return _in_numbers(span)


def in_a_name(layers: Layers) -> str:
    """Return the layers as a part of a name that SQL need not quote: `last4`, `layer5`, `layers3to6`."""
    if _count(layers):
        return layers
    span = _span(layers)
    return f"layer{span.last}" if len(span) == 1 else f"layers{span.first}to{span.last}"


def _count(text: str) -> int:
    """Return the number of layers that `lastN` is the mean of, 0 for another spelling."""
    found = _LAST.fullmatch(text)
    return 0 if found is None else int(found[1] or 1)


def _span(text: str) -> LayerSpan:
    found = _NUMBERS.fullmatch(text)
    if found is None:
        raise UsageError(f"--layers takes {SPELLINGS}; got {text[:40]!r}.")
    one, first, last = (None if number is None else int(number) for number in found.groups())
    span = LayerSpan(first or 0, last or 0) if one is None else LayerSpan(one, one)
    if span.first > span.last:
        raise UsageError(f"--layers {text} counts down. Write the lower layer first: mean:{span.last}-{span.first}.")
    return span


def _last(count: int) -> Layers:
    return "last" if count == 1 else f"last{count}"


def _in_numbers(span: LayerSpan) -> Layers:
    return str(span.last) if len(span) == 1 else f"mean:{span.first}-{span.last}"


def _choices(top: int) -> str:
    means = f" or their means, such as mean:1-{top}" if top > 1 else ""
    return f"Use --layers last, a number from 0 (the embeddings) to {top}{means}."
