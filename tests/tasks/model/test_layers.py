"""Vectors of any layer: the hidden states of transformers, from a pass that ends with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Layers, Precision
from polyseme.tasks.model.encoded import Encoded
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.generic import GenericNetwork
from polyseme.tasks.model.packed import PackedEncoder
from polyseme.tasks.text.windows import SentencePairs, pair_windows, paired_context_windows, sentence_windows
from tests.conftest import MakeCheckpoint
from tests.frames import MINI
from tests.random_models import KINDS, Kind, save_random
from tests.reference import assert_close, reference
from tests.tasks.model import test_generic
from tests.tasks.model.test_families import PRECISIONS, encode, encoder, output, states, tokens

OF: dict[Layers, slice] = {
    "0": slice(0, 1), "1": slice(1, 2), "3": slice(3, 4), "mean:2-3": slice(2, 4), "mean:0-2": slice(0, 3),
    "mean:0-4": slice(0, 5), "last2": slice(-2, None),
}  # fmt: skip
"""Layers, and which of transformers' hidden states they are."""
LAYERS = pytest.mark.parametrize(("layers", "of"), OF.items(), ids=OF)
FAMILIES = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
GENERIC = pytest.mark.parametrize("kind", test_generic.KINDS.values(), ids=test_generic.KINDS)
LENGTHS = [1, 7, 7, 30, 0, 13]
PTR = np.array([0, 7, 12, 40, 60], dtype=np.int64)
IDS = np.random.default_rng(0).integers(110, 30_000, int(PTR[-1])).astype(np.int32)
NEAR = SentencePairs(np.arange(3), np.arange(1, 4))


def assert_equal_to_transformers(found: Encoded, folder: Path, kind: Kind, of: slice) -> None:
    ids, ptr = tokens(LENGTHS)
    for i in range(len(LENGTHS)):
        hidden = states(folder, kind, ids[ptr[i] : ptr[i + 1]], of=of)
        assert_close(found.tokens[ptr[i] : ptr[i + 1]], hidden[1:-1])
        assert_close(found.first[i], hidden[0])
        assert_close(found.final[i], hidden[-1])


@contextmanager
def counted(loaded: Encoder) -> Iterator[list[int]]:
    """Note each layer that runs, 1 for each batch."""
    ran, network = list[int](), loaded.network
    assert isinstance(network, PackedEncoder)
    layer_output = network.layer_output

    def noting(layer: Any, *rest: Any) -> Any:
        ran.append(1)
        return layer_output(layer, *rest)

    network.layer_output = noting  # type: ignore[method-assign]
    yield ran
    network.layer_output = layer_output  # type: ignore[method-assign]


@pytest.mark.parametrize("other", [False, True], ids=["usual", "other"])
@LAYERS
@FAMILIES
def test_vectors_equal_the_hidden_states_of_transformers(
    tmp_path: Path, kind: Kind, layers: Layers, of: slice, other: bool
) -> None:
    folder = save_random(tmp_path, kind, **(kind.other if other else {}))
    assert_equal_to_transformers(encode(folder, kind, LENGTHS, layers), folder, kind, of)


@LAYERS
@GENERIC
def test_so_do_those_of_models_that_transformers_runs(tmp_path: Path, kind: Kind, layers: Layers, of: slice) -> None:
    folder = save_random(tmp_path, kind)
    assert_equal_to_transformers(encode(folder, kind, LENGTHS, layers), folder, kind, of)


@FAMILIES
def test_the_top_layer_by_its_number_is_last_to_the_bit(tmp_path: Path, kind: Kind) -> None:
    folder = save_random(tmp_path, kind)
    last, top = (encode(folder, kind, LENGTHS, layers) for layers in ("last", str(kind.layers)))
    assert (last.tokens == top.tokens).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layers", ["0", "2", "mean:1-3"])
@FAMILIES
def test_no_bit_depends_on_the_batch(tmp_path: Path, kind: Kind, layers: Layers, precision: Precision) -> None:
    folder = save_random(tmp_path, kind)
    lengths = [1, 3, 12, 25, 25, 26, 30, kind.limit - 2, 7, 7, 7]
    together, apart = (
        encode(folder, kind, lengths, layers, precision=precision, budget=budget) for budget in (1024, 1)
    )
    for name in ("tokens", "first", "final"):
        assert (getattr(together, name) == getattr(apart, name)).all()


