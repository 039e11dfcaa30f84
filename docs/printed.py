"""The part of a page that a script prints, between two comments: `<!-- printed by … -->` and `<!-- end -->`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
_PRINTED = re.compile(r"(<!-- printed by [^\n]+ -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def run(page: Path, printed: Callable[[], str], *, description: str) -> None:
    """Print the part, or with --write put it into the page."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put it into docs/{page.name} instead")
    if parser.parse_args().write:
        write(page, printed())
    else:
        sys.stdout.write(printed())


def write(page: Path, text: str) -> None:
    """Put `text` between the comments of the page."""
    written, count = _PRINTED.subn(lambda found: found[1] + text + found[3], page.read_text("utf-8"))
    if count != 1:
        raise SystemExit(f"{page} needs one pair of the comments <!-- printed by … --> and <!-- end -->, has {count}.")
    page.write_text(written, "utf-8")
