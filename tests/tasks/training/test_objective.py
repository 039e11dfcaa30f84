"""BERT's objective: pairs match their labels, tokens are masked in the published shares, all reproducible by seed."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document
from polyseme.tasks.engine import Engine
from polyseme.tasks.training.corpus import TrainingText, prepare, require_pairs
from polyseme.tasks.training.lookahead import Lookahead
from polyseme.tasks.training.masking import choose
from polyseme.tasks.training.objective import Objective, ObjectiveConfig
from polyseme.tasks.training.segment_pairs import NEXT, RANDOM, SAME_DOCUMENT, SWAPPED, SegmentPairs
from tests.tasks.training.training_corpus import documents

Masks = st.integers(1, 12).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(2, 40), st.integers(0, 10_000)))


@pytest.fixture(scope="module")
def text(mini: Engine) -> TrainingText:
    return prepare(documents(12), mini.wordpiece)


def objective(text: TrainingText, engine: Engine, *, pairs: int = 64, **config: object) -> Objective:
    return Objective(text, engine.wordpiece, ObjectiveConfig(**config), pairs=pairs)  # type: ignore[arg-type]


def test_the_published_shares_are_masked_replaced_and_kept(text: TrainingText, mini: Engine) -> None:
    batches = [b for step in range(40) for b in objective(text, mini).step(step, 64)]
    plain = sum(int((b.attention.sum(axis=1) - 3).sum()) for b in batches)
    at = [(b.ids.reshape(-1)[b.at], b.mlm_labels) for b in batches]
    seen, mlm_labels = (np.concatenate(column) for column in zip(*at, strict=True))
    assert len(mlm_labels) / plain == pytest.approx(0.15, abs=0.005)
    assert (seen == mini.wordpiece.mask_id).mean() == pytest.approx(0.8, abs=0.02)
    assert (seen == mlm_labels).mean() == pytest.approx(0.1, abs=0.015)


def test_nothing_but_chosen_tokens_is_changed(text: TrainingText, mini: Engine) -> None:
    for batch in objective(text, mini).step(3, 16):
        changed = np.flatnonzero(batch.ids != batch.original)
        assert set(changed) <= set(batch.at)
        assert (batch.original.reshape(-1)[batch.at] == batch.mlm_labels).all()


@pytest.mark.parametrize("whole_words", [False, True])
def test_no_special_token_is_ever_chosen_or_drawn(text: TrainingText, mini: Engine, whole_words: bool) -> None:
    wordpiece = mini.wordpiece
    special = {wordpiece.cls_id, wordpiece.sep_id, wordpiece.pad_id}
    for step in range(10):
        for batch in objective(text, mini, whole_words=whole_words, mask_share=0.5).step(step, 32):
            assert not special & set(batch.mlm_labels.tolist())
            assert not special & set(batch.ids.reshape(-1)[batch.at].tolist())
            assert (np.isin(batch.original, list(special)).sum(axis=1) == (batch.attention == 0).sum(axis=1) + 3).all()


def test_pairs_have_the_special_tokens_and_types_of_bert(text: TrainingText, mini: Engine) -> None:
    wordpiece = mini.wordpiece
    for batch in objective(text, mini).step(0, 16):
        for row, types, attention in zip(batch.original, batch.types, batch.attention, strict=True):
            length = int(attention.sum())
            (first, second) = np.flatnonzero(row == wordpiece.sep_id)
            assert (row[0], second) == (wordpiece.cls_id, length - 1)
            assert (types[: first + 1] == 0).all()
            assert (types[first + 1 : length] == 1).all()
            assert (row[length:] == wordpiece.pad_id).all()


def drawn(text: TrainingText, engine: Engine, seed: int, **config: object) -> SegmentPairs:
    """Return a pair at every joint, long enough for nothing to be cut."""
    steps = objective(text, engine, **{"max_tokens": 512, **config})
    return steps.sampler.at(text.joints(), np.random.default_rng(seed))


def test_half_of_the_pairs_are_neighbours_and_the_others_are_what_their_kind_says(
    text: TrainingText, mini: Engine
) -> None:
    pairs = drawn(text, mini, 1)
    ptr, document = text.sentence_ptr, text.document
    a_first, a_last = np.searchsorted(ptr, pairs.a_start), np.searchsorted(ptr, pairs.a_stop) - 1
    b_first, b_last = np.searchsorted(ptr, pairs.b_start), np.searchsorted(ptr, pairs.b_stop) - 1
    next_, random, same, swapped = (pairs.kind == kind for kind in (NEXT, RANDOM, SAME_DOCUMENT, SWAPPED))
    assert abs(int(next_.sum()) * 2 - len(pairs)) <= 1
    assert min(random.sum(), same.sum(), swapped.sum()) > 5
    assert (b_first[next_] == a_last[next_] + 1).all()
    assert (a_first[swapped] == b_last[swapped] + 1).all()
    for neighbours in (next_, swapped):
        assert (text.paragraph[b_first[neighbours]] == text.paragraph[a_last[neighbours]]).all()
    assert (document[b_first[random]] != document[a_last[random]]).all()
    assert (document[b_first[same]] == document[a_last[same]]).all()
    assert not np.isin(b_first[same] - a_last[same], (-1, 0, 1, 2)).any()


def test_negatives_come_in_their_shares_and_the_labels_are_those_of_bert(text: TrainingText, mini: Engine) -> None:
    published = drawn(text, mini, 1, same_document=0, swapped=0)
    assert set(published.kind.tolist()) == {NEXT, RANDOM}
    pairs = drawn(text, mini, 1, same_document=0, swapped=1)
    assert set(pairs.kind.tolist()) == {NEXT, SWAPPED}
    (batch,) = objective(text, mini).step(0, 64)
    assert (batch.label == (batch.kind != NEXT)).all()


def test_a_document_too_short_for_a_distant_sentence_gets_a_random_negative(mini: Engine) -> None:
    short = [Document(f"d{i}", f"file:///{i}", f"Number {i} is here. It stays.") for i in range(30)]
    text = prepare(short, mini.wordpiece)
    pairs = drawn(text, mini, 0, same_document=1, swapped=0)
    assert set(pairs.kind.tolist()) == {NEXT, RANDOM}


def test_a_segment_never_leaves_its_paragraph(text: TrainingText, mini: Engine) -> None:
    pairs = objective(text, mini, max_tokens=512, max_sentences=5).sampler.at(text.joints(), np.random.default_rng(2))
    for start, stop in ((pairs.a_start, pairs.a_stop), (pairs.b_start, pairs.b_stop)):
        first, last = (np.searchsorted(text.sentence_ptr, at, side="right") - 1 for at in (start, stop - 1))
        assert (text.paragraph[first] == text.paragraph[last]).all()
        assert (last - first < 5).all()


def test_a_pair_too_long_keeps_the_end_of_a_and_the_start_of_b(text: TrainingText, mini: Engine) -> None:
    random = np.random.default_rng
    whole = objective(text, mini, max_tokens=512).sampler.at(text.joints(), random(3))
    short = objective(text, mini, max_tokens=16).sampler.at(text.joints(), random(3))
    assert short.lengths.max() == 16
    assert (short.a_stop == whole.a_stop).all()
    assert (short.b_start == whole.b_start).all()
    assert (short.a_stop > short.a_start).all()
    assert (short.b_stop > short.b_start).all()


def test_a_step_depends_on_seed_and_number_alone(text: TrainingText, mini: Engine) -> None:
    one, two = objective(text, mini, seed=5), objective(text, mini, seed=5)
    other = objective(text, mini, seed=6)
    for step in (40, 3, 0):
        (a,), (b,), (c,) = one.step(step, 64), two.step(step, 64), other.step(step, 64)
        assert (a.ids == b.ids).all()
        assert (a.at == b.at).all()
        assert a.ids.shape != c.ids.shape or (a.ids != c.ids).any()


def test_steps_made_ahead_are_the_same_in_any_order(text: TrainingText, mini: Engine) -> None:
    plain = objective(text, mini)
    with closing(Lookahead(objective(text, mini), 16)) as ahead:
        for number in (31, 32, 33, 5, 6, 33):
            for a, b in zip(ahead.step(number), plain.step(number, 16), strict=True):
                assert (a.ids == b.ids).all()
                assert (a.at == b.at).all()
    assert "examples_0" not in {thread.name for thread in threading.enumerate()}


def test_every_pair_of_neighbours_occurs_once_per_epoch(text: TrainingText, mini: Engine) -> None:
    steps = objective(text, mini, pairs=2)
    joints = text.joints()
    for epoch in range(2):
        assert sorted(steps._slots(epoch * len(joints), len(joints))) == sorted(joints)


def test_pairs_of_a_batch_are_similar_in_length(text: TrainingText, mini: Engine) -> None:
    batches = [b for step in range(32) for b in objective(text, mini).step(step, 16)]
    assert sum(b.n_tokens for b in batches) / sum(b.ids.size for b in batches) > 0.8


@given(Masks)
@settings(max_examples=60)
def test_whole_words_are_masked_completely_within_the_share(mask: tuple[int, int, int]) -> None:
    rows, length, seed = mask
    random = np.random.default_rng(seed)
    text = np.zeros((rows, length), bool)
    for row in text:
        row[1 : random.integers(2, length + 1)] = True
    begins = (random.random(text.shape) < 0.6) & text
    begins[:, 1] = True
    chosen = choose(text, begins, share=0.3, whole_words=True, generator=random)
    assert not (chosen & ~text).any()
    for row in range(rows):
        words = np.where(text[row], np.cumsum(begins[row]), 0)
        masked = [word for word in range(1, words.max() + 1) if chosen[row][words == word].any()]
        assert masked
        assert all(chosen[row][words == word].all() for word in masked)
        budget = max(1, round(0.3 * int(text[row].sum())))
        assert chosen[row].sum() <= budget or len(masked) == 1


def test_a_newline_ends_a_paragraph_and_a_document_is_never_crossed(mini: Engine) -> None:
    one = Document("a", "file:///a", "It rained. The river rose.\nThe bank gave way.")
    two = Document("b", "file:///b", "She served. It was out.")
    text = prepare([one, Document("empty", "file:///e", "\ufffd"), two], mini.wordpiece)
    assert text.paragraph.tolist() == [0, 0, 1, 2, 2]
    assert text.document.tolist() == [0, 0, 0, 1, 1]
    assert text.joints().tolist() == [0, 3]


def test_too_little_text_is_an_error(mini: Engine) -> None:
    with pytest.raises(UsageError, match="1 document and"):
        require_pairs(prepare(documents(1), mini.wordpiece), "text")
    lines = [Document(f"line{i}", f"file:///line{i}", "One sentence, and no more.") for i in range(3)]
    with pytest.raises(UsageError, match=r"4 documents and \d+ pairs .* in 1 of"):
        require_pairs(prepare([*documents(1), *lines], mini.wordpiece), "text")
