"""A model without its upper layers is used only if its states are those of the whole model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from polyseme.tasks.model.lower_layers import States, without_upper_layers

COUNT = 4
X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """Layers one after another, and the states that transformers' models return."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.ModuleDict({"layer": nn.ModuleList(nn.Linear(5, 5) for _ in range(COUNT))})

    @property
    def layers(self) -> nn.ModuleList:
        found = self.inner["layer"]
        assert isinstance(found, nn.ModuleList)
        return found

    def forward(self, x: Tensor) -> States:
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


class Normed(Plain):
    """The last state is normalised."""

    def forward(self, x: Tensor) -> States:
        states = super().forward(x)
        return [*states[:-1], nn.functional.layer_norm(states[-1], (5,))]


class Scaled(Plain):
    """Each layer's output depends on how many layers there are."""

    def forward(self, x: Tensor) -> States:
        return [state / len(self.layers) for state in super().forward(x)]


class Counting(Plain):
    """Runs a number of layers of its own, and fails if there are fewer."""

    def forward(self, x: Tensor) -> States:
        return [self.layers[i](x) for i in range(COUNT)]


class Locked(Plain):
    """Cannot be copied."""

    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("cannot be copied")


@pytest.mark.parametrize(
    ("make", "top", "runs"),
    [
        (Plain, 0, 0), (Plain, 2, 2), (Plain, 3, 3), (Plain, 4, 4), (Normed, 0, 1), (Normed, 2, 3), (Normed, 3, 4),
        (Scaled, 2, 4), (Counting, 2, 4), (Locked, 2, 4),
    ],
)  # fmt: skip
def test_no_more_layers_run_than_give_the_states_of_the_whole_model(
    make: Callable[[], Plain], top: int, runs: int
) -> None:
    model = make()
    found = without_upper_layers(model, COUNT, top, lambda one: one(X))
    assert len(found.layers) == runs
    assert all(map(torch.equal, found(X)[: top + 1], model(X)))
    assert (found is model) is (runs == COUNT)
    assert len(model.layers) == COUNT


def test_the_copy_shares_the_weights() -> None:
    model = Plain()
    found = without_upper_layers(model, COUNT, 2, lambda one: one(X))
    assert {id(weight) for weight in found.parameters()} < {id(weight) for weight in model.parameters()}
