"""The engine: documents in, Arrow tables out. Everything Polyseme computes, callable without Prefect or a lake.

    engine = Engine(EngineConfig(model="polyseme-mini"))
    for chunk in engine.run(documents, Outputs(), version=1, seed=0, ingested_at=now):
        chunk.tables["words"]

One engine holds one model on one device. Its *encoder lane* is the one thread that runs the model, for all callers,
one call after another: they read, tokenize and write meanwhile, and PyTorch keeps one warm set of worker threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from polyseme.storage.errors import ModelError, PolysemeError, UsageError
from polyseme.storage.layers import spelling_of
from polyseme.storage.records import (
    ENCODING_SCHEMES,
    Document,
    EncodingSpec,
    Layers,
    Outputs,
)
from polyseme.storage.tiers import Layouts
from polyseme.tasks.encode.chunk_tables import ChunkTables, TableMaker, counts
from polyseme.tasks.encode.clock import StageClock
from polyseme.tasks.encode.forward import ChunkVectors, Forward
from polyseme.tasks.encode.known import KnownRows, StoredSource
from polyseme.tasks.encode.lemmas import chunk_lemmas
from polyseme.tasks.encode.masked_lm import Masking
from polyseme.tasks.encode.passes import passes
from polyseme.tasks.encode.plan import ChunkPlan, plan
from polyseme.tasks.encode.planned import PlannedChunk, planned_counts
from polyseme.tasks.encode.sentence_head import SentenceHead
from polyseme.tasks.encode.stored_keys import Keying
from polyseme.tasks.encode.unknown import UnknownTokens
from polyseme.tasks.encode.words import ChunkWords, chunk_words
from polyseme.tasks.engine_config import EngineConfig, require_context
from polyseme.tasks.model.checkpoint import Checkpoint, find, missing_head, require_max_tokens
from polyseme.tasks.model.device_kind import device_and_precision
from polyseme.tasks.model.own_settings import OwnSettings, own_settings
from polyseme.tasks.model.spoken_languages import spoken_languages
from polyseme.tasks.text.chunks import Chunk, chunk_tokens, chunks
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.lemmas import Lemmatizer
from polyseme.tasks.text.passage_processes import PassageProcesses, processes_beside_a_gpu
from polyseme.tasks.text.passages import Passage, passages
from polyseme.tasks.text.sentences import Split, split_by
from polyseme.tasks.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoder


log = logging.getLogger(__name__)

T = TypeVar("T")
OnBatch = Callable[[int], None]
_NO_LOCK = nullcontext()
_GPU_CHUNKS = 4
"""How much larger chunks are for a GPU, so that they fill two of its batches."""


class Cancelled(PolysemeError):
    """The run was stopped on request; nothing of the chunk in progress was kept."""

    exit_code = 130


@dataclass
class Engine:
    """A checkpoint with its tokenizer and encoder lane. The model is loaded when it is first needed.

    `passage_processes` is the number of processes that split and tokenize (None: by device and cores, 0: the thread
    that calls `run`). It changes no result.
    """

    config: EngineConfig = field(default_factory=EngineConfig)
    passage_processes: int | None = None
    _encoder_lane: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "polyseme-lane"), repr=False
    )
    _lock: Lock = field(default_factory=Lock, repr=False)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, found but not loaded. Raises ModelError if it is not available."""
        return find(self.config.model)

    @cached_property
    def wordpiece(self) -> TextTokenizer:
        """The tokenizer of the checkpoint. Raises ModelError if BERT cannot use it."""
        wordpiece = TextTokenizer.load(self.checkpoint.folder, words=self.config.word_definition or "text")
        self.checkpoint.require_vocabulary(wordpiece.vocab_size)
        return wordpiece

    @cached_property
    def split(self) -> Split:
        """The function that splits a text into sentences. Raises ModelError if it is not installed as it was."""
        return split_by(self.config.splitting)

    @cached_property
    def document_tokenizer(self) -> TextTokenizer:
        """The tokenizer for sentences of documents, behind their prompt if they have one."""
        return self._behind(self.spec.prompt)

    @cached_property
    def query_tokenizer(self) -> TextTokenizer:
        """The tokenizer for texts that are searched for, behind their prompt if they have one."""
        return self._behind(self.spec.query_prompt)

    def _behind(self, prompt: str) -> TextTokenizer:
        return self.wordpiece.with_prompt(prompt) if prompt else self.wordpiece

    @cached_property
    def own_settings(self) -> OwnSettings:
        """What the checkpoint says of sentence vectors; nothing is asked of it if all of that is configured.

        Raises ModelError for what cannot be honoured.
        """
        asked = ("pooling", "normalize", "prompt", "query_prompt", "max_tokens")
        if self.config.dense is False and all(getattr(self.config, name) is not None for name in asked):
            return OwnSettings()
        return own_settings(self.checkpoint.folder)

    @cached_property
    def sentence_head(self) -> SentenceHead:
        """What happens to a sentence's vector after pooling."""
        layers = self.own_settings.dense if self.spec.dense else ()
        return SentenceHead.load(layers, normalize=self.spec.normalize)

    @cached_property
    def lemmatizer(self) -> Lemmatizer:
        """What finds the lemmas of words. Raises ModelError if its package is not installed."""
        return Lemmatizer()

    @cached_property
    def spoken(self) -> frozenset[str]:
        """The codes of the languages that the model says it was made for; empty if it says nothing."""
        return spoken_languages(self.checkpoint.folder)

    @property
    def frame(self) -> Frame:
        """The special tokens around the text of every window."""
        return self.wordpiece.frame

    @cached_property
    def vocabulary(self) -> pa.Array:
        """`(vocabulary,)`: the WordPiece of every id."""
        return pa.array(self.wordpiece.pieces(range(self.wordpiece.vocab_size)), pa.string())

    @cached_property
    def spec(self) -> EncodingSpec:
        """The encoding that this engine makes. Reads the weight files for their hash, but does not load them."""
        config, own = self.config, self.own_settings
        _, precision = device_and_precision(config.device, config.precision)
        pooling, prompt = config.pooling or own.pooling, own.prompt if config.prompt is None else config.prompt
        require_context(config.context, pooling, prompt)
        dense = own.dense if config.dense is not False else ()
        return EncodingSpec(
            model=self.checkpoint.label,
            model_sha256=self.checkpoint.sha256,
            tokenizer_sha256=self.wordpiece.sha256,
            width=dense[-1].width_out if dense else self.checkpoint.width,
            layers=self._layers,
            pooling=pooling,
            context=config.context,
            max_tokens=self._max_tokens,
            precision=precision,
            splitter=config.splitting.splitter,
            language=config.splitting.language,
            markdown=config.splitting.markdown,
            join_hyphens=config.splitting.join_hyphens,
            scheme=ENCODING_SCHEMES[config.context],
            normalize=own.normalize if config.normalize is None else config.normalize,
            dense=own.dense_sha256 if dense else "",
            prompt=prompt,
            query_prompt=own.query_prompt if config.query_prompt is None else config.query_prompt,
            word_definition=self.wordpiece.word_definition,
            store=config.store or "float16",
        )

    @property
    def _layers(self) -> Layers:
        checkpoint = self.checkpoint
        return spelling_of(checkpoint.span(self.config.layers), vector_layer=checkpoint.vector_layer)

    @property
    def _max_tokens(self) -> int:
        own = self.own_settings.max_tokens
        if self.config.max_tokens is None and own is not None:
            return min(own, self.checkpoint.max_tokens)
        return require_max_tokens(self.checkpoint, self.config.max_tokens)

    @property
    def device_type(self) -> str:
        """`cpu`, `cuda` or `mps`: what the configured device means on this machine."""
        return device_and_precision(self.config.device, self.config.precision)[0]

    @property
    def device_kind(self) -> str:
        """The kind of device that vectors come from here: equal inputs give equal vectors, to the bit, on one kind."""
        from polyseme.tasks.model.devices import device_kind, resolve_device

        return device_kind(resolve_device(self.config.device, self.config.precision)[0])

    @property
    def chunk_tokens(self) -> int:
        """The most tokens of a chunk: what is encoded and made into tables at once."""
        return chunk_tokens(self.spec.width) * (_GPU_CHUNKS if self.device_type == "cuda" else 1)

    def portable_config(self) -> EngineConfig:
        """Return settings that mean the same in another process or on another machine: one precision, full paths."""
        folder = Path(self.config.model)
        model = str(folder.resolve()) if folder.is_dir() else self.config.model
        spec = self.spec
        return replace(
            self.config, model=model, precision=spec.precision, word_definition=spec.word_definition,
            splitter=spec.splitter, language=spec.language or "en", markdown=spec.markdown,
            join_hyphens=spec.join_hyphens, store=spec.store,
        )  # fmt: skip

    @cached_property
    def encoder(self) -> Encoder:
        """The loaded model. Use it in the encoder lane only (`in_lane`)."""
        from polyseme.tasks.model.devices import resolve_device
        from polyseme.tasks.model.encoder import Encoder

        device, precision = resolve_device(self.config.device, self.config.precision)
        return Encoder(
            self.checkpoint,
            device=device,
            precision=precision,
            layers=self.config.layers,
            budget=self.config.budget,
        )

    def in_lane(self, work: Callable[[Encoder], T]) -> T:
        """Run `work(encoder)` in the encoder lane and return its result."""
        return self._encoder_lane.submit(lambda: work(self.encoder)).result()

    def check(self, outputs: Outputs) -> None:
        """Raise ModelError if checkpoint or device cannot give `outputs`, as far as files show without loading them.

        Raises UsageError for windows and layers that the model does not have, ModelError for a splitter or a
        lemmatizer that is not installed.
        """
        _ = self.split
        if outputs.lemma:
            _ = self.lemmatizer
        _ = self.checkpoint.config, self.wordpiece
        if self.checkpoint.family.kind == "generic":
            from polyseme.tasks.model.generic import require_runnable

            require_runnable(self.checkpoint)
        require_max_tokens(self.checkpoint, self.config.max_tokens)
        self.checkpoint.span(self.config.layers)
        if self.own_settings.dense or self.own_settings.is_stated:
            self._check_dense(outputs)
        if self.config.device != "auto" or self.config.precision != "auto":
            _ = self.spec
        if not self.checkpoint.scores_steps and outputs.nsp:
            raise missing_head(self.checkpoint, "NSP head and no sentence-order")
        if outputs.pll is not None and not self.checkpoint.claims_head("MLM"):
            raise missing_head(self.checkpoint, "MLM")

    def _check_dense(self, outputs: Outputs) -> None:
        width = self.checkpoint.width
        if self.spec.dense and self.own_settings.dense[0].width_in != width:
            raise ModelError(
                f"{self.checkpoint.folder} has a dense layer for {self.own_settings.dense[0].width_in} dimensions, and "
                f"its model {width}. Fetch the checkpoint again, or leave the layer out with --no-dense."
            )
        if self.spec.width != width and outputs.level != "sentences":
            raise UsageError(
                f"The dense layers of {self.checkpoint.label} make {self.spec.width} dimensions of {width}, for "
                "sentences only. Use --level sentences, or leave the layers out with --no-dense."
            )

    def run(
        self,
        documents: Iterable[Document],
        outputs: Outputs,
        *,
        version: int,
        seed: int,
        ingested_at: datetime,
        on_batch: OnBatch = lambda tokens: None,
        device_lock: AbstractContextManager[object] = _NO_LOCK,
        stored: StoredSource | None = None,
        layouts: Layouts | None = None,
    ) -> Iterator[ChunkTables]:
        """Yield the tables of every chunk of `documents`, in order.

        Only what is not among the `stored` rows is run; they must be of the same encoding and kind of device. `version`
        is stored with every row, `seed` draws the random baseline. `on_batch` is called in the encoder lane after every
        batch with its number of tokens, and may raise `Cancelled` to stop. `device_lock` is entered in the encoder lane
        for every chunk, to wait for a device that other processes use as well. `layouts` are how the tables will be
        stored, None for float16. Raises PolysemeError if a token would be lost.
        """
        clock = StageClock()
        keying = self._keying(outputs)
        known = None if stored is None else KnownRows(stored, keying, outputs)
        layout = None if layouts is None else layouts.of("sentences")
        made = TableMaker(outputs, version, ingested_at, self.spec.width, self.spec.layers, self.vocabulary, layout)
        unknown = UnknownTokens(self.wordpiece.unk_id)
        clock.lap("reuse")
        for chunk in keying.chunks(clock.between(documents, "read", "tokenize")):
            clock.lap("tokenize")
            words = self._words(chunk, outputs)
            planned = self._planned(chunk, keying, words, known, seed=seed)
            forward = Forward(chunk, planned, self.spec.pooling, self.spec.max_tokens, on_batch, self.sentence_head)
            clock.lap("reuse")
            vectors = self._vectors(forward, outputs, clock, device_lock=device_lock)
            lemmas = self._lemmas(chunk, words) if outputs.lemma else None
            tables = made.tables(chunk, vectors, words, unknown.ended(chunk), lemmas)
            clock.lap("pool")
            yield ChunkTables(tables, counts(chunk, tables, vectors, clock.reset(), self.spoken))
            clock.lap("outside")

    def planned(
        self, documents: Iterable[Document], outputs: Outputs, *, seed: int, stored: StoredSource | None = None
    ) -> Iterator[PlannedChunk]:
        """Yield what `run` would run, copy and store of every chunk of `documents`, in order. Needs no model."""
        keying, max_tokens = self._keying(outputs), self.spec.max_tokens
        known = None if stored is None else KnownRows(stored, keying, outputs)
        for chunk in keying.chunks(documents):
            words = self._words(chunk, outputs)
            found = self._planned(chunk, keying, words, known, seed=seed)
            counted = planned_counts(chunk, found, words, max_tokens)
            anew = found if known is None else self._planned(chunk, keying, words, None, seed=seed)
            yield PlannedChunk(counted, anew.forward_tokens(chunk, max_tokens))

    def _keying(self, outputs: Outputs) -> Keying:
        context, max_tokens, limit, frame = self.config.context, self.spec.max_tokens, self.chunk_tokens, self.frame
        prompted = self.document_tokenizer.prompted_frame
        return Keying(
            chunks=lambda documents: chunks(self._passages(documents), limit),
            passes=lambda chunk: passes(
                chunk, frame, context=context, max_tokens=max_tokens, nsp=outputs.nsp, prompted=prompted
            ),
            nsp=outputs.nsp,
            pll=outputs.pll is not None,
            words=outputs.level != "sentences",
        )

    def _planned(
        self, chunk: Chunk, keying: Keying, words: ChunkWords | None, known: KnownRows | None, *, seed: int
    ) -> ChunkPlan:
        possible = keying.passes(chunk)
        keys = keying.keys(chunk, possible)
        copied = None
        if known is not None:
            try:
                copied = known.copied(chunk, keys, words)
            except (OSError, pa.ArrowException) as error:
                log.warning("stored vectors cannot be read, a chunk is encoded whole: %s", type(error).__name__)
        return plan(chunk, possible, keys, seed=seed, copied=copied)

    def _words(self, chunk: Chunk, outputs: Outputs) -> ChunkWords | None:
        if outputs.level == "sentences":
            return None
        join_hyphens = self.config.splitting.join_hyphens
        return chunk_words(chunk, outputs.words, self.wordpiece.word_definition, join_hyphens=join_hyphens)

    def _lemmas(self, chunk: Chunk, words: ChunkWords | None) -> list[str | None] | None:
        if words is None:
            return None
        return chunk_lemmas(chunk, words, self.lemmatizer)

    def _passages(self, documents: Iterable[Document]) -> Iterator[Passage]:
        with self._lock:
            processes = self._processes
        if processes is not None:
            return processes.passages(documents)
        return passages(documents, self.document_tokenizer, self.split)

    @cached_property
    def _processes(self) -> PassageProcesses | None:
        """The processes that split and tokenize for all callers, which start when they are first needed, if any."""
        from polyseme.tasks.model.batch_pool import cores

        count = self.passage_processes
        if count is None:
            count = 0 if self.device_type == "cpu" else processes_beside_a_gpu(cores())
        if not count:
            return None
        return PassageProcesses(self.document_tokenizer, self.checkpoint.folder, count, self.config.splitting)

    def _vectors(
        self, forward: Forward, outputs: Outputs, clock: StageClock, *, device_lock: AbstractContextManager[object]
    ) -> ChunkVectors:
        masking = None if outputs.pll is None else Masking(outputs.pll, self.wordpiece.mask_id)
        width, tokens = self.checkpoint.width, outputs.level != "sentences"
        replaced = outputs.level == "tokens" and self.checkpoint.claims_head("discriminator")

        def run() -> ChunkVectors:
            return forward.run(lambda: self.encoder, width=width, masking=masking, tokens=tokens, replaced=replaced)

        def work() -> ChunkVectors:
            with device_lock:
                clock.lap("wait")
                return run()

        vectors = run() if forward.plan.is_empty else self._encoder_lane.submit(work).result()
        clock.add(vectors.seconds)
        return vectors


@lru_cache(maxsize=2)
def shared_engine(config: EngineConfig) -> Engine:
    """Return this process's engine for `config`: loaded once and kept (the two used last)."""
    return Engine(config)
