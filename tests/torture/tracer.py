"""Tracer: run a function in a child process and stop it at every system call that changes a file.

The kernel stops the child (ptrace), so the calls of SQLite and DuckDB are traced like those of Python. At each call the
caller can inspect it, let it pass, make it fail, or end the child with SIGKILL. Linux on x86-64 only. Writes to mapped
memory are not traced: SQLite's `-shm`, which it rebuilds by itself after a crash.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

_TRACEME, _POKEUSER, _CONT, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 6, 7, 24, 0x4200, 0x420E
_SYSGOOD, _TRACECLONE, _TRACESECCOMP, _EXITKILL = 1, 8, 1 << 7, 1 << 20
_EVENT_SECCOMP = 7
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_RET_TRACE, _RET_ALLOW = 0x7FF00000, 0x7FFF0000
_ORIG_RAX, _RAX = 15 * 8, 10 * 8
_WALL = 0x40000000
_O_CREAT = 0o100
_AT_FDCWD = -100

_FD_CALLS = {1: "write", 18: "pwrite", 74: "fsync", 75: "fsync", 77: "truncate", 20: "writev", 285: "fallocate"}
_PATH_CALLS = {
    2: ("open", (0,)), 257: ("openat", (1,)),
    82: ("rename", (0, 1)), 264: ("rename", (1, 3)), 316: ("rename", (1, 3)),
    87: ("unlink", (0,)), 263: ("unlink", (1,)), 83: ("mkdir", (0,)), 258: ("mkdir", (1,)),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Verdict(Enum):
    """What is done with a call: it runs, fails with ENOSPC, or the child is killed before it."""

    PASS = "pass"
    NO_SPACE = "no space"
    KILL = "kill"


@dataclass(slots=True)
class Call:
    """One call that changes a file. `inode` is that of the file and `data` the bytes of a write, if there are any."""

    kind: str
    path: str
    other: str = ""
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    is_folder: bool = False
    existed: bool = False


Before = Callable[[Call], Verdict]
After = Callable[[Call, int], None]


def unavailable() -> str | None:
    """Return why calls cannot be traced here; None if they can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"tracing needs Linux on x86-64, this is {platform.system()} on {platform.machine()}"
    seen: list[Call] = []
    trace(lambda: os.write(os.open(os.devnull, os.O_WRONLY), b"x"), lambda call: seen.append(call) or Verdict.PASS)
    return None if seen else "the kernel does not let a process trace its own child"


def trace(
    work: Callable[[], object], before: Before, after: After = lambda call, result: None, *, watch: str = "/"
) -> int | None:
    """Run `work` in a child and return its exit code, None if it was killed. Only paths under `watch` are traced."""
    pid = os.fork()
    if pid == 0:
        _be_traced(work)
    return _Trace(pid, before, after, watch).run()


