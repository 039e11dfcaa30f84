"""Take the screenshot of a flow run page with its artifacts: docs/flow-run.png.

    python -m examples.screenshot

Starts a Prefect server of its own, serves the deployments, embeds examples/corpus and renders the run's page in
headless Chromium. Needs Debian's `chromium`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.flows.server.standing import Standing

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "flow-run.png"
SIZE = "1440,1000"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        standing = Standing(Path(folder))
        shutil.copytree(ROOT / "examples" / "corpus", standing.folder / "corpus")
        (standing.folder / "polyseme.toml").write_text('[corpus.example]\nsources = ["corpus"]\n', encoding="utf-8")
        try:
            standing.start_server()
            standing.start_serve()
            run = standing.run("embed/on-arrival", corpora=["example"])
            standing.wait_for_run(run)
            take(f"http://127.0.0.1:{standing.port}/runs/flow-run/{run}?tab=Artifacts", Path(folder))
        finally:
            standing.end()
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


def take(url: str, folder: Path) -> None:
    """Render the page into PICTURE. The virtual time leaves its requests time to be answered first."""
    subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            f"--user-data-dir={folder / 'browser'}", f"--window-size={SIZE}", "--virtual-time-budget=30000",
            f"--screenshot={PICTURE}", url,
        ],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip


if __name__ == "__main__":
    main()
