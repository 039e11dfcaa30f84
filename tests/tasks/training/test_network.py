"""The network to train: heads and layers that a checkpoint lacks, blended weights, and the order head's loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.storage.errors import ModelError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.vectors import text_vectors
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.training.export import export
from polyseme.tasks.training.network import blend, forward, loss_sums, start_from
from polyseme.tasks.training.segment_pairs import NEXT, SWAPPED
from tests.conftest import MakeCheckpoint
from tests.tasks.training.small_training import CPU, objective


def test_missing_heads_are_initialised_and_the_body_is_kept(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint("BertModel")
    start = start_from(Checkpoint("bare", folder), seed=3)
    again = start_from(Checkpoint("bare", folder), seed=3)
    assert "MLM" in start.created
    assert "NSP" in start.created
    from safetensors.torch import load_file

    stored = load_file(folder / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(start.model.bert.state_dict()[name], stored[name])
    assert torch.equal(start.model.cls.seq_relationship.weight, again.model.cls.seq_relationship.weight)


def test_layers_are_added_above_the_vectors_and_change_no_logit_much_at_first(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """Wu et al. (2024): a new layer begins as one that passes its input through, so old heads stay of use."""
    start = start_from(Checkpoint("x", tiny_folder), seed=0, add_layers=2, order_head=True)
    assert start.created == ("order",)
    export(start.model, tmp_path / "out", tokenizer=tiny_folder, card="")
    engine, before = (Engine(EngineConfig(model=str(f), device="cpu")) for f in (tmp_path / "out", tiny_folder))
    assert (engine.checkpoint.vector_layer, engine.checkpoint.config["num_hidden_layers"]) == (5, 7)
    sentences = ["The bank raised its rate.", "They sat on the bank of the river."]
    one, two = (text_vectors(e, sentences) for e in (engine, before))
    np.testing.assert_allclose(one, two, atol=1e-2)
    assert engine.encoder.has_order
    (batch,) = objective(tiny_folder).step(0, 8)
    with torch.inference_mode():
        new = forward(start.model.eval(), batch, CPU, "fp32").tokens
        old = forward(start_from(Checkpoint("x", tiny_folder), seed=0).model.eval(), batch, CPU, "fp32").tokens
    assert torch.cosine_similarity(new, old).min() > 0.5


def test_the_order_head_learns_from_neighbours_alone(tiny_folder: Path) -> None:
    model = start_from(Checkpoint("x", tiny_folder), seed=0, order_head=True).model
    (batch,) = objective(tiny_folder, pairs=64).step(0, 64)
    output = forward(model, batch, CPU, "fp32")
    gradient = torch.autograd.grad(loss_sums(output, batch)[2], output.order)[0]
    judged = np.isin(batch.kind, (NEXT, SWAPPED))
    assert 0 < judged.sum() < len(judged)
    assert ((gradient.abs().sum(1) > 0).numpy() == judged).all()


def test_both_orders_weigh_the_same_however_few_pairs_are_swapped(tiny_folder: Path) -> None:
    """A head that knows nothing has its least loss at a margin of 0."""
    model = start_from(Checkpoint("x", tiny_folder), seed=0, order_head=True).model
    (batch,) = objective(tiny_folder, pairs=64).step(0, 64)
    in_order, swapped = (int((batch.kind == kind).sum()) for kind in (NEXT, SWAPPED))
    assert in_order > 2 * swapped > 0
    model.cls.order_relationship.weight.data.zero_()
    output = forward(model, batch, CPU, "fp32")
    loss = loss_sums(output, batch, swapped_weight=in_order / swapped)[2]
    (gradient,) = torch.autograd.grad(loss, model.cls.order_relationship.bias)
    torch.testing.assert_close(gradient, torch.zeros(2), atol=1e-4, rtol=0)


def test_two_models_are_blended_into_their_average_and_heads_are_kept(make_checkpoint: MakeCheckpoint) -> None:
    one, two = (start_from(Checkpoint("x", make_checkpoint()), seed=0).model for _ in range(2))
    with torch.no_grad():
        for parameter in two.parameters():
            parameter.mul_(-2)
    name, head = "bert.encoder.layer.3.output.dense.weight", "cls.seq_relationship.weight"
    before, kept = one.state_dict()[name].clone(), one.state_dict()[head].clone()
    blend(one, two.state_dict(), 0.25)
    torch.testing.assert_close(one.state_dict()[name], 0.75 * before + 0.25 * two.state_dict()[name])
    assert torch.equal(one.state_dict()[head], kept)
    other = start_from(Checkpoint("x", make_checkpoint(hidden_size=24)), seed=0).model
    with pytest.raises(ModelError, match="different shapes"):
        blend(one, other.state_dict(), 0.5)
