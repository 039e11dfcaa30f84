"""Settings: the only reader of the environment and of `polyseme.toml`.

A flag beats the environment (`POLYSEME_LAKE=…`), which beats a command's table in `polyseme.toml` (`[embed]`), which
beats a line at its top (`lake = "…"`), which beats the default.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyseme.storage.lake import Lake

from polyseme.storage.errors import UsageError

CONFIG_FILE = "polyseme.toml"
ENVIRONMENT_PREFIX = "POLYSEME_"

_TEMPORARY_SERVER = {
    # A first start creates Prefect's database: over Prefect's own 20 s on a busy machine.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Services of a standing server; one flow run needs none of them, and they compete for its SQLite file.
    **{
        f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
        for service in ("CANCELLATION_CLEANUP", "FOREMAN", "LATE_RUNS", "SCHEDULER", "PAUSE_EXPIRATIONS",
                        "REPOSSESSOR", "CLEANUP_RECONCILER", "TRIGGERS")
    },
}  # fmt: skip

_NAMING_A_SERVER = ("PREFECT_API", "PREFECT_API_URL", "PREFECT_PROFILE")
_OBSERVATION = ("OPENLINEAGE_", "OTEL_", "TRACEPARENT", "TRACESTATE")


def sources_of_settings() -> list[Any]:
    """Return cyclopts' configuration sources, strongest first."""
    from cyclopts.config import Env

    return [Env(ENVIRONMENT_PREFIX, command=False), _for_command, _for_all]


def _for_command(app: Any, commands: tuple[str, ...], arguments: Any) -> None:
    """Apply the table of a command. Read here, since cyclopts' own reader takes no BOM and names no file in errors."""
    from cyclopts.config import Dict

    path, config = read_config_file()
    Dict(config, source=str(path))(app, commands, arguments)


def _for_all(app: Any, commands: tuple[str, ...], arguments: Any) -> None:
    """Apply the options at the top of `polyseme.toml` to commands that have them. A lake is relative to the file."""
    from cyclopts.config import Dict

    path, config = read_config_file()
    options = {key: value for key, value in config.items() if not isinstance(value, dict)}
    if isinstance(lake := options.get("lake"), str):
        options["lake"] = from_folder(lake, path.parent)
    everywhere = Dict(options, source=str(path), use_commands_as_keys=False, allow_unknown=True)
    everywhere(app, commands, arguments)


def from_folder(place: str, folder: Path) -> str:
    """Return `place`, which is relative to `folder`, as an absolute path; - and URLs are returned as they are.

    Raises UsageError for what would be a URL with a secret but for a slip of the pen.
    """
    from polyseme.storage.lake import refuse_secrets

    refuse_secrets("" if "://" in place else place)
    return place if place == "-" or "://" in place else str(folder / Path(place).expanduser())


def lake_at(root: str, catalog: str | None = None) -> Lake:
    """Return the lake in a folder or at a URL. Without `catalog` that of POLYSEME_CATALOG is used, if it is set.

    A password in the catalog's URL stays in this process: it moves to PGPASSWORD, where PostgreSQL's own library reads
    it, so that nothing that is stored, logged or sent to Prefect can contain it. `passfile`, a path of this machine,
    moves to PGPASSFILE.
    """
    from polyseme.storage.catalog_url import passfile_of, password_of, without_password
    from polyseme.storage.lake import Lake

    named = catalog or os.environ.get(f"{ENVIRONMENT_PREFIX}CATALOG")
    Lake(root).require_name()
    if not named:
        return Lake(root, catalog_hosts=catalog_hosts())
    password = password_of(named)
    if password is not None:
        os.environ["PGPASSWORD"] = password
    passfile = passfile_of(named)
    if passfile is not None:
        os.environ["PGPASSFILE"] = passfile
    return Lake(root, without_password(named))


def catalog_hosts() -> list[str]:
    """Return the database servers, as `host` or `host:port`, on which a lake's own `lake.json` may name its catalog.

    From POLYSEME_CATALOG_HOSTS, with commas between them, else `catalog_hosts` in `polyseme.toml`. Raises UsageError.
    """
    given = os.environ.get(f"{ENVIRONMENT_PREFIX}CATALOG_HOSTS")
    return _texts("catalog_hosts") if given is None else [host.strip() for host in given.split(",") if host.strip()]


