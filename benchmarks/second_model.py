"""Recall with the vectors of another model: of what is stored in less than float16, and of the index of one-bit codes.

    pip install wordllama
    python -m benchmarks.second_model --lake lake

The distinct sentences of a lake are embedded by WordLlama (256 dimensions, the mean of vectors that a word has
whatever its context: as unlike BERT's as can be). All but 200 of them become a lake of float16, and the index is asked
for the ten nearest to those.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from benchmarks.tiers import choices, measured, show
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import EncodingSpec
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.sentence_search import SentenceSearch
from polyseme.storage.tiers import Layout

_K, _QUESTIONS = 10, 200
_OF_TIERS = 20_000
"""Vectors that tiers are compared on, drawn by chance."""


def main() -> None:
    """Embed, and print what each way to store and to search finds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    options = parser.parse_args()
    vectors = _embedded(options.lake)
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))]
    print(f"{len(vectors):,} distinct sentences, {vectors.shape[1]} dimensions")
    some = vectors[:_OF_TIERS]
    show("int8", some, Layout("int8", vectors.shape[1]).rounded(some))
    for label, read_as in choices(some):
        show(label, some, read_as)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        _search(vectors[_QUESTIONS:], vectors[:_QUESTIONS], Path(folder) / "lake")


def _embedded(lake: Path) -> npt.NDArray[np.float16]:
    with connect(lake) as con:
        texts = [text for (text,) in con.execute("SELECT DISTINCT text FROM sentences ORDER BY text").fetchall()]
    package = find_spec("wordllama")
    if package is None or package.origin is None:
        raise SystemExit("The other model is missing: pip install wordllama")
    folder = Path(package.origin).parent
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    of_tokens = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(np.float32)
    found = np.stack([of_tokens[one.ids].mean(0) for one in tokenizer.encode_batch(texts, add_special_tokens=False)])
    unit = unit_rows(found)
    return np.unique(unit[unit.any(1)].astype(np.float16), axis=0)


def _search(vectors: npt.NDArray[np.float16], questions: npt.NDArray[np.float16], root: Path) -> None:
    spec = EncodingSpec(
        model="another", model_sha256="0", tokenizer_sha256="0", width=vectors.shape[1], layers="last", pooling="mean",
        context="sentence", max_tokens=512, precision="fp32", splitter="none",
    )  # fmt: skip
    measured(root, spec, "sentences", vectors, Layout("float16", vectors.shape[1]))
    with Catalog.open(Lake(root)) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    search = SentenceSearch(snapshot, Lake(root), snapshot.default)
    asked = unit_rows(questions)
    search.nearest(asked[:1], _K)
    used = time.process_time()
    found = [search.nearest(one[None], _K)[0] for one in asked]
    used = (time.process_time() - used) / len(asked)
    least = _tenth(unit_rows(vectors), asked)
    right = [[n.similarity >= tenth - 1e-6 for n in one] for one, tenth in zip(found, least, strict=True)]
    print(f"index, {len(vectors):,} sentences: recall@{_K} {np.mean(right):.4f}, {1e3 * used:.0f} ms of CPU a question")


def _tenth(unit: Floats, questions: Floats) -> Floats:
    return np.array([np.partition(unit @ one, -_K)[-_K] for one in questions], np.float32)


if __name__ == "__main__":
    main()
