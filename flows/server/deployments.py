"""`prefect.yaml` as deployments: found, read with Prefect's own types, and refused if it has keys that they ignore.

Prefect ignores keys it does not know. In a trigger that is dangerous: with `expects:` for `expect:` every event would
start a run, the events of that run included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentTriggerTypes, TriggerTypes
from prefect.schedules import Schedule
from pydantic import BaseModel, TypeAdapter, ValidationError

from polyseme.storage.errors import UsageError
from polyseme.tasks.shipped import shipped

FILE = "prefect.yaml"
_TRIGGERS: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
_KEYS = {
    "name", "entrypoint", "description", "tags", "parameters", "work_pool", "concurrency_limit", "schedules",
    "triggers", "version", "enforce_parameter_schema", "paused",
}  # fmt: skip
_SCHEDULE_KEYS = {"cron", "interval", "rrule", "timezone", "active", "slug", "parameters", "day_or"}
_OURS = "polyseme."
_RENAMED = {
    "flows.operate.embed_corpora": "polyseme.flows.scheduled.embed_corpora",
    "flows.operate.reconcile": "polyseme.flows.scheduled.reconcile",
    "flows.backfill.backfill": "polyseme.flows.backfill.backfill",
    "flows.maintain.maintain": "polyseme.flows.maintain.maintain",
    "flows.pretrain.adapt_corpora": "polyseme.flows.adapt.adapt_corpora",
    "flows.coherence.coherence": "polyseme.flows.coherence.coherence",
}
"""Entrypoints of before everything was imported as `polyseme`."""


def deployments_file() -> Path:
    """Return the user's copy of our `prefect.yaml` in the working directory, else the one that comes with Polyseme.

    Every Prefect project has a file of this name: one without a deployment of ours is not meant. Raises UsageError for
    one that cannot be read, and for a copy whose entrypoints have since been renamed.
    """
    path = Path.cwd() / FILE
    if not path.is_file():
        return shipped(FILE)
    entrypoints = _entrypoints(path)
    if old := [name for name in dict.fromkeys(entrypoints) if name in _RENAMED and not _is_theirs(name, path.parent)]:
        renamed = "\n".join(f"  {name} -> {_RENAMED[name]}" for name in old)
        raise UsageError(
            f"{path} has entrypoints of an older Polyseme, whose flows have been renamed. Replace them, then run "
            f"polyseme deploy again:\n{renamed}"
        )
    return path if any(name.startswith(_OURS) for name in entrypoints) else shipped(FILE)


def _entrypoints(path: Path) -> list[str]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Correct it, or run this in another folder: "
            "without a file of this name the deployments that come with Polyseme are used."
        ) from error
    deployments = found.get("deployments") if isinstance(found, Mapping) else None
    if not isinstance(deployments, list):
        return []
    return [str(one["entrypoint"]) for one in deployments if isinstance(one, Mapping) and "entrypoint" in one]


def _is_theirs(entrypoint: str, folder: Path) -> bool:
    """True if the folder has a module of that name: a project's own flows are often called as ours once were."""
    module = entrypoint.rpartition(".")[0]
    return (folder / f"{module.replace('.', '/')}.py").is_file()


def read_deployments(path: Path) -> list[dict[str, Any]]:
    """Return the deployments as they stand in the file. Raises UsageError for keys that Prefect would ignore."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))["deployments"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no deployments that can be read: {type(error).__name__}: {error}") from error
    for one in found:
        where = f"{path}: deployment {one.get('name')}"
        _refuse_unknown(one, _KEYS, where)
        for schedule in one.get("schedules", ()):
            _refuse_unknown(schedule, _SCHEDULE_KEYS, f"{where}, schedule")
        triggers(one.get("triggers", ()), where=where)
    return list(found)


def triggers(specs: Iterable[Mapping[str, Any]], *, where: str) -> list[DeploymentTriggerTypes | TriggerTypes]:
    """Return triggers of Prefect's own types. Raises UsageError for one it refuses, or of which it ignores a key."""
    made: list[DeploymentTriggerTypes | TriggerTypes] = []
    for spec in specs:
        place = f"{where}, trigger {spec.get('name', '')}"
        try:
            trigger = _TRIGGERS.validate_python(dict(spec))
        except ValidationError as error:
            raise UsageError(f"{place}: {error}") from error
        _refuse_unknown(spec, _names(type(trigger)), place)
        made.append(trigger)
    return made


def as_served(deployment: Mapping[str, Any]) -> RunnerDeployment:
    """Return a deployment for a runner in this process: as in the file, without the work pool."""
    return RunnerDeployment.from_entrypoint(
        deployment["entrypoint"],
        name=deployment["name"],
        description=deployment.get("description"),
        tags=deployment.get("tags"),
        parameters=deployment.get("parameters"),
        paused=deployment.get("paused"),
        enforce_parameter_schema=deployment.get("enforce_parameter_schema", True),
        concurrency_limit=_limit(deployment.get("concurrency_limit")),
        schedules=[_schedule(one) for one in deployment.get("schedules", ())],
        triggers=triggers(deployment.get("triggers", ()), where=deployment["name"]),
    )


def _limit(limit: int | Mapping[str, Any] | None) -> int | ConcurrencyLimitConfig | None:
    return ConcurrencyLimitConfig(**limit) if isinstance(limit, Mapping) else limit


def _schedule(spec: Mapping[str, Any]) -> Schedule:
    interval = spec.get("interval")
    return Schedule(**{**spec, "interval": None if interval is None else timedelta(seconds=interval)})


def _names(model: type[BaseModel]) -> set[str]:
    return {*model.model_fields, *(f.alias for f in model.model_fields.values() if f.alias)}


def _refuse_unknown(spec: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(spec) - known):
        raise UsageError(
            f"{where}: Prefect knows no {', '.join(unknown)} and would ignore it. It knows {', '.join(sorted(known))}."
        )
