"""Quality of coherence: breaks in spliced texts, texts that must stay whole, and documents against their shuffles.

    python benchmarks/coherence_quality.py
    python benchmarks/coherence_quality.py corpus.jsonl.gz --genre genre --half 2 --documents 240

Splices segments of 3 to 11 sentences of different documents (Choi 2000) and prints P_k (Beeferman et al. 1999) and
WindowDiff (Pevzner and Hearst 2002), lower is better, of the breaks of `segmentation` and of others; the share of
documents as they are that get no break; and the ROC AUC of originals against shuffles, reversals and splices.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from polyseme.tasks.analysis.order import order_score
from polyseme.tasks.analysis.segmentation import Scale, breaks
from polyseme.tasks.analysis.valleys import valleys
from polyseme.tasks.arrays import unit
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.predictions import next_sentence
from polyseme.tasks.inference.vectors import text_vectors
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.sentences import split

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
SENTENCES = 40
"""At most this many sentences of a document are used."""
RANKED = 24
"""Sentences of a document that is compared with its shuffle, if it has as many; else all, from 8 on."""
Text = list[str]
Find = Callable[[np.ndarray, np.ndarray, Scale], np.ndarray]
"""Takes margins, vectors and scale, returns True for each transition that is a break."""


@dataclass(frozen=True, slots=True)
class Document:
    """The first sentences of a document."""

    genre: str
    sentences: Text
    key: str


@dataclass(frozen=True, slots=True)
class Spliced:
    """A text and the transitions at which its segments meet."""

    sentences: Text
    joins: list[int]


class Scores:
    """Vectors and margins of texts, each computed once. Margins are NaN for a checkpoint without NSP head."""

    def __init__(self, model: str, nsp: str) -> None:
        self._vectors_of, self._margins_of = Engine(EngineConfig(model=model)), Engine(EngineConfig(model=nsp))
        self._vectors: dict[str, np.ndarray] = {}
        self._margins: dict[tuple[str, str], float] = {}

    def add(self, texts: Iterable[Text]) -> None:
        """Score every sentence and every step of the texts."""
        texts = list(texts)
        sentences = list(dict.fromkeys(s for text in texts for s in text if s not in self._vectors))
        self._vectors.update(zip(sentences, text_vectors(self._vectors_of, sentences), strict=True))
        if self._margins_of.checkpoint.claims_head("NSP"):
            steps = list(dict.fromkeys(p for text in texts for p in pairwise(text) if p not in self._margins))
            found = (answer.margin for answer in next_sentence(self._margins_of, steps))
            self._margins.update(zip(steps, found, strict=True))

    def vectors(self, text: Text) -> np.ndarray:
        return np.stack([self._vectors[s] for s in text])

    def margins(self, text: Text) -> np.ndarray:
        return np.array([self._margins.get(step, np.nan) for step in pairwise(text)])

    def scale(self, documents: Sequence[Document], random: np.random.Generator) -> Scale:
        """Return the scale that a lake of the documents would have."""
        units = [unit(self.vectors(d.sentences)) for d in documents]
        near = np.concatenate([(u[1:] * u[:-1]).sum(1) for u in units])
        pairs = (random.choice(len(units), 2, replace=False) for _ in range(2000))
        far = [random.choice(units[a]) @ random.choice(units[b]) for a, b in pairs]
        return Scale(float(np.mean(far)), float(near.mean()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "corpus", type=Path, nargs="?", default=CORPUS, help="JSON lines with text, or a folder of texts"
    )
    parser.add_argument("--genre", help="field that names the genre; what follows a / or - is left out")
    parser.add_argument("--model", default="polyseme-mini", help="checkpoint of the sentence vectors")
    parser.add_argument("--nsp", default="polyseme-mini", help="checkpoint of the margins")
    parser.add_argument("--documents", type=int, default=400, help="at most this many, genres in turn")
    parser.add_argument(
        "--half", type=int, choices=(1, 2), help="only every second document: 1 to develop, 2 to report"
    )
    parser.add_argument("--texts", type=int, default=60, help="spliced texts of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    documents = in_turn(read(options.corpus, options.genre), options.half)[: options.documents]
    kinds = splices(documents, options.texts, random)
    ranked = [d.sentences[:RANKED] for d in documents if len(d.sentences) >= 8]
    shuffled = [[text[i] for i in random.permutation(len(text))] for text in ranked]
    scores = Scores(options.model, options.nsp)
    scores.add([d.sentences for d in documents] + [s.sentences for texts in kinds.values() for s in texts] + shuffled)
    scores.add([text[::-1] for text in ranked])
    scale = scores.scale(documents, random)
    print(f"{len(documents)} documents; mean cosine {scale.unrelated:.3f} unrelated, {scale.related:.3f} neighbours")
    for name, texts in kinds.items():
        report_splices(name, texts, scores, scale)
    report_whole(documents, scores, scale)
    report_order(ranked, shuffled, kinds, scores)


def read(path: Path, genre: str | None) -> list[Document]:
    """Return the documents of at least 3 sentences of a JSON lines file, or of the text files of a folder."""
    if path.is_dir():
        rows = [{"text": file.read_text("utf-8")} for file in sorted(path.glob("*.[tm][xd]*"))]
    else:
        with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as lines:
            rows = [json.loads(line) for line in lines]
    found = []
    for row in rows:
        text = normalise(row["text"][:12_000])
        sentences = [" ".join(text[s.start : s.stop].split()) for s in split(text)][:SENTENCES]
        if len(sentences) >= 3:
            kind = str(row.get(genre, "")).partition("/")[0].partition("-")[0] if genre else ""
            key = hashlib.sha256(str(row.get("doc_id", text)).encode()).hexdigest()
            found.append(Document(kind, [s for s in sentences if s], key))
    return found


def in_turn(documents: list[Document], half: int | None) -> list[Document]:
    """Return the documents in an order that only their ids decide, a genre after the other."""
    genres: dict[str, list[Document]] = defaultdict(list)
    for document in sorted(documents, key=lambda d: d.key):
        genres[document.genre].append(document)
    halves = [found[half - 1 :: 2] if half else found for found in genres.values()]
    return [found[i] for i in range(max(map(len, halves))) for found in halves if i < len(found)]


def splices(documents: list[Document], count: int, random: np.random.Generator) -> dict[str, list[Spliced]]:
    """Return spliced texts by kind: of all genres in 10 and in 2 to 4 segments, of one genre, of whole documents."""
    genres: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if len(document.sentences) >= 4:
            genres[document.genre].append(document)
    every = [d for found in genres.values() for d in found]
    short = [d for d in every if len(d.sentences) <= 12]

    def mixed(segments: int) -> Spliced:
        names = random.choice(list(genres), size=len(every) * 2)
        drawn = {id(d): d for d in (genres[n][random.integers(len(genres[n]))] for n in names)}
        return splice(list(drawn.values())[:segments], random)

    kinds = {
        "10 segments": [mixed(10) for _ in range(count)],
        "2 to 4 segments": [mixed(int(random.integers(2, 5))) for _ in range(count)],
    }
    if len(genres) > 1:
        for genre, found in sorted(genres.items()):
            if len(found) >= 10:
                chosen = [random.choice(len(found), 10, replace=False) for _ in range(count // 2)]
                kinds[f"10 of {genre}"] = [splice([found[i] for i in numbers], random) for numbers in chosen]
    if len(short) >= 8:
        chosen = [random.choice(len(short), random.integers(3, 9), replace=False) for _ in range(count)]
        kinds["whole short documents"] = [splice([short[i] for i in numbers], None) for numbers in chosen]
    return kinds


def splice(documents: Sequence[Document], random: np.random.Generator | None) -> Spliced:
    """Return one text of 3 to 11 sentences of each document, or of all of its sentences."""
    sentences: Text = []
    joins = []
    for document in documents:
        text = document.sentences
        size = len(text) if random is None else min(int(random.integers(3, 12)), len(text))
        start = 0 if random is None else int(random.integers(0, len(text) - size + 1))
        joins.append(len(sentences) - 1)
        sentences = sentences + text[start : start + size]
    return Spliced(sentences, joins[1:])


def report_splices(name: str, texts: Sequence[Spliced], scores: Scores, scale: Scale) -> None:
    """Print the quality of the breaks found by several methods."""
    size = max(round(np.mean([len(t.sentences) / (len(t.joins) + 1) for t in texts]) / 2), 1)
    ways: dict[str, Find] = {
        "segmentation": lambda margins, vectors, scale: breaks(margins, vectors, scale).is_break,
        "valleys of NSP": lambda margins, vectors, scale: valleys(margins),
        "cosine blocks": cosine_blocks,
        "none": lambda margins, vectors, scale: np.zeros(len(margins), bool),
    }
    print(f"{name}: {len(texts)} texts, windows of {size} sentences")
    for way, find in ways.items():
        rows = []
        for text in texts:
            guess = find(scores.margins(text.sentences), scores.vectors(text.sentences), scale)
            true = np.zeros(len(guess), bool)
            true[text.joins] = True
            hit, window = float((true & guess).sum()), min(size, len(true))
            found = hit / max(guess.sum(), 1), hit / max(len(text.joins), 1)
            rows.append((p_k(true, guess, window), window_diff(true, guess, window), *found))
        print("  {:16} P_k {:.3f}  WindowDiff {:.3f}  precision {:.2f}  recall {:.2f}".format(way, *np.mean(rows, 0)))


def report_whole(documents: Sequence[Document], scores: Scores, scale: Scale) -> None:
    """Print by genre how many documents as they are get no break."""
    print("documents as they are: share without a break, breaks in 100 steps (valleys of NSP)")
    for genre in sorted({d.genre for d in documents}):
        texts = [d.sentences for d in documents if d.genre == genre]
        steps = sum(len(text) - 1 for text in texts)
        shown = []
        for find in (lambda m, v: breaks(m, v, scale).is_break, lambda m, v: valleys(m)):
            counts = np.array([find(scores.margins(text), scores.vectors(text)).sum() for text in texts])
            shown += [np.mean(counts == 0), 100 * counts.sum() / steps]
        print(f"  {genre or 'all':16} {len(texts):4}  {{:.2f}} {{:4.1f}}   ({{:.2f}} {{:4.1f}})".format(*shown))


def report_order(
    ranked: Sequence[Text], shuffled: Sequence[Text], kinds: dict[str, list[Spliced]], scores: Scores
) -> None:
    """Print how well scores of documents tell originals from others."""
    others = {
        "shuffled": shuffled,
        "reversed": [text[::-1] for text in ranked],
        "spliced": [text.sentences for text in kinds["2 to 4 segments"]],
    }
    ways: dict[str, Callable[[Text], float]] = {
        "order score": lambda text: order_score(scores.vectors(text)),
        "mean margin": lambda text: float(np.mean(scores.margins(text))),
        "least margin": lambda text: float(np.min(scores.margins(text))),
    }
    print(f"AUC of {len(ranked)} documents of 8 to {RANKED} sentences against the same")
    for way, score in ways.items():
        high = np.array([score(text) for text in ranked])
        low = {name: np.array([score(text) for text in texts]) for name, texts in others.items()}
        print(f"  {way:16} " + "  ".join(f"{name} {auc(high, values):.3f}" for name, values in low.items()))


def cosine_blocks(margins: np.ndarray, vectors: np.ndarray, scale: Scale, *, size: int = 3) -> np.ndarray:
    """Return the transitions where the mean vectors of the blocks around are least alike: TextTiling with vectors."""
    scaled = unit(vectors)
    means = [(scaled[max(i - size, 0) : i].sum(0), scaled[i : i + size].sum(0)) for i in range(1, len(scaled))]
    alike = np.array([np.dot(*(unit(m[None])[0] for m in pair)) for pair in means])
    padded = np.concatenate([[np.inf], alike, [np.inf]])
    valley = (alike <= padded[:-2]) & (alike <= padded[2:])
    middle = (scale.unrelated + scale.related) / 2
    return valley & (alike < middle)


def p_k(true: np.ndarray, guess: np.ndarray, size: int) -> float:
    """Return the share of windows that disagree on whether their two ends are in one segment."""
    ends = range(len(true) - size + 1)
    return float(np.mean([true[i : i + size].any() != guess[i : i + size].any() for i in ends]))


def window_diff(true: np.ndarray, guess: np.ndarray, size: int) -> float:
    """Return the share of windows that disagree on their number of breaks."""
    ends = range(len(true) - size + 1)
    return float(np.mean([true[i : i + size].sum() != guess[i : i + size].sum() for i in ends]))


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """Return the probability that a value of `high` is above one of `low`."""
    return float(np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low)))


if __name__ == "__main__":
    main()
