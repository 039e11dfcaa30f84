"""`prefect.yaml` as deployments: read with Prefect's own types, and refused where it says what they would pass over.

Prefect ignores keys it does not know. In a trigger that is dangerous: with `expects:` for `expect:` every event that
there is would start a run, the events of that run included.
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


def deployments_file() -> Path:
    """Return `prefect.yaml` of the working directory, else the one that comes with Polyseme."""
    own = Path.cwd() / FILE
    return own if own.is_file() else shipped(FILE)


def read_deployments(path: Path) -> list[dict[str, Any]]:
    """Return the deployments as they stand in the file. Raises UsageError for keys that nothing would heed."""
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
    """Return triggers of Prefect's own types. Raises UsageError for one it refuses, or would read past a key of."""
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
    """Return a deployment for a runner in this process: work pool left out, everything else as the file says."""
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
        raise UsageError(f"{where}: Prefect knows no {', '.join(unknown)}. It would pass over it in silence.")
