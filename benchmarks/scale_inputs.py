"""The inputs of the scale measurements: a small model, corpora of any size, and lakes with content.

    python -m benchmarks.scale_inputs long long.txt 50

Each is made in a process of its own, so that the measuring process stays small: on Linux the peak memory of a process
includes that of its parent when it was started. The same arguments make the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from benchmarks.catalog_cost import SPEC, commit_parts
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import document_versions
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "corpus"
SMALL = {
    "vocab_size": 30522, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 512,
}  # fmt: skip
"""One small layer: the pipeline's own memory and time show, and a lake of 50 MB of text stays below 2 GB."""
_MIB = 1 << 20
_ROWS = 10_000


def model(folder: Path) -> None:
    """Save a random BERT of shape `SMALL` with both heads and the embedded model's tokenizer."""
    import torch
    import transformers

    from polyseme.tasks.model.checkpoint import embedded_folder

    torch.manual_seed(0)
    transformers.BertForPreTraining(transformers.BertConfig(**SMALL)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_folder() / name, folder / name)


def tiled(target: Path, copies: int, chars: int, sources: Sequence[str]) -> None:
    """Write a corpus of about `chars` characters `copies` times, as JSON lines, all texts distinct.

    The corpus is the beginning of `sources`, which are repeated if they are too short. In each repetition of a document
    the words of every line are rotated by one: the same tokens, in another order, under another id.
    """
    base, size = [], 0
    for repetition, document in _repeated(sources):
        base.append((repetition, document))
        size += len(document.text)
        if size >= chars:
            break
    repetitions = base[-1][0] + 1
    with target.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            for repetition, document in base:
                places = copy * repetitions + repetition
                text = "\n".join(_rotated(line, places) for line in document.text.split("\n"))
                file.write(json.dumps({"doc_id": f"{document.doc_id}#{places}", "text": text}) + "\n")


def long(target: Path, megabytes: float) -> None:
    """Write one text of `megabytes` (millions of bytes of UTF-8): paragraphs of sentences, mostly ASCII."""
    size, sentences = 0, _sentences(random.Random(0))
    with target.open("w", encoding="utf-8", newline="") as file:
        while size < megabytes * 1e6:
            paragraph = " ".join(islice(sentences, 5)) + "\n\n"
            file.write(paragraph)
            size += len(paragraph.encode())


def short(target: Path, documents: int) -> None:
    """Write `documents` documents of ten words each as JSON lines."""
    words, draw = _words(), random.Random(0)
    with target.open("w", encoding="utf-8") as file:
        for number in range(documents):
            text = " ".join(draw.choices(words, k=10)).capitalize() + "."
            file.write(f'{{"id": "{number:08d}", "text": "{text}"}}\n')


def unchanged(root: Path, source: Path, checkpoint: Path) -> None:
    """Make a lake whose catalog has the current version of every document of `source`, but no rows."""
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig

    spec, outputs = Engine(EngineConfig(model=str(checkpoint), device="cpu")).spec, Outputs().to_json()
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(spec)
        version = catalog.begin_run("before", spec.encoding_id, [])
        rows = (
            {"encoding_id": spec.encoding_id, "doc_id": d.doc_id, "version": version, "text_version": version,
             "uri": d.uri, "record_sha256": d.record_sha256, "outputs": outputs, "n_tokens": 11, "deleted": False}
            for d in _documents([str(source)])
        )  # fmt: skip
        while some := list(islice(rows, _ROWS)):
            with catalog.writing() as connection:
                connection.execute(insert(document_versions), some)


def parts(root: Path, parts_a_table: int) -> None:
    """Make a lake with `parts_a_table` parts per table."""
    with Catalog.create_or_open(Lake(root)) as catalog:
        commit_parts(catalog, SPEC, parts_a_table)


def encodings(root: Path, number_of_them: int) -> None:
    """Make a lake with that number of encodings, each with ten parts per table."""
    with Catalog.create_or_open(Lake(root)) as catalog:
        for number in range(number_of_them):
            commit_parts(catalog, replace(SPEC, max_tokens=8 + number), 10)


def _documents(sources: Sequence[str]) -> Iterator[Document]:
    for item in read_sources(resolve(sources), ReadOptions(), stdin=io.BytesIO()):
        if isinstance(item, Document):
            yield item


def _repeated(sources: Sequence[str]) -> Iterator[tuple[int, Document]]:
    for repetition in count():
        yield from ((repetition, document) for document in _documents(sources))


def _rotated(line: str, places: int) -> str:
    words = line.split(" ")
    places %= len(words)
    return " ".join(words[places:] + words[:places])


def _words() -> list[str]:
    text = " ".join(d.text for d in _documents([str(EXAMPLES)]))
    return sorted({word for word in text.lower().split() if word.isalpha()})


def _sentences(draw: random.Random) -> Iterator[str]:
    words = _words()
    while True:
        chosen = draw.choices(words, k=draw.randint(5, 30))
        if draw.random() < 0.1:
            chosen.append("naïve…")
        yield " ".join(chosen).capitalize() + "."


def main() -> None:
    """Make one input, given its kind, target and size."""
    inputs: dict[str, tuple[Callable[..., None], list[Callable[[str], Any]]]] = {
        "model": (model, [Path]),
        "long": (long, [Path, float]),
        "short": (short, [Path, int]),
        "unchanged": (unchanged, [Path, Path, Path]),
        "parts": (parts, [Path, int]),
        "encodings": (encodings, [Path, int]),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("tiled", *inputs))
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    if options.kind == "tiled":
        target, copies, chars, *sources = options.arguments
        tiled(Path(target), int(copies), int(chars), sources)
        return
    make, kinds = inputs[options.kind]
    make(*(kind(value) for kind, value in zip(kinds, options.arguments, strict=True)))


if __name__ == "__main__":
    main()
