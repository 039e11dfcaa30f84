"""The address of a query: which database, and the query or the table. Connects to nothing.

    sqlite:////absolute/path.db?table=articles
    postgresql://host:port/database?cursor=changed&query=SELECT id, text, changed FROM articles
    mysql://host:port/database?table=articles

`query=` is the last parameter, and all that follows is SQL as it is typed. If there is no white space in it, it is
percent-encoded, and other parameters may follow. An address has no user and no password: the database's own tools
have places for these.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError

KIND = "query"
"""The kind of such a source."""
LONGEST_QUERY = 512
"""Characters of an encoded query that the address of a document has; of a longer one it has a hash."""
Scheme = Literal["sqlite", "postgresql", "mysql"]
_SCHEMES: dict[str, Scheme] = {
    "sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql", "mysql": "mysql", "mariadb": "mysql",
}  # fmt: skip
_DATABASE = re.compile(rf"(?P<scheme>{'|'.join(_SCHEMES)})://", re.IGNORECASE)
_UNREAD = re.compile(rf"(?P<scheme>mssql|oracle|duckdb|(?:{'|'.join(_SCHEMES)})\+\w+)://", re.IGNORECASE)
_QUERY = re.compile(r"(?:^|&)query=")
_AFTER_SQL = re.compile(r"&(?:cursor|table)=[^&\s]*$")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._%-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
PORTS = {"postgresql": 5432, "mysql": 3306}
"""Of a server whose address has no port. One without an address is where libpq's environment or MySQL's file says."""
_IN_SQL = "*(),=:;'"
"""Kept in the address of a query, beside letters and digits, so that people can read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """A query, or all of a table, in a database: a name, or the absolute path of an SQLite file.

    A `table` may have its schema before it and a dot. With a `cursor`, a column, later runs read only what is new.
    """

    scheme: Scheme
    database: str
    host: str = ""
    port: int | None = None
    query: str = ""
    table: str = ""
    cursor: str = ""

    @property
    def place(self) -> str:
        """The address of the database."""
        if self.scheme == "sqlite":
            return f"sqlite:///{quote_from_bytes(os.fsencode(self.database))}"
        host = self.host if self.host.startswith("[") else quote(self.host, safe="")
        port = "" if self.port is None or (self.host and self.port == PORTS[self.scheme]) else f":{self.port}"
        return f"{self.scheme}://{host}{port}/{quote(self.database, safe='')}"

    @property
    def uri(self) -> str:
        """The address that documents have: the same however it was typed, with a cursor or without."""
        encoded = self._selected.partition("=")[2]
        if len(encoded) > LONGEST_QUERY:
            return f"{self.place}?query=sha256-{hashlib.sha256(encoded.encode()).hexdigest()[:32]}"
        return f"{self.place}?{self._selected}"

    @property
    def name(self) -> str:
        """The address with all that was given, which can be given again."""
        cursor = f"cursor={quote(self.cursor, safe='')}&" if self.cursor else ""
        return f"{self.place}?{cursor}{self._selected}"

    @property
    def sql(self) -> str:
        """The query to read all rows."""
        return self.query or f"SELECT * FROM {'.'.join(map(self.quoted, self.table.split('.')))}"

    def quoted(self, name: str) -> str:
        """Return a name as an identifier of the database's SQL."""
        mark = "`" if self.scheme == "mysql" else '"'
        return mark + name.replace(mark, 2 * mark) + mark

    @property
    def _selected(self) -> str:
        return f"table={quote(self.table, safe='')}" if self.table else f"query={quote(self.query, safe=_IN_SQL)}"


def is_database(spec: str) -> bool:
    """Return whether what a user gave is the address of a database, also of one that is not read."""
    return bool(_DATABASE.match(spec) or _UNREAD.match(spec))


