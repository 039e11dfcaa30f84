"""The tokenizer of a checkpoint as transformers' `AutoTokenizer` makes it: its definition, special tokens and frame.

Everything that decides which ids a text has and what stands around it, with a fingerprint, and no tokenizer loaded yet.
Never uses the network, never runs code of the checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.special_tokens import ROLES, frame, special_names, vocabulary
from polyseme.tasks.text.tokenizer_classes import AS_IT_IS, NAMES, Definition, as_class, content, tokenizer_class
from polyseme.tasks.text.tokenizer_definition import check_definition
from polyseme.tasks.text.tokenizer_files import (
    VOCABULARIES,
    raise_if_stopped,
    read_json,
    read_json_if_there,
    unreadable,
)
from polyseme.tasks.text.transformers_messages import silenced

_FINGERPRINTED = ("normalizer", "pre_tokenizer", "model", "added_tokens")
"""The parts of a tokenizer's definition that decide which ids a text has."""
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_OLDER = "added_tokens.json"
"""The key of the tokens of that file in the settings."""
_BERT_ROLES = ("cls", "sep", "pad", "mask", "unk")


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """What a tokenizer is made of. `names` are special tokens by role, `ids` of every piece and added token."""

    folder: Path
    definition: Definition
    names: Mapping[str, str]
    ids: Mapping[str, int]
    frame: Frame

    @property
    def sha256(self) -> str:
        """SHA-256 of all that decides which ids a text has and what stands around it."""
        names = {role: self.names[role] for role in _BERT_ROLES if role in self.names}
        fixed = {key: self.definition.get(key) for key in _FINGERPRINTED} | {"specials": names}
        if self.frame != self._usual_frame:
            fixed["frame"] = asdict(self.frame)
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()

    @property
    def _usual_frame(self) -> Frame | None:
        """BERT's: tokenizers of earlier releases had no other, so that it is not in their fingerprints."""
        cls, sep = (self.ids.get(self.names.get(role, "")) for role in ("cls", "sep"))
        return None if cls is None or sep is None else Frame((cls,), (sep,), (sep,))


def read_tokenizer(folder: Path) -> TokenizerSource:
    """Read the tokenizer of a checkpoint. Raises ModelError if there is none, or none that may run."""
    path = folder / "tokenizer.json"
    if not path.is_file() and not any((folder / name).is_file() for name in VOCABULARIES):
        raise ModelError(
            f"No tokenizer in {folder}: expected tokenizer.json or vocab.txt there. Name a folder that holds a whole "
            "checkpoint (config.json, model.safetensors, tokenizer.json), a hub id, or the embedded "
            "models/polyseme-mini."
        )
    settings_path = folder / "tokenizer_config.json"
    settings = read_json_if_there(settings_path)
    name = _class_of(folder, settings) if path.is_file() else None
    if name is None:
        return _by_transformers(folder)
    raw = read_json(path)
    check_definition(path, raw)
    settings = _with_older_files(folder, settings)
    try:
        definition = _with_added_tokens(name, as_class(name, settings_path, raw, settings), settings)
        names = special_names(name, definition, settings)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise unreadable(path, error) from error
    return _source(folder, path, name, definition, names)


def _class_of(folder: Path, settings: Mapping[str, Any]) -> str | None:
    if (folder / "config.json").is_file():
        return tokenizer_class(read_json(folder / "config.json"), settings)
    declared = str(settings.get("tokenizer_class")).removesuffix("Fast")
    return declared if declared in NAMES else AS_IT_IS


def _with_older_files(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with those of the files of older checkpoints, which `added_tokens_decoder` makes void."""
    if "added_tokens_decoder" in settings:
        return settings
    return {**settings, **read_json_if_there(folder / "special_tokens_map.json"), _OLDER: (
        read_json_if_there(folder / "added_tokens.json"))}  # fmt: skip


def _with_added_tokens(name: str, definition: Definition, settings: Mapping[str, Any]) -> Definition:
    """Return a definition with the tokens that the settings add."""
    there = definition.get("added_tokens") or []
    if "added_tokens_decoder" in settings:
        listed = [_added(int(number), token) for number, token in settings["added_tokens_decoder"].items()]
    else:
        listed = [_older(number, token, settings) for token, number in settings[_OLDER].items()]
        listed = list({token["id"]: token for token in [*listed, *there]}.values())
    if name == AS_IT_IS:
        known = {token["content"] for token in there}
        listed = [*there, *(token for token in listed if token["content"] not in known)]
    listed.sort(key=lambda token: int(token["id"]))
    if listed == sorted(there, key=lambda token: int(token["id"])):
        return definition
    return definition | {"added_tokens": listed}


def _older(number: Any, token: str, settings: Mapping[str, Any]) -> Definition:
    named = {content(settings.get(f"{role}_token")) for role in ROLES}
    special = token in named or token in (settings.get("additional_special_tokens") or [])
    return _added(number, {"content": token, "special": special, "normalized": not special})


def _added(number: int, token: Any) -> Definition:
    return {"id": number, "content": str(token["content"])} | {name: bool(token.get(name)) for name in _FLAGS}


def _source(folder: Path, path: Path, name: str, definition: Definition, names: Mapping[str, str]) -> TokenizerSource:
    check_definition(path, definition)
    try:
        ids = vocabulary(definition)
    except (ValueError, TypeError, LookupError) as error:
        raise unreadable(path, error) from error
    try:
        around = frame(name, definition, names, ids)
    except (TypeError, LookupError) as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ModelError(
            f"The vocabulary in {folder} lacks the special tokens {error}. If the checkpoint names them otherwise, set "
            "their names in its tokenizer_config.json (cls_token, sep_token, pad_token, mask_token, unk_token); else "
            "choose another checkpoint."
        ) from error
    if not around.single:
        raise ModelError(
            f"The tokenizer in {folder} puts no special token around a text, which an encoder needs. If its model was "
            "trained with some, add them as post_processor to tokenizer.json; else choose the checkpoint of an "
            "encoder, such as google-bert/bert-base-uncased or the embedded models/polyseme-mini."
        )
    return TokenizerSource(folder, definition, {role: n for role, n in names.items() if n in ids}, ids, around)


def _by_transformers(folder: Path) -> TokenizerSource:
    """Return the tokenizer that transformers itself makes, for classes that are not in `tokenizer_classes`."""
    if read_json_if_there(folder / "tokenizer_config.json").get("tokenizer_class") == "BertJapaneseTokenizer":
        raise ModelError(
            f"The tokenizer of {folder} needs another program, MeCab or Sudachi, to find the words of Japanese; only "
            "tokenizers that work by themselves are run. Use a model such as "
            "google-bert/bert-base-multilingual-cased (docs/languages.md)."
        )
    # Two seconds of import, needed only for unusual classes and checkpoints without tokenizer.json.
    from transformers import AutoTokenizer

    path = folder / "tokenizer.json"
    if path.is_file():
        check_definition(path, read_json(path))
    else:
        path = next(folder / name for name in VOCABULARIES if (folder / name).is_file())
    try:
        with silenced():
            made = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        definition: Definition = json.loads(made.backend_tokenizer.to_str())
    except BaseException as error:
        raise_if_stopped(error)
        raise unreadable(path, error) from error
    roles = ("cls", "sep", "pad", "mask", "unk", "bos", "eos")
    names = {role: name for role in roles if (name := content(getattr(made, f"{role}_token", None))) is not None}
    names = {"cls": names["bos"]} | names if "bos" in names else names
    names = {"sep": names["eos"]} | names if "eos" in names else names
    return _source(folder, path, AS_IT_IS, definition, names)
