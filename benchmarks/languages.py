"""What a model's vocabulary and the dictionaries of lemmas know of languages: the figures of docs/languages.md.

Run: `python -m benchmarks.languages de_gsd-ud-dev.conllu …` with files of Universal Dependencies treebanks. Prints the
least and the greatest share of unknown tokens in 20 sentences in a row, and the share of words whose lemma is the
treebank's, both as keys, if the extra `lemma` is installed and has the language (the first letters of a file's name).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Document
from polyseme.storage.word_keys import word_key
from polyseme.tasks.encode.unknown import UnknownTokens
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.text.chunks import chunks
from polyseme.tasks.text.lemmas import Lemmatizer
from polyseme.tasks.text.passages import passages

IN_A_ROW = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("treebanks", nargs="+", type=Path)
    parser.add_argument("--model", default="polyseme-mini")
    asked = parser.parse_args()
    engine = Engine(EngineConfig(model=asked.model, device="cpu"))
    try:
        lemmatizer = Lemmatizer()
    except ModelError as error:
        print(error, file=sys.stderr)
        lemmatizer = None
    print("| treebank | unknown tokens | lemmas |\n|---|---|---:|")
    for path in asked.treebanks:
        shares = sorted(unknown_shares(engine, list(sentences(path))))
        language = path.name.partition("_")[0]
        covered = lemmatizer is not None and lemmatizer.covers(language)
        right = f"{lemma_accuracy(lemmatizer, path, language):.2f}" if lemmatizer is not None and covered else "–"
        print(f"| {path.stem} | {shares[0]:.2f} to {shares[-1]:.2f} | {right} |", flush=True)


def sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a treebank as they were written."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("# text = "):
                yield line.removeprefix("# text = ").strip()


def unknown_shares(engine: Engine, texts: list[str]) -> Iterator[float]:
    """Yield the share of unknown tokens in each run of sentences."""
    for at in range(0, len(texts) - IN_A_ROW + 1, IN_A_ROW):
        unknown, tokens, found = UnknownTokens(engine.wordpiece.unk_id), 0, 0
        document = Document("d", "file:///d", " ".join(texts[at : at + IN_A_ROW]))
        for chunk in chunks(passages([document], engine.wordpiece, engine.split), engine.chunk_tokens):
            found += int(unknown.ended(chunk).sum())
            tokens += int(chunk.sentence_ptr[-1])
        yield found / tokens


def lemma_accuracy(lemmatizer: Lemmatizer, path: Path, language: str) -> float:
    """Return the share of words, punctuation and numbers left out, whose lemma has the key of the treebank's."""
    right = count = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            fields = line.split("\t")
            if len(fields) != 10 or not fields[0].isdigit() or fields[3] in ("PUNCT", "NUM", "SYM", "X"):
                continue
            count += 1
            right += lemmatizer.lemma(fields[1], language) == word_key(fields[2])
    return right / count


if __name__ == "__main__":
    main()
