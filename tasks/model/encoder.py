"""The encoder: token ids and windows in, vectors and NSP logits out, on one device.

Holds the model; knows nothing of text, files or tables. Results are in the order of their input, whatever the order of
the batches, and a vector does not depend on the rest of its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Layers, Pooling, Precision
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.model.accumulation import SpecialTokenVectors
from polyseme.tasks.model.batch_pool import BatchPool
from polyseme.tasks.model.checkpoint import Checkpoint, missing_head
from polyseme.tasks.model.devices import BATCHES_AT_ONCE, DTYPES, on_own_stream, to_device, to_numpy, token_budget
from polyseme.tasks.model.encoded import Encoded
from polyseme.tasks.model.generic import GenericNetwork
from polyseme.tasks.model.linear import Int8, exact_for
from polyseme.tasks.model.memory import DeviceMemory
from polyseme.tasks.model.networks import network_of
from polyseme.tasks.model.packed import PackedBatch
from polyseme.tasks.model.packing import pack
from polyseme.tasks.model.segment_sums import Segments, SentencePooling, needs_rows, pooled
from polyseme.tasks.model.weights import Weights, load_weights
from polyseme.tasks.text.windows import Windows, batches

log = logging.getLogger(__name__)

Result = TypeVar("Result")
OnBatch = Callable[[int], None]
Reduced = tuple[Segments, Ints, Floats]
"""The segments of a batch, and of those of a sentence: the sentence and what its rows are reduced to."""

_LEAST_BUDGET = 256
"""Tokens of a batch below which matrix products lose more by being small than a second core gains."""
_HEAD_ROWS = 512
"""Rows whose 30,000 vocabulary logits are computed at once: 60 MB."""


class Encoder:
    """A loaded checkpoint on one device. Not thread-safe: callers use it in one encoder lane.

    The batches of a call run in parallel: on CPU one per core, and results do not depend on the number of cores; on
    CUDA each in its own stream, so that one is computed while others are packed or copied back.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: torch.device,
        precision: Precision = "fp32",
        layers: Layers = "last",
        budget: int | None = None,
    ) -> None:
        """Load `checkpoint`. `budget` is the number of tokens per batch (default: by device).

        Raises ModelError if the checkpoint is incomplete, UsageError if it lacks `layers`.
        """
        generic = checkpoint.family.kind == "generic"
        if generic and precision == "int8":
            raise ModelError(
                f"{checkpoint.label} is run by transformers itself, which has no int8. Use --precision fp32."
            )
        weights = Weights({}, False, False) if generic else load_weights(checkpoint)
        self.checkpoint, self.label, self.device = checkpoint, checkpoint.label, device
        self.has_nsp, self.has_mlm, self.has_order = weights.has_nsp, weights.has_mlm, weights.has_order
        self.has_discriminator = weights.has_discriminator
        self.width, self.max_tokens = checkpoint.width, checkpoint.max_tokens
        self.pool = BatchPool(BATCHES_AT_ONCE.get(device.type))
        self._memory = DeviceMemory(self.pool.size)
        self.network = network_of(
            checkpoint,
            weights,
            span=checkpoint.span(layers),
            dtype=DTYPES[precision],
            device=device,
            linear=Int8.of if precision == "int8" else exact_for(device, DTYPES[precision]),
        )
        if isinstance(self.network, GenericNetwork):
            self.has_mlm = self.network.has_mlm
        self.budget = budget or token_budget(device, hidden=self.width, intermediate=checkpoint.intermediate)

    def require_pair_head(self) -> None:
        """Raise ModelError if the checkpoint has neither an NSP nor an order head."""
        if not (self.has_nsp or self.has_order):
            raise missing_head(self.checkpoint, "NSP head and no sentence-order")

    def require(self, head: Literal["NSP", "MLM"]) -> None:
        """Raise ModelError if the checkpoint lacks that head."""
        if not (self.has_nsp if head == "NSP" else self.has_mlm):
            raise missing_head(self.checkpoint, head)

    def encode(
        self, ids: npt.NDArray[np.int32], windows: Windows, *, sentences: int, pairs: int = 0,
        on_batch: OnBatch = lambda tokens: None, sentence_ptr: Ints | None = None, pooling: Pooling = "mean",
        replaced: bool = False,
    ) -> Encoded:  # fmt: skip
        """Return the vectors of all tokens that `windows` take, zeros for others, and the logits of the `pairs`.

        `sentence_ptr`, as of `encode_sentences`, is needed for a `pooling` other than `mean` and `cls`. `replaced` asks
        for the logits of a discriminator, which scores no `pairs`. `on_batch` is called after every batch with its
        number of tokens, and may raise to stop. Raises ModelError for pairs without a head for them.
        """
        tokens = np.zeros((len(ids), self.width), dtype=np.float32)
        special = SpecialTokenVectors(windows, sentences, self.width)
        by_row = None
        if sentence_ptr is not None and needs_rows(pooling, windows.frame):
            by_row = SentencePooling(windows, sentence_ptr, pooling)
        logit = np.full(len(ids), np.nan, np.float32) if replaced else None

        def copy(states: torch.Tensor, numbers: Ints, source: Ints) -> tuple[Floats, Reduced | None]:
            vectors = states[:, : self.width]
            return to_numpy(states), None if by_row is None else _reduced(vectors, by_row, numbers, source)

        def collect(copied: tuple[Floats, Reduced | None], numbers: Ints, source: Ints) -> None:
            rows, reduced = copied
            if by_row is not None and reduced is not None:
                by_row.add(*reduced)
            taken = windows.takes(numbers, source)
            if logit is not None:
                logit[source[taken]], rows = rows[taken, -1], rows[:, :-1]
            tokens[source[taken]] = rows[taken]
            lengths = windows.lengths[numbers]
            stops = np.cumsum(lengths)
            special.add(numbers, rows[stops - lengths], rows[stops - 1])

        logits = self._encode(ids, windows, copy, collect, pairs=pairs, on_batch=on_batch, replaced=replaced)
        by_sentence = None if by_row is None else by_row.vectors(self.width)
        return Encoded(tokens, special.first, special.final, special.alone, logits, by_sentence, logit)

    def encode_sentences(
        self, ids: npt.NDArray[np.int32], windows: Windows, *, sentence_ptr: Ints, pooling: Pooling, pairs: int = 0,
        on_batch: OnBatch = lambda tokens: None,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Return the sentence vectors `(sentences, hidden)`, pooled on the device, and the logits of the `pairs`.

        They are those of `encode` and `sentence_vectors`; sentence `i` has the tokens
        `sentence_ptr[i]:sentence_ptr[i + 1]`. For GPUs: copying all token vectors back and adding them up on the host
        takes longer than the model.
        """
        rows = SentencePooling(windows, sentence_ptr, pooling)

        def reduce(states: torch.Tensor, numbers: Ints, source: Ints) -> Reduced:
            return _reduced(states, rows, numbers, source)

        def collect(reduced: Reduced, numbers: Ints, source: Ints) -> None:
            rows.add(*reduced)

        logits = self._encode(ids, windows, reduce, collect, pairs=pairs, on_batch=on_batch)
        return rows.vectors(self.width), logits

    def _encode(
        self, ids: npt.NDArray[np.int32], windows: Windows, reduce: Callable[[torch.Tensor, Ints, Ints], Result],
        collect: Callable[[Result, Ints, Ints], None], *, pairs: int, on_batch: OnBatch,
        replaced: bool = False,
    ) -> Floats:  # fmt: skip
        """Run all windows; return the logits of `pairs`.

        `reduce` is called with the hidden states of each batch, its windows and the token position of each row, in the
        batch's thread; `collect` with its result, in the caller's thread and in order. If logits of `replaced` tokens
        are asked for, they are the last column of the states.
        """
        if pairs:
            self.require_pair_head()
        logits = np.full((pairs, 3), np.nan, dtype=np.float32)

        def forward(packed: PackedBatch, numbers: Ints, source: Ints) -> tuple[Result, Floats | None]:
            wanted = windows.pair[numbers] >= 0
            if not pairs or not wanted.any():
                states_of = self.network.vector_states_and_replaced if replaced else self.network.vector_states
                return reduce(states_of(packed), numbers, source), None
            states, first = self.network.vector_and_first_states(packed)
            return reduce(states, numbers, source), to_numpy(self.network.pair_scores(first))[wanted]

        with closing(self._run(ids, windows, forward)) as done:
            for numbers, source, (reduced, scored) in done:
                if scored is not None:
                    pair = windows.pair[numbers]
                    logits[pair[pair >= 0]] = scored
                collect(reduced, numbers, source)
                on_batch(len(source))
        return logits

    def score_pairs(
        self, ids: npt.NDArray[np.int32], windows: Windows, *, on_batch: OnBatch = lambda tokens: None
    ) -> Floats:
        """Return `(windows, 3)` in the order of `windows`: NSP logits, column 0 *is next*, and the order margin.

        The margin is positive for pairs in order. What the checkpoint has no head for is NaN. Only `[CLS]` is needed,
        so the top layer computes one row per pair. Raises ModelError with neither an NSP nor an order head.
        """
        self.require_pair_head()
        logits = np.empty((len(windows), 3), dtype=np.float32)

        def forward(packed: PackedBatch, numbers: Ints, source: Ints) -> Floats:
            return to_numpy(self.network.pair_scores(self.network.first_states(packed)))

        with closing(self._run(ids, windows, forward)) as done:
            for numbers, source, scored in done:
                logits[numbers] = scored
                on_batch(len(source))
        return logits

    def token_logits(self, ids: npt.NDArray[np.int32], windows: Windows, *, wanted: Ints) -> Floats:
        """Return MLM logits `(len(wanted), vocabulary)` at the token positions `wanted`, each taken by one window.

        Raises ModelError without an MLM head.
        """
        self.require("MLM")
        at = {int(position): row for row, position in enumerate(wanted)}
        states = torch.empty((len(wanted), self.width), dtype=self.network.dtype, device=self.device)

        def forward(packed: PackedBatch, numbers: Ints, source: Ints) -> torch.Tensor:
            return self.network.hidden_states(packed)

        with torch.inference_mode(), closing(self._run(ids, windows, forward)) as done:
            for numbers, source, hidden in done:
                for row in np.flatnonzero(windows.takes(numbers, source) & np.isin(source, wanted)):
                    states[at[int(source[row])]] = hidden[row]
            logits: Floats = to_numpy(self.network.masked_lm_logits(states).float())
            return logits

    def surprisals(
        self, ids: npt.NDArray[np.int32], windows: Windows, *, at: Ints, targets: npt.NDArray[np.int32],
        on_batch: OnBatch = lambda tokens: None,
    ) -> Floats:  # fmt: skip
        """Return `(windows,)`: -log p of the token `targets[i]` at position `at[i]` of window `i`, in nats.

        Positions count a window's own tokens from 0. The head and the last layer compute these rows only. Raises
        ModelError without an MLM head.
        """
        self.require("MLM")
        result = np.empty(len(windows), dtype=np.float32)

        def forward(packed: PackedBatch, numbers: Ints, source: Ints) -> Floats:
            rows = packed.starts + len(windows.frame.before) + to_device(at[numbers], self.device)
            states = self.network.chosen_states(packed, rows)
            wanted = to_device(targets[numbers].astype(np.int64), self.device)
            parts = [slice(row, row + _HEAD_ROWS) for row in range(0, len(states), _HEAD_ROWS)]
            return to_numpy(torch.cat([self._surprisal(states[part], wanted[part]) for part in parts]))

        with closing(self._run(ids, windows, forward)) as done:
            for numbers, source, found in done:
                result[numbers] = found
                on_batch(len(source))
        return result

    def _surprisal(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.network.masked_lm_logits(states).float()
        return torch.logsumexp(logits, 1) - logits.gather(1, targets[:, None])[:, 0]

    def _run(
        self, ids: npt.NDArray[np.int32], windows: Windows, forward: Callable[[PackedBatch, Ints, Ints], Result]
    ) -> Generator[tuple[Ints, Ints, Result], None, None]:
        """Yield for every batch, in order: its windows, the token position of each row, and the result of `forward`."""

        def run(numbers: Ints) -> tuple[Ints, Ints, Result]:
            packed, source = pack(ids, windows, numbers, self.device)
            with torch.inference_mode():
                return numbers, source, forward(packed, numbers, source)

        def lower_budget(numbers: Ints) -> None:
            tokens = int(windows.lengths[numbers].sum())
            log.warning("%d tokens did not fit the memory of %s; batches are halved", tokens, self.device)
            self.budget = max(1, min(self.budget, tokens // 2))

        def work(numbers: Ints) -> list[tuple[Ints, Ints, Result]]:
            with on_own_stream(self.device):
                return self._memory.run_or_halve(run, numbers, lower_budget)

        share = max(_LEAST_BUDGET, -(-int(windows.lengths.sum()) // self.pool.size))
        with closing(self.pool.map(work, batches(windows.lengths, lambda: min(self.budget, share)))) as done:
            for parts in done:
                yield from parts
                if self.device.type == "cuda":
                    # The caller's work on this batch must end before another thread reuses its memory.
                    torch.cuda.current_stream(self.device).synchronize()


def _reduced(states: torch.Tensor, rows: SentencePooling, numbers: Ints, source: Ints) -> Reduced:
    segments = rows.segments(numbers, source)
    sentence, found = pooled(states, segments, rows.pooling)
    return segments, sentence, to_numpy(found)
