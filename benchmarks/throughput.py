"""Throughput on CPU: the encoder against sentence-transformers, NSP, and the pipeline against its own model.

    python -m benchmarks.throughput --documents corpus.jsonl.gz --sentences 2000 --rounds 5 --json result.json

Alternatives run interleaved in one process. CPU seconds are those of all its threads; compare them on a machine that
does other work as well. Needs the `bench` extra. OMP_NUM_THREADS=1 takes threads out of the comparison.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import nsp_race, pipeline_race, sentence_race
from benchmarks.machine import describe
from benchmarks.race import Times
from polyseme.storage.records import Document
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.text.sentences import split

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "corpus"
PARTS = ("sentences", "nsp", "pipeline")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the parts given and print them."""
    options = _options(arguments)
    engine = Engine(EngineConfig(model=options.model, device="cpu"))
    # The number of PyTorch's threads is read first: the encoder's batch pool changes it for threads started later.
    result: dict[str, Any] = {"machine": describe(), "model": engine.checkpoint.label, "rounds": options.rounds}
    engine.in_lane(lambda encoder: encoder.label)
    _print_facts(result["machine"])
    documents = list(_read(options.documents))
    random.Random(options.seed).shuffle(documents)
    if "sentences" in options.parts:
        times, facts = sentence_race.compare(engine, _sentences(documents, options.sentences), options.rounds)
        result["sentences"] = _section("Sentences to vectors", times, facts, unit="polyseme", tokens=facts["tokens"])
    chosen = list(_up_to(documents, options.chars))
    if "nsp" in options.parts:
        times, facts = nsp_race.compare(engine, pipeline_race.lay_out(engine, chosen), options.rounds)
        tokens = facts["tokens of pairs"]
        result["nsp"] = _section("NSP", times, facts, unit="scores and vectors, context pair", tokens=tokens)
    if "pipeline" in options.parts:
        result["pipeline"] = _pipeline(engine, chosen, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", default=str(EXAMPLES), help="what to read, as for `polyseme embed`")
    parser.add_argument("--sentences", type=int, default=1000, help="number of sentences, drawn from all documents")
    parser.add_argument("--chars", type=int, default=300_000, help="text for NSP and pipeline, in whole documents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="draws documents and sentences")
    parser.add_argument("--model", default=EngineConfig().model)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every measured number")
    return parser.parse_args(arguments)


def _read(spec: str) -> Iterator[Document]:
    for item in read_sources(resolve([spec]), ReadOptions(), stdin=io.BytesIO()):
        if isinstance(item, Document):
            yield item


def _sentences(documents: Sequence[Document], count: int) -> list[str]:
    found = [document.text[s.start : s.stop] for document in documents for s in split(document.text)]
    if len(found) < count:
        print(f"the documents have {len(found)} sentences only; name more with --documents", file=sys.stderr)
    return random.Random(count).sample(found, min(count, len(found)))


def _up_to(documents: Sequence[Document], chars: int) -> Iterator[Document]:
    for document in documents:
        if chars <= 0:
            return
        chars -= len(document.text)
        yield document


def _section(
    title: str, times: Mapping[str, Times], facts: dict[str, float], *, unit: str, tokens: float
) -> dict[str, Any]:
    print(f"\n{title}\n{'':48}  CPU s  (range)         wall s  of {unit!r}, CPU")
    for name, t in times.items():
        ratios = t.over(times[unit])
        ratio = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{name:48} {t.typical:6.2f}  {t.spread:14} {t.typical_wall:7.2f}  {ratio}")
    first = next(iter(times.values()))
    facts["tokens a CPU second, first line"] = tokens / first.typical
    facts["tokens a second, first line"] = tokens / first.typical_wall
    _print_facts(facts)
    return {"times": {name: asdict(t) for name, t in times.items()}, "facts": facts}


def _pipeline(engine: Engine, documents: Sequence[Document], rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="polyseme-benchmark-") as folder:
        source = Path(folder) / "documents.jsonl"
        with source.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps({"doc_id": d.doc_id, "text": d.text}) + "\n" for d in documents)
        found = pipeline_race.overheads(engine, source, documents, rounds)
    print("\nPipeline")
    print(f"{'':16} whole CPU s  (range)       its model  added (range)             model alone  added to that")
    for name, o in found.items():
        added = sorted(o.shares())
        alone = [whole / model - 1 for whole, model in zip(o.whole.cpu, o.alone.cpu, strict=True)]
        print(
            f"{name:16} {o.whole.typical:11.2f}  {o.whole.spread:14} {statistics.median(o.model):8.2f}  "
            f"{statistics.median(added):6.1%} ({added[0]:.1%} to {added[-1]:.1%})  {o.alone.typical:12.2f}  "
            f"{statistics.median(alone):6.1%}"
        )
    counts = next(iter(found.values())).counts
    _print_facts({"documents": counts.documents, "sentences": counts.sentences, "tokens": counts.tokens})
    return {name: asdict(o) for name, o in found.items()}


def _print_facts(facts: Mapping[str, object]) -> None:
    for name, value in facts.items():
        print(f"  {name}: {value:,.4g}" if isinstance(value, float) else f"  {name}: {value}")


if __name__ == "__main__":
    main()
