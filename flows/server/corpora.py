"""Corpora: what a standing server keeps up to date, configured once in `polyseme.toml`.

    [corpus.news]
    sources = ["news/", "archive/*.jsonl.gz"]
    lake = "lake"
    level = "sentences"

The flows and commands of a standing server name corpora and take the rest from here. Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from polyseme.flows.display.scores import without_missing_scores
from polyseme.flows.runs.job import EmbedRequest
from polyseme.flows.runs.runners import Runner
from polyseme.flows.settings import CONFIG_FILE, from_folder, read_config_file
from polyseme.storage.catalog_url import refuse_password
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake, refuse_secrets
from polyseme.storage.records import Outputs
from polyseme.storage.word_keys import phrases
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import refuse_credentials, resolve
from polyseme.tasks.reading.source import Source

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_OWN = ("sources", "lake", "catalog", "delete", "delete_limit")
_OF_KINDS = (EngineConfig, Outputs, ReadOptions, Patterns)
_RUNNER = {"runner": "kind", "runner_address": "address", "runner_workers": "workers"}
EXAMPLE = '[corpus.news]\nsources = ["news/"]\nlake = "lake"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Sources that are embedded into one lake, always in the same way. `sources` and `lake` are absolute.

    `catalog` is the database of the lake's catalog if that is not in the lake's folder, without a password. `delete`
    hides documents that the sources no longer yield, no more than `delete_limit` of each. `runner` encodes the shards.
    What `patterns` leave out is neither read nor watched.
    `nsp` is what the table says of it, None if it says nothing: steps are scored if the model has a head for them.
    """

    name: str
    sources: list[str]
    lake: str
    catalog: str | None = None
    runner: Runner = field(default_factory=Runner)
    engine: EngineConfig = field(default_factory=EngineConfig)
    outputs: Outputs = field(default_factory=Outputs)
    reading: ReadOptions = field(default_factory=ReadOptions)
    patterns: Patterns = field(default_factory=Patterns)
    delete: bool = True
    delete_limit: str | int | None = None
    nsp: bool | None = None

    def __post_init__(self) -> None:
        refuse_secrets(self.lake)
        refuse_credentials(self.sources)
        refuse_password(self.catalog)
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"[corpus.{self.name}]: name a corpus with small letters, digits, - and _, since its name is part of "
                "event ids."
            )
        if not self.sources or "-" in self.sources:
            raise UsageError(
                f'[corpus.{self.name}] needs sources = ["FOLDER", …]: files, folders or globs that can be read again '
                "at any time."
            )

    def resolved(self) -> list[Source]:
        """Resolve the sources. Raises UsageError for one that does not exist, or that contains the lake.

        A pattern may have no match yet, if its folder is there, and a prefix of an object store no object.
        """
        try:
            return resolve(self.sources, lake=Lake(self.lake), known=_may_be_empty, patterns=self.patterns)
        except UsageError as error:
            raise UsageError(f"[corpus.{self.name}]: {error}") from error

    def request(self) -> EmbedRequest:
        """Return the request that brings this corpus up to date. Raises ModelError for a model that is not available.

        Without `nsp` in the table and a head for it in the model, steps are not scored.
        """
        outputs = without_missing_scores(shared_engine(self.engine), self.outputs, asked=self.nsp)
        return EmbedRequest(
            sources=self.sources, lake=self.lake, catalog=self.catalog, engine=self.engine, outputs=outputs,
            reading=self.reading, patterns=self.patterns, delete=self.delete, delete_limit=self.delete_limit,
            runner=self.runner,
        )  # fmt: skip


Make = Callable[[], Corpus]
"""Makes a corpus of its table. Raises UsageError if that makes no sense."""


def configured() -> dict[str, Corpus]:
    """Return every configured corpus by name. Raises UsageError for settings that make no sense."""
    return {name: make() for name, make in _tables().items()}


