"""The guardian: a process beside a command that ends it, and what it started, if it does not end on a signal by itself.

A signal handler in Python runs in the main thread and needs the interpreter's lock. Neither may ever be free again: an
endless regular expression holds the lock, and at exit the main thread joins threads that wait for a read. But Python's
C handler writes the number of a signal to a pipe as it arrives, without the lock. The guardian reads that pipe and ends
the command 8.5 s later, or on a second Ctrl-C. If the command is killed, the guardian ends what it started. A kill is
safe for a lake at any moment.

As a program this file uses the standard library alone. Does not know what the command does.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

GRACE_SECONDS = 8.5
"""From a signal to the forced end, which takes another second if the interpreter's lock is held."""
MARK = "POLYSEME_COMMANDS"
"""The environment variable by which a command's processes are known: the ids of all commands they descend from."""
_AGAIN_SECONDS = 0.5
"""A second Ctrl-C within this time is the first: wrappers such as `uv run` send on what the terminal sends them too."""
_REFUSED_SECONDS = 0.5
_KILLING_SECONDS = 5.0
_ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
_SURVIVED, _DONE = 0, 255
"""Notices beside the numbers of signals: the command goes on; it ends by itself, and what it started has ended."""
_HEARD = 128
"""Added to the number of a signal whose handler has run: C reported it as well, perhaps long before, as an import of
PyTorch may hold the interpreter for a second. It is no second Ctrl-C."""

log = logging.getLogger(__name__)
_pipe: list[int] = []


def start(*, keep_children: bool = False, grace: float = GRACE_SECONDS) -> None:
    """Start the guardian of this process. With `keep_children`, what it started goes on if it is killed."""
    notices, pipe = os.pipe()
    mark = uuid4().hex
    try:
        # Ctrl-C does not reach a session of its own.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(os.getpid()), mark, str(grace), "keep" * keep_children],
            stdin=notices, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        log.warning("No process could be started to end this one if it hangs: %s", error)
        os.close(pipe)
        return
    finally:
        os.close(notices)
    os.set_blocking(pipe, False)
    _pipe.append(pipe)
    os.environ[MARK] = f"{os.environ.get(MARK, '')} {mark}".strip()
    listen()
    atexit.register(_notify, _DONE)
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_obey, args=(process,), name="polyseme-guardian", daemon=True).start()


def is_running() -> bool:
    """Return whether this process has a guardian."""
    return bool(_pipe)


def tell(number: int, *, first: bool) -> None:
    """Report a signal whose handler has run: an event loop may have taken over what C writes to."""
    _notify(_HEARD + number if first else number)


def stand_down() -> None:
    """Report that this process goes on in spite of a signal, and hear of the next."""
    _notify(_SURVIVED)
    listen()


def listen() -> None:
    """Hear of signals, again after an event loop has handled some."""
    if _pipe:
        signal.set_wakeup_fd(_pipe[0], warn_on_full_buffer=False)


def _notify(notice: int) -> None:
    if _pipe:
        with suppress(OSError):  # a guardian that was killed
            os.write(_pipe[0], bytes([notice]))


def _forget() -> None:
    """Leave the guardian to the process that was forked: the signals of this one are not its own."""
    if _pipe:
        signal.set_wakeup_fd(-1)
        os.close(_pipe.pop())


def _obey(process: subprocess.Popen[bytes]) -> None:
    """End this process with the exit code that the guardian sends. In a thread: at exit the main one may wait."""
    assert process.stdout is not None
    if code := os.read(process.stdout.fileno(), 1):
        os._exit(code[0])


def main(command: int, mark: str, *, grace: float, keep_children: bool) -> None:
    """Guard a process: the program of the guardian. Returns once that has ended and nothing it started is left."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    first, since, until, done = 0, 0.0, None, False
    while True:
        if not _readable(until):
            _force(command, first)
            break
        if not (notices := os.read(sys.stdin.fileno(), 4096)):
            break
        for notice in notices:
            now = time.monotonic()
            if notice == _SURVIVED:
                first, until = 0, None
            elif notice == _DONE:
                done = True
            elif notice % _HEARD in _ENDING and not first:
                first, since, until = notice % _HEARD, now, now + grace
            elif notice == signal.SIGINT and now - since > _AGAIN_SECONDS:
                until = now
    if first or not (done or keep_children):
        _kill_marked(mark)


def _readable(until: float | None) -> bool:
    """Wait for a notice, or for the command's end, which closes the pipe; return False at `until`."""
    return bool(select.select([sys.stdin], [], [], None if until is None else max(0.0, until - time.monotonic()))[0])


def _force(command: int, number: int) -> None:
    """End the command: with its proper exit code if a thread of it can run, by the signal itself, or by SIGKILL."""
    said = (
        f"Ended by force after {signal.Signals(number).name}: something in it could not be interrupted. What was "
        "committed is kept; run the same command again to go on.\n"
    )
    with suppress(OSError):
        os.write(sys.stderr.fileno(), said.encode())
    with suppress(OSError):
        os.write(sys.stdout.fileno(), bytes([128 + number]))
    for how in (None, number, signal.SIGKILL):
        if how is not None and os.getppid() == command:
            os.kill(command, how)
        until = time.monotonic() + _REFUSED_SECONDS
        while _readable(until):
            if not os.read(sys.stdin.fileno(), 4096):
                return


def _kill_marked(mark: str) -> None:
    """Kill every process that carries a mark, and what those start meanwhile (Linux; elsewhere nothing)."""
    until = time.monotonic() + _KILLING_SECONDS
    while time.monotonic() < until and (found := [e for e in Path("/proc").glob("[0-9]*") if _carries(e, mark)]):
        for entry in found:
            with suppress(OSError):
                os.kill(int(entry.name), signal.SIGKILL)
        time.sleep(0.02)


def _carries(entry: Path, mark: str) -> bool:
    with suppress(OSError):
        return mark.encode() in (entry / "environ").read_bytes()
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], grace=float(sys.argv[3]), keep_children=bool(sys.argv[4]))
