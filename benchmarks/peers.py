"""Sentences to mean-pooled vectors by every peer: same strings, same weights, one thread each, in turn.

    OMP_NUM_THREADS=1 python -m benchmarks.peers --sentences 200 --rounds 3 --json benchmarks/results/peers.json

Tuned peers sort by length and take batches of `--batch`. Needs the `bench` extra.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.race import race
from benchmarks.sentence_race import _encode, _pooled, _sentence_transformer, _tokenize
from benchmarks.throughput import EXAMPLES, _read, _sentences
from tasks.engine import Engine, EngineConfig

Runner = Callable[[], Any]
_AGREE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default=str(EXAMPLES), help="what to read, as for `polyseme embed`")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="of the tuned peers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": describe(), "sentences": options.sentences, "rounds": options.rounds}
    torch.set_num_threads(1)
    engines = {p: Engine(EngineConfig(device="cpu", precision=p)) for p in ("fp32", "int8")}
    documents = list(_read(options.documents))
    random.Random(0).shuffle(documents)
    sentences = _sentences(documents, options.sentences)
    with tempfile.TemporaryDirectory(prefix="polyseme-peers-") as folder:
        runners: dict[str, Runner] = {
            f"polyseme {name}": lambda e=engine: _pooled(e, _tokenize(e, sentences)) for name, engine in engines.items()
        }
        runners |= peers(engines["fp32"], sentences, options.batch, Path(folder))
        exact = runners["polyseme fp32"]()
        for name, run in runners.items():
            off = float(np.abs(np.asarray(run(), np.float32) - exact).max())
            if off > _AGREE:
                print(f"{name}: vectors differ by {off:.1e}")
        times = race(runners, options.rounds, warm=True)
    for name, t in times.items():
        ratio = np.median(t.over(times["polyseme fp32"]))
        print(f"{name:40} {t.typical:7.2f} CPU s ({t.spread})  {t.typical_wall:7.2f} wall  {ratio:5.2f}x")
    result["times"] = {name: asdict(t) for name, t in times.items()}
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def peers(engine: Engine, sentences: Sequence[str], batch: int, folder: Path) -> dict[str, Runner]:
    """Return a run of every peer."""
    from transformers import AutoTokenizer, BertModel, pipeline

    source = str(engine.checkpoint.folder)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = BertModel.from_pretrained(source, dtype=torch.float32, add_pooling_layer=False).eval()
    theirs = _sentence_transformer(engine)
    pipe = pipeline("feature-extraction", model=model, tokenizer=tokenizer, device="cpu")

    def tokens(texts: Sequence[str]) -> Any:
        return tokenizer(list(texts), padding=True, truncation=True, max_length=512, return_tensors="pt")

    def by_batch(forward: Callable[[Any], Any], size: int) -> np.ndarray:
        order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i]))
        out = np.empty((len(sentences), engine.spec.width), np.float32)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            encoded = tokens([sentences[i] for i in rows])
            mask = encoded["attention_mask"].numpy()[:, :, None].astype(np.float32)
            out[rows] = (np.asarray(forward(encoded)) * mask).sum(1) / mask.sum(1)
        return out

    @torch.inference_mode()
    def bert(encoded: Any) -> Any:
        return model(**encoded).last_hidden_state.numpy()

    @torch.inference_mode()
    def naive() -> np.ndarray:
        return np.stack([model(**tokens([s])).last_hidden_state[0].mean(0).numpy() for s in sentences])

    def by_pipeline() -> np.ndarray:
        return np.stack([np.asarray(rows[0]).mean(0) for rows in pipe(list(sentences))])

    found: dict[str, Runner] = {
        "naive BertModel loop": naive,
        "transformers pipeline": by_pipeline,
        f"BertModel, sorted, batch {batch}": partial(by_batch, bert, batch),
        "sentence-transformers, batch 32": partial(_encode, theirs, sentences, 32),
        f"sentence-transformers, batch {batch}": partial(_encode, theirs, sentences, batch),
    }
    found[f"OpenVINO fp32, sorted, batch {batch}"] = partial(by_batch, _openvino(model, tokens(["a b"])), batch)
    return found


def _openvino(model: Any, example: Any) -> Callable[[Any], Any]:
    import openvino as ov

    converted = ov.convert_model(model, example_input=dict(example))
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
    request = ov.Core().compile_model(converted, "CPU", settings).create_infer_request()
    names = {name for port in request.model_inputs for name in port.names}

    def forward(encoded: Any) -> Any:
        return request.infer({k: v.numpy() for k, v in encoded.items() if k in names})[0]

    return forward


if __name__ == "__main__":
    main()