def _be_traced(work: Callable[[], object]) -> None:
    code = 1
    try:
        if _libc.ptrace(_TRACEME, 0, None, None) != 0:
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSTOP)
        _stop_only_at_changes()
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _stop_only_at_changes() -> None:
    """Have the kernel stop this process at the calls that are traced; at all calls it would run ten times slower."""
    load_number, load_flags = (0x20, 0, 0, 0), (0x20, 0, 0, 16 + 8 * 2)
    simple = [number for number in (*_FD_CALLS, *_PATH_CALLS) if number != 257]
    program = [load_number]
    # Jumps are relative: to the last instruction, which traces, from each of these.
    program += [(0x15, len(simple) - i + 3, 0, number) for i, number in enumerate(simple)]
    program += [
        (0x15, 0, 2, 257),
        load_flags,
        (0x45, 1, 0, _O_CREAT),
        (0x06, 0, 0, _RET_ALLOW),
        (0x06, 0, 0, _RET_TRACE),
    ]
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(buffer))
    if _libc.prctl(_NO_NEW_PRIVS, 1, None, 0, 0) or _libc.prctl(_SET_SECCOMP, _FILTER, fprog, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refuses a system call filter")


@dataclass
class _Trace:
    pid: int
    before: Before
    after: After
    watch: str
    _open: dict[int, tuple[Call, Verdict]] = field(default_factory=dict)

    def run(self) -> int | None:
        _, status = os.waitpid(self.pid, _WALL)
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        _libc.ptrace(_SETOPTIONS, self.pid, None, _SYSGOOD | _TRACECLONE | _TRACESECCOMP | _EXITKILL)
        _libc.ptrace(_CONT, self.pid, None, None)
        while True:
            # Threads of the child are traced too; this process has no other children.
            tid, status = os.waitpid(-1, _WALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if tid == self.pid:
                    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
                continue
            stop, go_on, passed_on = os.WSTOPSIG(status), _CONT, 0
            if status >> 16 == _EVENT_SECCOMP:
                go_on = self._enter(tid)
            elif stop == signal.SIGTRAP | 0x80:
                self._leave(tid)
            elif stop not in (signal.SIGTRAP, signal.SIGSTOP):
                passed_on = stop
            _libc.ptrace(go_on, tid, None, passed_on)

    def _enter(self, tid: int) -> int:
        """Handle a call that is about to be made; return the ptrace request to continue with."""
        number, *args = struct.unpack_from("<7Q", self._info(tid), 24)
        call = self._call(tid, number, args)
        if call is None:
            return _CONT
        verdict = self.before(call)
        if verdict is Verdict.KILL:
            os.kill(self.pid, signal.SIGKILL)
            return _CONT
        if verdict is Verdict.NO_SPACE:
            _libc.ptrace(_POKEUSER, tid, _ORIG_RAX, ctypes.c_void_p(-1))
        self._open[tid] = (call, verdict)
        return _SYSCALL

    def _leave(self, tid: int) -> None:
        if tid not in self._open:
            return
        call, verdict = self._open.pop(tid)
        if verdict is Verdict.NO_SPACE:
            _libc.ptrace(_POKEUSER, tid, _RAX, ctypes.c_void_p(-28))
            return
        (result,) = struct.unpack_from("<q", self._info(tid), 24)
        if result >= 0:
            if call.kind == "open":
                call.inode = os.stat(f"/proc/{tid}/fd/{result}").st_ino
            self.after(call, result)

    def _info(self, tid: int) -> bytes:
        info = ctypes.create_string_buffer(88)
        _libc.ptrace(_GET_SYSCALL_INFO, tid, 88, ctypes.addressof(info))
        return info.raw

    def _call(self, tid: int, number: int, args: list[int]) -> Call | None:
        """Return the call that is about to be made; None if it changes nothing under `watch`."""
        if number in _FD_CALLS:
            return self._on_descriptor(tid, _FD_CALLS[number], args)
        if number not in _PATH_CALLS:
            return None
        kind, places = _PATH_CALLS[number]
        if kind.startswith("open") and not args[places[0] + 1] & _O_CREAT:
            return None
        paths = [self._path(tid, number, args, place) for place in places]
        if not any(path.startswith(self.watch) for path in paths):
            return None
        call = Call("open" if kind == "openat" else kind, paths[0], paths[-1] if len(paths) > 1 else "")
        call.existed = os.path.lexists(call.path)
        call.is_folder = kind == "unlink" and number == 263 and bool(args[2] & 0x200)
        return call

    def _on_descriptor(self, tid: int, kind: str, args: list[int]) -> Call | None:
        link = f"/proc/{tid}/fd/{args[0]}"
        try:
            path = os.readlink(link)
        except FileNotFoundError:
            return None
        if not path.startswith(self.watch):
            return None
        found = os.stat(link)
        call = Call(kind, path, inode=found.st_ino, is_folder=os.path.isdir(link))
        if kind in ("write", "pwrite"):
            call.data = _memory(tid, args[1], args[2])
            call.offset = args[3] if kind == "pwrite" else _position(tid, args[0])
        elif kind == "truncate":
            call.offset = args[1]
        elif kind in ("writev", "fallocate"):
            raise NotImplementedError(f"{kind} on {path}: add it to the tracer before relying on its results")
        return call

    def _path(self, tid: int, number: int, args: list[int], place: int) -> str:
        path = _string(tid, args[place])
        if os.path.isabs(path):
            return path
        folder = args[place - 1] if number >= 257 else _AT_FDCWD
        signed = folder - (1 << 32) if folder & 0x80000000 else folder
        base = f"/proc/{tid}/cwd" if signed in (_AT_FDCWD, _AT_FDCWD - (1 << 32)) else f"/proc/{tid}/fd/{folder}"
        return os.path.join(os.readlink(base), path)


def _memory(tid: int, address: int, count: int) -> bytes:
    with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), count, address)


def _string(tid: int, address: int) -> str:
    found = b""
    with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        while b"\0" not in found:
            # Up to the end of the page: the next page may not be mapped.
            found += os.pread(memory.fileno(), 4096 - (address + len(found)) % 4096, address + len(found))
    return os.fsdecode(found.partition(b"\0")[0])


def _position(tid: int, descriptor: int) -> int:
    with open(f"/proc/{tid}/fdinfo/{descriptor}") as info:
        return int(info.readline().split()[1])
