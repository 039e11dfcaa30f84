"""The packed forward pass equals that of transformers, token for token, and does not depend on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import Layers, Precision
from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import embedded_folder
from polyseme.tasks.model.encoded import Encoded
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.linear import runs_int8
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.sentences import split
from polyseme.tasks.text.windows import (
    SentencePairs,
    context_windows,
    pair_windows,
    paired_context_windows,
    sentence_windows,
)
from tests.conftest import MakeCheckpoint
from tests.frames import CASED, MINI
from tests.reference import assert_close, reference
from tests.repository import ROOT

Ids = npt.NDArray[np.int32]

LENGTHS = [1, 7, 7, 30, 2, 61, 7, 0, 13, 62]
PRECISIONS: list[Precision] = ["fp32", "int8"] if runs_int8(torch.device("cpu")) else ["fp32"]
SMALL = {"cased": True, "vocab_size": 300}
SHAPES = {
    "48 wide": {},
    "30 wide, relu": {"hidden_size": 30, "num_attention_heads": 5, "hidden_act": "relu"},
    "gelu_new, three token types": {"hidden_act": "gelu_new", "num_hidden_layers": 4, "type_vocab_size": 3},
    "one head, coarse norm": {"num_attention_heads": 1, "layer_norm_eps": 1e-3, "intermediate_size": 31},
}


def tokens(lengths: list[int], vocabulary: int = 300) -> tuple[Ids, Ints]:
    """Random token ids of sentences of these lengths, and the position of each sentence."""
    ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.random.default_rng(0).integers(5, vocabulary, int(ptr[-1])).astype(np.int32)
    return ids, ptr


def sentence(ids: Ids, ptr: Ints, i: int) -> list[int]:
    found: list[int] = ids[ptr[i] : ptr[i + 1]].tolist()
    return found


def neighbours(count: int) -> SentencePairs:
    first = np.arange(count - 1, dtype=np.int64)
    return SentencePairs(first, first + 1)


def encode(encoder: Encoder, ids: Ids, ptr: Ints, limit: int, frame: Frame = CASED) -> Encoded:
    windows = sentence_windows(ptr, range(len(ptr) - 1), limit, frame)
    return encoder.encode(ids, windows, sentences=len(ptr) - 1)


@pytest.mark.parametrize("layers", ["last", "last4"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_token_and_sentence_vectors_equal_transformers(
    make_checkpoint: MakeCheckpoint, shape: dict[str, object], layers: Layers
) -> None:
    folder = make_checkpoint(**SMALL, **shape)
    engine = Engine(EngineConfig(model=str(folder), device="cpu", layers=layers))
    ids, ptr = tokens(LENGTHS)
    encoded = encode(engine.encoder, ids, ptr, 64)
    means = sentence_vectors(encoded, ptr, "mean")
    for i in range(len(LENGTHS)):
        hidden = reference(folder).hidden(sentence(ids, ptr, i), last=4 if layers == "last4" else 1)
        assert_close(encoded.tokens[ptr[i] : ptr[i + 1]], hidden[1:-1])
        assert_close(encoded.first[i], hidden[0])
        assert_close(encoded.final[i], hidden[-1])
        assert_close(means[i], hidden.mean(0))


@pytest.mark.parametrize("head", ["BertModel", "BertForMaskedLM"])
def test_a_body_saved_under_another_head_gives_the_same_vectors(make_checkpoint: MakeCheckpoint, head: str) -> None:
    folder = make_checkpoint(head, **SMALL)
    encoded = encode(Engine(EngineConfig(model=str(folder), device="cpu")).encoder, *tokens([9]), 64)
    assert_close(encoded.tokens, reference(folder).hidden(tokens([9])[0].tolist())[1:-1])


@pytest.mark.parametrize("layers", ["last", "last4"])
def test_the_embedded_model_equals_transformers(mini: Engine, layers: Layers) -> None:
    engine = mini if layers == "last" else Engine(EngineConfig(device="cpu", layers=layers))
    ids, ptr = tokens([1, 25, 25, 110, 510, 3], vocabulary=30000)
    encoded = encode(engine.encoder, ids, ptr, 512, MINI)
    means = sentence_vectors(encoded, ptr, "mean")
    truth = reference(embedded_folder())
    for i in range(len(ptr) - 1):
        hidden = truth.hidden(sentence(ids, ptr, i), last=4 if layers == "last4" else 1)
        assert_close(encoded.tokens[ptr[i] : ptr[i + 1]], hidden[1:-1])
        assert_close(means[i], hidden.mean(0))


def test_the_heads_of_the_embedded_model_equal_transformers(mini: Engine) -> None:
    ids, ptr = tokens([1, 25, 110, 300, 420, 3], vocabulary=30000)
    windows, left_out = pair_windows(ptr, neighbours(6), 512, MINI)
    logits = mini.encoder.score_pairs(ids, windows)
    truth = reference(embedded_folder())
    assert left_out.tolist() == [0, 0, 0, 211, 0]
    for i in (0, 1, 2, 4):
        assert_close(logits[i, :2], truth.next_sentence(sentence(ids, ptr, i), sentence(ids, ptr, i + 1)))
    assert_close(logits[3, :2], truth.next_sentence(sentence(ids, ptr, 3)[-254:], sentence(ids, ptr, 4)[:255]))
    wanted = np.array([30, 60], dtype=np.int64)
    masked = mini.encoder.token_logits(ids, sentence_windows(ptr, [2], 512, MINI), wanted=wanted)
    assert_close(masked, truth.masked(sentence(ids, ptr, 2))[wanted - ptr[2]])


@pytest.mark.parametrize("length", [63, 100, 124, 125, 400])
def test_a_token_of_an_overlong_sentence_comes_from_its_most_central_window(
    foreign: Engine, foreign_folder: Path, length: int
) -> None:
    ids, ptr = tokens([length])
    windows = sentence_windows(ptr, range(1), 37, CASED)
    encoded = foreign.encoder.encode(ids, windows, sentences=1)
    centres = (windows.a_start + windows.a_stop - 1) / 2
    states = []
    for w in range(len(windows)):
        hidden = reference(foreign_folder).hidden(ids[windows.a_start[w] : windows.a_stop[w]].tolist())
        states.append(hidden)
        taken = slice(windows.take_start[w], windows.take_stop[w])
        offset = windows.a_start[w] - 1
        assert_close(encoded.tokens[taken], hidden[taken.start - offset : taken.stop - offset])
        for token in range(taken.start, taken.stop):
            assert abs(token - centres[w]) <= np.abs(token - centres).min() + 1
    assert_close(encoded.first[0], np.mean([hidden[0] for hidden in states], axis=0))
    assert_close(encoded.final[0], np.mean([hidden[-1] for hidden in states], axis=0))


def test_a_sentence_of_twenty_thousand_tokens_is_encoded_completely(foreign: Engine) -> None:
    ids, ptr = tokens([20_000])
    encoded = encode(foreign.encoder, ids, ptr, 37)
    assert np.isfinite(encoded.tokens).all()
    assert np.abs(encoded.tokens).max(axis=1).min() > 0
    assert np.isfinite(sentence_vectors(encoded, ptr, "mean")).all()


def test_next_sentence_logits_equal_transformers(foreign: Engine, foreign_folder: Path) -> None:
    ids, ptr = tokens([1, 7, 20, 30, 2, 14])
    pairs = SentencePairs(np.array([0, 1, 2, 3, 4, 5, 0]), np.array([1, 2, 5, 4, 5, 2, 3]))
    windows, left_out = pair_windows(ptr, pairs, 37, CASED)
    logits = foreign.encoder.score_pairs(ids, windows)
    assert not left_out.any()
    for row, (a, b) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        assert_close(
            logits[row, :2], reference(foreign_folder).next_sentence(sentence(ids, ptr, a), sentence(ids, ptr, b))
        )


def test_a_pair_over_the_limit_keeps_the_end_of_a_and_the_start_of_b(tiny: Engine, tiny_folder: Path) -> None:
    ids, ptr = tokens([50, 45, 5, 90])
    pairs = SentencePairs(np.array([0, 3, 2]), np.array([1, 2, 3]))
    windows, left_out = pair_windows(ptr, pairs, 64, MINI)
    logits = tiny.encoder.score_pairs(ids, windows)
    assert left_out.tolist() == [34, 34, 34]
    expected = [
        (sentence(ids, ptr, 0)[-30:], sentence(ids, ptr, 1)[:31]),
        (sentence(ids, ptr, 3)[-56:], sentence(ids, ptr, 2)),
        (sentence(ids, ptr, 2), sentence(ids, ptr, 3)[:56]),
    ]
    for row, (a, b) in enumerate(expected):
        assert_close(logits[row, :2], reference(tiny_folder).next_sentence(a, b))


@pytest.mark.parametrize("shape", [{}, {"tie_word_embeddings": False}], ids=["tied", "untied"])
def test_masked_lm_logits_equal_transformers(make_checkpoint: MakeCheckpoint, shape: dict[str, object]) -> None:
    folder = make_checkpoint(**SMALL, **shape)
    ids, ptr = tokens([20, 150])
    ids[[3, 11]] = 1
    wanted = np.array([11, 3], dtype=np.int64)
    encoder = Engine(EngineConfig(model=str(folder), device="cpu")).encoder
    logits = encoder.token_logits(ids, sentence_windows(ptr, range(2), 64, CASED), wanted=wanted)
    assert_close(logits, reference(folder).masked(sentence(ids, ptr, 0))[wanted])


@pytest.mark.parametrize("layers", ["last", "last4"])
def test_one_pass_over_pairs_gives_the_vectors_and_the_logits(make_checkpoint: MakeCheckpoint, layers: Layers) -> None:
    folder = make_checkpoint(**SMALL)
    encoder = Engine(EngineConfig(model=str(folder), device="cpu", layers=layers)).encoder
    ids, ptr = tokens([5, 9, 12, 50, 40, 0, 8])
    windows, left_out = paired_context_windows(ptr, neighbours(7), 7, 64, CASED)
    encoded = encoder.encode(ids, windows, sentences=7, pairs=6)
    assert_close(encoded.logits[:, :2], encoder.score_pairs(ids, pair_windows(ptr, neighbours(7), 64, CASED)[0])[:, :2])
    assert left_out.tolist() == [0, 0, 1, 29, 0, 0]
    last = 4 if layers == "last4" else 1

    def as_first(a: int, b: int) -> npt.NDArray[np.float32]:
        states = reference(folder).hidden(sentence(ids, ptr, a), sentence(ids, ptr, b), last=last)
        return states[1 : 1 + ptr[a + 1] - ptr[a]]

    assert_close(encoded.tokens[:5], as_first(0, 1))
    assert_close(encoded.tokens[5:14], as_first(1, 2))
    # Neither 2 nor 3 is first in a pair that fits: 2 is second in one, 3 is alone.
    assert_close(
        encoded.tokens[14:26], reference(folder).hidden(ids[5:14].tolist(), ids[14:26].tolist(), last=last)[11:-1]
    )
    assert_close(encoded.tokens[26:76], reference(folder).hidden(sentence(ids, ptr, 3), last=last)[1:-1])


def test_vectors_from_pairs_need_no_next_sentence_head(make_checkpoint: MakeCheckpoint) -> None:
    encoder = Engine(EngineConfig(model=str(make_checkpoint("BertModel", **SMALL)), device="cpu")).encoder
    ids, ptr = tokens([5, 9])
    windows, _ = paired_context_windows(ptr, neighbours(2), 2, 64, CASED)
    assert np.isfinite(encoder.encode(ids, windows, sentences=2).tokens).all()
    with pytest.raises(ModelError, match="no NSP head"):
        encoder.encode(ids, windows, sentences=2, pairs=1)


def test_context_windows_see_their_neighbours(foreign: Engine, foreign_folder: Path) -> None:
    ids, ptr = tokens([10, 12, 13, 30])
    windows = context_windows(ptr, [(0, 4)], 37, np.array([9, 9, 9, 0], np.uint64), CASED)
    encoded = foreign.encoder.encode(ids, windows, sentences=4)
    assert_close(encoded.tokens[:35], reference(foreign_folder).hidden(ids[:35].tolist())[1:-1])
    assert_close(encoded.tokens[35:], reference(foreign_folder).hidden(ids[35:].tolist())[1:-1])


@pytest.mark.parametrize("budget", [1, 64, 256, 4096])
@pytest.mark.parametrize("odd", [False, True], ids=["heads of 12", "heads of 6"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_bit_depends_on_the_batch_budget(
    make_checkpoint: MakeCheckpoint, foreign_folder: Path, budget: int, odd: bool, precision: Precision
) -> None:
    folder = foreign_folder if odd else make_checkpoint(**SMALL)
    ids, ptr = tokens(LENGTHS * 5)
    usual, other = (
        encode(
            Engine(EngineConfig(model=str(folder), device="cpu", budget=size, precision=precision)).encoder,
            ids,
            ptr,
            37,
        )
        for size in (1024, budget)
    )
    for name in ("tokens", "first", "final"):
        assert (getattr(usual, name) == getattr(other, name)).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_bit_of_the_embedded_model_depends_on_the_batch_or_its_order(mini: Engine, precision: Precision) -> None:
    """One unit in the last place of float16 is guaranteed; measured, every float32 bit is the same."""
    encoder = mini.encoder if precision == "fp32" else Engine(EngineConfig(device="cpu", precision=precision)).encoder
    lengths = [1, 3, 12, 25, 25, 26, 60, 200]
    ids, ptr = tokens(lengths, vocabulary=30000)
    together = encode(encoder, ids, ptr, 512, MINI)
    for i, length in enumerate(lengths):
        alone = encode(encoder, ids[ptr[i] : ptr[i + 1]], np.array([0, length]), 512, MINI)
        assert (alone.tokens == together.tokens[ptr[i] : ptr[i + 1]]).all()
        assert (alone.first[0] == together.first[i]).all()
    backwards = np.concatenate([ids[ptr[i] : ptr[i + 1]] for i in reversed(range(len(lengths)))])
    reordered = encode(encoder, backwards, np.concatenate([[0], np.cumsum(lengths[::-1])]), 512, MINI)
    assert (reordered.tokens[-lengths[0] :] == together.tokens[: lengths[0]]).all()
    assert (reordered.tokens[: lengths[-1]] == together.tokens[-lengths[-1] :]).all()


@pytest.mark.skipif("int8" not in PRECISIONS, reason="int8 runs on x86 CPUs")
def test_int8_vectors_of_real_sentences_are_close_to_the_exact_ones(mini: Engine) -> None:
    """Required: a mean cosine of .995 over tokens."""
    encoder = Engine(EngineConfig(device="cpu", precision="int8")).encoder
    folder = ROOT / "examples" / "corpus"
    text = " ".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.txt"))[:3])
    tokenized = mini.wordpiece.tokenize(text, split(text)[:60])
    exact, rough = (encode(e, tokenized.ids, tokenized.sentence_ptr, 512, MINI) for e in (mini.encoder, encoder))
    for name in ("tokens", "first", "final"):
        pair = (torch.from_numpy(getattr(encoded, name)) for encoded in (exact, rough))
        assert torch.cosine_similarity(*pair).mean() > 0.995


@pytest.mark.skipif("int8" not in PRECISIONS, reason="int8 runs on x86 CPUs")
def test_int8_scores_of_pairs_are_those_of_the_complete_last_layer(mini: Engine) -> None:
    """Computing only the `[CLS]` rows of the last layer gives the same as computing all rows."""
    encoder = Engine(EngineConfig(device="cpu", precision="int8")).encoder
    ids, ptr = tokens([5, 25, 40, 12], vocabulary=30000)
    windows, _ = paired_context_windows(ptr, neighbours(4), 4, 512, MINI)
    both = encoder.encode(ids, windows, sentences=4, pairs=3)
    scored = encoder.score_pairs(ids, pair_windows(ptr, neighbours(4), 512, MINI)[0])
    assert_close(both.logits[:, :2], scored[:, :2])


def test_the_caller_can_stop_between_batches(foreign: Engine) -> None:
    ids, ptr = tokens([20] * 400)
    ran: list[int] = []

    def stop(tokens: int) -> None:
        ran.append(tokens)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        foreign.encoder.encode(ids, sentence_windows(ptr, range(400), 37, CASED), sentences=400, on_batch=stop)
    assert ran == [1012]
    assert encode(foreign.encoder, ids, ptr, 37).tokens.shape == (8000, 30)


def test_a_model_with_three_layers_has_no_last_four(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint(num_hidden_layers=3, **SMALL)
    with pytest.raises(UsageError, match="at least 4 layers"):
        _ = Engine(EngineConfig(model=str(folder), device="cpu", layers="last4")).encoder
