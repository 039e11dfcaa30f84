"""Process of a run: which one it is, and whether it still exists.

A number of a process is given again to others, and means another process in another container: so its start is kept
beside it, and a digest of what numbers it, the boot and the namespaces of Linux. Elsewhere the two are unknown, and so
is whether the process exists. Knows no tables.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from polyseme.storage import checks

_DIGEST = re.compile(r"[0-9a-f]{16}")
_NOT_SHOWN = re.compile(r"[^!-~]")
_ENDED = b"ZX"
"""States of a process that has ended and that its parent has not asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProcess:
    """A process by its number. `started` is in ticks since the boot; two of one `numbering` have the same numbers."""

    pid: int
    started: int | None
    numbering: str | None

    def to_json(self) -> str:
        """Return the process as the catalog stores it."""
        return json.dumps(asdict(self), sort_keys=True)


def this_process() -> RunProcess:
    """Return the process that calls this."""
    pid, numbering = os.getpid(), _numbering()
    stat = _stat(pid) if numbering else None
    return RunProcess(pid=pid, started=stat[1] if stat else None, numbering=numbering if stat else None)


def host_name() -> str:
    """Return the name of this machine, for people: two containers may have the same."""
    return _NOT_SHOWN.sub("?", socket.gethostname())[:255] or "?"


def parse(origin: checks.Origin, text: object) -> RunProcess:
    """Return the process that the catalog describes in JSON."""
    what = "runs.process"
    found = origin.object(text, what)
    origin.fields(found, what, list(RunProcess.__dataclass_fields__))
    origin.integer(found["pid"], f"{what} pid", least=1, most=2**31 - 1)
    if found["started"] is not None:
        origin.integer(found["started"], f"{what} started")
    if found["numbering"] is not None:
        origin.text(found["numbering"], f"{what} numbering", _DIGEST, "16 hex digits")
    return RunProcess(**found)


def exists(process: RunProcess) -> bool | None:
    """Return whether a process still runs; None if that cannot be known from here."""
    if process.numbering is None or process.numbering != _numbering():
        return None
    # Not by /proc alone: mounted with hidepid it does not show the processes of other users.
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    stat = _stat(process.pid)
    if stat is None:
        return None
    state, started = stat
    return started == process.started and state not in _ENDED


def _numbering() -> str | None:
    """Return a digest that is the same for processes that number each other alike; None if that cannot be known.

    The name of the host is part of it: a virtual machine that is started twice from one snapshot has one boot id.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None  # /proc is that of another namespace
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        namespaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", *_time_namespace())]
    except (OSError, UnicodeDecodeError):
        return None
    return hashlib.sha256("\n".join([socket.gethostname(), boot, *namespaces]).encode()).hexdigest()[:16]


def _time_namespace() -> tuple[str, ...]:
    """Starts are shifted by the offset of a time namespace, which Linux has since 5.6."""
    return ("time",) if os.path.lexists("/proc/self/ns/time") else ()


def _stat(pid: int) -> tuple[bytes, int] | None:
    """Return the state of a process, one letter, and its start in ticks since the boot; None if it is not shown."""
    try:
        # The name in parentheses may have spaces and parentheses of its own.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
