"""Sentences of natural lengths on a GPU: Polyseme against padded batches and flash attention over concatenated inputs.

sentence-transformers itself if it is installed, from strings. For each of its two modes that cannot run, transformers'
`BertModel` does the same from token ids: sentences sorted by length, in batches padded to the longest or concatenated
into one row. sentence-transformers concatenates only with flash-attn or kernels installed.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.gpu_setting import Figure, NotMeasured, Setting, Text
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.arrays import Ints
from polyseme.tasks.model.attention import Groups, attention_for
from polyseme.tasks.model.devices import DTYPES
from polyseme.tasks.text.windows import sentence_windows

Vectors = npt.NDArray[np.floating[Any]]
Rows = list[Ints]
Ways = dict[str, tuple[Callable[[], Vectors], float | None]]
"""By name: a function that encodes all sentences, and the factor by which Polyseme should be faster."""
BATCHES = (32, 256)
"""The default of sentence-transformers, and one that keeps a GPU busier."""
_PADDED, _JOINED = 3.0, 1.2
"""The factors by which Polyseme should be faster than each mode, at its default batch size and at a larger one."""
_STRINGS, _IDS = "polyseme, from strings", "polyseme, from ids"
_AGREE = 0.99
_NAME = "polyseme-benchmark-varlen"


def mixed_lengths(setting: Setting) -> Iterator[Figure]:
    """From sentences to sentence vectors: tokens per second of each implementation."""
    # Peers take several times as long; each is timed separately.
    text = setting.text_for(setting.seconds / 60)
    ways: Ways = {
        _STRINGS: (lambda: _mine(setting, setting.tokenized(text.sentences)), None),
        _IDS: (lambda: _mine(setting, text), None),
    }
    if find_spec("transformers") is None:
        raise NotMeasured("needs transformers, or sentence-transformers")
    with_library = find_spec("sentence_transformers") is not None
    unpadded = with_library and setting.device.type == "cuda" and any(map(find_spec, ("flash_attn", "kernels")))
    if with_library:
        ways |= _of_library(setting, text.sentences, unpadded=unpadded)
    if not unpadded:
        ways |= _of_transformers(setting, text, padded=not with_library)
    truth = _mine(setting, text)
    rates = {}
    for name, (run, target) in ways.items():
        _require_alike(name, run(), truth)
        rates[name] = len(text.ids) / setting.timed(run, of=len(ways))
        yield Figure(name, rates[name], "tokens/s")
        if target is not None:
            mine = rates[_STRINGS if name.startswith("sentence-transformers") else _IDS]
            yield Figure(f"polyseme against {name}", mine / rates[name], "times", at_least=target)


def _require_alike(name: str, found: Vectors, truth: Vectors) -> None:
    """Raise PolysemeError if the vectors differ: then the times cannot be compared."""
    a, b = (torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (found, truth))
    least = float(torch.cosine_similarity(a, b).min())
    if least < _AGREE:
        raise PolysemeError(f"The vectors of '{name}' have cosine {least:.4f} with Polyseme's: nothing was timed.")


def _mine(setting: Setting, text: Text) -> Vectors:
    encoder, count = setting.encoder, len(text.sentences)
    windows = sentence_windows(text.sentence_ptr, range(count), encoder.max_tokens, setting.frame)
    vectors, _ = encoder.encode_sentences(text.ids, windows, sentence_ptr=text.sentence_ptr, pooling="mean")
    return vectors


def _of_library(setting: Setting, sentences: list[str], *, unpadded: bool) -> Ways:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    def model(**options: Any) -> Any:
        body = Transformer(
            str(setting.checkpoint.folder), max_seq_length=setting.encoder.max_tokens,
            model_kwargs={"dtype": DTYPES[setting.precision], **options},
        )  # fmt: skip
        return SentenceTransformer(modules=[body, Pooling(setting.encoder.width, "mean")], device=setting.device.type)

    modes = {"padded": (model(attn_implementation="sdpa"), _PADDED)}
    if unpadded:
        modes["flash attention, unpadded"] = (model(attn_implementation="flash_attention_2"), _JOINED)
    return {
        f"sentence-transformers, {mode}, batch {size}": (
            partial(_library_encode, loaded, sentences, size),
            target,
        )
        for mode, (loaded, target) in modes.items()
        for size in BATCHES
    }


def _library_encode(model: Any, sentences: list[str], size: int) -> Vectors:
    vectors = model.encode(sentences, batch_size=size, show_progress_bar=False, convert_to_tensor=True)
    found: Vectors = vectors.float().cpu().numpy()
    return found


def _of_transformers(setting: Setting, text: Text, *, padded: bool) -> Ways:
    from transformers import AttentionInterface, AttentionMaskInterface, BertModel
    from transformers.utils import logging as transformers_logging

    # It warns about the NSP and MLM heads of the checkpoint, which are not needed here.
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    joined = _Joined(setting)
    AttentionInterface.register(_NAME, joined.attend)
    AttentionMaskInterface.register(_NAME, lambda *_args, **_named: None)

    def model(implementation: str) -> Any:
        return BertModel.from_pretrained(
            setting.checkpoint.folder, dtype=DTYPES[setting.precision], attn_implementation=implementation
        ).to(setting.device).eval()  # fmt: skip

    rows = _rows(setting, text)
    modes = {"joined, variable-length attention": (partial(joined.run, model(_NAME)), _JOINED)}
    if padded:
        modes["padded"] = (partial(_padded, model("sdpa")), _PADDED)
    return {
        f"transformers, {mode}, batch {size}": (
            partial(_in_batches, setting.device, rows, size, forward),
            target,
        )
        for mode, (forward, target) in modes.items()
        for size in BATCHES
    }


def _rows(setting: Setting, text: Text) -> Rows:
    """Return the ids of each sentence with special tokens, prepared before the measurement."""
    frame = setting.frame
    most = setting.encoder.max_tokens - frame.single
    bounds = itertools.pairwise(text.sentence_ptr.tolist())
    return [
        np.array([*frame.before, *text.ids[a : min(b, a + most)].tolist(), *frame.after], dtype=np.int64)
        for a, b in bounds
    ]


def _in_batches(
    device: torch.device, rows: Rows, size: int, forward: Callable[[torch.device, Rows], torch.Tensor]
) -> Vectors:
    """Encode longest first and restore the input order, as sentence-transformers does."""
    order = np.argsort([-len(row) for row in rows], kind="stable")
    with torch.inference_mode():
        made = [forward(device, [rows[i] for i in order[start : start + size]]) for start in range(0, len(order), size)]
        vectors = torch.cat(made).float().cpu().numpy()
    return vectors[np.argsort(order)]  # type: ignore[no-any-return]


def _padded(model: Any, device: torch.device, rows: Rows) -> torch.Tensor:
    ids, mask = (np.zeros((len(rows), len(rows[0])), dtype=np.int64) for _ in range(2))
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = row, 1
    mask_there = torch.from_numpy(mask).to(device)
    states = model(input_ids=torch.from_numpy(ids).to(device), attention_mask=mask_there).last_hidden_state
    weights = mask_there[:, :, None].to(states.dtype)
    pooled: torch.Tensor = (states * weights).sum(1) / weights.sum(1)
    return pooled


class _Joined:
    """`BertModel` over one row of concatenated sequences, each attending to itself only, with our attention kernel."""

    def __init__(self, setting: Setting) -> None:
        heads = int(setting.checkpoint.config["num_attention_heads"])
        self._attention = attention_for(setting.device, DTYPES[setting.precision], setting.encoder.width // heads)
        self._groups: Groups = ()
        self._bounds = torch.empty(0)

    def attend(
        self, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: object, **_named: object
    ) -> tuple[torch.Tensor, None]:
        """Map `(1, heads, tokens, size)` to `(1, tokens, heads, size)`, the interface of transformers."""
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        return self._attention(q, k, v, self._groups, self._bounds).view(1, *q.shape), None

    def run(self, model: Any, device: torch.device, rows: Rows) -> torch.Tensor:
        lengths: Ints = np.array([len(row) for row in rows], dtype=np.int64)
        self._groups = [(len(list(same)), length) for length, same in itertools.groupby(lengths.tolist())]
        self._bounds = torch.from_numpy(np.append(0, lengths.cumsum()).astype(np.int32)).to(device)
        ids = torch.from_numpy(np.concatenate(rows))[None].to(device)
        places = torch.from_numpy(np.concatenate([np.arange(length) for length in lengths]))[None].to(device)
        states = model(input_ids=ids, position_ids=places).last_hidden_state[0]
        counts = torch.from_numpy(lengths).to(device)
        sums = torch.segment_reduce(states.float(), "sum", lengths=counts, axis=0, unsafe=True)
        pooled: torch.Tensor = sums / counts[:, None]
        return pooled
