"""Roles: what a transaction is for. `transactions` assigns one, and each engine begins the transaction by it."""

from __future__ import annotations

from typing import Literal, cast

from sqlalchemy import Connection

Role = Literal["read", "write", "publish"]

_OPTION = "polyseme_role"
"""The execution option of a connection that holds its role."""


def assign_role(connection: Connection, role: Role) -> None:
    """Set what the next transaction of a connection is for."""
    connection.execution_options(**{_OPTION: role})


def role_of(connection: Connection) -> Role:
    """Return what a transaction is for; "read" if nothing was assigned."""
    return cast("Role", connection.get_execution_options().get(_OPTION, "read"))
