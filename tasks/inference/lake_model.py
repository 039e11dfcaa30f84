"""The model of a lake's vectors: found by the name stored with them, verified by its fingerprint.

Vectors of different models are in different spaces, and distances between them mean nothing: another model is an error,
never a fallback.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Device, EncodingSpec, Precision
from polyseme.tasks.engine import Engine, shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import EMBEDDED, Checkpoint, find

if TYPE_CHECKING:
    from polyseme.storage.database.encodings import Encoding

RENEW = f"polyseme backfill --model {EMBEDDED} --from {{name}}"
"""The command that encodes the texts of the encoding `name` with the present embedded model."""
_PINNED = re.compile(r"^([\w.-]+/[\w.-]+)@([0-9a-f]{12})$")


def engine_for(spec: EncodingSpec | None, *, model: str | None = None, device: Device = "auto") -> Engine:
    """Return the engine that makes vectors of this encoding. `model` is the current location of its checkpoint.

    Without an encoding (a lake that has none yet) it is `model` or the embedded one. The precision is the device's
    default: a query in float32 finds what was stored from int8 or bfloat16. Raises ModelError, with what to do, if the
    model is not available or not the same.
    """
    if spec is None:
        return shared_engine(EngineConfig(model=model or EMBEDDED, device=device))
    precision: Literal["fp32", "auto"] = "fp32" if spec.precision == "fp32" else "auto"
    engine = shared_engine(config_like(spec, model=model or place_of(spec), device=device, precision=precision))
    _verify(engine, spec)
    return engine


def config_like(
    spec: EncodingSpec, *, model: str, device: Device, precision: Precision | Literal["auto"]
) -> EngineConfig:
    """Return the settings that encode as `spec` does: nothing is left to the checkpoint's own."""
    return EngineConfig(
        model=model, device=device, precision=precision, layers=spec.layers, pooling=spec.pooling,
        context=spec.context, max_tokens=spec.max_tokens, normalize=spec.normalize, dense=bool(spec.dense),
        prompt=spec.prompt, query_prompt=spec.query_prompt, word_definition=spec.word_definition,
        splitter=spec.splitter, language=spec.language or "en", markdown=spec.markdown,
        join_hyphens=spec.join_hyphens, store=spec.store,
    )  # fmt: skip


def as_the_lake(
    config: EngineConfig, encodings: Sequence[Encoding], *, default: str | None, name: str | None = None
) -> EngineConfig:
    """Return the settings with what the encoding has that they make in a lake, where they ask for nothing else.

    That is its splitter and language, what it reads of a text, and how it stores vectors. An encoding keeps them: one
    that differs in nothing else is taken, of several the lake's `default`, else the latest. With a `name` only the one
    of that name is; without one of it a new encoding begins, with the best splitter and prose.
    """
    unsaid = [name for name in ("splitter", "markdown", "join_hyphens", "store") if getattr(config, name) is None]
    if not encodings or not unsaid:
        return config
    wanted = shared_engine(config).spec

    def differs_only_in_what_is_open(spec: EncodingSpec) -> bool:
        opened: dict[str, Any] = {name: getattr(wanted, name) for name in unsaid}
        if config.splitter is None and not config.language:
            opened["language"] = wanted.language
        return replace(spec, **opened).encoding_id == wanted.encoding_id

    alike = [e for e in encodings if differs_only_in_what_is_open(e.spec)]
    if name is not None:
        alike = [e for e in alike if e.name == name]
    chosen = next((e for e in alike if e.encoding_id == default), alike[-1] if alike else None)
    if chosen is None:
        return config
    if config.splitter is None:
        config = replace(config, language=chosen.spec.language or "en")
    taken: dict[str, Any] = {name: getattr(chosen.spec, name) for name in unsaid}
    return replace(config, **taken)


def place_of(spec: EncodingSpec) -> str:
    """Return the name to look for: a hub id's commit is stored with 12 digits, which only the local cache completes."""
    pinned = _PINNED.match(spec.model)
    if pinned:
        from huggingface_hub.constants import HF_HUB_CACHE

        name, digits = pinned.groups()
        folder = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
        return next((str(path) for path in sorted(folder.glob(f"{digits}*"))), spec.model)
    return spec.model


def by_earlier_version(spec: EncodingSpec) -> bool:
    """Return whether an earlier version of the embedded model made this encoding."""
    return spec.model == EMBEDDED and spec.model_sha256 != find(EMBEDDED).sha256


def _verify(engine: Engine, spec: EncodingSpec) -> None:
    what_to_do = (
        f"Name the checkpoint this lake was made with: --model FOLDER or hub id (in Python: model=...). "
        f"Its label was '{spec.model}', its fingerprint begins with {spec.model_sha256[:12]}."
    )
    try:
        checkpoint: Checkpoint = engine.checkpoint
    except ModelError as error:
        raise ModelError(f"The model of this lake's vectors is not available. {what_to_do} ({error})") from error
    if checkpoint.sha256 != spec.model_sha256 and checkpoint.label == EMBEDDED and by_earlier_version(spec):
        raise ModelError(
            f"This lake's vectors were made by an earlier version of {EMBEDDED}, which this version of Polyseme does "
            f"not have. Encode its texts with the present one: {RENEW.format(name='ENCODING')} --lake LAKE, then make "
            "the new encoding the default: polyseme status --default NAME --lake LAKE. Or name the earlier checkpoint, "
            f"whose fingerprint begins with {spec.model_sha256[:12]}: --model FOLDER (in Python: model=...)."
        )
    if checkpoint.sha256 != spec.model_sha256:
        raise ModelError(
            f"'{checkpoint.label}' at {checkpoint.folder} is not the model of this lake's vectors: its fingerprint "
            f"begins with {checkpoint.sha256[:12]}. {what_to_do}"
        )
    if engine.spec.dense != spec.dense:
        raise ModelError(f"The dense layers in {checkpoint.folder} are not those of this lake's vectors. {what_to_do}")
    if engine.wordpiece.sha256 != spec.tokenizer_sha256:
        raise ModelError(f"The tokenizer in {checkpoint.folder} is not the one this lake was made with. {what_to_do}")
