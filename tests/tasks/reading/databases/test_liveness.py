"""A server that stops answering ends its query; a long query of one that answers goes on."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.databases import liveness, mysql
from polyseme.tasks.reading.databases.address import parse
from polyseme.tasks.reading.databases.rows import read_rows
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from tests.databases import Database, database, mysql_database, option_file, postgres_database, sqlite_database

__all__ = ["database", "mysql_database", "option_file", "postgres_database", "sqlite_database"]

pytestmark = pytest.mark.servers

SLEEP = {"postgresql": "SELECT 'a' AS text, pg_sleep({})", "mysql": "SELECT 'a' AS text, sleep({}) AS s"}


class Relay:
    """A way to a server. Once it is `frozen` it accepts connections and passes nothing on, as a server that hangs.

    It freezes as soon as it has passed a query on that has the word `freezes_at`.
    """

    freezes_at: bytes | None = None

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server, self.frozen = (where.hostname, where.port), Event()
        port = self.listener.getsockname()[1]
        self.place = address.replace(f":{where.port}/", f":{port}/")
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                server = socket.create_connection(self.server)
                for pair in ((client, server), (server, client)):
                    Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if not self.frozen.is_set():
                    target.sendall(data)
                if self.freezes_at is not None and self.freezes_at in data:
                    self.frozen.set()
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(params=["postgres", "mysql"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database, of which is asked every tenth of a second whether it answers."""
    monkeypatch.setattr(liveness, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(mysql, "_PATIENCE_SECONDS", 1)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found.place


@pytest.fixture
def relay(place: str) -> Iterator[Relay]:
    made = Relay(place)
    with made.listener:
        yield made


def read(place: str, seconds: float) -> list[Document | Reject]:
    address = parse(f"{place}?query={SLEEP[urlsplit(place).scheme].format(seconds)}")
    return list(read_rows(address, ReadOptions()))


def test_a_server_that_stops_answering_is_a_reject(relay: Relay) -> None:
    relay.freezes_at = b"sleep(3600)"
    (refused,) = read(relay.place, 3600)
    gc.collect()  # a cursor that was left open says so now
    assert isinstance(refused, Reject)
    assert (refused.code, refused.locator) == ("unreadable", "")
    assert "stopped answering" in refused.message


def test_a_long_query_goes_on(place: str) -> None:
    (found,) = read(place, 1.5)
    assert isinstance(found, Document)


def test_a_server_that_refuses_more_connections_answers(
    mysql_database: Database, option_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "EVERY_SECONDS", 0.1)
    user = f"one_{uuid4().hex[:8]}"
    mysql_database.execute(f"CREATE USER {user} WITH MAX_USER_CONNECTIONS 1", f"GRANT SELECT ON *.* TO {user}")
    option_file.write_text(f"[client]\nuser = {user}\n")
    (found,) = read(mysql_database.place, 1)
    assert isinstance(found, Document)


def test_a_server_that_never_says_a_word_is_told(relay: Relay) -> None:
    relay.frozen.set()
    with pytest.raises(UsageError, match="cannot be read"):
        resolve([f"{relay.place}?query=SELECT 'a' AS text"])
