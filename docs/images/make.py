"""The images of the README: the report of the example lake, rendered by headless Chromium.

    python docs/images/make.py --lake lake [--chromium PATH]

Writes report.png and senses.png beside this file: the top of the page, and the sense map of *bank*.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
REPORT_SIZE, MAP_SIZE = (900, 1100), (760, 470)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--chromium", default="chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report, senses = Path(scratch, "report.html"), Path(scratch, "senses.html")
        polyseme("report", "--lake", str(options.lake), "-o", str(report), "--title", "The example corpus")
        polyseme("senses", "bank", "--lake", str(options.lake), "--plot", str(senses))
        for page, size in ((report, REPORT_SIZE), (senses, MAP_SIZE)):
            shoot(options.chromium, page, HERE / f"{page.stem}.png", size, profile=Path(scratch, page.stem))


def polyseme(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "polyseme", *arguments], check=True, stdout=sys.stderr)


def shoot(chromium: str, page: Path, picture: Path, size: tuple[int, int], *, profile: Path) -> None:
    """Render a page into a PNG of `size` pixels."""
    width, height = size
    where = (f"--user-data-dir={profile}", f"--screenshot={picture}", f"--window-size={width},{height}")
    subprocess.run([chromium, *FLAGS, *where, page.as_uri()], check=True)


if __name__ == "__main__":
    main()
