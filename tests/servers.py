"""Real servers for tests, each a process of its own on a free loopback port, ended by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests import processes

LOCKED_USER, LOCKED_PASSWORD = "locked", "s3cr:t@/#word"


def initdb() -> Path | None:
    """Return PostgreSQL's `initdb`, if it is installed anywhere."""
    found = shutil.which("initdb")
    return Path(found) if found else next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[::-1]), None)


LOOPBACK = "127.0.0.1"


@contextmanager
def postgres(host: str = LOOPBACK) -> Iterator[str]:
    """Run a PostgreSQL server over a cluster in a temporary folder; gives the URL of its database `postgres`.

    Everybody of this machine, and of the network of 256 addresses of a `host` that is not loopback, is trusted but
    `LOCKED_USER`, who needs a password.
    """
    binaries = initdb()
    assert binaries is not None
    # Not below pytest's folder: PostgreSQL refuses to run as root, and its user may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="polyseme-postgres-"))
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_port(host)
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    try:
        made = [binaries, "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        processes.run(*made, env=env, cwd="/", **user)
        rules = data / "pg_hba.conf"
        trusted = f"host all all {host}/24 trust\n" if host != LOOPBACK else ""
        rules.write_text(f"host all {LOCKED_USER} {LOOPBACK}/32 scram-sha-256\n{trusted}{rules.read_text()}")
        settings = ["fsync=off", "max_connections=300", "unix_socket_directories="]
        command = [binaries.with_name("postgres"), "-D", data, "-h", host, "-p", str(port)]
        command += [word for setting in settings for word in ("-c", setting)]
        url = f"postgresql+psycopg://postgres@{host}:{port}/postgres"
        # SIGINT is its fast shutdown: SIGTERM waits for every client to leave.
        options = {"how": signal.SIGINT, "env": env, "cwd": "/", **user}
        with (
            (folder / "log").open("wb") as log,
            processes.started(*command, stdout=log, stderr=log, **options) as server,
        ):
            _until(server, lambda: execute(url, "SELECT 1"))
            execute(url, f"CREATE ROLE {LOCKED_USER} LOGIN PASSWORD '{LOCKED_PASSWORD}'")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mariadbd() -> Path | None:
    """Return MariaDB's server, if it is installed anywhere."""
    found = shutil.which("mariadbd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return Path(found) if found else None


@contextmanager
def mariadb() -> Iterator[str]:
    """Run a MariaDB server over a temporary folder; gives the address of it. `root` has no password.

    `LOCKED_USER` needs `LOCKED_PASSWORD`, and may read everything.
    """
    program = mariadbd()
    assert program is not None
    folder = Path(tempfile.mkdtemp(prefix="polyseme-mariadb-"))
    user = ["--user=mysql"] if os.getuid() == 0 else []
    if user:
        shutil.chown(folder, "mysql", "mysql")
    port = free_port()
    env = {"PATH": f"{os.defpath}:/usr/sbin", "LC_ALL": "C.UTF-8"}
    where = ["--no-defaults", *user, f"--datadir={folder / 'data'}"]
    try:
        made = ["mariadb-install-db", *where, "--auth-root-authentication-method=normal", "--skip-test-db"]
        processes.run(*made, env=env, cwd="/")
        settings = [
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={folder / 'socket'}",
            "--skip-name-resolve",
        ]
        settings += ["--innodb-flush-log-at-trx-commit=0", f"--pid-file={folder / 'pid'}"]
        address = f"mysql://127.0.0.1:{port}"
        with (
            (folder / "log").open("wb") as log,
            processes.started(program, *where, *settings, stdout=log, stderr=log, env=env, cwd="/") as server,
        ):
            _until(server, lambda: execute_mysql(address, "SELECT 1"))
            execute_mysql(
                address,
                f"CREATE USER {LOCKED_USER} IDENTIFIED BY '{LOCKED_PASSWORD}'",
                f"GRANT SELECT ON *.* TO {LOCKED_USER}",
            )
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def execute_mysql(address: str, *statements: str) -> None:
    """Run statements on a MariaDB server, in the database that the address names, each committed at once."""
    import pymysql

    where = urlsplit(address)
    settings = {"host": where.hostname, "port": where.port, "user": "root", "database": where.path[1:] or None}
    with closing(pymysql.connect(autocommit=True, **settings)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def s3(host: str = LOOPBACK) -> Iterator[str]:
    """Run an S3-compatible server; gives its endpoint."""
    port = free_port(host)
    program = Path(sys.executable).with_name("moto_server")
    endpoint = f"http://{host}:{port}"
    quiet = {"stdout": processes.DEVNULL, "stderr": processes.DEVNULL}
    with processes.started(program, "-H", host, "-p", str(port), **quiet) as server:
        _until(server, lambda: urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close())
        yield endpoint


def execute(url: str, *statements: str) -> None:
    """Run statements on a PostgreSQL server, each committed at once."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=60) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def has_extension(url: str, name: str) -> bool:
    """Return whether a PostgreSQL server could make an extension."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), connect_timeout=60) as connection:
        found = connection.execute("SELECT count(*) FROM pg_available_extensions WHERE name = %s", [name]).fetchone()
        return found is not None and bool(found[0])


def free_port(host: str = LOOPBACK) -> int:
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def _until(server: processes.Process, answers: Callable[[], object]) -> None:
    """Wait until a server answers."""

    def answered() -> bool:
        try:
            answers()
        except Exception as error:
            if server.poll() is not None:
                raise RuntimeError(f"{server.args} does not answer") from error
            return False
        return True

    processes.wait_until(answered, f"{server.args} answers")
