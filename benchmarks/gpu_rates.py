"""The encoder's rate on a GPU by sentence length and by token budget, and that of Next Sentence Prediction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.gpu_encoder import forward_pass, square_rate
from benchmarks.gpu_setting import Figure, Setting
from polyseme.tasks.text.windows import SentencePairs, pair_windows, sentence_windows

_LENGTHS = (16, 32, 64, 128, 256, 512)
_BUDGETS = (8_192, 16_384, 32_768, 65_536, 131_072)
_SPECIALS = 2
"""[CLS] and [SEP]."""


def rates(setting: Setting) -> Iterator[Figure]:
    """The forward pass alone, on windows of one length and on natural sentences, beside the square product."""
    encoder, peak = setting.encoder, square_rate(setting)
    parts = len(_LENGTHS) + len(_BUDGETS) + 2
    for length in (8, 16) if setting.tiny else _LENGTHS:
        count = 4 if setting.tiny else 2 * encoder.budget // length
        ptr = np.arange(count + 1, dtype=np.int64) * (length - _SPECIALS)
        ids = np.random.default_rng(0).integers(1000, 30_000, int(ptr[-1])).astype(np.int32)
        windows = sentence_windows(ptr, range(count), length, setting.frame)
        forward, flops = forward_pass(setting, ids, windows, encoder.budget)
        seconds = setting.timed(forward, of=parts)
        yield Figure(f"windows of {length} tokens", count * length / seconds, "tokens/s")
        yield Figure(f"windows of {length} tokens, of the square product", flops / seconds / 1e12 / peak, "share")
    text = setting.text(1 if setting.tiny else 4 * encoder.budget)
    windows = sentence_windows(text.sentence_ptr, range(len(text.sentences)), encoder.max_tokens, setting.frame)
    forward, flops = forward_pass(setting, text.ids, windows, encoder.budget)
    share = flops / setting.timed(forward, of=parts) / 1e12 / peak
    yield Figure("natural sentences, of the square product", share, "share", at_least=0.35)
    for budget in (64, 128) if setting.tiny else _BUDGETS:
        forward, _ = forward_pass(setting, text.ids, windows, budget)
        rate = int(windows.lengths.sum()) / setting.timed(forward, of=parts)
        yield Figure(f"natural sentences in batches of {budget:,} tokens", rate, "tokens/s")


def next_sentence(setting: Setting) -> Iterator[Figure]:
    """NSP over all neighbouring sentences, from token ids to logits in this machine's memory."""
    encoder, text = setting.encoder, setting.text_for(setting.seconds / 20)
    count = len(text.sentences)
    near = SentencePairs(np.arange(count - 1), np.arange(1, count))
    windows, _ = pair_windows(text.sentence_ptr, near, encoder.max_tokens, setting.frame)
    seconds = setting.timed(lambda: encoder.score_pairs(text.ids, windows))
    yield Figure("pairs scored", (count - 1) / seconds, "pairs/s")
    yield Figure("tokens run for that", int(windows.lengths.sum()) / seconds, "tokens/s")
