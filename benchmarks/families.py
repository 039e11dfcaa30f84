"""CPU seconds of every family of encoders: Polyseme against sentence-transformers on the same random weights.

    python -m benchmarks.families --sentences 1000 --rounds 3

Both start from strings and end with one mean-pooled vector per sentence, in float32. Sizes are those of MiniLM (hidden
384, 6 layers) unless others are given. sentence-transformers runs at its best batch size of those tried. Alternatives
run interleaved in one process; the ratio is the median over rounds. Needs the `bench` extra.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.race import race
from benchmarks.sentence_race import encode, sentence_transformer
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.vectors import text_vectors
from polyseme.tasks.model.checkpoint import embedded_folder
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.text.sentences import split

ROOT = Path(__file__).resolve().parent.parent
TEXTS = (ROOT / "examples" / "corpus", ROOT / "docs")
BATCHES = (8, 16, 32, 64)
_AGREE = 1e-4
PACKED = {
    "bert": "Bert", "distilbert": "DistilBert", "electra": "Electra", "roberta": "Roberta", "mpnet": "MPNet",
    "albert": "Albert", "modernbert": "ModernBert",
}  # fmt: skip
GENERIC = {"deberta-v2": "DebertaV2", "nomic_bert": "NomicBert", "roformer": "RoFormer"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the families given and print a line for each."""
    options = _options(arguments)
    sentences = random.Random(0).sample(sentences_of_texts(), options.sentences)
    print(f"{len(sentences)} sentences, hidden size {options.hidden}, {options.layers} layers")
    print(f"{'family':12} {'polyseme':>9} {'sentence-transformers':>22} {'ratio (range)':>22}   CPU s")
    results = {}
    for name in options.families:
        with tempfile.TemporaryDirectory(prefix="polyseme-families-") as folder:
            save_model(Path(folder), name, hidden=options.hidden, layers=options.layers)
            results[name] = _compare(Path(folder), name, sentences, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _compare(folder: Path, name: str, sentences: Sequence[str], rounds: int) -> Mapping[str, Any]:
    engine = Engine(EngineConfig(model=str(folder), device="cpu"))
    theirs = sentence_transformer(engine)

    def mine() -> object:
        return text_vectors(engine, sentences)

    differ = float(np.abs(text_vectors(engine, sentences) - encode(theirs, sentences, 32)).max())
    if differ > _AGREE:
        raise PolysemeError(f"Vectors of {name} differ by {differ:.1e}, more than {_AGREE:g}: nothing was timed.")
    heats = race({str(size): partial(encode, theirs, sentences, size) for size in BATCHES}, 1, warm=True)
    best = min(BATCHES, key=lambda size: heats[str(size)].cpu[0])
    times = race({"mine": mine, "theirs": partial(encode, theirs, sentences, best)}, rounds, warm=True)
    ratios = times["theirs"].over(times["mine"])
    ratio = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    there = f"{times['theirs'].typical:.2f} at {best}"
    print(
        f"{name:12} {times['mine'].typical:9.2f} {there:>22} {ratio:>22}   largest difference {differ:.0e}", flush=True
    )
    return {"mine": times["mine"].cpu, "theirs": times["theirs"].cpu, "batch": best, "difference": differ}


def save_model(folder: Path, name: str, *, hidden: int, layers: int) -> None:
    """Save a random model of that family, with the embedded model's tokenizer."""
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": 30522, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": hidden // 32,
        "intermediate_size": 4 * hidden, "max_position_embeddings": 514, "pad_token_id": 0,
    }  # fmt: skip
    own: dict[str, dict[str, Any]] = {
        "distilbert": {"dim": hidden, "n_layers": layers, "n_heads": hidden // 32, "hidden_dim": 4 * hidden},
        "modernbert": {
            "intermediate_size": 2 * hidden, "cls_token_id": 101, "sep_token_id": 102, "bos_token_id": 101,
            "eos_token_id": 102,
        },
        "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    }  # fmt: skip
    classes = (PACKED | GENERIC)[name]
    config = getattr(transformers, classes + "Config")(**(sizes | own.get(name, {})))
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    getattr(transformers, classes + "Model")(config).save_pretrained(folder)
    shutil.copy(embedded_folder() / "tokenizer.json", folder)
    stored = json.loads((embedded_folder() / "tokenizer_config.json").read_text("utf-8"))
    # Another class would give another frame or vocabulary: this one takes tokenizer.json as it is.
    (folder / "tokenizer_config.json").write_text(json.dumps(stored | {"tokenizer_class": "PreTrainedTokenizerFast"}))


def sentences_of_texts() -> list[str]:
    """Return the sentences of the example corpus and the documentation, each once."""
    # In sentence-transformers a text can contain special tokens, such as [MASK].
    return [text for text in dict.fromkeys(_all_sentences()) if "[" not in text]


def _all_sentences() -> Iterator[str]:
    for item in read_sources(resolve([str(folder) for folder in TEXTS]), ReadOptions(), stdin=io.BytesIO()):
        text = getattr(item, "text", "")
        for span in split(text):
            yield text[span.start : span.stop]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("families", nargs="*", default=[*PACKED, *GENERIC], help="of " + ", ".join(PACKED | GENERIC))
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every measured number")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
