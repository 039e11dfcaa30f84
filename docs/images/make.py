"""The images of the documentation: pages of the explorer of the example lake, in a headless Chromium, and a figure.

    python docs/images/make.py --lake lake [--chromium PATH] [--all FOLDER]

Writes word.png, document.png and senses.svg beside this file. With `--all` every kind of page, light, dark and narrow,
into a folder. Needs the extras `browser` and `plot`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
SHOWN = {"word": "/word?w=bank", "document": "/document?id={document}"}
OTHERS = {
    "overview": "/", "documents": "/documents", "drift": "/drift", "compare": "/compare", "sense": "/sense?w=bank&n=1",
    "sentence": "/sentence?doc={document}&i=1",
    "sql": "/sql?q=SELECT+doc_id,+avg(margin)+AS+mean_margin+FROM+coherence+GROUP+BY+ALL+ORDER+BY+2+LIMIT+20",
    "runs": "/runs", "rejects": "/rejects",
}  # fmt: skip
LOOKS = {"light": (1100, 900, "light"), "dark": (1100, 900, "dark"), "narrow": (360, 740, "light")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--all", type=Path)
    options = parser.parse_args()
    figure = ["senses", "bank", "--lake", options.lake, "--plot", str(HERE / "senses.svg")]
    subprocess.run([sys.executable, "-m", "polyseme", *figure], check=True, stdout=subprocess.DEVNULL)
    with explorer(options.lake) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"])
        document = longest(browser, address)
        for name, place in SHOWN.items():
            shoot(browser, address + place.format(document=document), HERE / f"{name}.png", "light")
        for look in LOOKS if options.all else ():
            for name, place in (SHOWN | OTHERS).items():
                shoot(browser, address + place.format(document=document), options.all / f"{name}-{look}.png", look)
        browser.close()


@contextmanager
def explorer(lake: str) -> Iterator[str]:
    """Start the explorer of a lake; its address."""
    command = [sys.executable, "-m", "polyseme", "explore", "--lake", lake, "--port", "0", "--no-open"]
    with subprocess.Popen([*command, "--title", "The example corpus"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().rstrip("/")
        finally:
            process.terminate()


def longest(browser: Browser, address: str) -> str:
    """Return the id of the longest document, as it is written in an address."""
    page = browser.new_page()
    page.goto(f"{address}/documents?sort=longest")
    place = page.locator("main table a").first.get_attribute("href") or ""
    page.close()
    return place.partition("id=")[2]


def shoot(browser: Browser, place: str, picture: Path, look: str) -> None:
    """Write what a screen shows of a page."""
    width, height, scheme = LOOKS[look]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(place)
    page.wait_for_load_state("networkidle")
    if "/document?" in place:  # above it stands where the document lay on this machine
        page.locator("figure").first.evaluate("figure => scrollTo(0, figure.offsetTop - 12)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture)
    page.close()


if __name__ == "__main__":
    main()
