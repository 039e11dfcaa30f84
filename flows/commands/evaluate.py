"""`polyseme evaluate`: the evaluation of a model, or of two side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
from cyclopts import Parameter

from polyseme.flows.commands.options.model import DeviceName, Model
from polyseme.flows.commands.options.reading import Limit, TextField
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import note
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Layers
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.evaluation.evaluation import Evaluation, EvaluationConfig
    from polyseme.tasks.evaluation.sense_probe import Use
    from polyseme.tasks.evaluation.similarity_probe import GradedPair

Exit = int


def evaluate(
    model: Model = "polyseme-mini",
    other: str | None = None,
    *,
    data: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    senses: Path | None = None,
    similarity: Path | None = None,
    text_field: TextField = "text",
    limit: Limit = None,
    pairs: int = 1000,
    masked_pairs: int = 512,
    max_tokens: int = 128,
    layers: Layers = "last",
    seed: int = 0,
    device: DeviceName = "auto",
    json: Json = False,
) -> Exit:
    """Evaluate a model on text it never saw, or two side by side: search, word senses, MLM, NSP, order and speed.

    The default text, 30 documents, 226 graded pairs of sentences and 208 uses of 12 words, was written for Polyseme.
    For more give --data, on which the model must not have been trained. Figures that need a head which the model lacks
    are left empty.

    Example: polyseme evaluate my-model polyseme-mini --data held-out.jsonl

    Parameters
    ----------
    other
        Another model to compare it with, on the same text, pairs and masks.
    data
        Held-out documents: files, folders or globs, e.g. held-out.jsonl; by default those that come with Polyseme.
    senses
        Uses of words, JSON lines with the fields word, sense and text; by default those that come with Polyseme.
    similarity
        Graded pairs of sentences, JSON lines with the fields grade, one and two, the same meaning the highest grade;
        by default those that come with Polyseme.
    pairs
        Pairs of sentences of each kind on which NSP is evaluated, and the most documents, up to 200, whose sentences
        are searched.
    masked_pairs
        Pairs of segments on which MLM is evaluated, 15 % of their tokens masked.
    max_tokens
        Length of a pair of segments in tokens, special tokens included.
    layers
        The layers that vectors are taken from, for search and word senses: last, last4, 5 or mean:3-6.
    seed
        Seed of everything that is drawn at random.
    """
    from itertools import islice

    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig
    from polyseme.tasks.evaluation.sense_probe import read_uses
    from polyseme.tasks.evaluation.similarity_probe import read_graded_pairs
    from polyseme.tasks.reading.documents import ReadOptions
    from polyseme.tasks.reading.resolving import resolve
    from polyseme.tasks.reading.sources import read_sources
    from polyseme.tasks.shipped import shipped
    from polyseme.tasks.training.objective import ObjectiveConfig

    if min(pairs, masked_pairs) < 1:
        raise UsageError("--pairs and --masked-pairs must be at least 1.")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be at least 1, got {limit}.")
    ObjectiveConfig(max_tokens=max_tokens, seed=seed)
    names = [model] if other is None else [model, other]
    engines = [Engine(EngineConfig(model=name, device=device, layers=layers)) for name in names]
    for engine in engines:
        _ = engine.spec  # raises what is wrong with a model or the options for it
    shipped_data = shipped("examples")
    sources = resolve(data or [str(shipped_data / "corpus")])
    uses = read_uses(senses or shipped_data / "senses.jsonl")
    graded = read_graded_pairs(similarity or shipped_data / "similarity.jsonl")
    items = read_sources(sources, ReadOptions(text_field=text_field), stdin=sys.stdin.buffer)
    documents = list(islice((item for item in items if isinstance(item, Document)), limit))
    # Only now, since it takes seconds: what follows needs PyTorch.
    from polyseme.tasks.evaluation.evaluation import EvaluationConfig

    config = EvaluationConfig(masked_pairs=masked_pairs, probe_pairs=pairs, max_tokens=max_tokens, seed=seed)
    found = _evaluated(list(zip(names, engines, strict=True)), documents, uses, graded, config)
    write_json([asdict(e) for e in found]) if json else write_table(side_by_side(found), "table")
    return 0


def _evaluated(
    models: Sequence[tuple[str, Engine]], documents: Sequence[Document], uses: Sequence[Use],
    graded: Sequence[GradedPair], config: EvaluationConfig,
) -> list[Evaluation]:  # fmt: skip
    from polyseme.tasks.evaluation.evaluation import evaluate as run

    found = []
    for name, engine in models:
        note(
            f"evaluating {name} on {many(len(documents), 'documents')}, {many(len(graded), 'graded pairs')} of "
            f"sentences and {many(len(uses), 'uses')} of words"
        )
        found.append(run(engine, documents, uses, config, graded=graded))
    return found


def side_by_side(found: Sequence[Evaluation]) -> pa.Table:
    """Return the figures of one model or two as a table, a column each, and of two the better one."""
    from polyseme.tasks.evaluation.evaluation import FIGURES, shown

    names = [e.model for e in found]
    if len(set(names)) < len(names):
        names = [f"{name} ({i})" for i, name in enumerate(names, 1)]
    columns: dict[str, list[str | None]] = {"figure": [label for label, _ in FIGURES.values()]}
    for name, evaluation in zip(names, found, strict=True):
        columns[name] = [shown(key, value) for key, value in evaluation.figures.items()]
    if len(found) == 2:
        one, two = (e.figures for e in found)
        columns["better"] = [_better(key, one[key], two[key], names) for key in FIGURES]
    return pa.table(columns)


def _better(key: str, one: float | None, two: float | None, names: list[str]) -> str:
    from polyseme.tasks.evaluation.evaluation import FIGURES

    if one is None or two is None or one == two:
        return "neither"
    return names[(one > two) != (FIGURES[key][1] == "higher")]
