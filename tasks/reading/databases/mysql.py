"""MySQL and MariaDB: an engine for one query, where its password comes from, and what its errors mean.

Of option files it reads the user's, and there the section [client], which is for all programs. Imports PyMySQL when an
engine is made.
"""

from __future__ import annotations

import os
import ssl
from configparser import Error as ConfigError
from configparser import RawConfigParser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.databases.address import PORTS, DatabaseAddress

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError

BEGIN = "START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT"
_PATIENCE_SECONDS = 15
_OPTION_FILE = "~/.my.cnf"
_TLS_FILES = ("ca", "capath", "cert", "key", "cipher")
_QUERY_IS_WRONG = ("0A", "21", "22", "23", "25", "34", "42")
"""Classes of SQLSTATE. HY000 is of everything; these are of it: a wrong argument, collations, an option, a view."""
_GENERAL_BUT_WRONG = (1210, 1267, 1270, 1271, 1290, 1356)
_REFUSED = (1044, 1045, 1049, 1203, 1226)
"""Not the query but the user, the database or the number of connections."""

NUMBER, FLOAT = "number", "float"
_KINDS: dict[object, str] = {
    **dict.fromkeys((0, 1, 2, 3, 8, 9, 13, 16, 246), NUMBER),
    **dict.fromkeys((4, 5), FLOAT),
    **{7: "timestamp", 10: "date", 11: "time", 12: "datetime"},
}
"""What MySQL's protocol calls the types of columns."""


def kind_of(code: object) -> str:
    """Return the kind of a column, all of whose values compare with each other."""
    return _KINDS.get(code, "text")


def engine_of(address: DatabaseAddress) -> Engine:
    """Return an engine whose connections read one snapshot. Raises UsageError without PyMySQL."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    try:
        from polyseme.tasks.reading.databases.mysql_connection import opened
    except ImportError as error:
        raise UsageError(
            f"A source in MySQL or MariaDB needs a package that is not installed: {error}. Install polyseme[mysql]."
        ) from error
    creator = partial(opened, **_settings(address))
    return create_engine("mysql+pymysql://", creator=creator, poolclass=NullPool, hide_parameters=True)


def said(error: DBAPIError) -> tuple[str, bool] | None:
    """Return what MySQL said, and whether the query is wrong, however often it is asked; None for another database."""
    origin = error.orig
    if not type(origin).__module__.startswith("pymysql."):
        return None
    code, words = origin.args[:2] if origin is not None and len(origin.args) > 1 else (0, origin)
    state = getattr(origin, "sqlstate", None) or ""
    is_wrong = state[:2] in _QUERY_IS_WRONG and code not in _REFUSED
    return str(words) or "the connection is closed", is_wrong or code in _GENERAL_BUT_WRONG


def _settings(address: DatabaseAddress) -> dict[str, Any]:
    """Return what a connection is opened with. Where the server is, the address says, or else the option file."""
    options = _options(Path(_OPTION_FILE).expanduser())
    # The file comes first, as for MySQL's own programs.
    password = options.get("password") or os.environ.get("MYSQL_PWD", "")
    settings: dict[str, Any] = {
        "user": options.get("user") or None,
        "password": os.fsencode(password),
        "database": address.database,
        "connect_timeout": _PATIENCE_SECONDS,
        "read_timeout": _PATIENCE_SECONDS,
    }
    if address.host.startswith("/"):
        return settings | {"unix_socket": address.host}
    settings |= _tls(options)
    if address.host:
        return settings | {"host": address.host.strip("[]"), "port": address.port}
    port = options.get("port") or PORTS["mysql"]
    where = {"host": options.get("host") or None, "port": address.port or int(port)}
    return settings | where | {"unix_socket": None if address.port else options.get("socket")}


def _options(path: Path) -> dict[str, str]:
    """Return the options of the section [client]; none, if there is no such file."""
    parser = RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read(path, encoding="utf-8")
        found = parser.items("client") if parser.has_section("client") else []
        options = {name.replace("_", "-"): _unquoted(value or "") for name, value in found}
        if options.get("port"):
            int(options["port"])
    except (ConfigError, ValueError):  # whose messages have lines of the file
        raise UsageError(
            f"The option file {path} has what cannot be read: sections with lines of name=value, the port a number."
        ) from None
    return options


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value


def _tls(options: dict[str, str]) -> dict[str, Any]:
    """Return the settings of TLS: without options, a server that has it is asked for it, and not verified."""
    mode = options.get("ssl-mode", "").upper().replace("-", "_")
    if mode == "DISABLED" or "skip-ssl" in options:
        return {"ssl_disabled": True}
    if options.get("ssl-verify-server-cert", "0").lower() not in ("0", "off", "false"):
        mode = "VERIFY_IDENTITY"
    files: dict[str, Any] = {name: options[f"ssl-{name}"] for name in _TLS_FILES if options.get(f"ssl-{name}")}
    if mode == "VERIFY_CA":
        files["check_hostname"] = False
    if mode.startswith("VERIFY") and not files.keys() & {"ca", "capath"}:
        files["ca"] = ssl.get_default_verify_paths().cafile
        files["capath"] = ssl.get_default_verify_paths().capath
    if mode == "REQUIRED" and not files:
        files["verify_mode"] = False
    return {"ssl": files} if files else {}
