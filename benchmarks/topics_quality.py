"""Quality of topics: against a value of documents that people gave them, and when documents are appended.

    python -m benchmarks.topics_quality --lake lake --by "metadata->>'genre'"
    python -m benchmarks.topics_quality --lake lake --by "metadata->>'genre'" --copies 300000
    python -m benchmarks.topics_quality --ask big-lake

NMI: normalised mutual information of topics and values, 0 to 1. Rand: the adjusted Rand index, over the documents that
were there before, of topics fitted to five sixths of the documents and fitted again to all of them: 1 if nothing
moved; the mean of five draws of what is appended. All methods have the vectors that `polyseme topics` has and, but for
HDBSCAN, the same number of topics. With `--copies`, time and memory of a fit to so many jittered copies of the vectors.
With `--ask`, those of the topics of all documents of a lake (`benchmarks.search_scale` makes a large one) in 50 random
directions, before and after the sums of its sentence vectors are kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from polyseme.storage.catalog import Catalog
from polyseme.storage.fitted_topics import Topic, TopicFit
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect, open_snapshot
from polyseme.storage.sql.kept_documents import document_vectors
from polyseme.tasks.analysis.topics import find_topics, matched, nearest
from polyseme.tasks.arrays import Floats, Ints, unit
from polyseme.tasks.sql.functions import ModelFunctions

Cluster = Callable[[Floats, int], Ints]
_DRAWS = 5
_JITTER = 0.3
_DIRECTIONS = 50
_ALTERNATIVES: dict[str, Cluster] = {
    "k-means, vectors as they are": lambda x, k: KMeans(k, n_init=4, random_state=0).fit(unit(x)).labels_,
    "k-means, less their mean": lambda x, k: KMeans(k, n_init=4, random_state=0).fit(_centred(x)).labels_,
    "mini-batch k-means, less their mean": lambda x, k: (
        MiniBatchKMeans(k, n_init=4, random_state=0).fit(_centred(x)).labels_
    ),
    "Ward, less their mean": lambda x, k: AgglomerativeClustering(k).fit(_centred(x)).labels_,
    "HDBSCAN, less their mean": lambda x, k: HDBSCAN(min_cluster_size=10, copy=True).fit(_centred(x)).labels_,
}


def main() -> None:
    """Measure and print the quality of each way to find topics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--by", default="NULL")
    parser.add_argument("--ask", type=Path)
    parser.add_argument("--number", type=int)
    parser.add_argument("--copies", type=int)
    options = parser.parse_args()
    if options.ask:
        _measure_question(Lake(options.ask))
        return
    if options.lake is None:
        parser.error("name a lake with --lake or --ask")
    vectors, values = _read(Lake(options.lake), options.by)
    if options.copies:
        _measure_scale(vectors, options.copies)
        return
    chosen = find_topics(vectors, number=options.number)
    number = len(chosen.directions)
    print(f"{len(vectors):,} documents, {len(set(values))} values, {number} topics, silhouette {chosen.silhouette:.3f}")
    print(f"{'':40} {'NMI':>6} {'Rand':>6} {'CPU s':>6}")
    _print("--fit, and --fit again", *_measured(_ours, vectors, values, number, warm=True))
    _print("--fit, and --fit --anew", *_measured(_ours, vectors, values, number))
    for name, cluster in _ALTERNATIVES.items():
        _print(name, *_measured(cluster, vectors, values, number))
    without = (_ALTERNATIVES["HDBSCAN, less their mean"](vectors, number) < 0).mean()
    print(f"HDBSCAN leaves {without:.0%} of the documents without a topic")
    _print_left_out(vectors, values)


def _ours(vectors: Floats, number: int) -> Ints:
    return find_topics(vectors, number=number).labels


def _read(lake: Lake, by: str) -> tuple[Floats, list[str]]:
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    ids, vectors = document_vectors(snapshot, lake, snapshot.default)
    with connect(lake, functions=lambda *_: None) as con:
        value = dict(con.execute(f"SELECT doc_id, coalesce(({by})::VARCHAR, '') FROM documents").fetchall())
    return vectors, [value[doc_id] for doc_id in ids.to_pylist()]