def chosen(names: Iterable[str] | None = None) -> list[Corpus]:
    """Return the named corpora, all for None. Raises as `makers` does, and for a table that makes no sense."""
    return [make() for make in makers(names).values()]


def makers(names: Iterable[str] | None = None) -> dict[str, Make]:
    """Return what makes each of the named corpora, all for None: a mistake in the table of one stops no other.

    Raises UsageError for a corpus that is not configured; each maker does for a table that makes no sense.
    """
    known = _tables()
    if not known:
        raise UsageError(
            f"No corpus is configured: {CONFIG_FILE}, in this folder or in one above it, needs a table such as\n"
            f"{EXAMPLE}"
        )
    wanted = list(known) if names is None else list(names)
    if missing := [name for name in wanted if name not in known]:
        raise UsageError(f"There is no [corpus.{missing[0]}] in {CONFIG_FILE}. Configured: {', '.join(known)}.")
    return {name: known[name] for name in wanted}


def names_configured() -> list[str]:
    """Return the names of all configured corpora, whatever their tables say."""
    return list(_tables())


def lakes_configured() -> dict[str, str | None]:
    """Return the lakes of all corpora whose tables make sense, each with the database of its catalog."""
    found = dict[str, str | None]()
    for make in _tables().values():
        with suppress(UsageError):
            corpus = make()
            found[corpus.lake] = corpus.catalog
    return found


def _tables() -> dict[str, Make]:
    path, config = read_config_file()
    tables = config.get("corpus", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"{path}: a corpus is a table with a name, such as\n{EXAMPLE}")
    usual = {"lake": config.get("lake", "lake"), "catalog": config.get("catalog")}
    return {
        name: partial(_corpus, name, table if "lake" in table else usual | table, path.parent)
        for name, table in tables.items()
    }


def _corpus(name: str, table: dict[str, Any], folder: Path) -> Corpus:
    """Build one from its table. Options are named as `polyseme embed` names them, with _ for -."""
    rest = dict(table)
    engine, outputs, reading, patterns = (_taken(rest, kind) for kind in _OF_KINDS)
    runner = {argument: rest.pop(key) for key, argument in _RUNNER.items() if key in rest}
    own = {key: rest.pop(key) for key in _OWN if key in rest}
    if rest:
        known = [*_OWN, *_RUNNER, *(f.name for kind in _OF_KINDS for f in fields(kind))]
        raise UsageError(f"[corpus.{name}]: there is no option {', '.join(rest)}. Options: {', '.join(known)}.")
    if (folder / str(engine.get("model", "\0"))).is_dir():
        engine["model"] = str(folder / engine["model"])
    if type(engine.get("layers")) is int:
        engine["layers"] = str(engine["layers"])
    if isinstance(outputs.get("words"), list):
        outputs["words"] = phrases(outputs["words"])
    built = {
        "name": name,
        "lake": from_folder(own.pop("lake"), folder),
        "sources": [from_folder(source, folder) for source in own.pop("sources", [])],
        "engine": engine,
        "outputs": outputs,
        "reading": reading,
        "patterns": patterns,
        "runner": runner,
        "nsp": outputs.get("nsp"),
        **own,
    }
    try:
        return TypeAdapter(Corpus).validate_python(built)
    except ValidationError as error:
        first = error.errors()[0]
        options = {argument: key for key, argument in _RUNNER.items()} if first["loc"][0] == "runner" else {}
        inside = (part for part in first["loc"] if part not in ("engine", "outputs", "reading", "patterns", "runner"))
        where = ".".join(options.get(str(part), str(part)) for part in inside)
        raise UsageError(f"[corpus.{name}] {where}: {first['msg']}, got {first['input']!r}.") from error


def _taken(rest: dict[str, Any], kind: Any) -> dict[str, Any]:
    return {f.name: rest.pop(f.name) for f in fields(kind) if f.name in rest}


def _may_be_empty(source: Source) -> bool:
    return (source.kind == "glob" and not source.absent) or (source.kind == "objects" and source.single is None)
