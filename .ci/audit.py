"""Audit: the pinned packages against the advisories of their index. Says so if they could not be compared.

    python .ci/audit.py

Exit codes: 0 if no vulnerability is known, or nothing could be asked; 1 if one is. An advisory that does not concern
this project is named in `IGNORED`, with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IGNORED: Mapping[str, str] = {}
"""Why an advisory, by its id, does not concern this project."""
_SECONDS = 300


def audit() -> dict[str, Any] | None:
    """Return what pip-audit found; None if it could not ask."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip",
        "--progress-spinner", "off", "--format", "json", "--timeout", "10",
        *(word for advisory in IGNORED for word in ("--ignore-vuln", advisory)),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return found


def verdict(found: dict[str, Any] | None) -> tuple[int, list[str]]:
    """Return the exit code, and what to say."""
    packages = [] if found is None else found["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in asked
        for vulnerability in package["vulns"]
    ]
    if lines:
        return 1, [*lines, "Raise the version in constraints.txt, or say in .ci/audit.py why it does not concern us."]
    if not asked:
        return 0, ["Known vulnerabilities: could not be asked for (no network, or an index without advisories)."]
    left = len(packages) - len(asked)
    more = f"; {left} could not be asked for" if left else ""
    return 0, [f"Known vulnerabilities: none in {len(asked)} packages{more}."]


if __name__ == "__main__":
    code, said = verdict(audit())
    print("\n".join(said))  # noqa: T201
    sys.exit(code)
