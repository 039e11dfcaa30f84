"""Complete runs on a GPU: from documents to Parquet compared with the encoder alone, and steps of training."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.gpu_setting import Figure, Setting
from polyseme.storage.records import Document

_SWITCH = 0.0005
"""Python's thread switch interval in seconds; the default is 0.005."""
_FIRST_STEPS = 3
"""Warm-up steps: kernels are loaded and memory is allocated."""
_SHARDS = 6
"""Shards that a run on a GPU processes at the same time."""


def pipeline(setting: Setting) -> Iterator[Figure]:
    """From a file to sentence vectors in a lake, without Prefect, compared with the encoder on the same windows."""
    from benchmarks import pipeline_race
    from polyseme.storage.records import Outputs
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig

    engine = Engine(
        EngineConfig(model=str(setting.checkpoint.folder), device=setting.device.type, precision=setting.precision)  # type: ignore[arg-type]
    )
    views = find_spec("duckdb") is not None
    source = setting.folder / "documents.jsonl"
    documents = _write_documents(setting, source)
    laid_out = pipeline_race.lay_out(engine, documents)
    alone = pipeline_race.model_alone(engine, laid_out, nsp=False, tokens=False)
    whole = pipeline_race.Pipeline(engine, source, Outputs("sentences", nsp=False), in_flight=_SHARDS, published=views)
    tokens = sum(len(chunk.ids) for chunk in laid_out)
    alone_s, whole_s = setting.timed(alone, of=3), setting.timed(whole.run, of=3)
    yield Figure("encoder alone", tokens / alone_s, "tokens/s")
    yield Figure("documents to Parquet" + ("" if views else ", without DuckDB's views"), tokens / whole_s, "tokens/s")
    yield Figure("documents to Parquet against the encoder alone", whole_s / alone_s, "times", at_most=1.15)
    with _switching(_SWITCH):
        often_s = setting.timed(whole.run, of=3)
    yield Figure(f"the same, threads giving way after {_SWITCH * 1e3:g} ms", often_s / alone_s, "times")
    stages = whole.counts.seconds
    for stage in sorted(stages, key=lambda name: -stages[name]):
        yield Figure(f"seconds of all shards' threads in '{stage}'", stages[stage], "s")


def _write_documents(setting: Setting, source: Path) -> list[Document]:
    """Write as many copies of the corpus as a run of a few seconds needs, with distinct document ids."""
    wanted = 1 if setting.tiny else int(setting.rate * setting.seconds / 12)
    times = max(1, wanted // max(1, len(setting.text(1).ids)))
    documents = [
        Document(f"{document.doc_id}-{copy}", source.as_uri(), document.text)
        for copy in range(times)
        for document in setting.documents
    ]
    with source.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"doc_id": d.doc_id, "text": d.text}) + "\n" for d in documents)
    return documents


@contextmanager
def _switching(seconds: float) -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def training(setting: Setting) -> Iterator[Figure]:
    """Steps of MLM + NSP on the embedded model; a step includes data preparation, optimizer and log."""
    from polyseme.tasks.model.checkpoint import find
    from polyseme.tasks.text.tokenizer import TextTokenizer
    from polyseme.tasks.training.corpus import prepare
    from polyseme.tasks.training.network import start_from
    from polyseme.tasks.training.objective import Objective, ObjectiveConfig
    from polyseme.tasks.training.settings import TrainingConfig
    from polyseme.tasks.training.trainer import Trainer

    checkpoint = find("polyseme-mini") if not setting.tiny else setting.checkpoint
    wordpiece = TextTokenizer.load(checkpoint.folder)
    text = prepare(setting.documents * (1 if setting.tiny else 20), wordpiece)
    for micro in (4,) if setting.tiny else (16, 128):
        config = TrainingConfig(
            steps=_FIRST_STEPS + 2 if setting.tiny else None,
            minutes=None if setting.tiny else setting.seconds / 3 / 60,
            pairs=2 * micro, micro=micro, learning_rate=1e-5,
        )  # fmt: skip
        objective = Objective(text, wordpiece, ObjectiveConfig(max_tokens=64 if setting.tiny else 128), pairs=2 * micro)
        folder = setting.folder / f"training-{micro}"
        trainer = Trainer(
            start_from(checkpoint, seed=0).model, objective, config, folder, setting.device, setting.precision
        )
        log = trainer.run().log[_FIRST_STEPS - 1 :]
        rates = [b.tokens / max(1e-9, b.seconds - a.seconds) for a, b in itertools.pairwise(log)]
        yield Figure(f"pairs in batches of {micro}", statistics.median(rates), "tokens/s")
