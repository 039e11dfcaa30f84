"""Predictions for a few texts: next sentence, candidates for masks, and the surprisal of each token.

Texts are normalised like documents (NFC), and contain no special tokens but [MASK] in `fill_masks`. For corpora use
`Engine.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polyseme.storage.errors import UsageError
from polyseme.storage.records import PllVariant
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.masked_lm import Masking, token_surprisals, word_numbers
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.texts import tokenize_texts
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.windows import SentencePairs, pair_windows, sentence_windows


@dataclass(frozen=True, slots=True)
class NextSentence:
    """The NSP of one pair. `margin` is logit_is_next - logit_not_next; `n_truncated` tokens did not fit the window."""

    probability: float
    margin: float
    logit_is_next: float
    logit_not_next: float
    n_truncated: int


@dataclass(frozen=True, slots=True)
class MaskCandidate:
    """One candidate for one mask. `mask` counts from 0; `text` is the prompt with this mask filled."""

    mask: int
    rank: int
    token: str
    token_id: int
    probability: float
    text: str


@dataclass(frozen=True, slots=True)
class Surprisal:
    """One token of a text with its character span and its -log p, in nats."""

    token: str
    char_start: int
    char_end: int
    surprisal: float


def next_sentence(
    engine: Engine, pairs: Sequence[tuple[str, str]], *, on_batch: Callable[[int], None] = lambda tokens: None
) -> list[NextSentence]:
    """Score each pair, in order. Raises ModelError without an NSP head."""
    tokenized = tokenize_texts(engine.wordpiece, [text for pair in pairs for text in pair])
    first = np.arange(0, len(tokenized.texts), 2, dtype=np.int64)
    windows, left_out = pair_windows(
        tokenized.ptr, SentencePairs(first, first + 1), engine.spec.max_tokens, engine.frame
    )
    engine.in_lane(lambda encoder: encoder.require("NSP"))
    logits = engine.in_lane(lambda encoder: encoder.score_pairs(tokenized.ids, windows, on_batch=on_batch))
    margins = logits[:, 0] - logits[:, 1]
    return [
        NextSentence(float(_sigmoid(margin)), float(margin), float(yes), float(no), int(out))
        for margin, (yes, no), out in zip(margins, logits[:, :2], left_out, strict=True)
    ]


def surprisals(
    engine: Engine,
    texts: Sequence[str],
    *,
    variant: PllVariant = "within_word_l2r",
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> list[list[Surprisal]]:
    """Return the tokens of each text with their surprisals, in order. Raises ModelError without an MLM head.

    A text is treated as one sentence; beyond the model's limit each token is scored in the window in which it is most
    central.
    """
    tokenized = tokenize_texts(engine.wordpiece, texts)
    words = word_numbers(np.concatenate([d.word for d in tokenized.documents]), tokenized.ptr)
    windows = sentence_windows(tokenized.ptr, range(len(texts)), engine.spec.max_tokens, engine.frame)
    masking = Masking(variant, engine.wordpiece.mask_id)
    found = engine.in_lane(
        lambda encoder: token_surprisals(encoder, tokenized.ids, windows, words, masking=masking, on_batch=on_batch)
    )
    return [
        [
            Surprisal(*row)
            for row in zip(
                engine.wordpiece.pieces(d.ids),
                d.char_start.tolist(),
                d.char_end.tolist(),
                found[first:last].tolist(),
                strict=True,
            )
        ]
        for d, first, last in zip(tokenized.documents, tokenized.ptr[:-1], tokenized.ptr[1:], strict=True)
    ]


def fill_masks(engine: Engine, text: str, *, k: int, targets: Sequence[str] | None = None) -> list[MaskCandidate]:
    """Return the `k` most likely tokens for every mask of `text`, most likely first; or all `targets`, which are words.

    Each mask is predicted independently. Probabilities are over the whole vocabulary. Raises UsageError without a mask,
    over the model's limit, or for a target that is not one token; ModelError without an MLM head.
    """
    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    among = None if targets is None else np.array([_one_token(engine, target) for target in targets], dtype=np.int64)
    mask = engine.wordpiece.pieces([engine.wordpiece.mask_id])[0]
    prompt = normalise(text)
    ids = np.array(engine.wordpiece.tokenize_prompt(prompt), dtype=np.int32)
    wanted = np.flatnonzero(ids == engine.wordpiece.mask_id)
    if not len(wanted):
        raise UsageError(f"There is no {mask} in the text. Write {mask} in place of the word to predict.")
    limit = engine.spec.max_tokens - engine.frame.single
    if len(ids) > limit:
        raise UsageError(f"The text has {len(ids)} tokens; {engine.checkpoint.label} takes {limit}. Shorten it.")
    windows = sentence_windows(np.array([0, len(ids)], dtype=np.int64), range(1), engine.spec.max_tokens, engine.frame)

    logits = engine.in_lane(lambda encoder: encoder.token_logits(ids, windows, wanted=wanted))
    best = (_best(engine, prompt, mask, i, logits=row, k=k, among=among) for i, row in enumerate(logits))
    return [candidate for candidates in best for candidate in candidates]


def _one_token(engine: Engine, target: str) -> int:
    ids = engine.wordpiece.tokenize_prompt(normalise(target))
    if len(ids) != 1 or ids[0] in (engine.wordpiece.unk_id, engine.wordpiece.mask_id):
        pieces = " ".join(engine.wordpiece.pieces(ids)) or "nothing"
        raise UsageError(
            f"A target must be one token of {engine.checkpoint.label}; '{target}' is {pieces}. Choose another word."
        )
    return ids[0]


def _best(
    engine: Engine, prompt: str, mask: str, number: int, *, logits: Floats, k: int, among: Ints | None
) -> list[MaskCandidate]:
    scores = logits.astype(np.float64)
    probabilities = np.exp(scores - scores.max())
    probabilities /= probabilities.sum()
    if among is None:
        order = np.argsort(-probabilities, kind="stable")[:k]
    else:
        order = among[np.argsort(-probabilities[among], kind="stable")]
    candidates = enumerate(zip(order.tolist(), engine.wordpiece.pieces(order), strict=True))
    return [
        MaskCandidate(number, rank, piece, token, float(probabilities[token]), _filled(prompt, mask, number, piece))
        for rank, (token, piece) in candidates
    ]


def _filled(prompt: str, mask: str, number: int, piece: str) -> str:
    """Return the prompt with mask `number` filled; a `##` piece joins the word before it."""
    parts = prompt.split(mask)
    before, after = mask.join(parts[: number + 1]), mask.join(parts[number + 1 :])
    return before.rstrip() + piece[2:] + after if piece.startswith("##") else before + piece + after


def _sigmoid(margin: float) -> float:
    return float(1.0 / (1.0 + np.exp(-np.float64(margin))))
