"""Settings: the only reader of the environment and of `polyseme.toml`.

A flag beats the environment (`POLYSEME_LAKE=…`), which beats `polyseme.toml`, which beats the default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.lake import Lake

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


def sources_of_settings() -> list[Any]:
    """Return cyclopts' configuration sources, strongest first."""
    from cyclopts.config import Env, Toml

    return [Env(ENVIRONMENT_PREFIX, command=False), Toml(CONFIG_FILE, search_parents=True, must_exist=False)]


def lake_at(root: str, catalog: str | None = None) -> Lake:
    """Return the lake in a folder or at a URL; without `catalog` the environment may name one (POLYSEME_CATALOG).

    A password in the catalog's URL goes no further than this process: it moves to PGPASSWORD, where PostgreSQL's own
    library looks, so that nothing which is stored, logged or sent to Prefect can hold it.
    """
    from storage.catalog_url import password_of, without_password
    from storage.lake import Lake

    named = catalog or os.environ.get(f"{ENVIRONMENT_PREFIX}CATALOG")
    if not named:
        return Lake(root)
    password = password_of(named)
    if password is not None:
        os.environ["PGPASSWORD"] = password
    return Lake(root, without_password(named))


def history_file() -> Path:
    """Where the SQL shell keeps what was typed."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "polyseme" / "sql_history"


def prepare_prefect(*, verbose: bool) -> None:
    """Set what Prefect reads from the environment when first imported. What the user set stays.

    Where no server is configured Prefect starts a temporary one for the run; it is kept small.
    """
    if not verbose:
        # Only the console falls silent: a server still gets the run's log.
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    if "PREFECT_API_URL" not in os.environ:
        for name, value in _TEMPORARY_SERVER.items():
            os.environ.setdefault(name, value)


def prepare_ray() -> None:
    """Set what Ray reads from the environment when first imported. What the user set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
