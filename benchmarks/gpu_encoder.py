"""The encoder on a GPU: the rate of matrix products, utilisation, the cost of pairs, and correctness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from benchmarks.gpu_setting import Figure, NotMeasured, Setting
from benchmarks.machine import model_flops
from polyseme.storage.records import Precision
from polyseme.tasks.encode.masked_lm import Ids, Masking, token_surprisals, word_numbers
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.model.checkpoint import Checkpoint, embedded_folder
from polyseme.tasks.model.devices import DTYPES
from polyseme.tasks.model.encoded import Encoded
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.packed import PackedBatch
from polyseme.tasks.model.packing import pack
from polyseme.tasks.text.windows import (
    SentencePairs,
    Windows,
    batches,
    pair_windows,
    paired_context_windows,
    sentence_windows,
)

_ROWS = 16_384
_SQUARE = 8192
_WINDOW = 512
_PRECISIONS: dict[Precision, float] = {"bf16": 0.9995, "fp32": 1 - 1e-5}
"""The least cosine of a token's vector with that of the CPU in float32."""
_CHECKED = 200
"""Sentences whose vectors are compared with those of the CPU."""


def matrix_rate(setting: Setting) -> Iterator[Figure]:
    """The rate of matrix products, square and in the model's own shapes."""
    side, rows = (128, 256) if setting.tiny else (_SQUARE, _ROWS)
    large = _product_rate(setting, side, side, side)
    yield Figure(f"square product, {side}", large, "TFLOP/s")
    hidden, inner = setting.encoder.width, int(setting.checkpoint.config["intermediate_size"])
    for name, columns, depth in (
        ("query, key, value", 3 * hidden, hidden), ("attention's output", hidden, hidden),
        ("up", inner, hidden), ("down", hidden, inner),
    ):  # fmt: skip
        rate = _product_rate(setting, rows, columns, depth)
        yield Figure(f"{rows} rows, {name} ({depth} to {columns})", rate, "TFLOP/s")


def _product_rate(setting: Setting, rows: int, columns: int, depth: int) -> float:
    dtype = DTYPES[setting.precision]
    a = torch.randn(rows, depth, device=setting.device, dtype=dtype)
    b = torch.randn(depth, columns, device=setting.device, dtype=dtype)
    times = 2 if setting.tiny else 20

    def multiply() -> None:
        with torch.inference_mode():
            for _ in range(times):
                torch.mm(a, b)

    return times * 2 * rows * columns * depth / setting.timed(multiply, of=10) / 1e12


