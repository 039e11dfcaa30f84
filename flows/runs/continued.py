"""Whether a run goes on with an encoding from before a checkpoint's own settings were heeded.

Earlier releases took the mean of every checkpoint's tokens. The same command would now begin another encoding and
encode the whole lake again, by surprise: it goes on with the one that is there, and says which command begins the
other.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.records import EncodingSpec
from polyseme.tasks.engine import EngineConfig, shared_engine

log = logging.getLogger(__name__)


def continued(config: EngineConfig, encodings: Sequence[Encoding]) -> EngineConfig:
    """Return the settings of a run: those of the lake's only encoding of this model, if that has the former defaults.

    What was asked for stays as it is. `encodings` are those of the lake.
    """
    engine = shared_engine(config)
    if not engine.own_settings.is_stated:
        return config
    spec = engine.spec
    of_model = [e for e in encodings if e.spec.model_sha256 == spec.model_sha256]
    former = _former(config, engine.checkpoint.max_tokens)
    if former == config or len(of_model) != 1 or of_model[0].encoding_id == spec.encoding_id:
        return config
    known = of_model[0].spec
    if not _same(known, shared_engine(former).spec):
        return config
    log.warning(
        "encoding %s goes on as it was made, with the mean of all tokens. The checkpoint's own settings (%s) are "
        "another encoding, which this command begins: polyseme backfill --model %s %s",
        of_model[0].name, described(spec), shlex.quote(config.model), _flags(spec),
    )  # fmt: skip
    return former


def described(spec: EncodingSpec) -> str:
    """Return how a sentence's vector is made, such as `cls, length 1, up to 512 tokens, prompt 'query: '`."""
    parts: list[str] = [spec.pooling]
    parts += ["dense layers"] if spec.dense else []
    parts += ["length 1"] if spec.normalize else []
    parts.append(f"up to {spec.max_tokens} tokens")
    parts += [f"prompt {spec.prompt!r}"] if spec.prompt else []
    parts += [f"prompt of queries {spec.query_prompt!r}"] if spec.query_prompt else []
    return ", ".join(parts)


def _former(config: EngineConfig, limit: int) -> EngineConfig:
    former: dict[str, Any] = {
        "pooling": "mean", "normalize": False, "dense": False, "prompt": "", "query_prompt": "", "max_tokens": limit,
    }  # fmt: skip
    return replace(config, **{name: value for name, value in former.items() if getattr(config, name) is None})


def _same(known: EncodingSpec, former: EncodingSpec) -> bool:
    """Return whether two encodings differ in their splitters at most."""
    return known.encoding_id == replace(former, splitter=known.splitter, scheme=known.scheme).encoding_id


def _flags(spec: EncodingSpec) -> str:
    flags = [f"--pooling {spec.pooling}", f"--max-tokens {spec.max_tokens}"]
    flags += ["--normalize"] if spec.normalize else []
    flags += ["--dense"] if spec.dense else []
    flags += [f"--prompt {shlex.quote(spec.prompt)}"] if spec.prompt else []
    flags += [f"--query-prompt {shlex.quote(spec.query_prompt)}"] if spec.query_prompt else []
    return " ".join(flags)