def _measured(
    cluster: Cluster, vectors: Floats, values: list[str], number: int, *, warm: bool = False
) -> tuple[float, float, float]:
    """Return NMI, the mean Rand index of a second fit, and the CPU seconds of the first."""
    began = time.process_time()
    labels = cluster(vectors, number)
    seconds = time.process_time() - began
    rand, found = [], []
    for draw in range(_DRAWS):
        order = np.random.default_rng(draw).permutation(len(vectors))
        first = np.sort(order[: len(vectors) * 5 // 6])
        before, after = cluster(vectors[first], number), labels
        if warm:
            old = find_topics(vectors[first], number=number)
            everywhere, _ = nearest(unit(unit(vectors) - old.centre), old.directions)
            after = find_topics(vectors, number=number, before=everywhere).labels
        rand.append(adjusted_rand_score(before, after[first]))
        found.append(normalized_mutual_info_score(values, after))
    return float(np.mean(found)), float(np.mean(rand)), seconds


def _print(name: str, *figures: float) -> None:
    print(f"{name:40} {figures[0]:6.3f} {figures[1]:6.3f} {figures[2]:6.1f}", flush=True)


def _print_left_out(vectors: Floats, values: list[str]) -> None:
    """Leave each frequent value out of the first fit, and print what a second one makes of its documents."""
    for value in sorted({value for value in values if values.count(value) >= 100}):
        new = np.array([one == value for one in values])
        old = find_topics(vectors[~new])
        labels, similarity = nearest(unit(unit(vectors) - old.centre), old.directions)
        far = similarity < np.quantile(old.similarity, 0.05)
        before = np.where(far, -1, labels)
        again = find_topics(vectors, before=before)
        kept = len(matched(before, again.labels))
        most = np.bincount(again.labels[new]).argmax()
        share, whole = (again.labels[new] == most).mean(), new[again.labels == most].mean()
        print(
            f"appended {value:24} {new.sum():4} {far[new].mean():4.0%} far; topics {len(old.directions)} -> "
            f"{len(again.directions)}, {kept} ids kept; {share:4.0%} in one topic, {whole:4.0%} of it, "
            f"{'new' if int(most) not in matched(before, again.labels) else 'old'}"
        )


def _measure_scale(vectors: Floats, copies: int) -> None:
    draw = np.random.default_rng(0)
    many = vectors[draw.integers(0, len(vectors), copies)]
    many += draw.standard_normal(many.shape, np.float32) * (_JITTER * vectors.std(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = find_topics(many)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{copies:,} documents: {len(found.directions)} topics, {time.process_time() - began:.0f} s of CPU, at its "
        f"peak {peak / 2**20:.2f} GB, of which {before / 2**20:.2f} GB are there before, the vectors included"
    )


def _measure_question(lake: Lake) -> None:
    with Catalog.unchanged(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    draw = np.random.default_rng(0)
    drawn = unit(draw.standard_normal((_DIRECTIONS + 1, snapshot.default.spec.width))).astype(np.float16)
    fit = TopicFit(
        version=1, fitted_at="2026-11-29T12:00:00+00:00", catalog_version=1, documents=1, seed=0, silhouette=None,
        far_below=0.0, centre=drawn[0] / 2, topics=tuple(Topic(i, (), 1, d) for i, d in enumerate(drawn[1:], 1)),
    )  # fmt: skip
    shown = replace(snapshot, topics={snapshot.default.encoding_id: (fit,)})
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for when in ("nothing is kept", "sums are kept"):
            began = time.process_time()
            with open_snapshot(shown, lake, functions=ModelFunctions()) as con:
                ((documents,),) = con.execute("SELECT count(topic) FROM document_topics").fetchall()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            seconds = time.process_time() - began
            print(f"{documents:,} documents, {when}: {seconds:.1f} s of CPU, {peak:.2f} GB at the peak", flush=True)


def _centred(vectors: Floats) -> Floats:
    rows = unit(vectors)
    return unit(rows - rows.mean(axis=0))


if __name__ == "__main__":
    main()
