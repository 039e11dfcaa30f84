"""Every family's packed pass equals transformers' own forward, and no bit of it depends on the batch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from polyseme.storage.records import Layers, Precision
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.encoded import Encoded
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.linear import runs_int8
from polyseme.tasks.text.windows import SentencePairs, paired_context_windows, sentence_windows
from tests.random_models import KINDS, VOCABULARY, Kind, save_random
from tests.reference import assert_close, one_thread

CPU = torch.device("cpu")
FAMILIES = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
PRECISIONS: list[Precision] = ["fp32", "int8"] if runs_int8(CPU) else ["fp32"]


def tokens(lengths: list[int]) -> tuple[npt.NDArray[np.int32], Ints]:
    ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.random.default_rng(0).integers(5, VOCABULARY, int(ptr[-1])).astype(np.int32), ptr


def encoder(folder: Path, layers: Layers = "last", *, precision: Precision = "fp32", budget: int = 256) -> Encoder:
    checkpoint = Checkpoint("random", folder)
    return Encoder(checkpoint, device=CPU, layers=layers, precision=precision, budget=budget)


def encode(folder: Path, kind: Kind, lengths: list[int], layers: Layers = "last", **options: Any) -> Encoded:
    ids, ptr = tokens(lengths)
    windows = sentence_windows(ptr, range(len(lengths)), kind.limit, kind.frame)
    return encoder(folder, layers, **options).encode(ids, windows, sentences=len(lengths))


@cache
def model(folder: Path, head: str) -> Any:
    return getattr(transformers, head).from_pretrained(folder, dtype=torch.float32).eval()


def output(folder: Path, head: str, ids: list[int], types: list[int]) -> Any:
    options = {"token_type_ids": torch.tensor([types])} if any(types) else {}
    with torch.inference_mode(), one_thread():
        return model(folder, head)(torch.tensor([ids]), output_hidden_states=True, **options)


def states(
    folder: Path, kind: Kind, first: Ints, second: Ints | None = None, *, last: int = 1, of: slice | None = None
) -> Floats:
    """`(tokens, hidden)`, special tokens included: the mean of the last `last` hidden states of transformers, or of
    those that `of` takes."""
    frame = kind.frame
    ids = [*frame.before, *first.tolist()]
    types = [0] * len(ids)
    if second is not None:
        types += [0] * len(frame.between) + [frame.second_type] * (len(second) + len(frame.after))
        ids += [*frame.between, *second.tolist()]
    else:
        types += [0] * len(frame.after)
    hidden = output(folder, "AutoModel", [*ids, *frame.after], types).hidden_states[of or slice(-last, None)]
    mean: Floats = torch.stack(hidden).mean(0)[0].numpy()
    return mean


@pytest.mark.parametrize("other", [False, True], ids=["usual", "other"])
@pytest.mark.parametrize(("layers", "last"), [("last", 1), ("last4", 4)])
@FAMILIES
def test_vectors_equal_transformers(tmp_path: Path, kind: Kind, layers: Layers, last: int, other: bool) -> None:
    folder = save_random(tmp_path, kind, **(kind.other if other else {}))
    most = kind.limit - 2
    lengths = [1, 2, 7, 7, most, 30, most - 1, 0, 13, 21, 22, 23, 12]
    found, (ids, ptr) = encode(folder, kind, lengths, layers), tokens(lengths)
    for i in range(len(lengths)):
        hidden = states(folder, kind, ids[ptr[i] : ptr[i + 1]], last=last)
        assert_close(found.tokens[ptr[i] : ptr[i + 1]], hidden[1:-1])
        assert_close(found.first[i], hidden[0])
        assert_close(found.final[i], hidden[-1])


@FAMILIES
def test_two_segments_have_the_vectors_that_transformers_gives_them(tmp_path: Path, kind: Kind) -> None:
    folder = save_random(tmp_path, kind)
    ids, ptr = tokens([9, 11, 5])
    pairs = SentencePairs(np.array([0, 1]), np.array([1, 2]))
    windows, left_out = paired_context_windows(ptr, pairs, 3, kind.limit, kind.frame)
    found = encoder(folder).encode(ids, windows, sentences=3)
    assert not left_out.any()
    before, between = len(kind.frame.before), len(kind.frame.between)
    for a, b, part in ((0, 1, slice(0, 9)), (1, 2, slice(9, 20))):
        hidden = states(folder, kind, ids[ptr[a] : ptr[a + 1]], ids[ptr[b] : ptr[b + 1]])
        assert_close(found.tokens[part], hidden[before : before + part.stop - part.start])
    assert_close(found.tokens[20:], hidden[before + 11 + between :][:5])


@pytest.mark.parametrize("precision", PRECISIONS)
@FAMILIES
def test_no_bit_depends_on_the_batch(tmp_path: Path, kind: Kind, precision: Precision) -> None:
    folder = save_random(tmp_path, kind)
    lengths = [1, 3, 12, 25, 25, 26, 30, kind.limit - 2, 7, 7, 7]
    together = encode(folder, kind, lengths, precision=precision, budget=1024)
    apart = encode(folder, kind, lengths, precision=precision, budget=1)
    for name in ("tokens", "first", "final"):
        assert (getattr(together, name) == getattr(apart, name)).all()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@FAMILIES
def test_masked_lm_logits_equal_transformers(tmp_path: Path, kind: Kind, tied: bool) -> None:
    folder = save_random(tmp_path, kind, "ForMaskedLM", tie_word_embeddings=tied)
    ids, ptr = tokens([20, 9])
    wanted = np.array([3, 11, 25], dtype=np.int64)
    windows = sentence_windows(ptr, range(2), kind.limit, kind.frame)
    loaded = encoder(folder)
    assert (loaded.has_mlm, loaded.has_nsp) == (True, False)
    found = loaded.token_logits(ids, windows, wanted=wanted)
    for s, rows in ((0, [0, 1]), (1, [2])):
        sequence = [*kind.frame.before, *ids[ptr[s] : ptr[s + 1]].tolist(), *kind.frame.after]
        logits = output(folder, "AutoModelForMaskedLM", sequence, []).logits[0].numpy()
        assert_close(found[rows], logits[wanted[rows] - ptr[s] + 1])


@FAMILIES
def test_surprisals_are_those_of_the_logits(tmp_path: Path, kind: Kind) -> None:
    """They compute one row of the top layer per window."""
    loaded = encoder(save_random(tmp_path, kind, "ForMaskedLM"))
    ids, ptr = tokens([20, 9])
    windows = sentence_windows(ptr, range(2), kind.limit, kind.frame)
    logits = torch.from_numpy(loaded.token_logits(ids, windows, wanted=np.array([3, 25])))
    found = loaded.surprisals(ids, windows, at=np.array([3, 5]), targets=np.array([7, 8], np.int32))
    expected = -torch.log_softmax(logits, 1)[[0, 1], [7, 8]]
    assert_close(found, expected.numpy())


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM", "ForTokenClassification"])
@FAMILIES
def test_a_body_is_found_under_any_head_and_in_many_files(tmp_path: Path, kind: Kind, head: str) -> None:
    one = save_random(tmp_path / "one", kind, head)
    many = save_random(tmp_path / "many", kind, head, shard="10KB")
    assert len(list(many.glob("*.safetensors"))) > 3
    first, second = (encode(folder, kind, [9, 20]).tokens for folder in (one, many))
    assert (first == second).all()
    ids, _ = tokens([9])
    assert_close(first[:9], states(one, kind, ids)[1:-1])


@pytest.mark.skipif("int8" not in PRECISIONS, reason="int8 runs on x86 CPUs")
@FAMILIES
def test_int8_is_close(tmp_path: Path, kind: Kind) -> None:
    """Of random weights, which are harder to round than trained ones."""
    folder = save_random(tmp_path, kind)
    exact, rough = (torch.from_numpy(encode(folder, kind, [9, 30], precision=p).tokens) for p in ("fp32", "int8"))
    assert torch.cosine_similarity(exact, rough).mean() > 0.98


@FAMILIES
def test_bfloat16_is_close(tmp_path: Path, kind: Kind) -> None:
    folder = save_random(tmp_path, kind)
    exact, rough = (torch.from_numpy(encode(folder, kind, [9, 30], precision=p).tokens) for p in ("fp32", "bf16"))
    assert torch.cosine_similarity(exact, rough).mean() > 0.98


def test_the_order_head_of_albert_gives_the_margin_alone(tmp_path: Path) -> None:
    kind = KINDS["albert"]
    folder = save_random(tmp_path, kind, "ForPreTraining")
    loaded = encoder(folder)
    assert (loaded.has_nsp, loaded.has_mlm, loaded.has_order) == (False, True, True)
    ids, _ = tokens([9, 7])
    sequence = [*kind.frame.before, *ids[:9].tolist(), 3, *ids[9:].tolist(), 3]
    logits = output(folder, "AlbertForPreTraining", sequence, [0] * 11 + [1] * 8).sop_logits[0]
    state = torch.from_numpy(states(folder, kind, ids[:9], ids[9:])[:1])
    with torch.inference_mode():
        scores = loaded.network.pair_scores(state)[0]
    assert scores[:2].isnan().all()
    assert_close(scores[2:].numpy(), (logits[:1] - logits[1:]).numpy())


@pytest.mark.parametrize("layers", ["last", "last4"])
def test_the_discriminator_of_electra_gives_the_logit_of_transformers_whatever_the_batch(
    tmp_path: Path, layers: Layers
) -> None:
    kind = KINDS["electra"]
    folder = save_random(tmp_path, kind, "ForPreTraining")
    lengths = [9, 1, 30, 30, 7, 39, 0]
    ids, ptr = tokens(lengths)
    windows = sentence_windows(ptr, range(len(lengths)), kind.limit, kind.frame)
    loaded, alone = (encoder(folder, layers, budget=budget) for budget in (1024, 1))
    assert (loaded.has_discriminator, loaded.has_mlm, loaded.has_order) == (True, False, False)
    found, apart = (made.encode(ids, windows, sentences=len(lengths), replaced=True) for made in (loaded, alone))
    assert found.replaced is not None
    assert (found.replaced == apart.replaced).all()
    plain = loaded.encode(ids, windows, sentences=len(lengths))
    assert plain.replaced is None
    assert (plain.tokens == found.tokens).all()
    for i in range(len(lengths)):
        sequence = [*kind.frame.before, *ids[ptr[i] : ptr[i + 1]].tolist(), *kind.frame.after]
        logits = output(folder, "ElectraForPreTraining", sequence, []).logits[0].numpy()
        assert_close(found.replaced[ptr[i] : ptr[i + 1]], logits[1:-1])


def test_a_generator_of_electra_has_no_discriminator(tmp_path: Path) -> None:
    assert not encoder(save_random(tmp_path, KINDS["electra"], "ForMaskedLM")).has_discriminator
