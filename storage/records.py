"""Records: the plain values that Polyseme passes on, from a document that is read to the report of a run.

No Prefect, no torch, no open files. Offsets are half-open ranges of Python characters (Unicode code points) in the
*stored* text of a document.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import datetime
from json.encoder import encode_basestring
from typing import Any, Literal

Layers = str
"""Which layers of the network a vector is the mean of: `last`, `last4`, `5`, `mean:3-6` (`layers.py`)."""
Pooling = Literal["mean", "cls", "max", "last", "weighted"]
"""Of a sentence's tokens: their mean, the first special token, the greatest value of each dimension, the last special
token, or the mean with weights that rise by one from token to token."""
WordDefinition = Literal["text", "tokenizer"]
"""What a word is: of the text, the same for every model, or what the tokenizer splits first."""
Markdown = Literal["prose", "all"]
"""What is encoded of a Markdown file: without blocks of code, tables, comments and targets of links, or all of it."""
Context = Literal["sentence", "window", "pair"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "int8"]
Level = Literal["sentences", "words", "tokens"]
PllVariant = Literal["original", "within_word_l2r"]
Store = Literal["float16", "int8", "binary"]
"""How vectors are stored (`tiers.py`)."""
Stage = Literal["scan", "read"]
Reason = Literal["nothing-found", "too-many"]
"""Why deletions of a source are held back."""

LEVELS: tuple[Level, ...] = ("sentences", "words", "tokens")
LANE_STAGES = ("encode", "nsp", "pll")
"""Stages of a run in the encoder lane, one at a time; all other stages run beside them."""
ENCODING_SCHEMES: dict[Context, int] = {"sentence": 1, "window": 2, "pair": 1}
"""By context: incremented whenever a change of Polyseme changes its vectors."""


@dataclass(frozen=True, slots=True)
class Document:
    """One normalised text. `metadata` is a JSON object in canonical form (sorted keys).

    `text_version` is the ordinal of the run that read the text from its source; None for the run at hand.
    `modified_at`, in UTC, and `bytes` are of the file that it was read from, as it was then; None if they are not
    known. They are no part of the record: a file that was only touched has the same documents.
    """

    doc_id: str
    uri: str
    text: str
    locator: str = ""
    title: str | None = None
    metadata: str = "{}"
    text_version: int | None = None
    modified_at: datetime | None = field(default=None, compare=False)
    bytes: int | None = field(default=None, compare=False)

    @property
    def content_sha256(self) -> str:
        """SHA-256 of the text alone: it decides the vectors."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def record_sha256(self) -> str:
        """SHA-256 of everything stored about the document: it decides whether the document is up to date."""
        # The JSON list [title, metadata], without setting up an encoder for each of millions of documents.
        title = "null" if self.title is None else encode_basestring(self.title)
        head = f"[{title}, {encode_basestring(self.metadata)}]\0"
        digest = hashlib.sha256(head.encode())
        digest.update(self.text.encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Reject:
    """Input that was refused, and why. `locator` is `line 12`, `row 3` or empty for the whole file.

    `doc_id` is set if only the content was bad; the last good version of the document then stays.
    """

    uri: str
    locator: str
    stage: Stage
    code: str
    message: str
    excerpt: str = ""
    doc_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """Half-open character span of a document's text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingSpec:
    """Everything that determines a vector. Two specs with the same `encoding_id` give equal vectors.

    `width` is the number of dimensions, `max_tokens` the limit of a window, `language` that of the texts as their
    splitter was told it: a code of ISO 639, empty for English. Sentence vectors are pooled, go through the dense layers
    with the SHA-256 `dense` and are scaled to length 1 with `normalize`; `prompt` stands before each sentence. Vectors
    of words and tokens are the model's own. `markdown` is what is encoded of Markdown files; with `join_hyphens` a
    word that a line end divides is one. `store` is how vectors are stored, by table if they differ (`tiers.py`).
    `query_prompt` stands before texts that are searched for: no stored vector
    depends on it, so that it is in no id.

    A field added later has a default that means "as before", and counts only where it differs: the encodings of
    existing lakes keep their ids, and an earlier release reads what is described without it.
    """

    model: str
    model_sha256: str
    tokenizer_sha256: str
    width: int
    layers: Layers
    pooling: Pooling
    context: Context
    max_tokens: int
    precision: Precision
    splitter: str
    scheme: int = 1
    normalize: bool = False
    dense: str = ""
    prompt: str = ""
    query_prompt: str = ""
    word_definition: WordDefinition = "tokenizer"
    language: str = ""
    markdown: Markdown = "all"
    join_hyphens: bool = False
    store: str = "float16"

    @property
    def encoding_id(self) -> str:
        """Sixteen hex digits over all that determines stored vectors: a renamed folder is the same model."""
        settings = self.stated()
        del settings["model"]
        settings.pop("query_prompt", None)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the fields that a stored description may lack, and what they then are."""
        return {f.name: f.default for f in fields(cls) if f.default is not MISSING}

    def stated(self) -> dict[str, Any]:
        """Return the fields to store and to hash: all but later ones that have their default."""
        unsaid = {name: value for name, value in self.defaults().items() if name != "scheme"}
        return {k: v for k, v in asdict(self).items() if k not in unsaid or v != unsaid[k]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionLoss:
    """How close a rounded encoding is to the same one in fp32, over a number of probe sentences.

    Cosines are of token vectors, recall is of the ten nearest sentences.
    """

    sentences: int
    token_cosine: float
    least_token_cosine: float
    recall_at_10: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLoss:
    """What storing a table's vectors in less than float16 costs, over a number of them from the lake itself.

    `bytes_a_vector` are those of the part that they are in. Cosines are with the float16 vectors, recall is of the ten
    nearest of the same vectors, with queries in float16.
    """

    vectors: int
    bytes_a_vector: float
    cosine: float
    least_cosine: float
    recall_at_10: float


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which rows a document has besides its sentences. `words` limits word rows to these keys and phrases of
    keys with spaces between, None is all.

    `pll` is the variant of pseudo-log-likelihood of its sentences, None for none; with `lemma` words have theirs.
    """

    level: Level = "words"
    words: frozenset[str] | None = None
    nsp: bool = True
    pll: PllVariant | None = None
    lemma: bool = False

    def covers(self, other: Outputs) -> bool:
        """Return True if rows made for `self` include everything that `other` needs."""
        if LEVELS.index(self.level) < LEVELS.index(other.level) or other.nsp > self.nsp:
            return False
        if other.pll not in (None, self.pll) or other.lemma > self.lemma:
            return False
        if other.level == "sentences" or self.words is None:
            return True
        return other.words is not None and other.words <= self.words

    def has_word(self, phrase: str) -> bool:
        """Return True if rows made for `self` include this word, or all words of this phrase, wherever it stands.

        `phrase` is a key, or several with spaces between.
        """
        if self.level == "sentences" or self.words is None:
            return self.level != "sentences"
        return phrase in self.words or self.words.issuperset(phrase.split())

    def union(self, other: Outputs) -> Outputs:
        """Return the least outputs that cover both; of two variants of pseudo-log-likelihood, that of `self`."""
        with_words = [o for o in (self, other) if o.level != "sentences"]
        wanted = [o.words for o in with_words if o.words is not None]
        words = frozenset[str]().union(*wanted) if with_words and len(wanted) == len(with_words) else None
        level = max(self.level, other.level, key=LEVELS.index)
        return Outputs(level, words, self.nsp or other.nsp, self.pll or other.pll, self.lemma or other.lemma)

    def to_json(self) -> str:
        """Return JSON with sorted keys, the same for equal outputs."""
        words = None if self.words is None else sorted(self.words)
        later = {"pll": self.pll, "lemma": self.lemma}
        added = {name: value for name, value in later.items() if value}
        return json.dumps({"level": self.level, "words": words, "nsp": self.nsp, **added}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Outputs:
        """Return the outputs that `to_json` wrote, in this release or an earlier one."""
        raw = json.loads(text)
        words = None if raw["words"] is None else frozenset(raw["words"])
        return Outputs(raw["level"], words, raw["nsp"], raw.get("pll"), raw.get("lemma", False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The documents that one task run handles: a reference to a staged file, never the text itself.

    `path` is relative to the lake's root, `version` the ordinal of the run, `ordinal` the shard's place in it.
    `n_chars` are to be encoded. `redescribes` is for documents of which only the description changed: their rows stay,
    and nothing is encoded.
    """

    run_id: str
    ordinal: int
    version: int
    encoding_id: str
    outputs: Outputs
    path: str
    n_documents: int
    n_chars: int
    shard_key: str
    redescribes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One immutable Parquet file of one table. `path` is relative to the lake's root, with `/`."""

    table: str
    encoding_id: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """What the catalog has of one document in one encoding.

    `version` is the ordinal of the run that stored it, `text_version` of the run that read its text; None if it is
    the same run. `rows_version` is the version that all its rows but that of `documents` have, if only its description
    changed since; None if they have `version`. A commit takes those rows for the document's own.

    `content_sha256` is the hash of the text alone, `device` the kind of device that computed the vectors, and
    `rows_shard` the number of the shard that wrote the rows; None if unknown. A commit ignores the last and numbers
    shards itself.
    """

    doc_id: str
    uri: str
    version: int
    record_sha256: str
    outputs: Outputs
    n_tokens: int = 0
    text_version: int | None = None
    rows_version: int | None = None
    rows_shard: int | None = None
    content_sha256: str | None = None
    device: str | None = None

    @property
    def order(self) -> tuple[int, int]:
        """The key by which the greater of two versions wins: the later text, then the later encoding of it."""
        return (self.version if self.text_version is None else self.text_version, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a shard or a whole run did. `seconds` are wall seconds by stage; `+` adds two counts.

    `documents` were encoded; `redescribed` have the same text as before and another title or metadata: nothing was
    encoded for them.
    `forward_tokens` are the tokens that went through the model, special tokens included. Of the sentences and tokens,
    `reused_sentences` and `reused_tokens` have vectors that were copied and not computed. `unknown_tokens` stand for
    text that the model's vocabulary does not have, and `unknown_documents` are full of it. Of the documents,
    `rounded_documents` were not encoded: their vectors are those of an encoding with more bits, rounded.
    """

    documents: int = 0
    redescribed: int = 0
    sentences: int = 0
    words: int = 0
    tokens: int = 0
    transitions: int = 0
    forward_tokens: int = 0
    reused_sentences: int = 0
    reused_tokens: int = 0
    unknown_tokens: int = 0
    unknown_documents: int = 0
    rounded_documents: int = 0
    bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def encoded_documents(self) -> int:
        """The documents that were encoded and not only rounded."""
        return self.documents - self.rounded_documents

    @property
    def lane_seconds(self) -> float:
        """Wall seconds that the model was busy."""
        return sum(self.seconds.get(stage, 0.0) for stage in LANE_STAGES)

    def __add__(self, other: Counts) -> Counts:
        stages = self.seconds.keys() | other.seconds.keys()
        seconds = {s: self.seconds.get(s, 0.0) + other.seconds.get(s, 0.0) for s in sorted(stages)}
        numbers = [f.name for f in fields(Counts) if f.name != "seconds"]
        return Counts(seconds=seconds, **{name: getattr(self, name) + getattr(other, name) for name in numbers})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """What encoding a shard left on disk, to be committed: parts, document versions, rejects, counts."""

    shard: Shard
    parts: tuple[Part, ...]
    documents: tuple[DocumentVersion, ...]
    rejects: tuple[Reject, ...]
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Documents of one source that a run did not find again and did not hide, `documents` of the `had` before it.

    `source` is an absolute path or pattern, `examples` a few of the addresses, `confirm_with` the least
    `--delete-limit` that hides them, `held_at` ISO 8601 in UTC.
    """

    encoding_id: str
    source: str
    run_id: str
    reason: Reason
    documents: int
    had: int
    examples: tuple[str, ...]
    confirm_with: str
    held_at: str = ""
