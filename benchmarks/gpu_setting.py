"""The common setting of the GPU measurements: device, a model of BERT-base's shape, natural text, and timing.

The model has random weights, which do not affect speed.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from polyseme.storage.records import Document, Precision, Sentence
from polyseme.tasks.arrays import Ints
from polyseme.tasks.model.checkpoint import Checkpoint, embedded_folder
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.safetensors_fast_path import shapes
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.sentences import split
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.text.windows import sentence_windows

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_COMMON = {
    "model_type": "bert", "architectures": ["BertForPreTraining"], "hidden_act": "gelu",
    "type_vocab_size": 2, "max_position_embeddings": 512, "layer_norm_eps": 1e-12, "tie_word_embeddings": True,
}  # fmt: skip
_SPREAD = 0.02
"""Standard deviation of BERT's own initial weights."""
_MOST_ROUNDS = 5


class NotMeasured(Exception):
    """This part cannot be measured here; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, with the bound that it should keep, if any."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether it keeps its bound; None without a bound."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True, slots=True)
class Text:
    """Concatenated sentences: `ids` and `word` are `(tokens,)`, `sentence_ptr` is `(sentences + 1,)`."""

    ids: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    sentence_ptr: Ints
    sentences: list[str]


@dataclass(frozen=True)
class Setting:
    """Where and how much to measure. `seconds` is the approximate time per part; `folder` is scratch space.

    `tokenizer` is the folder of the checkpoint's tokenizer, by default the embedded model's.
    """

    device: torch.device
    precision: Precision
    tiny: bool
    seconds: float
    folder: Path
    tokenizer: Path = field(default_factory=embedded_folder)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Random weights in BERT-base's shape, or a toy's if `tiny`, and the tokenizer."""
        folder = self.folder / "random-bert"
        folder.mkdir()
        config = _COMMON | (TINY if self.tiny else BASE)
        config |= {"vocab_size": TextTokenizer.load(self.tokenizer).vocab_size}
        generator = torch.Generator().manual_seed(0)
        tensors = {}
        for name, shape in shapes(config).items():
            centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            tensors[name] = torch.empty(shape).normal_(centre, _SPREAD, generator=generator).half()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(self.tokenizer / name, folder / name)
        return Checkpoint("random-bert", folder)

    @cached_property
    def wordpiece(self) -> TextTokenizer:
        """The tokenizer of the checkpoint."""
        return TextTokenizer.load(self.checkpoint.folder)

    @property
    def frame(self) -> Frame:
        """The special tokens around the text of a window."""
        return self.wordpiece.frame

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder on the device, in its precision."""
        return self.new_encoder(self.device, self.precision)

    def new_encoder(
        self, device: torch.device, precision: Precision, *, budget: int | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Encoder:  # fmt: skip
        """Return another encoder, by default of the same checkpoint; another one must have the same tokenizer."""
        return Encoder(checkpoint or self.checkpoint, device=device, precision=precision, budget=budget)

    @cached_property
    def documents(self) -> list[Document]:
        """The text files of the example corpus, one document each."""
        files = sorted(p for p in CORPUS.iterdir() if p.suffix in (".md", ".txt"))
        return [Document(p.stem, p.name, p.read_text("utf-8")) for p in files]

    @cached_property
    def _once(self) -> Text:
        return self.tokenized([s for document in self.documents for s in _sentences(document.text)])

    def tokenized(self, sentences: list[str]) -> Text:
        """Return `sentences` with their tokens."""
        stops = np.cumsum([len(s) + 1 for s in sentences]).tolist()
        spans = [Sentence(stop - len(s) - 1, stop - 1) for s, stop in zip(sentences, stops, strict=True)]
        made = self.wordpiece.tokenize("\n".join(sentences), spans)
        return Text(made.ids, made.word, made.sentence_ptr, sentences)

    def text(self, tokens: int) -> Text:
        """Return the sentences of the corpus, repeated to at least `tokens` tokens."""
        once = self._once
        times = max(1, -(-tokens // len(once.ids)))
        ptr = np.append(0, np.cumsum(np.tile(np.diff(once.sentence_ptr), times)))
        return Text(np.tile(once.ids, times), np.tile(once.word, times), ptr, once.sentences * times)

    def text_for(self, seconds: float) -> Text:
        """Return about as much text as the encoder processes in that time."""
        return self.text(1 if self.tiny else int(self.rate * seconds))

    @cached_property
    def rate(self) -> float:
        """Approximate tokens per second of the encoder on natural sentences, to choose the sizes of measurements."""
        text = self.text(1 if self.tiny else 4 * self.encoder.budget)
        windows = sentence_windows(text.sentence_ptr, range(len(text.sentences)), self.encoder.max_tokens, self.frame)

        def run() -> None:
            self.encoder.encode_sentences(text.ids, windows, sentence_ptr=text.sentence_ptr, pooling="mean")

        run()
        begun = time.perf_counter()
        run()
        return len(text.ids) / (time.perf_counter() - begun)

    def wait(self) -> None:
        """Wait until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def timed(self, run: Callable[[], object], *, of: int = 1) -> float:
        """Return the median seconds of a run after warm-up, taking about `seconds / of` in all."""
        return statistics.median(self._rounds(run, self.seconds / of))

    def _rounds(self, run: Callable[[], object], limit: float) -> Iterator[float]:
        started = time.perf_counter()
        for number in range(1 + (1 if self.tiny else _MOST_ROUNDS)):
            self.wait()
            begun = time.perf_counter()
            run()
            self.wait()
            ended = time.perf_counter()
            over = ended - started + (ended - begun) > limit
            # The first is a warm-up, unless there is no time for another.
            if number or over:
                yield ended - begun
            if over:
                return


def _sentences(text: str) -> list[str]:
    """Split `text` as Polyseme does, with a space for each line break."""
    return [text[s.start : s.stop].replace("\n", " ") for s in split(text)]
