"""Checkpoints: find one by folder or hub id, fingerprint it, load its weights.

Only safetensors, never remote code. A head that the checkpoint lacks is reported as missing, never filled with random
numbers. Importing this module, finding and fingerprinting need neither torch nor transformers: an unchanged corpus is
recognised without loading either.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.model.checkpoint_checks import (
    MOST_CONFIG_BYTES,
    check_config,
    check_finite,
    check_vocabulary,
    read_shapes,
)
from polyseme.tasks.model.own_settings import FILES as OWN_SETTINGS
from polyseme.tasks.model.safetensors_fast_path import read_complete
from polyseme.tasks.shipped import shipped
from polyseme.tasks.text.tokenizer_files import VOCABULARIES

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDED = "polyseme-mini"
_SILENT = 50
"""Logging level above all of transformers' messages: our own errors report missing heads."""
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")
_HUB_SECONDS = 10.0
"""How long to wait for the hub's answer: its client would wait for ever, though a cached copy may exist."""
_HUB_FILES = [
    "config.json", "model*.safetensors*", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json",
    "merges.txt", *VOCABULARIES, *OWN_SETTINGS,
]  # fmt: skip

_DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
"""The defaults of a `config.json`; the oldest checkpoints leave half of it out."""


@dataclass(frozen=True)
class Checkpoint:
    """A BERT checkpoint on disk. `label` is the name that the user gave, with the revision for a hub id."""

    label: str
    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The parsed `config.json` with BERT's defaults. Raises ModelError if unreadable or not of a BERT encoder."""
        path = self.folder / "config.json"
        try:
            if path.is_file() and path.stat().st_size > MOST_CONFIG_BYTES:
                raise ValueError(f"it has more than {MOST_CONFIG_BYTES:,} bytes")
            config: dict[str, Any] = _DEFAULTS | json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{self.folder} is not a readable checkpoint: {path.name} could not be read ({error}). "
                "Give --model a folder with config.json, model.safetensors and a tokenizer."
            ) from error
        if config.get("model_type") != "bert":
            raise ModelError(
                f"{self.label} is a '{config.get('model_type')}' model; Polyseme runs the BERT family "
                "(model_type 'bert'), for example google-bert/bert-base-uncased or the embedded polyseme-mini."
            )
        if config.get("is_decoder") or config.get("position_embedding_type", "absolute") != "absolute":
            raise ModelError(
                f"{self.label} is a BERT decoder or uses relative positions; Polyseme needs a bidirectional "
                "encoder with absolute positions, for example google-bert/bert-base-uncased."
            )
        check_config(path, config)
        return config

    @property
    def width(self) -> int:
        """The hidden size: dimensions of a vector."""
        return int(self.config["hidden_size"])

    @property
    def max_tokens(self) -> int:
        """The model's limit on tokens in one window, special tokens included."""
        return int(self.config["max_position_embeddings"])

    @property
    def vector_layer(self) -> int:
        """The layer that vectors are taken from, counted from 1; by default the last.

        Layers above it, which a checkpoint's `vector_layer` in `config.json` declares, serve NSP and MLM only. Raises
        ModelError if it is not a layer of this model.
        """
        layers = int(self.config["num_hidden_layers"])
        layer = self.config.get("vector_layer", layers)
        if type(layer) is not int or not 1 <= layer <= layers:
            raise ModelError(
                f"{self.folder}/config.json takes vectors from layer {layer!r}; the model has layers 1 to {layers}. "
                "Correct vector_layer, or remove it to take the last layer."
            )
        return layer

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

    def claims_head(self, head: Literal["NSP", "MLM"]) -> bool:
        """Return whether the files name that head's weights: a quick check; `load_weights` makes sure.

        Raises ModelError for a file that is not safetensors, or of another size than `config.json` gives.
        """
        wanted = "seq_relationship.weight" if head == "NSP" else "predictions.transform.dense.weight"
        return any(name.endswith(wanted) for name in self.shapes)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor in the weight files, by name: from their headers, in a millisecond.

        Raises ModelError as `claims_head` does.
        """
        return read_shapes(self.weight_files, self.config)

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


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by their names in transformers' `BertForPreTraining`, and which heads the checkpoint has.

    The order head (is a pair of sentences in order, or swapped?) is not in transformers; only a checkpoint that has all
    three heads can have it.
    """

    tensors: dict[str, Tensor]
    has_nsp: bool
    has_mlm: bool
    has_order: bool = False


def load_weights(checkpoint: Checkpoint) -> Weights:
    """Load a checkpoint, through transformers if the fast path cannot read it, and find out which heads are missing.

    Raises ModelError if the body itself is incomplete or unreadable, or weights are not finite.
    """
    _ = checkpoint.shapes  # before transformers takes memory for a model as large as config.json says
    plain = read_complete(checkpoint.weight_files, checkpoint.config)
    if plain is None:
        weights = _load_with_transformers(checkpoint)
    else:
        order = "cls.order_relationship.weight" in plain
        weights = Weights(plain, has_nsp=True, has_mlm=True, has_order=order)
    check_finite(checkpoint.folder, weights.tensors)
    return weights


def _load_with_transformers(checkpoint: Checkpoint) -> Weights:
    import torch
    from transformers import BertForPreTraining
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(_SILENT)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = BertForPreTraining.from_pretrained(
            checkpoint.folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported as absent below, not kept
        )
    except Exception as error:
        raise ModelError(
            f"The weights in {checkpoint.folder} could not be loaded ({type(error).__name__}: {error}). "
            "The files may be damaged or belong to another architecture: fetch the checkpoint again or choose another."
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    model, info = loaded
    absent = set(info["missing_keys"]) | {str(key[0]) for key in info["mismatched_keys"]}
    body = sorted(n for n in absent if n.startswith("bert.") and ".pooler." not in n)
    if body:
        raise ModelError(
            f"{checkpoint.label} lacks {len(body)} weights of the BERT body, or has them in another shape than in its "
            f"config.json (first: {body[0]}), so its vectors would be random. Choose a complete checkpoint."
        )
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in absent}
    has_nsp = not any(".pooler." in n or n.startswith("cls.seq_relationship") for n in absent)
    has_mlm = not any(n.startswith("cls.predictions") for n in absent)
    return Weights(tensors, has_nsp, has_mlm)


def missing_head(checkpoint_label: str, head: str) -> ModelError:
    """Return the error for a head that the checkpoint lacks. `head` is `NSP` or `MLM`."""
    without = " or leave scoring out with --no-nsp" if head == "NSP" else ""
    return ModelError(
        f"{checkpoint_label} has no {head} head: it was saved without it, and a random one would give meaningless "
        f"scores. Choose a checkpoint with both pretraining heads (polyseme-mini, google-bert/bert-base-uncased)"
        f"{without}."
    )


def require_max_tokens(checkpoint: Checkpoint, max_tokens: int | None) -> int:
    """Return the window size: `max_tokens`, or the model's limit if None. Raises UsageError unless 16 to that limit."""
    limit = checkpoint.max_tokens
    if max_tokens is None:
        return limit
    if not 16 <= max_tokens <= limit:
        raise UsageError(f"--max-tokens must be between 16 and {limit} for {checkpoint.label}, got {max_tokens}.")
    return max_tokens
