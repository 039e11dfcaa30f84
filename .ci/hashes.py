"""Hashes of the packages in constraints.txt: written from the package index, and compared with what pip installed.

    python .ci/hashes.py write               after a change of constraints.txt
    python .ci/hashes.py check REPORT        with what `pip install --report REPORT` has written

The file is also a requirements file: pip install --require-hashes --no-deps -r constraints-hashed.txt. It has source
distributions, and wheels for CPython on Linux with glibc and on macOS. Needs pip and nothing else.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS, HASHED = ROOT / "constraints.txt", ROOT / "constraints-hashed.txt"
_PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_WHEEL = re.compile(r"-((?:cp|py|pp|graalpy)\d[^-]*)-([^-]+)-([^-]+)\.whl$")
_OTHER_PLATFORMS = re.compile(r"^win|ppc64|s390x|i686|armv|riscv|loongarch|musllinux|ios|android|emscripten|pyodide")
_PYTHONS = re.compile(r"cp31[1-4]$")


def pins(text: str) -> dict[str, str]:
    """Return the version of each package, by its normalised name."""
    return {_normal(name): version for name, version in _PIN.findall(text)}


def hashes(text: str) -> dict[str, set[str]]:
    """Return the SHA-256 of each package's files, by its normalised name."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", text):
        for name, _ in _PIN.findall(block):
            found.setdefault(_normal(name), set()).update(_HASH.findall(block))
    return found


def strangers(report: dict[str, Any], known: dict[str, set[str]]) -> list[str]:
    """Return the archives of a report of pip that have none of the known hashes."""
    found = []
    for item in report["install"]:
        archive = item["download_info"].get("archive_info")
        if archive is None:  # this project itself, from its folder
            continue
        name = _normal(item["metadata"]["name"])
        # Older pips write one hash, as `sha256=…`.
        sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").removeprefix("sha256=")
        if sha256 not in known.get(name, set()):
            found.append(f"{name} {item['metadata']['version']} ({item['download_info']['url'].rsplit('/', 1)[-1]})")
    return found


def check(report: Path) -> int:
    """Compare what pip installed; return the exit code."""
    found = strangers(json.loads(report.read_text("utf-8")), hashes(HASHED.read_text("utf-8")))
    for each in found:
        print(f"not a file that {HASHED.name} knows: {each}", file=sys.stderr)  # noqa: T201
    if found:
        print(  # noqa: T201
            "Somebody may have replaced a package, or it comes from another index. Remove .venv; install anyway with "
            "make HASHES=no.",
            file=sys.stderr,
        )
    return 1 if found else 0


def write() -> int:
    """Ask the index for the hashes of every pinned version. Return the exit code.

    Hashes of builds that the index does not have are kept from before; see `_LOCAL_BUILDS`.
    """
    wanted = pins(CONSTRAINTS.read_text("utf-8"))
    with ThreadPoolExecutor(8) as threads:
        files = dict(zip(wanted, threads.map(_files, wanted.items()), strict=True))
    kept = hashes(HASHED.read_text("utf-8")) if HASHED.exists() else {}
    text = f"# Written by .ci/hashes.py from {CONSTRAINTS.name}: the files of the pinned versions, by SHA-256.\n"
    for name, version in sorted(wanted.items()):
        if not files[name]:
            print(f"The index has no file of {name} {version}.", file=sys.stderr)  # noqa: T201
            return 1
        known = {*files[name], *(kept.get(name, ()) if name in _LOCAL_BUILDS else ())}
        text += f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{each}" for each in sorted(known)) + "\n"
    HASHED.write_text(text, "utf-8")
    return 0


_LOCAL_BUILDS = {"torch"}
"""Packages that are also installed from elsewhere than the index: torch's build for CPUs."""


def _files(pin: tuple[str, str]) -> list[str]:
    from pip._internal.models.index import PyPI

    name, version = pin
    request = urllib.request.Request(
        f"{PyPI.simple_url}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        files = json.load(answer)["files"]
    of_version = re.compile(rf"-{re.escape(version)}(-|\.tar|\.zip)")
    return [f["hashes"]["sha256"] for f in files if of_version.search(f["filename"]) and _is_wanted(f["filename"])]


def _is_wanted(filename: str) -> bool:
    wheel = _WHEEL.search(filename)
    if wheel is None:
        return filename.endswith((".tar.gz", ".zip"))
    python, abi, platform = wheel.groups()
    if _OTHER_PLATFORMS.search(platform) or python.startswith(("pp", "graalpy")):
        return False
    return abi == "abi3" or "py3" in python or (bool(_PYTHONS.match(python)) and not abi.endswith("t"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(words: Iterable[str]) -> int:
    """Run a command."""
    match list(words):
        case ["write"]:
            return write()
        case ["check", report]:
            return check(Path(report))
    print(__doc__, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
