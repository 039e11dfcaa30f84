"""Sentences to vectors: Polyseme against sentence-transformers, same sentences, same weights, float32.

Both start from strings and end with one mean-pooled vector per sentence, so both times include tokenizing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import model_flops, products
from benchmarks.race import Times, race
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Sentence
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.tokens import TokenizedDocument
from polyseme.tasks.text.windows import sentence_windows

DEFAULT_BATCH = 32
BATCHES = (8, 16, 32, 64, 128)
_AGREE = 1e-4

Vectors = npt.NDArray[np.float32]


def compare(engine: Engine, sentences: Sequence[str], rounds: int) -> tuple[dict[str, Times], dict[str, float]]:
    """Time both over `sentences`; return the times and facts.

    Raises PolysemeError if the vectors differ by more than 1e-4: then the times cannot be compared.
    """
    theirs = sentence_transformer(engine)
    tokenized = tokenize(engine, sentences)
    mine = pooled(engine, tokenized)
    differ = max(float(np.abs(mine - encode(theirs, sentences, size)).max()) for size in BATCHES)
    if differ > _AGREE:
        raise PolysemeError(f"Vectors of the two differ by {differ:.1e}, more than {_AGREE:g}: nothing was timed.")
    sizes = {size: partial(encode, theirs, sentences, size) for size in BATCHES}
    heats = race({str(size): run for size, run in sizes.items()}, 1, warm=True)
    best = min(BATCHES, key=lambda size: heats[str(size)].cpu[0])
    multiply, product_flops = products(engine.encoder)
    runners: dict[str, Callable[[], object]] = {
        "polyseme": lambda: pooled(engine, tokenize(engine, sentences)),
        "polyseme, tokenized before": lambda: pooled(engine, tokenized),
        f"sentence-transformers, batch {DEFAULT_BATCH} (default)": sizes[DEFAULT_BATCH],
        "matrix products alone": multiply,
    }
    if best != DEFAULT_BATCH:
        runners[f"sentence-transformers, batch {best} (its best)"] = sizes[best]
    multiply()
    times = race(runners, rounds, warm=True)
    windows = sentence_windows(tokenized.sentence_ptr, range(len(sentences)), engine.spec.max_tokens, engine.frame)
    tokens, flops = int(windows.lengths.sum()), model_flops(engine.encoder.network, windows)
    rate = product_flops / times.pop("matrix products alone").typical
    return times, {
        "sentences": len(sentences),
        "tokens": tokens,
        "largest difference": differ,
        **{f"CPU s of sentence-transformers once, batch {size}": heats[str(size)].cpu[0] for size in BATCHES},
        "GFLOP/s a core of matrix products alone": rate / 1e9,
        "share of that the encoder reaches": flops / times["polyseme, tokenized before"].typical / rate,
    }


def tokenize(engine: Engine, sentences: Sequence[str]) -> TokenizedDocument:
    """Tokenize `sentences`, each as one sentence of a document."""
    stops = np.cumsum([len(s) + 1 for s in sentences]).tolist()
    spans = [Sentence(stop - len(s) - 1, stop - 1) for s, stop in zip(sentences, stops, strict=True)]
    return engine.wordpiece.tokenize("\n".join(sentences), spans)


def pooled(engine: Engine, tokenized: TokenizedDocument) -> Vectors:
    """Return the mean-pooled vectors `(sentences, width)` by Polyseme."""
    count = tokenized.n_sentences
    windows = sentence_windows(tokenized.sentence_ptr, range(count), engine.spec.max_tokens, engine.frame)
    encoded = engine.encoder.encode(tokenized.ids, windows, sentences=count)
    return sentence_vectors(encoded, tokenized.sentence_ptr, "mean")


def encode(model: Any, sentences: Sequence[str], size: int) -> Vectors:
    """Return the vectors `(sentences, width)` by sentence-transformers in batches of `size`."""
    vectors: Vectors = model.encode(list(sentences), batch_size=size, show_progress_bar=False)
    return vectors


def sentence_transformer(engine: Engine) -> Any:
    """Return sentence-transformers' model with the weights of `engine`, mean pooling, float32 on CPU."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers.utils import logging as transformers_logging

    # It warns about the NSP and MLM heads of the checkpoint, which are not needed here.
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    body = Transformer(
        str(engine.checkpoint.folder),
        max_seq_length=engine.spec.max_tokens,
        model_kwargs={"dtype": torch.float32},
    )
    return SentenceTransformer(modules=[body, Pooling(engine.spec.width, "mean")], device="cpu")
