"""Whether a run goes on with an encoding of an earlier release, whose defaults were others.

Earlier releases took the mean of every checkpoint's tokens, whatever it says, and the words of its tokenizer. The same
command would now begin another encoding and encode the whole lake again, by surprise: it goes on with the one that is
there, and says which command begins the other. So it does with the splitter and language of an encoding, and with what
it reads of a text.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.records import EncodingSpec
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.lake_model import as_the_lake
from polyseme.tasks.text.sentences import AUTO, SPLITTER, has_better

log = logging.getLogger(__name__)


def continued(
    config: EngineConfig, encodings: Sequence[Encoding], *, default: str | None, name: str | None = None
) -> EngineConfig:
    """Return the settings of a run: with former defaults in place of what was not asked for, if the lake has that.

    `encodings` are those of the lake, `default` the id of its default. A new `name` begins an encoding. The words and
    the splitter of an encoding stay as they are; the mean of tokens stays if it is the lake's only encoding of a model
    that says otherwise.
    """
    found = as_the_lake(_as_before(config, encodings, name), encodings, default=default, name=name)
    if config.splitter is None and found.splitter is not None and not has_better(found.splitter):
        _tell_kept(found, asked=config)
    return found


def _tell_kept(found: EngineConfig, *, asked: EngineConfig) -> None:
    """Say which splitter and language an encoding goes on with, if nobody would expect them."""
    kept = [] if found.splitter == SPLITTER else [f"the splitter {found.splitter}"]
    if asked.language is None and found.language not in (None, AUTO):
        kept.append(f"the language {found.language} for every text")
    if kept:
        log.warning(
            "the encoding keeps %s, as it was begun. Another one begins with --name and --splitter rules --language "
            "auto", " and ".join(kept),
        )  # fmt: skip


def _as_before(config: EngineConfig, encodings: Sequence[Encoding], name: str | None) -> EngineConfig:
    alike = [e for e in encodings if name in (None, e.name)]
    of_model = [e for e in alike if e.spec.model_sha256 == shared_engine(config).checkpoint.sha256]
    if not of_model or _makes_one_of(config, of_model):
        return config
    by_words = replace(config, word_definition=config.word_definition or "tokenizer")
    if _makes_one_of(by_words, of_model):
        return by_words
    if not shared_engine(config).own_settings.is_stated or len(of_model) != 1:
        return config
    former = _former(by_words, shared_engine(config).checkpoint.max_tokens)
    if not _makes_one_of(former, of_model):
        return config
    spec = shared_engine(config).spec
    log.warning(
        "encoding %s goes on as it was made, with the mean of all tokens. The checkpoint's own settings (%s) are "
        "another encoding, which this command begins: polyseme backfill --model %s %s",
        of_model[0].name, described(spec), shlex.quote(config.model), _flags(spec),
    )  # fmt: skip
    return former


def _makes_one_of(config: EngineConfig, encodings: Sequence[Encoding]) -> bool:
    """Return whether the settings make one of the encodings, which may have another splitter or language, or read other
    parts of a text."""
    spec = shared_engine(config).spec

    def alike(other: EncodingSpec) -> EncodingSpec:
        splitter = spec.splitter if config.splitter else other.splitter
        language = spec.language if config.splitter or config.language else other.language
        markdown = spec.markdown if config.markdown else other.markdown
        join_hyphens = other.join_hyphens if config.join_hyphens is None else spec.join_hyphens
        store = spec.store if config.store else other.store
        return replace(
            spec, splitter=splitter, language=language, markdown=markdown, join_hyphens=join_hyphens,
            store=store, scheme=other.scheme,
        )  # fmt: skip

    return any(e.encoding_id == alike(e.spec).encoding_id for e in encodings)


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


def _flags(spec: EncodingSpec) -> str:
    flags = [f"--pooling {spec.pooling}", f"--max-tokens {spec.max_tokens}"]
    flags += ["--normalize"] if spec.normalize else []
    flags += ["--dense"] if spec.dense else []
    flags += [f"--prompt {shlex.quote(spec.prompt)}"] if spec.prompt else []
    flags += [f"--query-prompt {shlex.quote(spec.query_prompt)}"] if spec.query_prompt else []
    return " ".join(flags)