@pytest.mark.parametrize(("layers", "run"), [("0", 0), ("2", 2), ("mean:1-3", 3), ("last", 5)])
@FAMILIES
def test_layers_above_those_asked_for_are_not_run(tmp_path: Path, kind: Kind, layers: Layers, run: int) -> None:
    ids, ptr = tokens([9])
    loaded = encoder(save_random(tmp_path, kind), layers)
    with counted(loaded) as ran:
        loaded.encode(ids, sentence_windows(ptr, range(1), kind.limit, kind.frame), sentences=1)
    assert len(ran) == run


@pytest.mark.parametrize(("layers", "run"), [("1", 1), ("mean:2-3", 3)])
@GENERIC
def test_so_it_is_with_models_that_transformers_runs(tmp_path: Path, kind: Kind, layers: Layers, run: int) -> None:
    ids, ptr = tokens([9])
    loaded = encoder(save_random(tmp_path, kind), layers)
    assert isinstance(loaded.network, GenericNetwork)
    ran = list[str]()
    for name, module in loaded.network._lower.named_modules():
        if name.rpartition(".")[2].isdecimal():
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    loaded.encode(ids, sentence_windows(ptr, range(1), kind.limit, kind.frame), sentences=1)
    assert len(ran) in (run, run + 1)


@pytest.fixture(scope="module")
def folder(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint(num_hidden_layers=6, vector_layer=4)


BERT_OF = OF | {"last2": slice(3, 5), "last": slice(4, 5), "4": slice(4, 5), "6": slice(6, 7), "mean:3-6": slice(3, 7)}


def sentence(i: int) -> list[int]:
    return IDS[PTR[i] : PTR[i + 1]].tolist()


@pytest.mark.parametrize(("layers", "of"), BERT_OF.items(), ids=BERT_OF)
def test_numbers_count_all_layers_and_heads_read_the_top(folder: Path, layers: Layers, of: slice) -> None:
    """Below, at and above the layer that `last` is."""
    ours, truth = encoder(folder, layers), reference(folder)
    encoded = ours.encode(IDS, sentence_windows(PTR, range(4), 64, MINI), sentences=4)
    scores = ours.score_pairs(IDS, pair_windows(PTR, NEAR, 64, MINI)[0])
    for i in range(4):
        assert_close(encoded.tokens[PTR[i] : PTR[i + 1]], truth.hidden(sentence(i), of=of)[1:-1])
    for i in range(3):
        assert_close(scores[i, :2], truth.next_sentence(sentence(i), sentence(i + 1)))
    found = ours.token_logits(IDS, sentence_windows(PTR, range(4), 64, MINI), wanted=np.array([9]))
    assert_close(found, truth.masked(sentence(1))[[2]])


@pytest.mark.parametrize(("layers", "of"), BERT_OF.items(), ids=BERT_OF)
def test_one_pass_over_pairs_gives_the_vectors_of_the_layer_and_the_scores_of_the_top(
    folder: Path, layers: Layers, of: slice
) -> None:
    ours = encoder(folder, layers, budget=10_000)
    windows, _ = paired_context_windows(PTR, NEAR, 4, 64, MINI)
    with counted(ours) as ran:
        both = ours.encode(IDS, windows, sentences=4, pairs=3)
    assert len(ran) in (5, 6)  # the top layer computes the first rows only, unless the vectors are its own
    for i in range(3):
        assert_close(both.logits[i, :2], reference(folder).next_sentence(sentence(i), sentence(i + 1)))
    assert_close(both.tokens[:7], reference(folder).hidden(sentence(0), sentence(1), of=of)[1:8])


def test_the_discriminator_of_electra_reads_the_top(tmp_path: Path) -> None:
    kind = KINDS["electra"]
    folder = save_random(tmp_path, kind, "ForPreTraining")
    ids, ptr = tokens([9])
    found = encoder(folder, "2").encode(
        ids, sentence_windows(ptr, range(1), kind.limit, kind.frame), sentences=1, replaced=True
    )
    sequence = [*kind.frame.before, *ids.tolist(), *kind.frame.after]
    assert found.replaced is not None
    assert_close(found.replaced, output(folder, "ElectraForPreTraining", sequence, []).logits[0, 1:-1].numpy())
    assert_close(found.tokens, states(folder, kind, ids, of=slice(2, 3))[1:-1])


@pytest.mark.parametrize("layers", ["6", "mean:3-6", "last6"])
def test_a_layer_that_a_model_lacks_is_refused(tmp_path: Path, layers: Layers) -> None:
    with pytest.raises(UsageError, match=r"random has (layers 1 to )?5\b"):
        encoder(save_random(tmp_path, KINDS["roberta"]), layers)
