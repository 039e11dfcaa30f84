"""The settings of an engine: which checkpoint, and how it encodes, as plain values that can be sent to workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polyseme.storage.errors import UsageError
from polyseme.storage.layers import canonical
from polyseme.storage.records import Context, Device, Layers, Markdown, Pooling, Precision, WordDefinition
from polyseme.storage.tiers import parse_store
from polyseme.tasks.model.checkpoint import EMBEDDED
from polyseme.tasks.text.sentences import SPLITTER, Splitting, unsaid_language, whole_name


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What to load and how to encode, as plain values that can be sent to workers.

    `layers` are those that vectors are the mean of: `last`, `last4`, `5` or `mean:3-6`. `max_tokens` is the window
    size, `budget` the tokens of a batch (None: by device). `pooling`, `normalize`, `dense`, `prompt`, `query_prompt`
    and `max_tokens` are the checkpoint's own if they are None; False for `dense` leaves its dense layers out.
    `word_definition` is what a word is (None: of the text), `splitter` the name of what splits texts into sentences
    (None: the best), `language` that of the texts (None: found in each), `markdown` what is encoded of Markdown files
    (None: their prose), `join_hyphens` whether a word that a line end divides is one (None: it is not), `store` how
    vectors are stored, of each table (None: in float16).
    """

    model: str = EMBEDDED
    device: Device = "auto"
    precision: Precision | Literal["auto"] = "auto"
    layers: Layers = "last"
    pooling: Pooling | None = None
    context: Context = "sentence"
    max_tokens: int | None = None
    budget: int | None = None
    normalize: bool | None = None
    dense: bool | None = None
    prompt: str | None = None
    query_prompt: str | None = None
    word_definition: WordDefinition | None = None
    splitter: str | None = None
    language: str | None = None
    markdown: Markdown | None = None
    join_hyphens: bool | None = None
    store: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", canonical(self.layers))
        require_context(self.context, self.pooling or "mean", self.prompt or "")
        object.__setattr__(self, "store", self.store if self.store is None else parse_store(self.store))
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"The token budget of a batch must be at least 1, got {self.budget}.")
        _ = self.splitting

    @property
    def splitting(self) -> Splitting:
        """How texts are split into sentences. Raises UsageError if the language is not one."""
        splitter = whole_name(self.splitter or SPLITTER)
        language = self.language or unsaid_language(splitter)
        language = "" if language == "en" else language
        return Splitting(splitter, language, self.markdown or "prose", bool(self.join_hyphens))


def require_context(context: Context, pooling: Pooling, prompt: str) -> None:
    """Raise UsageError for a way to make sentence vectors that needs windows of one sentence."""
    if context == "sentence":
        return
    if pooling not in ("mean", "max"):
        raise UsageError(
            f"--pooling {pooling} needs --context sentence: with '{context}' a sentence has no [CLS] or other special "
            "token of its own. Add --pooling mean."
        )
    if prompt:
        raise UsageError(
            f"A prompt stands before each sentence, and with --context {context} windows have several. Use --context "
            "sentence, or leave the prompt out with --prompt ''."
        )
