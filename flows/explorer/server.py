"""The explorer's server: one process, on this machine alone unless it is told otherwise."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from threading import Thread

import uvicorn

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.security import LOOPBACK, new_token
from polyseme.storage.errors import PolysemeError, UsageError


def bound(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens. Without a port the usual one, or a free one if that is taken.

    Raises UsageError if this machine has no such address, or the port that was asked for is taken.
    """
    for tried in (8787, 0) if port is None else (port,):
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0]
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            raise UsageError(f"--host {host} is no address of this machine: {error}.") from error
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(place)
            made.listen(128)
        except OSError as error:
            made.close()
            if port is None and tried:
                continue
            message = f"Cannot listen on {host} port {tried} ({error.strerror}). Name another with --port, 0 for any."
            raise UsageError(message) from error
        return made
    raise AssertionError("a free port can be bound")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(lake: LiveLake, listening: socket.socket, *, host: str, title: str, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes. `ready` gets the address, with a token if other machines can reach it."""
    port = listening.getsockname()[1]
    token = None if is_loopback(host) else new_token()
    shown = f"[{host}]" if ":" in host else host
    app = application(lake, title=title, names=LOOPBACK if token is None else (), token=token)
    config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False, lifespan="off")
    server = uvicorn.Server(config)
    Thread(target=_opened, args=(lake,), name="polyseme-first-look", daemon=True).start()
    ready(f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))
    asyncio.run(server.serve(sockets=[listening]))


def _opened(lake: LiveLake) -> None:
    """Open the lake before the first page is asked for, and then read what only some pages need."""
    try:
        lake.warm_up()
    except PolysemeError:
        return  # the first page says why
