"""The packed forward pass: the result for a sequence does not depend on the other sequences of its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.activations import ACT2FN

from polyseme.storage.records import Layers
from polyseme.tasks.engine import Engine
from polyseme.tasks.model.activations import activation_named
from polyseme.tasks.model.bert import PackedBert
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.linear import Dense, Linear
from polyseme.tasks.model.packed import Network, PackedBatch
from polyseme.tasks.model.weights import load_weights
from tests.reference import one_thread

LENGTHS = st.lists(st.integers(2, 37), min_size=1, max_size=12).map(lambda lengths: sorted(lengths, reverse=True))


def packed(sequences: list[list[int]]) -> PackedBatch:
    """Sequences of ids, longest first, all of token type 0."""
    lengths = [len(sequence) for sequence in sequences]
    ids = torch.tensor([i for sequence in sequences for i in sequence])
    return PackedBatch(
        ids=ids,
        types=torch.zeros_like(ids),
        positions=torch.cat([torch.arange(length) for length in lengths]),
        groups=tuple((lengths.count(length), length) for length in sorted(set(lengths), reverse=True)),
        starts=torch.tensor([0, *np.cumsum(lengths)[:-1]]),
        bounds=torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32),
    )


def sequences(lengths: list[int]) -> list[list[int]]:
    random = np.random.default_rng(0)
    return [random.integers(5, 140, length).tolist() for length in lengths]


@cache
def loaded(checkpoint: Checkpoint, layers: Layers) -> Network:
    return Encoder(checkpoint, device=torch.device("cpu"), layers=layers).network


@pytest.fixture(autouse=True)
def as_in_a_batch_pool() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def bert(foreign: Engine) -> PackedBert:
    network = foreign.encoder.network
    assert isinstance(network, PackedBert)
    return network


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=LENGTHS, layers=st.sampled_from(["last", "last2", "last4", "0", "3", "mean:0-4", "mean:1-2"]))
@torch.inference_mode()
def test_a_sequence_has_the_same_states_alone_and_in_a_batch(
    foreign: Engine, lengths: list[int], layers: Layers
) -> None:
    found, network = sequences(lengths), loaded(foreign.checkpoint, layers)
    rows = network.vector_states(packed(found))
    for sequence, part in zip(found, torch.split(rows, lengths), strict=True):
        alone = network.vector_states(packed([sequence]))
        assert (part == alone).all()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=LENGTHS)
@torch.inference_mode()
def test_first_states_are_the_first_rows_of_the_hidden_states(foreign: Engine, lengths: list[int]) -> None:
    batch = packed(sequences(lengths))
    whole = foreign.encoder.network.hidden_states(batch)[batch.starts]
    torch.testing.assert_close(foreign.encoder.network.first_states(batch), whole, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_attention_ends_where_the_sequence_ends(bert: PackedBert) -> None:
    first, second = sequences([9, 9])
    before = bert.hidden_states(packed([first, second]))
    after = bert.hidden_states(packed([first, [*second[:-1], 7]]))
    assert (before[:9] == after[:9]).all()
    assert (before[9:] != after[9:]).any(dim=1).all()


def test_layers_hold_their_weights_once(bert: PackedBert) -> None:
    per_layer = 4 * 30 * 30 + 2 * 30 * 70 + 9 * 30 + 70
    held = sum(
        tensor.numel()
        for layer in bert.layers
        for field in (getattr(layer, name) for name in layer.__slots__)
        for tensor in (field if isinstance(field, tuple) else (field.weight, field.bias))
    )
    assert held == 4 * per_layer
    assert not any(".layer." in name for name in bert._w)


@pytest.mark.parametrize("head", ["pair_scores", "masked_lm_logits"])
@torch.inference_mode()
def test_no_bit_of_a_head_depends_on_how_many_rows_it_has(mini: Engine, tiny: Engine, head: str) -> None:
    for engine in (mini, tiny):
        states = torch.randn(40, engine.spec.width, generator=torch.Generator().manual_seed(0))
        logits = getattr(engine.encoder.network, head)
        together = logits(states)
        for count in range(1, 40):
            assert logits(states[:count]).equal(together[:count]) or torch.equal(
                logits(states[:count])[:, :2], together[:count, :2]
            ), count


def test_a_batch_whose_groups_do_not_add_up_cannot_be_made() -> None:
    four, two, one = (torch.zeros(count, dtype=torch.int64) for count in (4, 2, 1))
    with pytest.raises(ValueError, match="describe 3 tokens, ids hold 4"):
        PackedBatch(ids=four, types=four, positions=four, groups=((1, 3),), starts=one, bounds=two)
    with pytest.raises(ValueError, match="1 sequence starts given"):
        PackedBatch(ids=four, types=four, positions=four, groups=((2, 2),), starts=one, bounds=two)


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu", "tanh"])
def test_activations_are_those_of_transformers(name: str) -> None:
    values = torch.linspace(-9, 9, 1001)
    assert (activation_named(name)(values) == ACT2FN[name](values)).all()


def rebuilt(engine: Engine, dtype: torch.dtype, linear: Callable[[Tensor, Tensor], Linear] = Dense.of) -> PackedBert:
    config = engine.checkpoint.config
    return PackedBert(
        load_weights(engine.checkpoint).tensors,
        heads=config["num_attention_heads"],
        eps=config["layer_norm_eps"],
        activation=activation_named(config["hidden_act"]),
        dtype=dtype,
        device=torch.device("cpu"),
        linear=linear,
    )


@dataclass(frozen=True)
class Watched:
    """A linear map that prefers multiples of seven rows, and records how many it got."""

    dense: Dense
    rows_step: ClassVar[int] = 7
    seen: ClassVar[set[int]] = set()

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Watched:
        return cls(Dense.of(weight, bias))

    @property
    def size(self) -> int:
        return self.dense.size

    def columns(self, start: int, stop: int | None) -> Watched:
        return Watched(self.dense.columns(start, stop))

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.add(len(x))
        return self.dense(x)


@torch.inference_mode()
def test_linear_maps_get_the_number_of_rows_they_prefer_and_added_rows_change_nothing(foreign: Engine) -> None:
    batch = packed(sequences([20, 20, 5]))
    plain, watched = foreign.encoder.network, rebuilt(foreign, torch.float32, Watched.of)
    for rows in ("hidden_states", "first_states"):
        torch.testing.assert_close(getattr(watched, rows)(batch), getattr(plain, rows)(batch))
    assert Watched.seen == {49, 7}


@torch.inference_mode()
def test_bfloat16_states_are_close_to_float32(foreign: Engine) -> None:
    """bfloat16 has eight significant bits: the direction of a vector changes a little."""
    half = rebuilt(foreign, torch.bfloat16)
    batch = packed(sequences([20, 20, 5]))
    exact, rough = (bert.hidden_states(batch).float() for bert in (foreign.encoder.network, half))
    assert torch.cosine_similarity(exact, rough).min() > 0.99
