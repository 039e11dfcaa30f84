"""Windows become rows: the special tokens of their frame around one or two segments, token types, and what is where."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyseme.tasks.model.packing import pack
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.windows import SentencePairs, pair_windows, sentence_windows

CPU = torch.device("cpu")
PTR = np.array([0, 3, 5, 5], dtype=np.int64)
IDS = np.arange(10, 15, dtype=np.int32)
PAIRS = SentencePairs(np.array([0]), np.array([1]))

BERT = Frame((1,), (2,), (2,))
ROBERTA = Frame((1,), (2, 2), (2,), second_type=0)
PROMPT = Frame((1, 7, 8), (2,), (2,))
BARE = Frame((), (), ())
TAIL = Frame((), (4,), (4, 3))
FRAMES = {"bert": BERT, "roberta": ROBERTA, "a prompt": PROMPT, "nothing": BARE, "at the end": TAIL}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_one_segment_stands_in_its_frame(frame: Frame) -> None:
    batch, source = pack(IDS, sentence_windows(PTR, [0, 1], 32, frame), np.array([0, 1]), CPU)
    rows = [[*frame.before, *text, *frame.after] for text in ([10, 11, 12], [13, 14])]
    assert batch.ids.tolist() == [*rows[0], *rows[1]]
    assert batch.types.tolist() == [0] * len(batch.ids)
    assert batch.positions.tolist() == [*range(len(rows[0])), *range(len(rows[1]))]
    assert batch.bounds.tolist() == [0, len(rows[0]), len(batch.ids)]
    assert batch.groups == ((1, len(rows[0])), (1, len(rows[1])))
    assert IDS[source[source >= 0]].tolist() == IDS.tolist()
    assert source[len(frame.before)] == 0


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_two_segments_have_what_is_between_them_and_the_second_its_type(frame: Frame) -> None:
    batch, source = pack(IDS, pair_windows(PTR, PAIRS, 32, frame)[0], np.array([0]), CPU)
    first, second = [*frame.before, 10, 11, 12, *frame.between], [13, 14, *frame.after]
    assert batch.ids.tolist() == [*first, *second]
    assert batch.types.tolist() == [0] * len(first) + [frame.second_type] * len(second)
    assert source.tolist() == [
        *(-1 for _ in frame.before), 0, 1, 2, *(-1 for _ in frame.between), 3, 4, *(-1 for _ in frame.after),
    ]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_pair_without_a_second_segment_is_a_single_one(frame: Frame) -> None:
    windows, _ = pair_windows(PTR, SentencePairs(np.array([0]), np.array([2])), 32, frame)
    batch, _ = pack(IDS, windows, np.array([0]), CPU)
    assert batch.ids.tolist() == [*frame.before, 10, 11, 12, *frame.after]
    assert windows.lengths.tolist() == [len(batch.ids)]


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_no_window_is_longer_than_its_limit_whatever_the_frame(frame: Frame) -> None:
    ptr = np.array([0, 50, 90], dtype=np.int64)
    assert (sentence_windows(ptr, range(2), 16, frame).lengths == 16).all()
    windows, left_out = pair_windows(ptr, PAIRS, 16, frame)
    assert windows.lengths.tolist() == [16]
    assert left_out.tolist() == [90 - 16 + frame.pair]
