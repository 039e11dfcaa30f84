"""A race says something only if every runner does the same work: order, padding and the choice of the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.peers.contest import Entry, compete, entries
from benchmarks.peers.padded import Inputs, Padded
from benchmarks.peers.peer import Peer, Vectors, likeness
from benchmarks.peers.results import Result, table
from benchmarks.race import Times
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import embedded_folder

SENTENCES = ("A bank.", "The river has a muddy bank, and so has the lake.", "A loan from the bank.", "Water.")


def nothing(sentences: Sequence[str], batch: int) -> Vectors:
    return np.zeros((len(sentences), 1), np.float32)


def token_ids(inputs: Inputs) -> Vectors:
    """Stand-in for a runtime whose token vectors are the ids, and garbage where there is padding."""
    return np.where(inputs["attention_mask"], inputs["input_ids"], -1_000_000)[:, :, None].astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_padded_batches_pool_real_tokens_alone_and_keep_the_order_of_the_sentences(batch: int) -> None:
    padded = Padded.of(embedded_folder(), 512, token_ids)
    expected = [[np.mean(padded.tokenizer.encode(sentence).ids)] for sentence in SENTENCES]
    np.testing.assert_allclose(padded(SENTENCES, batch), expected, rtol=1e-6)


def test_a_tuned_peer_is_raced_with_its_default_and_its_best_batch_once_each() -> None:
    peers = [
        Peer("untuned", nothing),
        Peer("default only", nothing, (256, 32)),
        Peer("best is another", nothing, (32,), tuned=True),
        Peer("best is the default", nothing, (32,), tuned=True),
        Peer("has no default", nothing, tuned=True),
    ]
    tried = {
        "best is another": {4: 1.0, 32: 2.0},
        "best is the default": {4: 2.0, 32: 1.0},
        "has no default": {4: 1.0, 32: 2.0},
    }
    assert [(e.peer.name, e.batch, e.note) for e in entries(peers, tried)] == [
        ("untuned", None, ""),
        ("default only", 256, "default"),
        ("default only", 32, ""),
        ("best is another", 32, "default"),
        ("best is another", 4, "best"),
        ("best is the default", 32, "default, best"),
        ("has no default", 4, "best"),
    ]


def test_nothing_is_timed_where_a_peer_computes_something_else() -> None:
    engine = Engine(EngineConfig(device="cpu", precision="fp32"))
    mine = Entry(Peer("mine", lambda s, _: np.zeros((len(s), 2), np.float32)), None)
    other = Entry(Peer("other", lambda s, _: np.full((len(s), 2), 0.01, np.float32)), 4)
    with pytest.raises(PolysemeError, match=r"other, batch 4: vectors differ by 1\.0e-02"):
        compete([mine, other], engine, SENTENCES, rounds=1)


def test_the_table_says_ratio_and_range_of_every_result() -> None:
    result = Result(
        name="peer",
        batch=4,
        note="best",
        precision="fp32",
        times=Times([2.0, 4.0, 3.0], [2.5, 4.5, 3.5]),
        ratios=[1.5, 2.0, 1.0],
        utilisation=0.8,
        difference=4e-7,
        cosine=(1.0, 1.0),
    )
    row = table([result]).splitlines()[-1]
    expected = "| peer | 4 (best) | 3.00 (2.00 to 4.00) | 3.50 | 1.50x (1.00 to 2.00) | 80% | differ by 4e-07 |"
    assert row == expected


def test_likeness_is_the_mean_and_the_least_cosine() -> None:
    exact = np.array([[1, 0], [0, 2]], np.float32)
    assert likeness(np.array([[3, 0], [1, 1]], np.float32), exact) == pytest.approx((0.853553, 0.707107), abs=1e-5)
