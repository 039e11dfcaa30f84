"""Machines that are none: network namespaces with an address and a temporary folder of their own, on one bridge (root).

A process in one sees the programs of this machine, and nothing of its temporary folder: what it does not have over the
network it does not have. Linux, as root, with iproute2 and util-linux.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import processes
from tests.processes import Process

_ISOLATED = """
mount --make-rprivate / && mount --bind "$1" /mnt && mount -t tmpfs tmpfs "$2" && hostname "$3" &&
mkdir -p "$2/home" && shift 3 && exec "$@"
"""


class Network:
    """A bridge with this machine at its first address; `add` plugs further ones in."""

    def __init__(self, name: str, prefix: str) -> None:
        self.name, self.prefix = name, prefix
        self.host = f"{prefix}.1"
        self._machines: list[str] = []

    def add(self, name: str) -> Machine:
        """Return a new machine with the next address."""
        self._machines.append(name)
        namespace, number = f"{self.name}-{name}", len(self._machines) + 1
        here, there = f"{self.name}{number}", f"{self.name}{number}x"
        _ip("netns", "add", namespace)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", namespace)
        _ip("link", "set", here, "master", self.name, "up")
        address = f"{self.prefix}.{number}"
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", there)
        for device in ("lo", there):
            _ip("-n", namespace, "link", "set", device, "up")
        return Machine(name, namespace, address, here)

    def close(self) -> None:
        """Remove the bridge and every machine."""
        for name in self._machines:
            _ip("netns", "del", f"{self.name}-{name}", check=False)
        _ip("link", "del", self.name, check=False)


class Machine:
    """A network namespace; what runs in it has `address`, a host name and a temporary folder of its own."""

    def __init__(self, name: str, namespace: str, address: str, link: str) -> None:
        self.name, self.namespace, self.address, self._link = name, namespace, address, link

    @contextmanager
    def running(self, *command: str, environment: dict[str, str], log: Path, shown: Path) -> Iterator[Process]:
        """Run a command there, with the folder `shown` at /mnt; its output goes to `log`. It ends with the body."""
        home = Path(tempfile.gettempdir()) / "home"
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PREFECT_HOME": str(home / "prefect")}
        isolated = ["unshare", "--uts", "--", "sh", "-c", _ISOLATED, "sh", str(shown), tempfile.gettempdir(), self.name]
        words = ["ip", "netns", "exec", self.namespace, *isolated, *command]
        with log.open("ab") as out:
            wanted = {"stdout": out, "stderr": out, "env": os.environ | environment | own, "cwd": "/"}
            with processes.started(*words, **wanted) as process:
                yield process

    def moved_bytes(self) -> tuple[int, int]:
        """Return how many bytes the machine has received and sent."""
        counters = Path("/sys/class/net") / self._link / "statistics"
        return tuple(int((counters / name).read_text()) for name in ("tx_bytes", "rx_bytes"))  # type: ignore[return-value]


@contextmanager
def network(name: str = "psm", prefix: str = "10.87.0") -> Iterator[Network]:
    """Make a bridge, and remove it with all that was plugged in. Raises SystemExit if that is not permitted."""
    made = Network(name, prefix)
    try:
        _ip("link", "add", name, "type", "bridge")
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        raise SystemExit(f"Network namespaces are not permitted here: {error}. Run this as root on Linux.") from error
    try:
        _ip("addr", "add", f"{made.host}/24", "dev", name)
        _ip("link", "set", name, "up")
        yield made
    finally:
        made.close()


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)
