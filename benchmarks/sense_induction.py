"""Quality of senses on annotated words and on pseudo-words, whose number of senses is known.

    python benchmarks/sense_induction.py --annotated words.jsonl
    python benchmarks/sense_induction.py --corpus corpus.jsonl --words 60

Annotated: one JSON object a line, `word`, `sense`, `text` and, in characters of the text, `start` and `end`.

Pseudo-words: the occurrences of 1 to 5 words of a JSONL corpus (`text`) mixed under one name in uneven shares. Their
vectors differ by more than those of a real word's senses, so the words are also moved together (`--nearness`: 1 would
be one place).

Printed for `find_senses`, with and without the vectors of the sentences, and for k-means and the mixture of
`find_senses` that are told the true number: the mean adjusted Rand index of words of several senses (0 is chance, 1 the
annotation), the share of words with the right number, and the words by true and found number. Then how well silhouettes
tell words of one sense from others, and words of two from those of more: areas under the ROC curve, 0.5 is chance. No
threshold on silhouettes finds the number better than these allow.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, roc_auc_score, silhouette_score

from polyseme.tasks.analysis.mixtures import mixtures
from polyseme.tasks.analysis.sense_space import centred, sense_space
from polyseme.tasks.analysis.senses import LEAST_OCCURRENCES_A_SENSE, MOST_SENSES, find_senses
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.texts import tokenize_texts
from polyseme.tasks.inference.vectors import token_and_text_vectors

RARE = 0.05


class Use(NamedTuple):
    """One occurrence: `text[start:end]` in a known sense of `word`."""

    word: str
    sense: str
    text: str
    start: int
    end: int


class Word(NamedTuple):
    """The vectors of a word's occurrences and of their sentences, and their senses as numbers."""

    vectors: Floats
    sentences: Floats
    senses: Ints


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--annotated", type=Path)
    source.add_argument("--corpus", type=Path)
    parser.add_argument("--model", default="polyseme-mini")
    parser.add_argument("--most", type=int, default=1000, help="occurrences of a word")
    parser.add_argument("--words", type=int, default=60, help="pseudo-words to make")
    parser.add_argument("--nearness", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", action="store_true", help="print each word")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    uses = read(options.annotated) if options.annotated else pseudo_words(options.corpus, options.words, draw)
    words = encoded(uses, Engine(EngineConfig(model=options.model)), options.most, draw)
    if options.corpus:
        words = {name: nearer(word, options.nearness) for name, word in words.items()}
    compare(words, each=options.each)
    for label, sentences in (("words", False), ("words and sentences", True)):
        limits(label, [(len(set(w.senses.tolist())), silhouettes(w, sentences=sentences)) for w in words.values()])


def read(path: Path) -> Iterator[Use]:
    """Yield the uses of an annotated file."""
    for line in path.read_text("utf-8").splitlines():
        record = json.loads(line)
        yield Use(*(record[name] for name in Use._fields))


def pseudo_words(corpus: Path, count: int, draw: random.Random) -> Iterator[Use]:
    """Yield the uses of pseudo-words: of one sense every fourth, of 2 to 5 the others."""
    found: dict[str, list[Use]] = defaultdict(list)
    for line in corpus.open(encoding="utf-8"):
        seen: Counter[str] = Counter()
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])|\n+", json.loads(line)["text"]):
            for match in re.finditer(r"\b[a-z]{5,}\b", sentence if 40 < len(sentence) < 350 else ""):
                seen[match.group()] += 1
                if seen[match.group()] <= 3:
                    found[match.group()].append(Use("", match.group(), sentence, *match.span()))
    # The most frequent words are grammar.
    common = sorted(
        (word for word, uses in found.items() if len(uses) >= 60), key=lambda word: (-len(found[word]), word)
    )
    chosen = sorted(common[len(common) // 5 :])
    for number in range(count):
        k = (1, 2, 2, 3, 1, 2, 3, 4, 1, 2, 3, 5)[number % 12]
        shares = [draw.gammavariate(1, 1) + 0.1 for _ in range(k)]
        total = draw.randint(60, 240)
        for sense, share in zip(draw.sample(chosen, k), shares, strict=True):
            size = max(5, round(max(share / sum(shares), RARE) * total))
            for use in draw.sample(found[sense], min(size, len(found[sense]))):
                yield use._replace(word=f"pseudo-word {number}")


def encoded(uses: Iterator[Use], engine: Engine, most: int, draw: random.Random) -> dict[str, Word]:
    """Return the words with the vectors of up to `most` uses; a use without a token is left out."""
    by_word: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        by_word[use.word].append(use)
    words = {}
    for name, own in sorted(by_word.items()):
        rows = list(vectors_of(draw.sample(own, min(most, len(own))), engine))
        senses = np.unique([use.sense for use, _, _ in rows], return_inverse=True)[1]
        words[name] = Word(np.stack([w for _, w, _ in rows]), np.stack([s for _, _, s in rows]), senses)
    return words


def vectors_of(uses: list[Use], engine: Engine) -> Iterator[tuple[Use, Floats, Floats]]:
    """Yield each use with its vector and that of its text, which is taken as one sentence."""
    for first in range(0, len(uses), 256):
        some = uses[first : first + 256]
        texts = tokenize_texts(engine.document_tokenizer, [use.text for use in some])
        tokens, sentences = token_and_text_vectors(engine, [use.text for use in some])
        for use, document, start, sentence in zip(
            some, texts.documents, texts.ptr[:-1].tolist(), sentences, strict=True
        ):
            inside = np.flatnonzero((document.char_end > use.start) & (document.char_start < use.end))
            if len(inside):
                yield use, tokens[start + inside].mean(axis=0), sentence


def nearer(word: Word, nearness: float) -> Word:
    """Move the senses of a pseudo-word together: `nearness` of what parts their centres is taken away."""
    vectors = word.vectors.copy()
    for sense in set(word.senses.tolist()):
        own = word.senses == sense
        vectors[own] -= nearness * (word.vectors[own].mean(axis=0) - word.vectors.mean(axis=0))
    return word._replace(vectors=vectors)


def compare(words: dict[str, Word], *, each: bool) -> None:
    """Print the figures of each way to find senses."""
    ways = {
        "k-means, true number": lambda w: KMeans(len(set(w.senses)), n_init=10, random_state=0).fit_predict(
            centred(w.vectors)
        ),
        "mixture, true number": told_the_number,
        "words": lambda w: find_senses(w.vectors).sense,
        "words and sentences": lambda w: find_senses(w.vectors, w.sentences).sense,
    }
    for label, way in ways.items():
        began = time.process_time()
        pairs: Counter[tuple[int, int]] = Counter()
        scores = []
        for name, word in words.items():
            found = way(word)
            true, number = len(set(word.senses.tolist())), len(set(found.tolist()))
            pairs[true, number] += 1
            score = adjusted_rand_score(word.senses, found)
            scores += [score] if true > 1 else []
            if each:
                print(f"  {name:24} {len(found):5} occurrences  senses {true} found {number}  Rand {score:.3f}")
        right = sum(count for (true, number), count in pairs.items() if true == number)
        seconds = (time.process_time() - began) / len(words)
        print(f"{label:21} Rand {np.mean(scores or [np.nan]):.3f}  right {right} of {len(words)}  {seconds:.2f} CPU s")
        print("  true -> found: " + ", ".join(f"{a} -> {b}: {n}" for (a, b), n in sorted(pairs.items())))


def told_the_number(word: Word) -> Ints:
    """Return the groups that `find_senses` would find if it knew their number."""
    number = len(set(word.senses.tolist()))
    places = sense_space(word.vectors, word.sentences).places
    return mixtures(places, number)[number].nearest(places) if number > 1 else np.zeros(len(places), np.int64)


def silhouettes(word: Word, *, sentences: bool) -> dict[int, float]:
    """Return the mean silhouette for each number of groups that leaves none too small to be a sense."""
    space = sense_space(word.vectors, word.sentences if sentences else None)
    points, found = space.places[space.fitted], {}
    for k, mixture in mixtures(points, min(MOST_SENSES, len(points) // LEAST_OCCURRENCES_A_SENSE)).items():
        labels = mixture.nearest(points)
        if np.bincount(labels, minlength=k).min() >= LEAST_OCCURRENCES_A_SENSE:
            found[k] = float(silhouette_score(points, labels))
    return found


def limits(label: str, words: list[tuple[int, dict[int, float]]]) -> None:
    """Print how well silhouettes tell 1 sense from several, and 2 from more, of words with their true number."""
    highest = [(number > 1, max(found.values(), default=-1.0)) for number, found in words]
    gains = [
        (number > 2, max((s for k, s in found.items() if k > 2), default=-1.0) - found.get(2, -1.0))
        for number, found in words
        if number > 1
    ]
    for what, pairs in (("1 from several", highest), ("2 from more", gains)):
        if len({several for several, _ in pairs}) == 2:
            print(f"{label:21} silhouettes tell {what}: {roc_auc_score(*zip(*pairs, strict=True)):.2f}")


if __name__ == "__main__":
    main()
