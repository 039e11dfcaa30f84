"""What MySQL's option file says, and that nobody learns the password from it who should not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.resolving import resolve
from tests.databases import Database, mysql_database, option_file
from tests.servers import LOCKED_PASSWORD, LOCKED_USER
from tests.tasks.reading.databases.test_rows import read

__all__ = ["mysql_database", "option_file"]

pytestmark = pytest.mark.servers


class TestOptionFile:
    """User, password and TLS come from the section [client], the place of the server only if the address has none."""

    @pytest.fixture
    def spec(self, mysql_database: Database) -> str:
        mysql_database.execute("CREATE TABLE t AS SELECT 1 AS id, 'a' AS text")
        return f"{mysql_database.place}?table=t"

    def test_a_password_is_in_no_message_and_no_document(
        self, spec: str, option_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        option_file.write_text(f"[client]\nuser={LOCKED_USER}\npassword = hush\n")
        with pytest.raises(UsageError, match="Access denied") as caught:
            resolve([spec])
        assert "hush" not in str(caught.value)
        assert "cannot be read" in str(caught.value)
        option_file.write_text(f'[client]\nuser={LOCKED_USER}\npassword = "{LOCKED_PASSWORD}"\n')
        (found,) = read(spec)
        option_file.write_text(f"[client]\nuser={LOCKED_USER}\n")
        monkeypatch.setenv("MYSQL_PWD", LOCKED_PASSWORD)
        assert read(spec) == [found]
        assert LOCKED_PASSWORD not in repr(found)

    @pytest.mark.parametrize("text", ["password=hush\n", "[client]\n = hush\n", "[client]\nport=hush\n"])
    def test_a_file_that_cannot_be_read_is_told_without_its_content(
        self, spec: str, option_file: Path, text: str
    ) -> None:
        option_file.write_text(text)
        with pytest.raises(UsageError, match=r"\.my\.cnf has what cannot be read") as caught:
            resolve([spec])
        assert "hush" not in str(caught.value)

    def test_the_server_is_the_one_of_the_address(self, spec: str, option_file: Path) -> None:
        option_file.write_text("[client]\nuser=root\nhost=elsewhere.invalid\nport=1\nsocket=/nowhere\ndatabase=none\n")
        assert [item.doc_id for item in read(spec)] == ["1"]
        where, _, rest = spec.removeprefix("mysql://").partition("/")
        host, _, port = where.partition(":")
        option_file.write_text(f"[client]\n!includedir /nowhere/\nuser=root\nhost={host}\nport={port}\nloose-x\n")
        assert [item.doc_id for item in read(f"mysql:///{rest}")] == ["1"]

    def test_tls_that_is_asked_for_is_needed(self, spec: str, option_file: Path) -> None:
        option_file.write_text("[client]\nuser=root\nssl-mode=REQUIRED\n")
        with pytest.raises(UsageError, match="SSL is required"):
            resolve([spec])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"\xfemysql_clear_password\0", "clear text"), (b"\xfedialog\0\x04Password: ", "clear text"),
        (b"\xff\x15\x04#28000no", "no"), (b"\x7f", "unexpected packet"), (b"", "IndexError"),
    ],
)  # fmt: skip
def test_a_server_that_is_none_gets_no_password(option_file: Path, answer: bytes, says: str) -> None:
    pytest.importorskip("pymysql")
    option_file.write_text("[client]\nuser=root\npassword=hush\n")
    with server(answer) as (port, received), pytest.raises(UsageError, match=says):
        resolve([f"mysql://127.0.0.1:{port}/db?table=t"])
    assert b"hush" not in b"".join(received)


@contextmanager
def server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Run a server that greets as MySQL does and answers a login in its own way; gives its port and what it is sent."""
    capabilities = 0x000AA200
    greeting = b"\x0a8.0.0\0" + bytes(4) + b"saltsalt\0" + (capabilities & 0xFFFF).to_bytes(2, "little")
    greeting += b"\x2d\x02\0" + (capabilities >> 16).to_bytes(2, "little") + b"\x15" + bytes(10) + b"saltsaltsalt\0"
    greeting += b"mysql_native_password\0"
    received: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with closing(connection):
            connection.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
            received.append(connection.recv(4096))
            connection.sendall(len(answer).to_bytes(3, "little") + b"\x02" + answer)
            while more := connection.recv(4096):
                received.append(more)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], received
        thread.join(60)