def allowed_lakes() -> list[str]:
    """Return the folders and URLs of `allowed_lakes` in `polyseme.toml`: events may name lakes in them, or they are
    lakes. Raises UsageError."""
    path, _ = read_config_file()
    return [from_folder(place, path.parent) for place in _texts("allowed_lakes")]


def configured_lakes() -> Iterator[tuple[str, str | None]]:
    """Yield the lakes, with their catalogs, that POLYSEME_LAKE, `lake` in `polyseme.toml` and its tables name."""
    path, config = read_config_file()
    for table in ({"lake": os.environ.get(f"{ENVIRONMENT_PREFIX}LAKE")}, config, *config.values()):
        if isinstance(table, dict) and isinstance(lake := table.get("lake"), str):
            catalog = table.get("catalog", config.get("catalog"))
            yield from_folder(lake, path.parent), catalog if isinstance(catalog, str) else None


def _texts(key: str) -> list[str]:
    path, config = read_config_file()
    found = config.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise UsageError(f'{path}: {key} is a list of texts, such as {key} = ["…"], got {found!r}.')
    return found


def config_file() -> Path | None:
    """Return the nearest `polyseme.toml`, in the working directory or a folder above it; None if there is none."""
    here = Path.cwd()
    return next((f / CONFIG_FILE for f in (here, *here.parents) if (f / CONFIG_FILE).is_file()), None)


def read_config_file() -> tuple[Path, dict[str, Any]]:
    """Return the path and content of the nearest `polyseme.toml`, empty if there is none. Raises UsageError."""
    path = config_file()
    if path is None:
        return Path.cwd() / CONFIG_FILE, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Correct it; a configuration is TOML in UTF-8.") from error


def history_file() -> Path:
    """Return the file in which the SQL shell keeps its history."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "polyseme" / "sql_history"


def require_server() -> None:
    """Raise UsageError if no standing Prefect server is configured: a temporary one would end with this process."""
    if not has_standing_server():
        raise UsageError(
            "No Prefect server is configured. Start one with `prefect server start` and set its address: "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )


def has_standing_server() -> bool:
    """Return whether a standing Prefect server is configured.

    Prefect itself is asked, which takes a second to import, only if something that it reads may name one.
    """
    if not ("prefect" in sys.modules or _may_name_a_server()):
        return False
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _may_name_a_server() -> bool:
    """Return whether Prefect's variables, its files in the working directory or its profiles may name a server."""
    if any(name.upper() in _NAMING_A_SERVER for name in os.environ) or Path("prefect.toml").exists():
        return True
    if "prefect" in _text_of(Path(".env")).lower() or "tool.prefect" in _text_of(Path("pyproject.toml")):
        return True
    home = os.environ.get("PREFECT_HOME") or "~/.prefect"
    profiles = os.environ.get("PREFECT_PROFILES_PATH") or f"{home}/profiles.toml"
    # As it is if there is no home directory, which a container's user may not have: Path.home() raises.
    return "API" in _text_of(Path(os.path.expanduser(profiles)))


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # as a virtual environment that is named .env: Prefect passes it over
        return ""


def prepare_prefect(*, verbose: bool) -> None:
    """Set what Prefect reads from the environment when first imported. What the user set stays.

    If no server is configured, Prefect starts a temporary one for the run, without services that runs do not need.
    """
    if not verbose:
        # For the console alone: a server still gets the log of the run.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    exempted = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    for name in ("NO_PROXY", "no_proxy"):
        # A proxy cannot reach the temporary server on this machine, and a run would wait for minutes.
        os.environ[name] = ",".join(filter(None, (exempted, "127.0.0.1,localhost")))
    if "PREFECT_API_URL" not in os.environ:
        for name, value in _TEMPORARY_SERVER.items():
            os.environ.setdefault(name, value)


def prepare_ray() -> None:
    """Set what Ray reads from the environment when first imported. What the user set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def observation_environment() -> dict[str, str]:
    """Return the variables by which OpenLineage and OpenTelemetry are configured."""
    return {name: value for name, value in os.environ.items() if name.startswith(_OBSERVATION)}


def texts_of(table: str, keys: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """Return the texts of a table of `polyseme.toml`, and the file. Raises UsageError for others than `keys`."""
    path, config = read_config_file()
    found = config.get(table, {})
    is_table = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    if not is_table or set(found) - {*keys}:
        raise UsageError(f'{path}: [{table}] takes {", ".join(keys)}, each a text such as {keys[0]} = "…".')
    from polyseme.storage.lake import refuse_secrets

    for value in found.values():
        refuse_secrets(value)
    return path, dict(found)
