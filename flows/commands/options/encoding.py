"""Options that fix the vectors of an encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.model import DeviceName, Model
from polyseme.flows.commands.options.panels import ENCODING
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Context, Layers, Markdown, Pooling, Precision
from polyseme.tasks.text.sentences import splitter_named

if TYPE_CHECKING:
    from polyseme.tasks.engine_config import EngineConfig

Name = Annotated[
    str | None,
    Parameter(
        group=ENCODING,
        help="Name of a new encoding, e.g. mini: its views are sentences_mini and so on. By default after the model.",
    ),
]


SETTINGS = (
    "precision", "context", "layers", "pooling", "normalize", "dense", "prompt", "query_prompt", "max_tokens",
    "language", "markdown", "join_hyphens", "store",
)  # fmt: skip
"""The options that fix an encoding of a model."""


@Parameter(name="*", group=ENCODING)
@dataclass(frozen=True, slots=True, kw_only=True)
class PartialEncodingOptions:
    """The settings of an encoding, each of which may be left open."""

    model: str | None = None
    """Encode with another model: a folder, a hub id (owner/name[@revision]) or polyseme-mini. The options below are
    settings of its encoding. Together with --encoding: where the checkpoint of that encoding is now."""

    device: DeviceName = "auto"

    precision: Precision | Literal["auto"] | None = None
    """auto (default) is fp32 on CPUs and bf16 on CUDA GPUs. int8 is faster on x86 CPUs and a little less exact.
    Part of the encoding."""

    context: Context | None = None
    """What the tokens of a sentence attend to: the sentence alone (default), a window filled with its neighbours, or
    the pair of sentences that NSP scores."""

    layers: Layers | None = None
    """The layers that vectors are taken from: last (default); last4, the mean of the last four; 5, layer 5; or
    mean:3-6, the mean of layers 3 to 6. They count from 1, 0 is the embeddings' output; last is as the checkpoint says.
    """

    pooling: Pooling | None = None
    """A sentence's vector: the mean of its tokens, that of [CLS], the greatest value of each dimension, the last
    special token, or a mean with weights that rise. By default what the checkpoint's sentence-transformers files say,
    else the mean."""

    normalize: bool | None = None
    """Scale sentence vectors to length 1. By default what the checkpoint says; else they stay as they are."""

    dense: Annotated[bool | None, Parameter(negative="--no-dense")] = None
    """Put sentence vectors through the dense layers of the checkpoint, if it has any (default)."""

    prompt: str | None = None
    """Text before each sentence of a document, e.g. 'passage: '; by default the checkpoint's own, '' for none."""

    query_prompt: str | None = None
    """Text before each text that is searched for, e.g. 'query: '; by default the checkpoint's own, '' for none. Kept
    with a new encoding."""

    max_tokens: int | None = None
    """Length of a window in tokens, special tokens included, e.g. 256; by default the checkpoint's own, at most the
    model's limit."""

    language: str | None = None
    """The language of the texts, which the splitter is told: en, de and so on, or auto (default): found in each."""

    markdown: Markdown | None = None
    """What is encoded of Markdown files: prose (default), without blocks of code, tables, comments and the targets of
    links; or all. The stored text is the whole file's. An encoding keeps what it was made with."""

    join_hyphens: Annotated[bool | None, Parameter(negative="--no-join-hyphens")] = None
    """Read a word that a hyphen at a line end divides (know-, ledge) as one; by default its parts are words. Compounds
    whose hyphen stands there lose it. An encoding keeps what it was made with."""

    store: str | None = None
    """How vectors are stored: float16 (default), int8, in half the bytes, or binary, in a sixteenth; or one for each
    table: sentences=int8,words=binary. Every query reads them as before. An encoding keeps what it was made with."""

    splitter: str | None = None
    """What splits texts into sentences: rules (default), lines (each is one, as in verse), one that a package installs
    as an entry point polyseme.splitters, or nupunkt, which encodings of earlier releases keep."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that were given, besides model and device."""
        given = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        return given if self.splitter is None else given | {"splitter": splitter_named(self.splitter)}

    def config(self) -> EngineConfig:
        """Return the engine's settings. What was left open has the engine's default."""
        from polyseme.tasks.engine_config import EngineConfig

        settings = self.settings() if self.model is None else {"model": self.model, **self.settings()}
        return EngineConfig(device=self.device, **settings)


@Parameter(name="*", group=ENCODING)
@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingOptions(PartialEncodingOptions):
    """The settings of an encoding, with their defaults."""

    model: Model = "polyseme-mini"
    precision: Precision | Literal["auto"] = "auto"
    context: Context = "sentence"
    layers: Layers = "last"

    presplit: Literal["lines", "field"] | None = None
    """The text is split already: each line is a sentence, or the field of the text is a list of sentences."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that were given, besides model and device. Raises UsageError for two splitters."""
        given = PartialEncodingOptions.settings(self)
        if self.presplit is None:
            return given
        if "splitter" in given:
            raise UsageError("--presplit leaves nothing to --splitter. Give one of the two.")
        return given | {"splitter": splitter_named("lines")}