def parse(spec: str) -> DatabaseAddress:
    """Return the address that a user gave. Raises UsageError, whose message does not repeat what may be secret."""
    if other := _UNREAD.match(spec):
        raise _refused(
            other["scheme"].lower(),
            "is of no database that is read; these are sqlite://, postgresql:// and mysql://",
            "Write the rows of another as Parquet or JSON lines, and name that file",
        )
    match = _DATABASE.match(spec)
    assert match is not None
    scheme = _SCHEMES[match["scheme"].lower()]
    where, _, selection = spec[match.end() :].partition("?")
    if not is_utf8(spec) or "\0" in unquote(spec):
        raise _refused(scheme, "has a NUL or what is not UTF-8 in it")
    query, others = _parameters(scheme, selection)
    for name, value in others.items():
        if name not in ("table", "cursor"):
            what = "has a parameter other than query, table and cursor, which would be stored and logged"
            raise _refused(scheme, what, _secrets(scheme))
        if not value:
            raise _refused(scheme, f"has nothing behind {name}=")
    if bool(query) == ("table" in others):
        raise _refused(scheme, "needs either ?query= and a query, or ?table= and the name of a table or view")
    host, port, database = ("", None, _path(where)) if scheme == "sqlite" else _server(scheme, where)
    table, cursor = others.get("table", ""), others.get("cursor", "")
    return DatabaseAddress(
        scheme=scheme, database=database, host=host, port=port, query=query, table=table, cursor=cursor
    )


def _secrets(scheme: Scheme) -> str:
    if scheme == "mysql":
        return (
            "Leave user and password out: for MySQL they are taken from the section [client] of ~/.my.cnf, "
            "or the password from MYSQL_PWD, and settings of TLS from that section too"
        )
    return (
        "Leave user and password out: for PostgreSQL they are taken from PGUSER and PGPASSWORD, a password file "
        "(~/.pgpass) or a service (PGSERVICE), and other settings from libpq's environment variables"
    )


def _parameters(scheme: str, selection: str) -> tuple[str, dict[str, str]]:
    """Return the query, empty if there is none, and the other parameters."""
    match = _QUERY.search(selection)
    if match is None:
        return "", _pairs(scheme, selection)
    before, sql = selection[: match.start()], selection[match.end() :]
    others = _pairs(scheme, before) if before else {}
    if not re.search(r"\s", sql):
        sql, _, after = sql.partition("&")
        sql, others = unquote(sql), others | (_pairs(scheme, after) if after else {})
    elif _AFTER_SQL.search(sql):
        raise _refused(scheme, "has a parameter behind its query; write query= last")
    return sql.strip().rstrip(";").rstrip(), others


def _pairs(scheme: str, text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split("&")]
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise _refused(scheme, "has a parameter twice")
    return {name: unquote(value) for name, _, value in pairs if name}


def _path(where: str) -> str:
    if not where.startswith("/") or len(where) < 2:
        raise _refused(
            "sqlite", "needs the path of a file behind sqlite:///", "An absolute one has a fourth slash: sqlite:////"
        )
    return os.path.realpath(os.fsdecode(unquote_to_bytes(where[1:])))


def _server(scheme: Scheme, where: str) -> tuple[str, int | None, str]:
    server, _, database = where.partition("/")
    match = _HOST.fullmatch(server)
    if "@" in where:
        raise _refused(scheme, "has a user in it, which would be stored and logged", _secrets(scheme))
    if match is None or "/" in database or not database or (match["port"] and int(match["port"]) > 65535):
        raise _refused(scheme, f"is not of the form {scheme}://host:port/database?…")
    host = unquote(match["host"])
    port = int(match["port"]) if match["port"] else PORTS[scheme] if host else None
    return (host if host.startswith("/") else host.lower()), port, unquote(database)


def _refused(scheme: str, what: str, advice: str = "") -> UsageError:
    advice = advice or "Put quotes around the address, so that the shell does not read it"
    return UsageError(f"A source {scheme}://… {what}. {advice}.")
