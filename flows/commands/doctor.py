"""`polyseme doctor`: whether installation, model, device and lake work together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.model import Model
from polyseme.flows.commands.options.running import JsonOrNot
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import MissingLakeError, ModelError, PolysemeError, in_words
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.storage.lake import Lake
    from polyseme.tasks.model.checkpoint import Checkpoint
    from polyseme.tasks.model.encoder import Encoder

_PACKAGES = ("prefect", "fastapi", "sqlalchemy", "torch", "transformers", "tokenizers", "pyarrow", "duckdb", "nupunkt")


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its result. `detail` is what was found, or what is wrong and what to do."""

    check: str
    ok: bool
    detail: str


def doctor(*, model: Model = "polyseme-mini", lake: LakeOptions = LakeOptions(), json: JsonOrNot = False) -> int:
    """Check the installation, the model, the device and the lake. Exits with 1 if something is wrong.

    Example: polyseme doctor --lake ./lake --model my-model"""
    checks: dict[str, Callable[[], str]] = {
        "python": lambda: sys.version.split()[0],
        "packages": _packages,
        "device": _device,
        "model": lambda: _model(model),
        "next sentence": lambda: _nsp(model),
        "lemmas": lambda: _lemmas(lake.lake()),
        "lake": lambda: _lake(lake.lake()),
    }
    done = list[Check]()
    for name, check in checks.items():
        try:
            if name == "next sentence" and not done[-1].ok:
                raise PolysemeError("not tried, because the model does not run")
            done.append(Check(name, True, check()))
        except Exception as error:
            done.append(Check(name, False, in_words(error)))
        if not json:
            last = done[-1]
            show(f"{'ok  ' if last.ok else 'FAIL'}  {last.check}: {last.detail}")
    if json:
        write_json([asdict(check) for check in done])
    return int(not all(check.ok for check in done))


def _packages() -> str:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise PolysemeError(f"not installed: {', '.join(missing)}; install polyseme again")
    return ", ".join(found)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu, {many(torch.get_num_threads(), 'threads')}"


_SLOW = (
    "run by transformers itself: slower than a family that Polyseme has a network for, and a vector may differ in its "
    "last bits with its batch"
)


def _model(model: str) -> str:
    from polyseme.flows.runs.continued import described
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig

    engine = Engine(EngineConfig(model=model))
    nsp, mlm, further = engine.in_lane(lambda encoder: (encoder.has_nsp, encoder.has_mlm, _further_heads(encoder)))
    spec, family = engine.spec, engine.checkpoint.family
    heads = ", ".join([f"NSP head {'yes' if nsp else 'no'}", f"MLM head {'yes' if mlm else 'no'}", *further])
    sentences = f"sentences {described(spec)}, {engine.wordpiece.kind} tokenizer"
    how = f"; {_SLOW}" if family.kind == "generic" else ""
    sizes = f"{_layers(engine.checkpoint)}, hidden size {engine.checkpoint.width}, {spec.max_tokens} tokens a window"
    return f"{spec.model}: {family.title}, {sizes}, {heads}; {sentences}{how}"


def _layers(checkpoint: Checkpoint) -> str:
    top, last = checkpoint.layers, checkpoint.vector_layer
    return f"{top} layers" if last == top else f"{top} layers, vectors from layer {last}"


def _further_heads(encoder: Encoder) -> list[str]:
    there = {"sentence-order head": encoder.has_order, "replaced-token head": encoder.has_discriminator}
    return [name for name, has in there.items() if has]


def _nsp(model: str) -> str:
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig
    from polyseme.tasks.inference.predictions import next_sentence

    pairs = [
        ("He went to the store.", "He bought some milk."),
        ("He went to the store.", "Penguins are flightless birds."),
    ]
    engine = Engine(EngineConfig(model=model))
    if not engine.checkpoint.claims_head("NSP"):
        return "not scored: the model has no NSP head"
    follows, random = next_sentence(engine, pairs)
    if follows.margin <= random.margin:
        raise PolysemeError(
            "the model scores an unrelated sentence as high as a fitting one: its NSP head is not trained. Name "
            "another model, or train this one with polyseme adapt"
        )
    return f"a fitting sentence scores {follows.margin:+.1f}, an unrelated one {random.margin:+.1f}"


def _lemmas(lake: Lake) -> str:
    from polyseme.storage.catalog import Catalog
    from polyseme.tasks.text.lemmas import Lemmatizer

    try:
        with Catalog.open(lake) as catalog:
            needed = any(made.lemma for e in catalog.encodings() for made in catalog.outputs(e.encoding_id))
    except PolysemeError:  # the line of the lake says why
        needed = False
    try:
        Lemmatizer()
    except ModelError:
        if needed:
            raise
        return "no dictionaries (extra lemma); the lake needs none"
    return f"simplemma {version('simplemma')}"


def _lake(lake: Lake) -> str:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.connection import connect

    try:
        with Catalog.open(lake) as catalog:
            totals = [catalog.totals(e.encoding_id) for e in catalog.encodings()]
    except MissingLakeError:
        return f"none at {lake.root} yet"
    con = connect(lake)
    try:
        (sentences,) = con.execute("SELECT count(*) FROM sentences").fetchall()[0]
    finally:
        con.close()
    documents = sum(t["documents"] for t in totals)
    return (
        f"{lake.root}: {many(len(totals), 'encodings')}, {many(documents, 'documents')}, {many(sentences, 'sentences')}"
    )