def utilisation(setting: Setting) -> Iterator[Figure]:
    """The encoder on full windows, compared with the square product."""
    encoder = setting.encoder
    count = 4 if setting.tiny else max(1, 2 * encoder.budget // _WINDOW)
    ptr = np.arange(count + 1, dtype=np.int64) * (_WINDOW - 2)
    ids = np.random.default_rng(0).integers(1000, 30_000, int(ptr[-1])).astype(np.int32)
    windows = sentence_windows(ptr, range(count), _WINDOW, setting.frame)
    forward, flops = forward_pass(setting, ids, windows, encoder.budget)
    tokens = int(windows.lengths.sum())
    seconds = setting.timed(forward, of=3)
    yield Figure("encoder", flops / seconds / 1e12, "TFLOP/s")
    yield Figure("encoder, of the square product", flops / seconds / 1e12 / square_rate(setting), "share", at_least=0.5)
    yield Figure("encoder", tokens / seconds, "tokens/s")

    def whole() -> None:
        encoder.encode_sentences(ids, windows, sentence_ptr=ptr, pooling="mean")

    yield Figure("and sentence vectors in this machine's memory", tokens / setting.timed(whole, of=3), "tokens/s")


def square_rate(setting: Setting) -> float:
    """Return the rate of the square product, TFLOP/s: what the encoder's rate is compared with."""
    side = 128 if setting.tiny else _SQUARE
    return _product_rate(setting, side, side, side)


def forward_pass(setting: Setting, ids: Ids, windows: Windows, budget: int) -> tuple[Callable[[], None], int]:
    """Return a function that encodes `windows` in batches of `budget` tokens packed beforehand, and its operations."""
    bert = setting.encoder.network
    packed = [pack(ids, windows, numbers, setting.device)[0] for numbers in batches(windows.lengths, budget)]

    def forward() -> None:
        with torch.inference_mode():
            for batch in packed:
                bert.vector_states(batch)

    return forward, model_flops(bert, windows)


def pairs(setting: Setting) -> Iterator[Figure]:
    """NSP and vectors from one pass over pairs (`--context pair`), compared with one pass for each."""
    encoder, text = setting.encoder, setting.text_for(setting.seconds / 20)
    ptr, count = text.sentence_ptr, len(text.sentences)
    near = SentencePairs(np.arange(count - 1), np.arange(1, count))
    limit, frame = encoder.max_tokens, setting.frame
    alone, scored = sentence_windows(ptr, range(count), limit, frame), pair_windows(ptr, near, limit, frame)
    both, left_out = paired_context_windows(ptr, near, count, limit, frame)

    def apart() -> None:
        encoder.encode_sentences(text.ids, alone, sentence_ptr=ptr, pooling="mean")
        encoder.score_pairs(text.ids, scored[0])

    def together() -> None:
        encoder.encode_sentences(text.ids, both, sentence_ptr=ptr, pooling="mean", pairs=len(left_out))

    apart_s, together_s = setting.timed(apart, of=2), setting.timed(together, of=2)
    yield Figure("a pass each", len(text.ids) / apart_s, "tokens/s")
    yield Figure("one pass", len(text.ids) / together_s, "tokens/s")
    yield Figure("one pass against two", apart_s / together_s, "times", at_least=1.3)


def correctness(setting: Setting) -> Iterator[Figure]:
    """The device's vectors, compared with the CPU's in float32 and with those of single-window batches.

    Of random weights, and of the embedded model where it is there.
    """
    yield from _compared(setting, setting.checkpoint, "")
    if not setting.tiny and (embedded_folder() / "model.safetensors").is_file():
        yield from _compared(setting, Checkpoint("polyseme-mini", embedded_folder()), "the embedded model, ")


def _compared(setting: Setting, checkpoint: Checkpoint, name: str) -> Iterator[Figure]:
    text = setting.text(1)
    ptr = text.sentence_ptr[: _CHECKED + 1]
    ids, count = text.ids[: ptr[-1]], len(ptr) - 1
    windows = sentence_windows(ptr, range(count), setting.encoder.max_tokens, setting.frame)
    cpu = setting.new_encoder(torch.device("cpu"), "fp32", checkpoint=checkpoint)
    truth = cpu.encode(ids, windows, sentences=count)
    for precision, bound in _PRECISIONS.items():
        encoder = setting.new_encoder(setting.device, precision, checkpoint=checkpoint)
        label = f"{name}{precision}"
        found = encoder.encode(ids, windows, sentences=count)
        short, _ = encoder.encode_sentences(ids, windows, sentence_ptr=ptr, pooling="mean")
        yield Figure(
            f"{label}: least cosine of a token with the CPU's", _least_cosine(found, truth), "", at_least=bound
        )
        summed = np.abs(sentence_vectors(found, ptr, "mean") - short).max()
        yield Figure(f"{label}: sentences summed on the device, difference", float(summed), "", at_most=2e-3)
        single = _one_by_one(encoder, ids, windows, count)
        yield Figure(f"{label}: alone or in a batch, least cosine", _least_cosine(found, single), "", at_least=bound)
        same = float((found.tokens == single.tokens).all(axis=1).mean())
        yield Figure(f"{label}: alone or in a batch, equal to the bit", same, "share of tokens")


def _one_by_one(encoder: Encoder, ids: Ids, windows: Windows, sentences: int) -> Encoded:
    budget, encoder.budget = encoder.budget, 1
    try:
        return encoder.encode(ids, windows, sentences=sentences)
    finally:
        encoder.budget = budget


def _least_cosine(a: Encoded, b: Encoded) -> float:
    found, truth = (torch.from_numpy(encoded.tokens).double() for encoded in (a, b))
    return float(torch.cosine_similarity(found, truth).min())


def memory(setting: Setting) -> Iterator[Figure]:
    """The token budget, its peak memory, and halving of batches with less memory."""
    text = setting.text(1 if setting.tiny else 2 * setting.encoder.budget)
    ptr, count = text.sentence_ptr, len(text.sentences)
    windows = sentence_windows(ptr, range(count), setting.encoder.max_tokens, setting.frame)
    yield Figure("budget found", setting.encoder.budget, "tokens a batch")
    cuda = setting.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else 0
    expected, _ = setting.encoder.encode_sentences(text.ids, windows, sentence_ptr=ptr, pooling="mean")
    peak = torch.cuda.max_memory_allocated() - before if cuda else 0
    if cuda:
        yield Figure("memory beside the model at the peak", peak / 2**30, "GiB")
        yield Figure("the same, of all there is", peak / torch.cuda.mem_get_info()[1], "share", at_most=0.9)
    small = setting.new_encoder(setting.device, setting.precision, budget=setting.encoder.budget)
    with _little_memory(setting, small, peak // 3):
        found, _ = small.encode_sentences(text.ids, windows, sentence_ptr=ptr, pooling="mean")
    apart = np.abs(found - expected).max()
    yield Figure("with a third of that: budget in the end", small.budget, "tokens a batch")
    yield Figure("with a third of that: vectors differ by", float(apart), "", at_most=0.05)
    if small.budget >= setting.encoder.budget:
        raise NotMeasured("the capped memory held a whole batch, so that nothing was halved")


@contextmanager
def _little_memory(setting: Setting, encoder: Encoder, free: int) -> Iterator[None]:
    """Limit free memory to `free` bytes. On other devices than CUDA, large batches raise the error instead."""
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + free) / total))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    forward = encoder.network.vector_states

    def refuse(batch: PackedBatch) -> torch.Tensor:
        if len(batch.ids) > encoder.max_tokens // 2:
            raise torch.OutOfMemoryError("out of memory (simulated)")
        return forward(batch)

    encoder.network.vector_states = refuse  # type: ignore[method-assign]
    yield


def likelihood(setting: Setting) -> Iterator[Figure]:
    """Pseudo-log-likelihood: one pass per token."""
    encoder = setting.encoder
    text = setting.text(1) if setting.tiny else setting.text_for(setting.seconds / 200)
    count = 8 if setting.tiny else len(text.sentences)
    ptr = text.sentence_ptr[: count + 1]
    windows = sentence_windows(ptr, range(count), encoder.max_tokens, setting.frame)
    words = word_numbers(text.word[: ptr[-1]], ptr)
    masking = Masking("within_word_l2r", setting.wordpiece.mask_id)

    def run() -> None:
        token_surprisals(encoder, text.ids[: ptr[-1]], windows, words, masking=masking)

    seconds = setting.timed(run)
    yield Figure("tokens scored", int(ptr[-1]) / seconds, "tokens/s")
    forward = int((windows.lengths * (windows.take_stop - windows.take_start)).sum())
    yield Figure("tokens run for that", forward / seconds, "tokens/s")
