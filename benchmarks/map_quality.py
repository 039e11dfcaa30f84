"""How long the map of a lake's sentences takes to make, and how far those that are near on it are alike.

    python -m benchmarks.map_quality --lake lake
    python -m benchmarks.map_quality --lake big-lake --sample 0    # of benchmarks/search_scale.py: times alone

Trustworthiness (Venna and Kaski 2001, ten neighbours by cosine) of a random sample: of its places on the map, of its
first two principal components, and of a t-SNE of the sample alone, which no other sentence could join.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.point_maps import PointMap, Progress
from polyseme.storage.lake import Lake
from polyseme.tasks.analysis.layout import lay_landmarks
from polyseme.tasks.arrays import Floats, unit
from polyseme.tasks.sql.functions import ModelFunctions


def main() -> None:
    """Make the map, print the time of each step, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=3_000)
    options = parser.parse_args()
    with LiveLake(Lake(options.lake), ModelFunctions) as lake:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            found = timed(lake)
            with LiveLake(Lake(options.lake), ModelFunctions) as again:
                timed(again)
        if options.sample:
            compare(lake, found, options.sample)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def timed(lake: LiveLake) -> PointMap:
    """Ask for the map until it is there, and print how long each step took."""
    began, cpu, step = time.perf_counter(), time.process_time(), ""
    while isinstance(found := lake.sentence_map(), Progress):
        if found.doing != step:
            print(f"{time.perf_counter() - began:6.1f} s  {found.doing}")
            step = found.doing
        time.sleep(0.02)
    print(f"{time.perf_counter() - began:6.1f} s  {len(found):,} points, {time.process_time() - cpu:.1f} CPU seconds")
    return found


def compare(lake: LiveLake, found: PointMap, size: int) -> None:
    """Print the trustworthiness of the map and of what it is compared with."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import trustworthiness

    sample = np.sort(np.random.default_rng(0).choice(len(found), min(size, len(found)), replace=False))
    names = found.docs.to_pylist()
    keys = [f"{names[found.doc[i]]} {found.sentence[i]}" for i in sample]
    sql = "SELECT embedding FROM sentences WHERE list_contains($keys, doc_id || ' ' || sentence_index)"
    order = "ORDER BY list_position($keys, doc_id || ' ' || sentence_index)"
    column = lake.ask(f"{sql} {order}", keys=keys)["embedding"].combine_chunks()
    vectors: Floats = unit(column.flatten().to_numpy().reshape(len(sample), -1))
    alone = lay_landmarks(vectors)
    of_alone = alone.place[[int(np.argmax(alone.unit @ vector)) for vector in vectors]]
    for name, place in (("map", found.place[sample]), ("PCA", PCA(2, random_state=0).fit_transform(vectors)),
                        ("t-SNE of the sample", of_alone)):  # fmt: skip
        trust = trustworthiness(vectors, place, n_neighbors=10, metric="cosine")
        print(f"trustworthiness, {len(sample):,} sentences: {trust:.3f}  {name}")


if __name__ == "__main__":
    main()
