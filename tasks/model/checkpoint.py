"""Checkpoints: find one by folder or hub id, read its configuration and what its weights are, fingerprint it.

Only safetensors, never remote code. Importing this module, finding and fingerprinting need neither torch nor
transformers: an unchanged corpus is recognised without loading either.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.layers import LayerSpan, layer_span
from polyseme.storage.records import Layers
from polyseme.tasks.model.checkpoint_checks import (
    MOST_CONFIG_BYTES,
    check_bert,
    check_config,
    check_vocabulary,
    read_shapes,
)
from polyseme.tasks.model.families.bert import BERT
from polyseme.tasks.model.families.family import Family, HeadName
from polyseme.tasks.model.families.generic import generic_family
from polyseme.tasks.model.families.known import PACKED
from polyseme.tasks.model.family_weights import Located, locate
from polyseme.tasks.model.own_settings import FILES as OWN_SETTINGS
from polyseme.tasks.shipped import shipped
from polyseme.tasks.text.tokenizer_files import VOCABULARIES

EMBEDDED = "polyseme-mini"
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")
_HEADS: dict[str, tuple[HeadName, ...]] = {
    "NSP": ("NSP",),
    "MLM": ("MLM",),
    "NSP head and no sentence-order": ("NSP", "order"),
}
_OF_BERT: dict[HeadName, str] = {
    "NSP": "seq_relationship.weight", "MLM": "predictions.transform.dense.weight", "order": "order_relationship.weight",
}  # fmt: skip
_HUB_SECONDS = 10.0
"""How long to wait for the hub's answer: its client would wait for ever, though a cached copy may exist."""
_HUB_FILES = [
    "config.json", "model*.safetensors*", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json",
    "merges.txt", "README.md", *VOCABULARIES, *OWN_SETTINGS,
]  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. `label` is the name that the user gave, with the revision for a hub id."""

    label: str
    folder: Path

    @cached_property
    def _stored_config(self) -> dict[str, Any]:
        path = self.folder / "config.json"
        try:
            if path.is_file() and path.stat().st_size > MOST_CONFIG_BYTES:
                raise ValueError(f"it has more than {MOST_CONFIG_BYTES:,} bytes")
            stored: dict[str, Any] = {} | json.loads(path.read_text("utf-8"))
            return stored
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{self.folder} is not a readable checkpoint: {path.name} could not be read ({error}). "
                "Give --model a folder with config.json, model.safetensors and a tokenizer."
            ) from error

    @cached_property
    def family(self) -> Family:
        """The family of the model. Raises ModelError if `config.json` is unreadable or names none."""
        model_type = self._stored_config.get("model_type")
        if not isinstance(model_type, str) or not model_type:
            raise ModelError(
                f"{self.folder}/config.json names no model_type, so that nothing can tell which model it is. Fetch the "
                "checkpoint again, or choose another --model."
            )
        return PACKED.get(model_type) or generic_family(model_type[:40], self._stored_config)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The parsed `config.json` with its family's defaults. Raises ModelError if unreadable or not of an encoder."""
        family = self.family
        config: dict[str, Any] = {**family.defaults, **self._stored_config}
        check_config(self.folder / "config.json", family, config)
        if why := family.refuses(config):
            raise ModelError(
                f"{self.label}, a {family.title}, {why}. Polyseme needs a bidirectional encoder with the positions "
                "of its family, for example google-bert/bert-base-uncased."
            )
        return config

    @property
    def width(self) -> int:
        """The hidden size: dimensions of a vector."""
        return int(self.family.get(self.config, "hidden_size"))

    @property
    def layers(self) -> int:
        """The number of layers. Where layers share their weights, each time they are run counts."""
        order = self.family.layer_order(self.config)
        return int(self.family.get(self.config, "num_hidden_layers")) if order is None else len(order)

    @property
    def intermediate(self) -> int:
        """The most values that a token has within a layer: what a batch takes of the device's memory goes by it."""
        wide = int(self.family.get(self.config, "intermediate_size"))
        return 2 * wide if self.family.kind == "modernbert" else wide

    @property
    def max_tokens(self) -> int:
        """The model's limit on tokens in one window, special tokens included."""
        return int(self.family.get(self.config, "max_position_embeddings")) - self.family.first_position(self.config)

    @property
    def vector_layer(self) -> int:
        """The layer that vectors are taken from, counted from 1; by default the last.

        Layers above it, which a checkpoint's `vector_layer` in `config.json` declares, serve NSP and MLM only. Raises
        ModelError if it is not a layer of this model.
        """
        layers = self.layers
        layer = self.config.get("vector_layer", layers)
        if type(layer) is not int or not 1 <= layer <= layers:
            raise ModelError(
                f"{self.folder}/config.json takes vectors from layer {layer!r}; the model has layers 1 to {layers}. "
                "Correct vector_layer, or remove it to take the last layer."
            )
        return layer

    def span(self, layers: Layers) -> LayerSpan:
        """Return the layers of the network that `layers` are. Raises UsageError if it does not have them."""
        return layer_span(layers, model=self.label, top=self.layers, vector_layer=self.vector_layer)

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files, sorted. Raises ModelError if there are none."""
        files = sorted(path for path in self.folder.glob("model*.safetensors") if path.is_file())
        if not files:
            pickled = any(self.folder.glob("*.bin"))
            why = "it has only pickled weights (.bin), which can run code when loaded" if pickled else "it has none"
            raise ModelError(
                f"No model*.safetensors in {self.folder}: {why}. Convert the checkpoint once with transformers' "
                "save_pretrained, or choose another --model."
            )
        return files

    def claims_head(self, head: HeadName) -> bool:
        """Return whether the files name that head's weights: a quick check; `load_weights` makes sure.

        Raises ModelError for a file that is not safetensors, or of another size than `config.json` gives.
        """
        if self.family.kind == "generic":
            from polyseme.tasks.model.generic_heads import names_masked_lm_head

            return head == "MLM" and names_masked_lm_head(self)
        if self.family is not BERT:
            return head in self.located.heads
        return head in _OF_BERT and any(name.endswith(_OF_BERT[head]) for name in self.shapes)

    @property
    def scores_steps(self) -> bool:
        """Whether the files name a head for pairs of sentences: NSP, or a sentence-order head as ALBERT has.

        Raises ModelError as `claims_head` does.
        """
        # Of BERTs only those with an NSP head can have the order head.
        return self.claims_head("NSP") or (self.family is not BERT and self.claims_head("order"))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor in the weight files, by name: from their headers, in a millisecond.

        Raises ModelError as `claims_head` does.
        """
        config, files = self.config, self.weight_files
        shapes = read_shapes(files)
        if self.family is BERT:
            check_bert(files[0] if len(files) == 1 else self.folder, config, shapes)
        return shapes

    @cached_property
    def located(self) -> Located:
        """Where the weights of a family other than BERT are, and which heads are there.

        Raises ModelError as `claims_head` does, and for a body that lacks weights.
        """
        return locate(self.folder, self.family, self.config, self.shapes)

    def require_vocabulary(self, size: int) -> None:
        """Raise ModelError if ids below `size`, those of its tokenizer, have no vector in the model."""
        check_vocabulary(self.folder, self.config, size)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the configuration and the weight files."""
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        for path in self.weight_files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def embedded_folder() -> Path:
    """Return the folder of the model that ships with Polyseme."""
    return shipped("models") / EMBEDDED


def find(model: str) -> Checkpoint:
    """Return the checkpoint for a folder, a hub id (`owner/name[@revision]`) or `polyseme-mini`.

    A hub id without a revision is pinned to the commit of its main branch; offline, a cached copy is used.
    Raises ModelError, with what to do, if it is not available.
    """
    if model == EMBEDDED:
        return Checkpoint(EMBEDDED, embedded_folder())
    folder = Path(model).expanduser()
    if folder.is_dir():
        return Checkpoint(folder.resolve().name, folder.resolve())
    if not _HUB_ID.match(model) or model.startswith((".", "/")):
        raise ModelError(
            f"No checkpoint at '{model}': there is no such folder, and it is not a hub id (owner/name or "
            "owner/name@revision). Give --model a folder, a hub id, or leave it out for polyseme-mini."
        )
    name, _, revision = model.partition("@")
    return _download(name, revision or None)


def _download(name: str, revision: str | None) -> Checkpoint:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    failure: Exception | None = None
    try:
        HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
    except Exception as error:
        failure = error  # raised below unless there is a cached copy
    try:
        cached = snapshot_download(
            name, revision=revision, allow_patterns=_HUB_FILES, local_files_only=failure is not None
        )
    except Exception as error:
        raise ModelError(
            f"Could not get '{name}' (revision {revision or 'main'}) from the model hub, and no cached copy was found "
            f"({type(failure or error).__name__}). Check the name and the network, or download it on another "
            "machine and give the folder: --model path/to/checkpoint. Without --model the embedded polyseme-mini is "
            "used, which works offline."
        ) from (failure or error)
    folder = Path(cached)
    return Checkpoint(f"{name}@{folder.name[:12]}", folder)


def missing_head(checkpoint: Checkpoint, head: Literal["NSP", "MLM", "NSP head and no sentence-order"]) -> ModelError:
    """Return the error for a head that the checkpoint lacks."""
    family = checkpoint.family
    without = "" if head == "MLM" else " or leave scoring out with --no-nsp (in polyseme.toml: nsp = false)"
    why = "it was saved without it, and a random one would give meaningless scores"
    if family.kind == "generic":
        why = f"Polyseme reads no such head of a '{family.title}' model"
        if head == "MLM":
            why = f"transformers has none for a '{family.title}' model, or it was saved without it"
    elif family is not BERT and not any(name in family.heads(checkpoint.config) for name in _HEADS[head]):
        why = f"no {family.title} has one"
    return ModelError(
        f"{checkpoint.label} has no {head} head: {why}. Choose a checkpoint with both pretraining heads "
        f"(polyseme-mini, google-bert/bert-base-uncased){without}."
    )


def require_max_tokens(checkpoint: Checkpoint, max_tokens: int | None) -> int:
    """Return the window size: `max_tokens`, or the model's limit if None. Raises UsageError unless 16 to that limit."""
    limit = checkpoint.max_tokens
    if max_tokens is None:
        return limit
    if not 16 <= max_tokens <= limit:
        raise UsageError(f"--max-tokens must be between 16 and {limit} for {checkpoint.label}, got {max_tokens}.")
    return max_tokens
